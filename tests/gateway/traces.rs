//! A recorded request has a span for each of its parts, its trace goes on at the app's backend, and
//! a stranger can neither switch recording on nor learn anything from it.

use crate::support::{
    Gateway, SESSIONCODE, UNBOUND, VERIFY, backend, bearer, emulator, routes, session,
    upstream::{self, Does, answer},
    verify_body, video,
};
use liveness_gateway::emulator::{EmulatorHandle, Scenario};
use serde_json::Value;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// `[telemetry]` for this collector, and what a recorded `verify` needs.
fn sections(collector: &backend::Backend, evidence: &backend::Backend, ratio: &str) -> String {
    format!(
        "{UNBOUND}[telemetry]\notlp_endpoint = \"http://{}\"\nsample_ratio = {ratio}\n{}{}",
        collector.address,
        evidence.sections("on = \"always\""),
        routes()
    )
}

const TRUSTED: &str = "trusted_proxies = [\"127.0.0.1\"]\n";

/// The spans that have arrived, once there are the spans of so many requests.
async fn spans(collector: &backend::Backend, requests: usize) -> Vec<Value> {
    loop {
        let mut spans = Vec::new();
        for delivery in collector.deliveries() {
            let batch = delivery.json();
            let batch = &batch["resourceSpans"][0]["scopeSpans"][0]["spans"];
            spans.extend(batch.as_array().unwrap().iter().cloned());
        }
        if spans.iter().filter(|span| span["kind"] == 2).count() >= requests {
            return spans;
        }
        collector.arrived.notified().await;
    }
}

fn attribute<'a>(span: &'a Value, name: &str) -> &'a Value {
    let attributes = span["attributes"].as_array().unwrap();
    let found = attributes.iter().find(|it| it["key"] == name);
    &found.unwrap_or_else(|| panic!("no {name} in {span}"))["value"]
}

#[tokio::test]
async fn a_verify_has_its_parts_in_the_trace_and_the_backend_continues_it() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let (collector, evidence) =
        tokio::join!(backend::start(backend::OK), backend::start(backend::OK));
    let sections = sections(&collector, &evidence, "0.0");
    let gateway = Gateway::start(qiniu, TRUSTED, &sections).await;
    let session = session(&gateway).await;
    let request = gateway
        .request(false, "POST", VERIFY)
        .header("authorization", bearer("user-1"))
        .header("content-type", "application/json")
        .header("traceparent", format!("00-{TRACE}-{PARENT}-01"))
        .header("tracestate", "vendor=1");
    let answer = gateway
        .send(false, request, verify_body(&session, &video(0)))
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_none_went_to(&handle);
    // The session's request is not in it: the ratio is 0.
    let spans = spans(&collector, 1).await;
    let named = |name: &str| {
        let found = spans.iter().find(|span| span["name"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {spans:?}"))
    };
    let root = named(&format!("POST {VERIFY}"));
    assert_eq!(
        (&root["traceId"], &root["parentSpanId"]),
        (&TRACE.into(), &PARENT.into())
    );
    assert_eq!(
        attribute(root, "http.response.status_code")["intValue"],
        "200"
    );
    assert_eq!(attribute(root, "url.scheme")["stringValue"], "http");
    for part in ["authenticate", "receive"] {
        assert_eq!(named(part)["parentSpanId"], root["spanId"], "{part}");
    }
    let port = |span: &Value| attribute(span, "server.port")["intValue"].clone();
    let sent: Vec<_> = spans.iter().filter(|span| span["name"] == "POST").collect();
    let to = |server: std::net::SocketAddr| {
        let port_of = server.port().to_string();
        *sent
            .iter()
            .find(|span| port(span) == port_of.as_str())
            .unwrap()
    };
    assert_eq!(
        attribute(to(qiniu), "http.response.status_code")["intValue"],
        "200"
    );
    let delivered = to(evidence.address);
    let delivery = &evidence.deliveries()[0];
    let parent = format!("00-{TRACE}-{}-01", delivered["spanId"].as_str().unwrap());
    assert_eq!(delivery.field("traceparent"), parent);
    assert_eq!(delivery.field("tracestate"), "vendor=1");
    let record = gateway.record(VERIFY).await;
    assert_eq!(record["trace_id"], TRACE);
    assert_private(&collector, &["user-1", "127.0.0.1:", &session]);
}

/// Qiniu is told of no trace.
fn assert_none_went_to(qiniu: &EmulatorHandle) {
    let names = qiniu.last_header_names();
    let found: Vec<_> = names.iter().filter(|it| it.starts_with("trace")).collect();
    assert!(found.is_empty(), "{found:?}");
}

/// Nothing of these has arrived, nor a token.
fn assert_private(collector: &backend::Backend, secrets: &[&str]) {
    for delivery in collector.deliveries() {
        let text = String::from_utf8_lossy(&delivery.body).into_owned();
        for secret in secrets.iter().chain(&["eyJ"]) {
            assert!(!text.contains(secret), "{secret} is in {text}");
        }
    }
}

#[tokio::test]
async fn a_trace_that_is_not_recorded_goes_on_at_the_backend_all_the_same() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let evidence = backend::start(backend::OK).await;
    // A collector that gets nothing.
    let sections = sections(&evidence, &evidence, "0.0");
    let gateway = Gateway::start(qiniu, TRUSTED, &sections).await;
    let body = verify_body(&session(&gateway).await, &video(0));
    let parent = format!("00-{TRACE}-{PARENT}-00");
    let request = gateway
        .request(false, "POST", VERIFY)
        .header("authorization", bearer("user-1"))
        .header("content-type", "application/json")
        .header("traceparent", &parent);
    assert_eq!(gateway.send(false, request, body).await.status, 200);
    assert_none_went_to(&handle);
    let [delivery] = &evidence.deliveries()[..] else {
        panic!("not one delivery")
    };
    assert_eq!(delivery.field("traceparent"), parent);
    assert!(!delivery.head.contains("tracestate"));
}

#[tokio::test]
async fn a_response_that_can_t_be_used_is_an_error_of_the_call_and_of_the_request() {
    let qiniu = upstream::start(Does::Answer(answer("200 OK", "x"))).await;
    let collector = backend::start(backend::OK).await;
    let sections = sections(&collector, &collector, "1.0");
    let gateway = Gateway::start(qiniu.address, "", &sections).await;
    let failed = gateway.post(false, SESSIONCODE, "{}").await;
    assert_eq!(failed.code(), "upstream_invalid_response");
    let spans = spans(&collector, 1).await;
    for (kind, error) in [(2, "upstream_invalid_response"), (3, "invalid_response")] {
        let span = spans.iter().find(|span| span["kind"] == kind).unwrap();
        assert_eq!(span["status"]["code"], 2, "{span}");
        assert_eq!(attribute(span, "error.type")["stringValue"], error);
    }
}

#[tokio::test]
async fn a_stranger_starts_no_recording_and_joins_no_trace() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let (collector, evidence) =
        tokio::join!(backend::start(backend::OK), backend::start(backend::OK));
    let sections = sections(&collector, &evidence, "1.0");
    // Nobody is trusted.
    let gateway = Gateway::start(qiniu, "", &sections).await;
    let request = gateway
        .request(false, "POST", VERIFY)
        .header("authorization", "Bearer wrong")
        .header("traceparent", format!("00-{TRACE}-{PARENT}-00"));
    let answer = gateway.send(false, request, String::new()).await;
    assert_eq!(answer.status, 401);
    let spans = spans(&collector, 1).await;
    let root = spans.iter().find(|span| span["kind"] == 2).unwrap();
    assert_ne!(root["traceId"], TRACE);
    assert_eq!(root["parentSpanId"], Value::Null);
    // A refusal is no error of the gateway.
    assert_eq!(root["status"], Value::Null);
    let record = gateway.record(VERIFY).await;
    assert_eq!(record["trace_id"], root["traceId"]);
}
