//! A retry belongs to its user, not to one token of the user: a token that was refreshed between
//! two tries makes no other call.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::support::{
    Answer, Gateway, ISSUER, SECRET, VERIFY, emulator,
    identity::{Provider, Signer, gateway, hasty, said, section},
    refusal::told,
    routes,
    sealed::{self, fresh},
    token, token_with, until,
    upstream::{self, Does, answer},
    verify_body, video,
};
use liveness_gateway::emulator::Scenario;

const PASS: &str =
    r#"{"error_code":0,"result":{"score":0.9600000000000001,"action_verify":"pass"}}"#;

async fn verify(gateway: &Gateway, token: &str, body: &str) -> Answer {
    let request = gateway
        .request(false, "POST", VERIFY)
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json");
    gateway.send(false, request, body.to_owned()).await
}

/// A development token of `user-1`, issued so long ago and valid for so long.
fn issued(ago: u64, lifetime: u64) -> String {
    token_with(SECRET, |claims| {
        claims.now -= Duration::from_secs(ago);
        claims.lifetime = Duration::from_secs(lifetime);
    })
}

#[tokio::test]
async fn a_retry_with_another_token_of_the_same_user_gets_the_first_response() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let provider = Provider::start(vec![old.jwk(), new.jwk()]).await;
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let identities = provider.identity("") + &section(ISSUER, "secret = { env = \"JWT\" }");
    let gateway = gateway(qiniu, &identities, hasty()).await;
    gateway.until_fetch_was("success").await;
    let now = jsonwebtoken::get_current_timestamp();
    let issuer = provider.issuer();
    let claims = |user: &str, more: Value| {
        let mut claims = json!({"iss": issuer, "aud": "liveness", "sub": user});
        let more = more.as_object().unwrap().clone();
        claims.as_object_mut().unwrap().extend(more);
        claims
    };
    let first = json!({"iat": now - 590, "exp": now + 10, "jti": "1", "scope": "a"});
    let first = old.sign(Some("old"), &claims("alice", first));
    let answer = gateway.ask(&first).await;
    let session = answer.json()["result"]["session_id"].clone();
    let body = verify_body(session.as_str().unwrap(), &video(0));
    let answer = verify(&gateway, &first, &body).await;
    assert_eq!(answer.json()["result"]["action_verify"], "pass");
    let refreshed = json!({"iat": now, "exp": now + 600, "jti": "2", "scope": "a b"});
    let plain = json!({"exp": now + 900});
    let other_audience = json!({"exp": now + 60, "aud": ["x", "liveness"], "act": {"sub": "m"}});
    for (signer, id, more) in [
        (&old, "old", refreshed.clone()),
        (&new, "new", refreshed),
        (&new, "new", plain),
        (&new, "new", other_audience),
    ] {
        let token = signer.sign(Some(id), &claims("alice", more));
        let again = verify(&gateway, &token, &body).await;
        assert_eq!((again.status, &again.body), (answer.status, &answer.body));
        let record = gateway.record(again.header("x-request-id")).await;
        assert!(record["upstream_ms"].is_null(), "{record}");
    }
    // The same name at another issuer, and another user of this one, are somebody else.
    let elsewhere = token("alice", None);
    let bob = new.sign(Some("new"), &claims("bob", json!({"exp": now + 60})));
    for token in [&elsewhere, &bob] {
        let refused = verify(&gateway, token, &body).await;
        assert_eq!(said(&refused), (403, "session_rejected".into()));
    }
    // Another video of the same user is no retry, whatever the token.
    let other = verify_body(session.as_str().unwrap(), &video(200_000));
    let fresh = new.sign(Some("new"), &claims("alice", json!({"exp": now + 60})));
    told(&verify(&gateway, &fresh, &other).await, 409, "session_used");
    assert_eq!(handle.verify_calls(), 1);
}

#[tokio::test]
async fn a_retry_with_a_refreshed_token_waits_for_the_call_that_is_under_way() {
    let gate = Arc::new(Semaphore::new(0));
    let qiniu = upstream::start(Does::WhenLet(Arc::clone(&gate), answer("200 OK", PASS))).await;
    let settings = format!("{}{}", sealed::SETTINGS, routes());
    let gateway = Arc::new(Gateway::start(qiniu.address, "", &settings).await);
    let body = verify_body(&fresh(qiniu.address, "S1"), &video(0));
    let send = |token: String| {
        let (gateway, body) = (Arc::clone(&gateway), body.clone());
        tokio::spawn(async move { verify(&gateway, &token, &body).await })
    };
    let first = send(issued(590, 600));
    until("the call", async || qiniu.requests() == 1).await;
    let second = send(issued(0, 600));
    let both = "liveness_gateway_requests_in_flight 2\n";
    until(both, async || gateway.metrics().await.contains(both)).await;
    gate.add_permits(1);
    for answer in [first.await.unwrap(), second.await.unwrap()] {
        assert_eq!(
            (answer.status.as_u16(), &*answer.body),
            (200, PASS.as_bytes())
        );
    }
    assert_eq!(qiniu.requests(), 1);
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn a_retry_with_a_refreshed_token_on_another_replica_gets_the_first_response() {
    use crate::support::redis::{self, Redis};
    if !redis::is_there() {
        return;
    }
    let qiniu = upstream::start(Does::AnswerAndStay(answer("200 OK", PASS))).await;
    let redis = Redis::start().await;
    let [one, other] = crate::store::two(qiniu.address, &redis, &routes()).await;
    let body = verify_body(&fresh(qiniu.address, "S1"), &video(0));
    for (gateway, token) in [
        (&one, issued(590, 600)),
        (&other, issued(0, 600)),
        (&one, issued(0, 300)),
    ] {
        let answer = verify(gateway, &token, &body).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.body),
            (200, PASS.as_bytes())
        );
    }
    assert_eq!(qiniu.requests(), 1);
}
