//! A stop never outlasts `drain_timeout` and the second in which the last responses are sent,
//! whatever is under way.
//!
//! Every other timeout is far longer than the tests wait.

use std::time::Duration;

use crate::support::{
    Gateway, ISSUER, SESSIONCODE, UNBOUND, VERIFY,
    backend::{self, Backend},
    identity, raw, routes, sealed, settings_with, upstream, verify_body, video,
};
use tokio::net::{TcpListener, TcpStream};

const SERVER: &str =
    "drain_timeout = \"200ms\"\nhead_timeout = \"10min\"\nidle_timeout = \"10min\"";

/// The default routes, whose calls may take minutes.
fn slow_routes() -> String {
    let slow = routes().replace("timeout = \"2s\"", "timeout = \"2min\"");
    slow.replace("timeout = \"20s\"", "timeout = \"2min\"")
}

/// Stops the gateway. Returns the connections that it closed, and the calls that it abandoned.
async fn stop(mut gateway: Gateway) -> (usize, usize) {
    gateway.stop();
    let ended = tokio::time::timeout(Duration::from_secs(10), &mut gateway.ended);
    let outcome = ended.await.expect("it stops").unwrap();
    (outcome.cut, outcome.lost)
}

#[tokio::test]
async fn half_uploads_do_not_delay_a_stop() {
    let upstream = upstream::start(upstream::Does::Hang).await;
    let sections = UNBOUND.to_owned() + &slow_routes();
    let gateway = Gateway::start(upstream.address, SERVER, &sections).await;
    let mut uploads = Vec::new();
    for (framing, begin) in [
        ("Content-Length: 2000", ""),
        ("Content-Length: 2000", "{"),
        ("Transfer-Encoding: chunked", ""),
        ("Transfer-Encoding: chunked", "1\r\n{\r\n"),
    ] {
        let head = raw::head("alice", VERIFY, framing);
        uploads.push(raw::begin(gateway.address, &(head + begin)).await);
    }
    gateway.until_metrics_have("requests_in_flight 4").await;
    assert_eq!(stop(gateway).await, (4, 0));
    for upload in uploads {
        let answer = raw::rest(upload).await;
        assert!(answer.contains(r#""code":"shutting_down""#), "{answer}");
    }
}

#[tokio::test]
async fn calls_in_flight_do_not_delay_a_stop() {
    let upstream = upstream::start(upstream::Does::Hang).await;
    let sections = UNBOUND.to_owned() + &slow_routes();
    let gateway = Gateway::start(upstream.address, SERVER, &sections).await;
    let request = raw::whole("alice", SESSIONCODE, "{}");
    let stays = raw::begin(gateway.address, &request).await;
    let leaves = raw::begin(gateway.address, &request).await;
    upstream.until_requests(2).await;
    drop(leaves);
    gateway.until_metrics_have("requests_in_flight 1").await;
    assert_eq!(stop(gateway).await, (1, 2));
    let answer = raw::rest(stays).await;
    assert!(answer.contains(r#""code":"shutting_down""#), "{answer}");
}

#[tokio::test]
async fn a_delivery_of_evidence_without_its_caller_does_not_delay_a_stop() {
    let backend: Backend = backend::start(backend::Does::Hangs).await;
    let pass = r#"{"error_code":0,"result":{"score":0.9,"action_verify":"pass","thresholds":{"frr_1e-3":0.3}}}"#;
    let does = upstream::Does::Answer(upstream::answer("200 OK", pass));
    let upstream = upstream::start(does).await.address;
    let evidence = backend.sections("timeout = \"2min\"");
    let sections = [sealed::SETTINGS, &evidence, &slow_routes()].concat();
    let gateway = Gateway::start(upstream, SERVER, &sections).await;
    let body = verify_body(&sealed::fresh(upstream, "S1"), &video(0));
    let request = raw::whole("user-1", VERIFY, &body);
    let caller = raw::begin(gateway.address, &request).await;
    backend.arrived.notified().await;
    drop(caller);
    gateway.until_metrics_have("requests_in_flight 0").await;
    assert_eq!(stop(gateway).await, (0, 1));
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn a_store_that_never_responds_does_not_delay_a_stop() {
    let upstream = upstream::start(upstream::Does::Hang).await;
    let store = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", store.local_addr().unwrap());
    let more = identity::section(ISSUER, "secret = { env = \"JWT\" }")
        + sealed::SETTINGS
        + "[store]\nredis = { env = \"REDIS\" }\ntimeout = \"5s\"\n"
        + &slow_routes();
    let qiniu = format!("endpoint = \"http://{}\"", upstream.address);
    let settings = settings_with(&qiniu, SERVER, &more, &[("REDIS", &url)]);
    let gateway = Gateway::run(settings).await;
    let (_asked, _): (TcpStream, _) = store.accept().await.unwrap();
    let body = verify_body(&sealed::fresh(upstream.address, "S1"), &video(0));
    let _caller = raw::begin(gateway.address, &raw::whole("user-1", VERIFY, &body)).await;
    gateway.until_metrics_have("requests_in_flight 1").await;
    assert_eq!(stop(gateway).await.0, 1);
}
