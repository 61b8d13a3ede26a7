//! Tokens with an unknown key id: the first token of a new key is accepted, and no stranger can
//! make the gateway fetch the key set again and again.

use std::{sync::Arc, time::Duration};

use crate::support::{
    crowd, emulator,
    identity::{Does, KEYS, Provider, Signer, gateway, hasty, said},
};
use liveness_gateway::{auth::remote::FetchTiming, emulator::Scenario};

/// Every unknown id may cause a fetch at once.
fn inquisitive() -> FetchTiming {
    FetchTiming {
        refetch_interval: Duration::ZERO,
        ..hasty()
    }
}

#[tokio::test]
async fn a_flood_of_unknown_key_ids_causes_one_fetch() {
    let _alone = crowd::alone().await;
    let (signer, new) = (Signer::new("a"), Signer::new("new"));
    let provider = Provider::start(vec![signer.jwk()]).await;
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = Arc::new(gateway(qiniu, &provider.identity(""), hasty()).await);
    gateway.until_ready_is(200).await;
    provider.publish(vec![signer.jwk(), new.jwk()]);
    let stranger = Signer::new("x");
    let mut asked = tokio::task::JoinSet::new();
    for number in 0..300 {
        let id = format!("unknown-{number}");
        let token = stranger.token_as(Some(&id), &provider.issuer(), "mallory");
        let known = signer.token(&provider, &number.to_string());
        let gateway = Arc::clone(&gateway);
        asked.spawn(async move {
            assert_eq!(
                said(&gateway.ask(&token).await),
                (401, "invalid_token".into())
            );
            assert_eq!(gateway.ask(&known).await.status, 200);
        });
        if asked.len() == 20 {
            asked.join_next().await.unwrap().unwrap();
        }
    }
    while let Some(done) = asked.join_next().await {
        done.unwrap();
    }
    assert_eq!(provider.requests(KEYS), 2);
    // The fetch that the flood caused has brought the new key.
    assert_eq!(
        gateway.ask(&new.token(&provider, "alice")).await.status,
        200
    );
    let metrics = gateway.metrics().await;
    assert!(
        metrics.contains("auth_refusals_total{reason=\"unknown_key\"} 300"),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_key_id_asked_for_before_it_is_published_is_accepted_afterwards() {
    let (signer, new) = (Signer::new("a"), Signer::new("tomorrow"));
    let provider = Provider::start(vec![signer.jwk()]).await;
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = gateway(qiniu, &provider.identity(""), inquisitive()).await;
    gateway.until_ready_is(200).await;
    let stranger = Signer::new("x");
    for (id, fetches) in [("tomorrow", 2), ("made up", 3), ("tomorrow", 4)] {
        let token = stranger.token_as(Some(id), &provider.issuer(), "mallory");
        assert_eq!(
            said(&gateway.ask(&token).await),
            (401, "invalid_token".into())
        );
        assert_eq!(provider.requests(KEYS), fetches, "{id}");
    }
    let token = new.token(&provider, "alice");
    assert_eq!(
        said(&gateway.ask(&token).await),
        (401, "invalid_token".into())
    );
    provider.publish(vec![signer.jwk(), new.jwk()]);
    assert_eq!(gateway.ask(&token).await.status, 200);
}

#[tokio::test]
async fn a_failed_fetch_does_not_make_a_key_id_unknown() {
    let (signer, new) = (Signer::new("a"), Signer::new("new"));
    let provider = Provider::start(vec![signer.jwk()]).await;
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = gateway(qiniu, &provider.identity(""), inquisitive()).await;
    gateway.until_ready_is(200).await;
    let token = new.token(&provider, "alice");
    provider.does(KEYS, Does::Close);
    for _ in 0..2 {
        assert_eq!(said(&gateway.ask(&token).await), (503, "not_ready".into()));
    }
    provider.does(KEYS, Does::Well);
    // Decided once a fetch has succeeded.
    let stranger = Signer::new("x").token(&provider, "mallory");
    assert_eq!(
        said(&gateway.ask(&stranger).await),
        (401, "invalid_token".into())
    );
    provider.publish(vec![signer.jwk(), new.jwk()]);
    assert_eq!(gateway.ask(&token).await.status, 200);
}

#[tokio::test]
async fn a_token_that_is_invalid_anyway_causes_no_fetch() {
    let signer = Signer::new("a");
    let provider = Provider::start(vec![signer.jwk()]).await;
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let identity = provider.identity("algorithms = [\"ES256\"]");
    let gateway = gateway(qiniu, &identity, hasty()).await;
    gateway.until_ready_is(200).await;
    let issuer = provider.issuer();
    let late = serde_json::json!({"iss": issuer, "aud": "liveness", "sub": "m", "exp": 1});
    let astray =
        serde_json::json!({"iss": issuer, "aud": "x", "sub": "m", "exp": 9_999_999_999_u64});
    let good = Signer::new("x").token_as(Some("b"), &issuer, "m");
    let (_, rest) = good.split_once('.').unwrap();
    let other = |header: &str| {
        format!(
            "{}.{rest}",
            data_encoding::BASE64URL_NOPAD.encode(header.as_bytes())
        )
    };
    for token in [
        signer.sign(Some("b"), &late),
        signer.sign(Some("b"), &astray),
        other(r#"{"alg":"HS256","kid":"b"}"#),
        other(r#"{"alg":"RS256","kid":"b"}"#),
    ] {
        assert_eq!(
            said(&gateway.ask(&token).await),
            (401, "invalid_token".into())
        );
    }
    assert_eq!(provider.requests(KEYS), 1);
}

#[tokio::test]
async fn a_token_without_a_key_id_may_be_signed_by_a_new_key() {
    let (one, two, new) = (Signer::nameless(), Signer::new("two"), Signer::nameless());
    let provider = Provider::start(vec![one.jwk(), two.jwk()]).await;
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = gateway(qiniu, &provider.identity(""), hasty()).await;
    gateway.until_ready_is(200).await;
    for signer in [&one, &two] {
        let token = signer.token_as(None, &provider.issuer(), "alice");
        assert_eq!(gateway.ask(&token).await.status, 200);
    }
    assert_eq!(provider.requests(KEYS), 1);
    provider.publish(vec![two.jwk(), new.jwk()]);
    assert_eq!(
        gateway.ask(&new.token(&provider, "alice")).await.status,
        200
    );
    assert_eq!(provider.requests(KEYS), 2);
}

#[tokio::test]
async fn the_first_tokens_of_a_new_key_are_accepted_after_one_fetch() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let provider = Provider::start(vec![old.jwk()]).await;
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = Arc::new(gateway(qiniu, &provider.identity(""), hasty()).await);
    gateway.until_ready_is(200).await;
    provider.publish(vec![old.jwk(), new.jwk()]);
    let mut asked = tokio::task::JoinSet::new();
    for number in 0..50 {
        let (gateway, token) = (
            Arc::clone(&gateway),
            new.token(&provider, &number.to_string()),
        );
        asked.spawn(async move { gateway.ask(&token).await.status });
    }
    while let Some(status) = asked.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
    assert_eq!(provider.requests(KEYS), 2);
    assert_eq!(gateway.ask(&old.token(&provider, "x")).await.status, 200);
}
