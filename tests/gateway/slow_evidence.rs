//! A backend that is slow to take its evidence: who waits for it, and for how long.

use std::{sync::Arc, time::Duration};

use crate::support::{
    Answer, Gateway, UNBOUND, VERIFY,
    backend::{self, Backend, Does},
    bearer, claims, crowd, refusal, routes, sealed, upstream, verify_body, video,
};
use serde_json::json;
use tokio::task::JoinSet;

const PASS: &str = r#"{"error_code":0,"result":{"score":0.9,"action_verify":"pass","thresholds":{"frr_1e-3":0.3}}}"#;

/// A gateway with a known seal key and a backend that keeps it waiting; the body of a `verify`, and
/// its first try, under way.
async fn waiting(
    backend: &Backend,
    server: &str,
    routes: &str,
) -> (Gateway, String, tokio::task::JoinHandle<Answer>) {
    let does = upstream::Does::Answer(upstream::answer("200 OK", PASS));
    let upstream = upstream::start(does).await.address;
    let evidence = backend.sections("timeout = \"60s\"");
    let sections = [sealed::SETTINGS, &evidence, routes].concat();
    let gateway = Gateway::start(upstream, server, &sections).await;
    let body = verify_body(&sealed::fresh(upstream, "S1"), &video(0));
    let request = gateway
        .request(false, "POST", VERIFY)
        .header("authorization", bearer("user-1"))
        .header("content-type", "application/json");
    let sent = crate::support::send(gateway.address, false, request, body.clone().into());
    let caller = tokio::spawn(sent);
    backend.arrived.notified().await;
    (gateway, body, caller)
}

#[tokio::test]
async fn a_retry_waits_for_the_delivery_however_slow() {
    let backend = backend::start(Does::Waits).await;
    let short = routes().replace("timeout = \"20s\"", "timeout = \"1s\"");
    let (gateway, body, first) = waiting(&backend, "", &short).await;
    let answer = Arc::clone(&backend.answer);
    let slow = async {
        // Longer than the timeout of a call alone.
        tokio::time::sleep(Duration::from_millis(6500)).await;
        answer.notify_one();
    };
    let (again, ()) = tokio::join!(gateway.post(true, VERIFY, body), slow);
    let first = first.await.unwrap();
    assert_eq!((again.status.as_u16(), again.body), (200, first.body));
    assert_eq!(backend.deliveries().len(), 1);
}

#[tokio::test]
async fn a_stop_waits_for_a_delivery_and_the_response_is_sent() {
    let backend = backend::start(Does::Waits).await;
    let (mut gateway, _, caller) = waiting(&backend, "", &routes()).await;
    gateway.stop();
    backend.answer.notify_one();
    let answer = caller.await.unwrap();
    assert!(answer.json()["verdict"].is_string(), "{answer:?}");
    let ended = tokio::time::timeout(Duration::from_secs(10), &mut gateway.ended);
    assert_eq!(ended.await.unwrap().unwrap().cut, 0);
    assert_eq!(gateway.record(VERIFY).await["code"], "ok");
}

#[tokio::test]
async fn a_stop_past_its_deadline_waits_for_no_delivery() {
    let backend = backend::start(Does::Waits).await;
    let drain = "drain_timeout = \"300ms\"";
    let (mut gateway, _, caller) = waiting(&backend, drain, &routes()).await;
    gateway.stop();
    let ended = tokio::time::timeout(Duration::from_secs(10), &mut gateway.ended);
    assert_eq!(ended.await.unwrap().unwrap().cut, 1);
    let answer = caller.await.unwrap();
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (503, "shutting_down")
    );
    let record = gateway.record(VERIFY).await;
    assert_eq!(
        (&record["status"], &record["code"]),
        (&json!(503), &json!("shutting_down"))
    );
}

/// There is room for 16 ordinary responses at least; these are a little larger.
#[tokio::test]
async fn a_verify_whose_evidence_finds_no_room_is_refused_before_its_call() {
    const CALLS: usize = 34;
    let _alone = crowd::alone().await;
    let backend = backend::start(Does::Waits).await;
    let pass = PASS.replacen('{', &format!("{{\"pic\":\"{}\",", "a".repeat(1_050_000)), 1);
    let does = upstream::Does::Answer(upstream::answer("200 OK", &pass));
    let qiniu = upstream::start(does).await;
    let evidence = backend.sections("timeout = \"60s\"\nrequired = true");
    let sections = [UNBOUND, &evidence, &routes()].concat();
    let gateway = Gateway::start(qiniu.address, "body_memory = \"30MiB\"", &sections).await;
    let gateway = Arc::new(gateway);
    let mut asked = JoinSet::new();
    for _ in 0..CALLS {
        let gateway = Arc::clone(&gateway);
        let body = verify_body("S1", &video(0));
        asked.spawn(async move { gateway.post(false, VERIFY, body).await });
    }
    let mut refused = 0;
    while refused + backend.deliveries().len() < CALLS {
        if let Some(answer) = asked.try_join_next() {
            refusal::refused(&answer.unwrap(), 503, "overloaded");
            refused += 1;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!((15..=CALLS - 12).contains(&refused), "{refused}");
    assert_eq!(
        qiniu.requests(),
        CALLS - refused,
        "the others were not sent"
    );
    while !asked.is_empty() {
        backend.answer.notify_waiters();
        let Some(answer) = asked.try_join_next() else {
            tokio::time::sleep(Duration::from_millis(2)).await;
            continue;
        };
        let answer = answer.unwrap().json();
        let claims = claims(&gateway, answer["verdict"].as_str().unwrap()).await;
        assert_eq!(claims["liveness"]["evidence"], "delivered");
    }
    let metrics = gateway.metrics().await;
    let counted = format!("outcome=\"no_evidence_memory\"}} {refused}\n");
    assert!(metrics.contains(&counted), "{metrics}");
}
