//! Keys that an identity provider publishes: they are found, and kept while the provider is down.
//!
//! Unknown key ids are in `identity_unknown.rs`, misbehaving providers in
//! `identity_misbehaving.rs`, sets that are written otherwise in `identity_lenient.rs`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    Gateway, emulator, found,
    identity::{DISCOVERY, Does, KEYS, Provider, Signer, gateway, hasty, said},
    secure::Authority,
    until,
};
use liveness_gateway::{auth::remote::FetchTiming, emulator::Scenario};

#[tokio::test]
async fn keys_are_found_by_discovery_or_at_a_configured_url() {
    let signer = Signer::new("a");
    let provider = Provider::start(vec![signer.jwk()]).await;
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let at_address = format!("jwks_url = \"http://{}{KEYS}\"", provider.address);
    for (more, documents) in [("", 1), (at_address.as_str(), 1)] {
        let gateway = gateway(qiniu, &provider.identity(more), hasty()).await;
        gateway.until_ready_is(200).await;
        let answer = gateway.ask(&signer.token(&provider, "alice")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let stranger = Signer::new("a").token(&provider, "alice");
        assert_eq!(
            said(&gateway.ask(&stranger).await),
            (401, "invalid_token".into())
        );
        assert_eq!(provider.requests(DISCOVERY), documents);
        let metrics = gateway.metrics().await;
        let issuer = provider.issuer();
        for line in [
            format!(
                "liveness_gateway_key_set_fetches_total{{issuer=\"{issuer}\",outcome=\"success\"}} 1"
            ),
            format!("liveness_gateway_key_set_age_seconds{{issuer=\"{issuer}\"}} 0."),
        ] {
            assert!(metrics.contains(&line), "{line} not in {metrics}");
        }
    }
}

#[tokio::test]
async fn the_gateway_waits_for_a_provider_that_is_down_at_start() {
    let signer = Signer::new("a");
    let provider = Provider::start(vec![signer.jwk()]).await;
    provider.does(DISCOVERY, Does::Close);
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = gateway(qiniu, &provider.identity(""), hasty()).await;
    let ready = gateway.readiness().await;
    assert_eq!(
        (ready.status.as_u16(), &ready.json()["checks"]["keys"]),
        (503, &"unknown".into())
    );
    let token = signer.token(&provider, "alice");
    gateway.until_fetch_was("unreachable").await;
    let answer = gateway.ask(&token).await;
    assert_eq!(said(&answer), (503, "not_ready".into()));
    assert_eq!(answer.header("retry-after"), "5");
    assert!(answer.headers.get("www-authenticate").is_none());
    provider.does(DISCOVERY, Does::Well);
    gateway.until_ready_is(200).await;
    assert_eq!(gateway.ask(&token).await.status, 200);
}

#[tokio::test]
async fn a_failing_issuer_does_not_affect_another() {
    let (signer, other) = (Signer::new("a"), Signer::new("a"));
    let provider = Provider::start(vec![signer.jwk()]).await;
    let dark = Provider::start(vec![other.jwk()]).await;
    dark.does(DISCOVERY, Does::Close);
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let identities = provider.identity("") + &dark.identity("");
    let gateway = gateway(qiniu, &identities, hasty()).await;
    gateway.until_ready_is(200).await;
    assert_eq!(
        gateway.ask(&signer.token(&provider, "alice")).await.status,
        200
    );
    let answer = gateway.ask(&other.token(&dark, "alice")).await;
    assert_eq!(said(&answer), (503, "not_ready".into()));
    assert_eq!(
        without_keys(&gateway).await,
        (200, "partial".into(), json!([dark.issuer()]))
    );
    // Each issuer's tokens are checked with its own keys only.
    let crossed = signer.token_as(Some("a"), &dark.issuer(), "alice");
    dark.does(DISCOVERY, Does::Well);
    until_keys_are(&gateway, "ok").await;
    assert_eq!(
        said(&gateway.ask(&crossed).await),
        (401, "invalid_token".into())
    );
    assert_eq!(gateway.ask(&other.token(&dark, "alice")).await.status, 200);
}

#[tokio::test]
async fn an_issuer_that_fails_later_does_not_take_the_gateway_out() {
    let (signer, other) = (Signer::new("a"), Signer::new("a"));
    let provider = Provider::start(vec![signer.jwk()]).await;
    let failing = Provider::start(vec![other.jwk()]).await;
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let identities = provider.identity("") + &failing.identity("max_stale = \"1s\"");
    let gateway = gateway(qiniu, &identities, hasty()).await;
    until_keys_are(&gateway, "ok").await;
    failing.does(KEYS, Does::Close);
    failing.does(DISCOVERY, Does::Close);
    until_keys_are(&gateway, "partial").await;
    assert_eq!(
        without_keys(&gateway).await,
        (200, "partial".into(), json!([failing.issuer()]))
    );
    let answer = gateway.ask(&other.token(&failing, "alice")).await;
    assert_eq!(said(&answer), (503, "not_ready".into()));
    let answer = gateway.ask(&signer.token(&provider, "alice")).await;
    assert_eq!(answer.status, 200);
}

/// What `/readyz` says: its status, the check of keys, and the issuers without keys.
async fn without_keys(gateway: &Gateway) -> (u16, String, Value) {
    let ready = gateway.readiness().await;
    let json = ready.json();
    let keys = json["checks"]["keys"].as_str().unwrap();
    let missing = json["issuers_without_keys"].clone();
    (ready.status.as_u16(), keys.to_owned(), missing)
}

/// Waits until the check of keys says so.
pub(crate) async fn until_keys_are(gateway: &Gateway, keys: &str) {
    let is_so = found(async || (without_keys(gateway).await.1 == keys).then_some(()));
    assert!(is_so.await.is_some(), "never {keys}: {}", gateway.log());
}

#[tokio::test]
async fn removing_a_key_rejects_its_verified_tokens() {
    let (old, new, kept) = (Signer::new("old"), Signer::new("new"), Signer::new("kept"));
    let provider = Provider::start(vec![old.jwk(), kept.jwk()]).await;
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = gateway(qiniu, &provider.identity(""), hasty()).await;
    gateway.until_ready_is(200).await;
    let (goes, stays) = (old.token(&provider, "alice"), kept.token(&provider, "bob"));
    assert_eq!(gateway.ask(&goes).await.status, 200);
    assert_eq!(gateway.ask(&stays).await.status, 200);
    provider.publish(vec![kept.jwk(), new.jwk()]);
    assert_eq!(
        gateway.ask(&new.token(&provider, "carol")).await.status,
        200
    );
    assert_eq!(
        said(&gateway.ask(&goes).await),
        (401, "invalid_token".into())
    );
    assert_eq!(gateway.ask(&stays).await.status, 200);
}

#[tokio::test]
async fn the_provider_sets_how_long_its_keys_are_kept() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let provider = Provider::start(vec![old.jwk()]).await;
    provider.does(KEYS, Does::WellWith("Cache-Control: max-age=0\r\n".into()));
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let timing = FetchTiming {
        min_lifetime: Duration::from_millis(10),
        default_lifetime: Duration::from_secs(3600),
        ..hasty()
    };
    let gateway = gateway(qiniu, &provider.identity(""), timing).await;
    gateway.until_ready_is(200).await;
    let token = old.token(&provider, "alice");
    assert_eq!(gateway.ask(&token).await.status, 200);
    provider.publish(vec![new.jwk()]);
    // No token asks for a key here: the old key goes because its set is too old.
    until("the old set is out of use", async || {
        gateway.ask(&token).await.status == 401
    })
    .await;
    assert_eq!(
        gateway.ask(&new.token(&provider, "alice")).await.status,
        200
    );
    assert_eq!(
        said(&gateway.ask(&token).await),
        (401, "invalid_token".into())
    );
}

#[tokio::test]
async fn known_keys_are_used_until_they_are_too_old() {
    let signer = Signer::new("a");
    let provider = Provider::start(vec![signer.jwk()]).await;
    let (qiniu, _) = emulator(Scenario::Pass).await;
    // Fetched again after half of `max_stale`, and without success from then on.
    let gateway = gateway(qiniu, &provider.identity("max_stale = \"3s\""), hasty()).await;
    gateway.until_ready_is(200).await;
    let token = signer.token(&provider, "alice");
    assert_eq!(gateway.ask(&token).await.status, 200);
    provider.does(KEYS, Does::Close);
    provider.does(DISCOVERY, Does::Close);
    gateway.until_fetch_was("unreachable").await;
    assert_eq!(gateway.ask(&token).await.status, 200);
    assert_eq!(
        gateway.ask(&signer.token(&provider, "bob")).await.status,
        200
    );
    gateway.until_ready_is(503).await;
    for token in [&token, &signer.token(&provider, "carol")] {
        assert_eq!(said(&gateway.ask(token).await), (503, "not_ready".into()));
    }
    provider.does(KEYS, Does::Well);
    provider.does(DISCOVERY, Does::Well);
    gateway.until_ready_is(200).await;
    assert_eq!(gateway.ask(&token).await.status, 200);
}

#[tokio::test]
async fn only_the_configured_authority_is_trusted_for_the_provider() {
    let (trusted, other) = (Authority::new(), Authority::new());
    let signer = Signer::new("a");
    let tls = Some(trusted.acceptor());
    let provider = Provider::start_with(vec![signer.jwk()], tls).await;
    let (qiniu, _) = emulator(Scenario::Pass).await;
    for (authority, outcome, status) in [(&trusted, "success", 200), (&other, "unreachable", 503)] {
        let file = std::env::temp_dir().join(format!(
            "liveness-gateway-{}-{outcome}.pem",
            std::process::id()
        ));
        std::fs::write(&file, authority.pem()).unwrap();
        let identity = provider.identity(&format!("ca_file = \"{}\"", file.display()));
        let gateway = gateway(qiniu, &identity, hasty()).await;
        std::fs::remove_file(file).unwrap();
        gateway.until_fetch_was(outcome).await;
        let answer = gateway.ask(&signer.token(&provider, "alice")).await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
}
