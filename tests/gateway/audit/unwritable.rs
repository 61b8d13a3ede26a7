//! A log that can't be written is told of, stops verifies only if it is required, and says itself
//! what it lacks.

use std::{
    fs::{self, File},
    io::Read as _,
    thread,
};

use bytes::Bytes;
use hyper::Request;
use liveness_gateway::emulator::Scenario;

use super::{Log, PASS, events, records, stopped, verify};
use crate::support::{
    Answer, Gateway, SESSIONCODE, VERIFY, emulator, routes, send, session, until,
    upstream::{self, Does, answer},
    verify_body, video,
};

async fn ready(gateway: &Gateway) -> Answer {
    let request = Request::get("/readyz").header("host", "admin");
    send(gateway.admin, false, request, Bytes::new()).await
}

async fn wait_until_ready(gateway: &Gateway) {
    until("ready", async || ready(gateway).await.status == 200).await;
}

#[tokio::test]
async fn without_a_reader_a_required_fifo_stops_verifies_before_their_calls() {
    let qiniu = upstream::start(Does::AnswerAndStay(answer("200 OK", PASS))).await;
    let log = Log::fifo();
    let gateway = Gateway::start(qiniu.address, "", &log.unbound("required = true")).await;
    for _ in 0..3 {
        let refused = verify(&gateway).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code().as_str()),
            (503, "not_ready"),
            "{refused:?}"
        );
        assert_eq!(refused.header("retry-after"), "5");
    }
    assert_eq!(qiniu.requests(), 0);
    let unready = ready(&gateway).await;
    assert_eq!(unready.status, 503);
    assert_eq!(unready.json()["checks"]["audit"], "failing");
    // What is not recorded goes on.
    let session = gateway.post(false, SESSIONCODE, "{}").await;
    assert_ne!(session.code(), "not_ready", "{session:?}");
    let metrics = gateway.metrics().await;
    assert!(
        metrics.contains("audit_records_total{outcome=\"failed\"} 3\n"),
        "{metrics}"
    );

    let path = log.path();
    let reader = thread::spawn(move || {
        let mut text = String::new();
        File::open(path).unwrap().read_to_string(&mut text).unwrap();
        text
    });
    wait_until_ready(&gateway).await;
    assert_eq!(ready(&gateway).await.json()["checks"]["audit"], "ok");
    assert_eq!(verify(&gateway).await.status, 200);
    stopped(gateway).await;
    let records = records(&reader.join().unwrap());
    assert_eq!(
        events(&records),
        ["start", "gap", "begin", "verify", "stop"]
    );
    assert_eq!(records[1]["lost"], 0);
    assert!(records[1]["since"].is_string());
}

#[tokio::test]
async fn without_a_reader_a_fifo_holds_up_nobody_and_gets_the_records_later() {
    let qiniu = upstream::start(Does::AnswerAndStay(answer("200 OK", PASS))).await;
    let log = Log::fifo();
    let gateway = Gateway::start(qiniu.address, "", &log.unbound("")).await;
    for _ in 0..3 {
        assert_eq!(verify(&gateway).await.status, 200);
    }
    assert!(
        !ready(&gateway).await.json()["checks"]
            .to_string()
            .contains("audit")
    );
    let path = log.path();
    let reader = thread::spawn(move || {
        let mut text = String::new();
        File::open(path).unwrap().read_to_string(&mut text).unwrap();
        text
    });
    gateway
        .until_metrics_have("audit_records_total{outcome=\"written\"} 3")
        .await;
    stopped(gateway).await;
    let text = reader.join().unwrap();
    let events = events(&records(&text));
    assert_eq!(
        events,
        ["start", "verify", "verify", "verify", "gap", "stop"]
    );
    let mut verifier = liveness_gateway::audit::verify::AuditVerifier::default();
    verifier.read(text.as_bytes()).unwrap();
    assert_eq!(verifier.finish().unwrap().len(), 1);
}

#[tokio::test]
async fn a_retry_is_refused_while_a_required_log_fails_and_gets_its_response_afterwards() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let log = Log::new();
    let sections = format!("{}{}", log.section("required = true"), routes());
    let gateway = Gateway::start(qiniu, "", &sections).await;
    let body = verify_body(&session(&gateway).await, &video(0));
    let first = gateway.post(false, VERIFY, body.clone()).await;
    assert_eq!(first.status, 200);
    // The file is renamed, and the next one can't be made.
    fs::rename(log.path(), log.file("1")).unwrap();
    fs::create_dir(log.path()).unwrap();
    let refused = gateway.post(false, VERIFY, body.clone()).await;
    assert_eq!(
        (refused.status.as_u16(), refused.code().as_str()),
        (503, "not_ready")
    );
    let record = gateway.record(refused.header("x-request-id")).await;
    assert_eq!(record["reason"], "audit_failing");
    fs::remove_dir(log.path()).unwrap();
    wait_until_ready(&gateway).await;
    let again = gateway.post(false, VERIFY, body).await;
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(handle.verify_calls(), 1);
    stopped(gateway).await;
    assert_eq!(log.events(), ["continue", "gap", "replay", "stop"]);
    super::check(&[&log.file("1"), &log.path()], None).unwrap();
}
