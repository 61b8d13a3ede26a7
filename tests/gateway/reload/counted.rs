//! What was counted of callers, sessions, keys and calls lives on over a reload.

use std::{sync::Arc, time::Duration};

use liveness_gateway::emulator::Scenario;
use tokio::sync::Semaphore;

use super::{FILE, Reloaded, configuration};
use crate::support::{
    Answer, ISSUER, SESSIONCODE, VERDICT, VERDICT_KEY, VERIFY, claims, emulator,
    folder::Folder,
    identity::{Does, KEYS, Provider, Signer, section},
    raw, routes,
    sealed::{self, fresh, sealed},
    session,
    upstream::{self, answer},
    verify_body, video,
};

const PASS: &str =
    r#"{"error_code":0,"error_msg":"SUCCESS","serverlogid":1,"result":{"action_verify":"pass"}}"#;

/// One verify of a new session, in front of an upstream that passes everything.
async fn verify(file: &Reloaded, upstream: std::net::SocketAddr, id: &str) -> Answer {
    let body = verify_body(&fresh(upstream, id), &video(0));
    file.gateway.post(false, VERIFY, body).await
}

fn sections() -> String {
    format!("{}{}", sealed::SETTINGS, routes())
}

async fn passes() -> upstream::Upstream {
    upstream::start(upstream::Does::InTurn(vec![answer("200 OK", PASS)])).await
}

#[tokio::test]
async fn a_quota_counts_on_and_its_new_size_holds_at_once() {
    let qiniu = passes().await;
    let text = configuration(qiniu.address, &sections());
    let text = text.replace("quota = \"\"", "quota = \"3/day\"");
    let mut file = Reloaded::start(text).await;
    for id in ["1", "2"] {
        assert_eq!(verify(&file, qiniu.address, id).await.status, 200);
    }
    file.change("quota = \"3/day\"", "quota = \"2/day\"").await;
    let refused = verify(&file, qiniu.address, "3").await;
    assert_eq!(refused.code(), "quota_exceeded");
    file.change("quota = \"2/day\"", "quota = \"3/day\"").await;
    file.change("max_connections = 300", "max_connections = 299")
        .await;
    assert_eq!(verify(&file, qiniu.address, "3").await.status, 200);
    let refused = verify(&file, qiniu.address, "4").await;
    assert_eq!(refused.code(), "quota_exceeded");
}

#[tokio::test]
async fn nobody_gets_a_fresh_burst_and_a_higher_rate_holds_at_once() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let text = configuration(qiniu, &sections());
    let text = text.replacen(
        "rate = \"1000/s\"\nburst = 1000",
        "rate = \"1/h\"\nburst = 4",
        1,
    );
    let mut file = Reloaded::start(text).await;
    let ask = async |file: &Reloaded| file.gateway.post(false, SESSIONCODE, "{}").await.code();
    for _ in 0..3 {
        assert_eq!(ask(&file).await, "");
    }
    file.change("max_connections = 300", "max_connections = 299")
        .await;
    assert_eq!(ask(&file).await, "");
    assert_eq!(ask(&file).await, "rate_limited");
    // All four of the burst are used, so two of six are left.
    file.change("burst = 4", "burst = 6").await;
    assert_eq!([ask(&file).await, ask(&file).await], ["", ""]);
    assert_eq!(ask(&file).await, "rate_limited");
    file.change("rate = \"1/h\"", "rate = \"1000/s\"").await;
    assert_eq!(ask(&file).await, "");
}

#[tokio::test]
async fn calls_in_progress_count_in_a_new_limit_and_are_joined_by_retries() {
    let gate = Arc::new(Semaphore::new(0));
    let does = upstream::Does::WhenLet(Arc::clone(&gate), answer("200 OK", PASS));
    let qiniu = upstream::start(does).await;
    let mut file = Reloaded::start(configuration(qiniu.address, &sections())).await;
    let body = verify_body(&fresh(qiniu.address, "1"), &video(0));
    let text = raw::whole("user-1", VERIFY, &body);
    let first = raw::begin(file.gateway.address, &text).await;
    qiniu.until_requests(1).await;
    let limit = "concurrent_per_user = 100\ntimeout = \"20s\"";
    let one = "concurrent_per_user = 1\ntimeout = \"20s\"";
    file.change(limit, one).await;
    let refused = verify(&file, qiniu.address, "2").await;
    assert_eq!(refused.code(), "too_many_concurrent");
    drop(first);
    let retry = file.gateway.post(false, VERIFY, body);
    let (answer, ()) = tokio::join!(retry, async { gate.add_permits(1) });
    assert_eq!((answer.status.as_u16(), qiniu.requests()), (200, 1));
}

#[tokio::test]
async fn a_stop_waits_for_calls_that_began_before_a_reload() {
    let gate = Arc::new(Semaphore::new(0));
    let does = upstream::Does::WhenLet(Arc::clone(&gate), answer("200 OK", PASS));
    let qiniu = upstream::start(does).await;
    let mut file = Reloaded::start(configuration(qiniu.address, &sections())).await;
    // Neither the first gateway makes the call, nor the last.
    file.change("max_connections = 50", "max_connections = 49")
        .await;
    let body = verify_body(&fresh(qiniu.address, "1"), &video(0));
    let text = raw::whole("user-1", VERIFY, &body);
    let caller = raw::begin(file.gateway.address, &text).await;
    qiniu.until_requests(1).await;
    file.change("max_connections = 300", "max_connections = 299")
        .await;
    drop(caller);
    let idle = "requests_in_flight 0";
    file.gateway.until_metrics_have(idle).await;
    file.gateway.stop();
    let ended = &mut file.gateway.ended;
    let early = tokio::time::timeout(Duration::from_millis(200), &mut *ended).await;
    assert!(early.is_err(), "it waits for the call");
    gate.add_permits(1);
    assert_eq!(ended.await.unwrap().lost, 0);
}

#[tokio::test]
async fn a_retry_after_a_reload_gets_the_first_response_and_costs_no_call() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let mut file = Reloaded::start(configuration(qiniu, &sections())).await;
    let ids = [session(&file.gateway).await, session(&file.gateway).await];
    let bodies = ids.map(|id| verify_body(&id, &video(0)));
    let first = file.gateway.post(false, VERIFY, bodies[0].clone()).await;
    assert_eq!(first.status, 200);
    // Sessions are sealed with another key from now on, and the old ones still open.
    file.change("env = \"SEAL\"", "env = \"OTHER_SEAL\"").await;
    let again = file.gateway.post(true, VERIFY, bodies[0].clone()).await;
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(handle.verify_calls(), 1);
    let second = file.gateway.post(false, VERIFY, bodies[1].clone()).await;
    assert_eq!((second.status.as_u16(), handle.verify_calls()), (200, 2));
    let new = sealed(
        sealed::OTHER_KEY,
        qiniu,
        "user-1",
        "unknown",
        Duration::ZERO,
    );
    let body = verify_body(&new, &video(0));
    let answer = file.gateway.post(false, VERIFY, body).await;
    assert_eq!(answer.status, 200, "opened with the new key: {answer:?}");
}

#[tokio::test]
async fn fetched_keys_and_verified_tokens_stay_and_a_new_issuer_takes_nobody_out() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let key = Signer::new("a");
    let provider = Provider::start(vec![key.jwk()]).await;
    let issuer = provider.issuer();
    let fetched = provider.identity("");
    let sections = format!("{fetched}{}", sections());
    let mut file = Reloaded::start(configuration(qiniu, &sections)).await;
    file.gateway.until_fetch_was("success").await;
    let token = key.token_as(Some("a"), &issuer, "user-1");
    assert_eq!(file.gateway.ask(&token).await.status, 200);
    // From now on, the provider gives no keys: those that are known have to last.
    provider.does(KEYS, Does::Close);
    let fetches = provider.requests(KEYS);
    file.change("max_connections = 300", "max_connections = 299")
        .await;
    let another = key.token_as(Some("a"), &issuer, "user-2");
    assert_eq!(file.gateway.ask(&another).await.status, 200);
    assert_eq!(
        provider.requests(KEYS),
        fetches,
        "the keys are not fetched again"
    );
    // An issuer that can't be reached; the others' tokens, new and old, are accepted.
    let unreachable = section(
        "https://other.example.com",
        "jwks_url = \"http://127.0.0.1:1/\"",
    );
    file.change(&fetched, &format!("{fetched}{unreachable}"))
        .await;
    let readiness = file.gateway.readiness().await;
    assert_eq!(
        (readiness.status.as_u16(), readiness.json()["ready"].clone()),
        (200, true.into())
    );
    assert_eq!(
        readiness.json()["issuers_without_keys"][0],
        "https://other.example.com"
    );
    for token in [&token, &another] {
        assert_eq!(file.gateway.ask(token).await.status, 200);
    }
    // What an issuer's tokens must say has changed: those that were verified are verified again.
    let other = fetched.replace("\"liveness\"", "\"another\"");
    file.change(&fetched, &other).await;
    assert_eq!(file.gateway.ask(&token).await.code(), "invalid_token");
    let answer = file.gateway.post(false, SESSIONCODE, "{}").await;
    assert_eq!(answer.status, 200, "the tokens of {ISSUER} stay");
    // An issuer that is gone takes its tokens along.
    file.change(&other, "").await;
    assert_eq!(file.gateway.ask(&token).await.code(), "invalid_token");
}

#[tokio::test]
async fn verdicts_of_a_key_that_was_replaced_can_still_be_checked() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let other = VERDICT_KEY.replace("MC4CAQAwBQYDK2VwBCIEIJ1h", "MC4CAQAwBQYDK2VwBCIEIJ1i");
    let text = configuration(qiniu, &format!("{VERDICT}{}", sections()));
    let folder = Folder::with(&[(FILE, &text)]);
    let mut file = Reloaded::start_in(folder, text, &[("OTHER_VERDICT", &other)]).await;
    let body = verify_body(&session(&file.gateway).await, &video(0));
    let answer = file.gateway.post(false, VERIFY, body).await.json();
    let old = answer["verdict"].as_str().unwrap().to_owned();
    file.change("env = \"VERDICT\"", "env = \"OTHER_VERDICT\"")
        .await;
    let body = verify_body(&session(&file.gateway).await, &video(0));
    let answer = file.gateway.post(false, VERIFY, body).await.json();
    let new = answer["verdict"].as_str().unwrap().to_owned();
    file.change("max_connections = 300", "max_connections = 299")
        .await;
    for verdict in [&old, &new] {
        let claims = claims(&file.gateway, verdict).await;
        assert_eq!(claims["sub"], "user-1");
    }
    assert_ne!(old.split('.').next(), new.split('.').next(), "two keys");
}
