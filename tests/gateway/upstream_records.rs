//! A call that was billed leaves its facts in the access record, also when its caller has gone.

use std::sync::Arc;

use crate::support::{
    Gateway, UNBOUND, VERIFY, bearer, raw, routes,
    upstream::{self, Does, answer},
    verify_body, video,
};
use serde_json::Value;
use tokio::sync::Semaphore;

const PASS: &str =
    r#"{"error_code":0,"serverlogid":1730042187,"result":{"best_image":{"pic":"AAAA"}}}"#;

/// A request whose call is under way.
async fn under_way(
    gateway: &Arc<Gateway>,
    http2: bool,
    qiniu: &upstream::Upstream,
) -> tokio::task::JoinHandle<u16> {
    let before = qiniu.requests();
    let sender = Arc::clone(gateway);
    let caller = tokio::spawn(async move {
        let request = sender
            .request(http2, "POST", VERIFY)
            .header("authorization", bearer("user-1"))
            .header("content-type", "application/json");
        let body = verify_body("S", &video(0));
        sender.send(http2, request, body).await.status.as_u16()
    });
    qiniu.until_requests(before + 1).await;
    caller
}

fn records(gateway: &Gateway) -> Vec<Value> {
    let log = gateway.log();
    let lines = log.lines().filter(|line| line.contains("\"bytes_in\""));
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn a_call_whose_caller_has_gone_has_one_record_with_its_facts() {
    for (http2, response, status) in [
        (false, answer("200 OK", PASS), 200),
        (true, answer("200 OK", PASS), 200),
        (true, answer("500 X", "{}"), 500),
    ] {
        let gate = Arc::new(Semaphore::new(0));
        let qiniu = upstream::start(Does::WhenLet(Arc::clone(&gate), response)).await;
        let sections = UNBOUND.to_owned() + &routes();
        let gateway = Arc::new(Gateway::start(qiniu.address, "", &sections).await);
        let caller = under_way(&gateway, http2, &qiniu).await;
        caller.abort();
        gateway.until_metrics_have("requests_in_flight 0").await;
        assert_eq!(
            records(&gateway),
            Vec::<Value>::new(),
            "not before the call has ended"
        );
        gate.add_permits(1);
        let record = gateway.record("caller_left").await;
        assert_eq!(
            (&record["status"], &record["route"]),
            (&0.into(), &VERIFY.into())
        );
        assert_eq!(record["upstream_status"], status);
        assert_eq!(record["qiniu_reqid"], "reqid-1");
        assert!(record["upstream_ms"].is_number() && record["user"].is_string());
        let reason = (status == 500).then_some("error");
        assert_eq!(record["reason"].as_str(), reason);
        if status == 200 {
            assert_eq!(record["qiniu_error_code"], 0);
            assert_eq!(record["qiniu_serverlogid"], "1730042187");
            assert!(record["removed_bytes"].as_u64() > Some(0));
        }
        assert_eq!(records(&gateway).len(), 1);
        let counted = "code=\"caller_left\"} 1\n";
        assert!(gateway.metrics().await.contains(counted));
    }
}

#[tokio::test]
async fn a_caller_who_leaves_before_the_call_has_a_record_without_one() {
    let qiniu = upstream::start(Does::Hang).await;
    let gateway = Gateway::unbound(qiniu.address).await;
    let request = raw::whole("user-1", VERIFY, &verify_body("S", &video(0)));
    let half = &request[..request.len() - 100];
    drop(raw::begin(gateway.address, half).await);
    let record = gateway.record(VERIFY).await;
    assert!(record["upstream_ms"].is_null() && record["bytes_in"].as_u64() > Some(0));
    assert_eq!(qiniu.requests(), 0);
}

#[tokio::test]
async fn a_call_that_outlives_a_stop_leaves_its_facts_beside_the_response() {
    let gate = Arc::new(Semaphore::new(0));
    let qiniu = upstream::start(Does::WhenLet(Arc::clone(&gate), answer("200 OK", PASS))).await;
    let sections = UNBOUND.to_owned() + &routes();
    let server = "drain_timeout = \"100ms\"";
    let mut gateway = Gateway::start(qiniu.address, server, &sections).await;
    let request = raw::whole("user-1", VERIFY, &verify_body("S", &video(0)));
    let stream = raw::begin(gateway.address, &request).await;
    qiniu.until_requests(1).await;
    gateway.stop();
    let response = raw::rest(stream).await;
    assert!(response.contains("shutting_down"), "{response}");
    gate.add_permits(1);
    let facts = gateway.record("reqid-1").await;
    assert_eq!(
        (&facts["code"], &facts["status"]),
        (&"shutting_down".into(), &0.into())
    );
    let records = records(&gateway);
    assert_eq!(records.len(), 2);
    assert_eq!(records[0]["status"], 503);
    assert_eq!(records[0]["request_id"], records[1]["request_id"]);
}
