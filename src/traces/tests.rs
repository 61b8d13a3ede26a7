//! Sampling, the form of a batch, and what the exporter does with a collector that is there, away,
//! slow or unwilling.

use std::{
    sync::Arc,
    time::{Duration, Instant, UNIX_EPOCH},
};

use hyper::HeaderMap;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::{
    AttributeValue, QUEUE, RequestTrace, SpanKind, SpanTimes, TraceSettings, TraceSpan,
    TracedServer, TracedServers, Tracer,
};
use crate::{
    outbound::{dial::Dialer, origin::Url},
    telemetry::{
        log::LogWriter,
        metrics::{Metrics, TextFormat},
        trace_context::{TraceContext, TraceState},
    },
};

const PARENT: &[u8] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const UNSAMPLED: &[u8] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
const MOST: Duration = Duration::from_secs(20);

fn tracer(ratio: f64, address: &str) -> Arc<Tracer> {
    let settings = TraceSettings {
        url: Url::parse(&format!("http://{address}/v1/traces")).unwrap(),
        dialer: Dialer::default(),
        tls: None,
        sample_ratio: ratio,
        service_name: "edge".into(),
    };
    let server = TracedServer {
        address: "qiniu.example".into(),
        port: 443,
    };
    let servers = TracedServers {
        qiniu: server,
        evidence: None,
    };
    Tracer::start(settings, servers, &Metrics::new(LogWriter::discard()))
}

/// The numbers of exported and dropped spans.
fn counts(metrics: &Metrics) -> [u64; 2] {
    let exposed = metrics.encode(TextFormat::Prometheus);
    ["exported", "dropped"].map(|outcome| {
        let name = format!("liveness_gateway_trace_spans_total{{outcome=\"{outcome}\"}} ");
        let value = exposed.lines().find_map(|line| line.strip_prefix(&*name));
        value.unwrap().parse().unwrap()
    })
}

fn span(name: &'static str) -> TraceSpan {
    TraceSpan::internal(name, SpanTimes::since(Instant::now()))
}

/// A trace of two spans.
fn submit(tracer: &Arc<Tracer>) {
    let place = tracer.place(None);
    let clocks = (UNIX_EPOCH, Instant::now());
    let mut trace = RequestTrace::begin(tracer, place, clocks);
    trace.add(span("authenticate"));
    trace.end(span("POST /x"), None);
}

#[tokio::test]
async fn a_parent_decides_and_without_one_the_ratio() {
    let always = tracer(1.0, "127.0.0.1:1");
    let never = tracer(0.0, "127.0.0.1:1");
    let parsed = |text| TraceContext::parse(text).unwrap();
    for tracer in [&always, &never] {
        let followed = tracer.place(Some(&parsed(PARENT)));
        assert!(followed.sampled);
        assert_eq!(followed.trace_id, parsed(PARENT).trace_id);
        assert_eq!(followed.parent, Some(parsed(PARENT).parent));
        assert!(!tracer.place(Some(&parsed(UNSAMPLED))).sampled);
    }
    assert!((0..1000).all(|_| always.place(None).sampled && !never.place(None).sampled));
    let some = tracer(0.25, "127.0.0.1:1");
    let sampled = (0..4000).filter(|_| some.place(None).sampled).count();
    assert!((800..1200).contains(&sampled), "{sampled} of 4000");
}

/// A trace that a peer began: a failed call within a request.
fn followed(tracer: &Arc<Tracer>) -> RequestTrace {
    let context = TraceContext::parse(PARENT).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("tracestate", "vendor=1".parse().unwrap());
    let start = Instant::now();
    let time = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let place = tracer.place(Some(&context));
    let mut trace = RequestTrace::begin(tracer, place, (time, start));
    trace.state = TraceState::from_headers(&headers);
    let times = |from, lasts| SpanTimes {
        start: start + Duration::from_millis(from),
        duration: Duration::from_millis(lasts),
    };
    let mut call = TraceSpan::client("POST", times(5, 10))
        .with("server.port", AttributeValue::Number(443))
        .with(
            "server.address",
            AttributeValue::Text("qiniu.example".into()),
        );
    call.failed = true;
    trace.add(call);
    let mut request = TraceSpan::internal("POST /x", times(0, 20));
    request.kind = SpanKind::Server;
    trace.spans.push((trace.root, request));
    *trace
}

#[tokio::test]
async fn a_batch_has_the_form_of_otlp() {
    let tracer = tracer(1.0, "127.0.0.1:1");
    let trace = followed(&tracer);
    let resource = super::otlp::TraceResource {
        service_name: "edge".into(),
        instance: "one".into(),
    };
    let root = trace.root.to_string();
    let batch: Value = serde_json::from_slice(&super::otlp::batch(&resource, &[trace])).unwrap();
    let attributes = &batch["resourceSpans"][0]["resource"]["attributes"];
    assert_eq!(
        attributes[0],
        json!({"key": "service.name", "value": {"stringValue": "edge"}})
    );
    let spans = batch["resourceSpans"][0]["scopeSpans"][0]["spans"].clone();
    let mut call = spans[0].clone();
    assert_eq!(call["spanId"].as_str().unwrap().len(), 16);
    call["spanId"] = Value::Null;
    assert_eq!(
        call,
        json!({
            "traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": null, "parentSpanId": root,
            "name": "POST", "kind": 3, "flags": 0x101,
            "startTimeUnixNano": "1700000000005000000",
            "endTimeUnixNano": "1700000000015000000",
            "attributes": [
                {"key": "server.port", "value": {"intValue": "443"}},
                {"key": "server.address", "value": {"stringValue": "qiniu.example"}},
            ],
            "status": {"code": 2},
        })
    );
    assert_eq!(
        spans[1],
        json!({
            "traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": root,
            "parentSpanId": "b7ad6b7169203331", "traceState": "vendor=1",
            "name": "POST /x", "kind": 2, "flags": 0x301,
            "startTimeUnixNano": "1700000000000000000",
            "endTimeUnixNano": "1700000000020000000", "attributes": [],
        })
    );
}

/// Reads one request and answers it. Returns its body.
async fn answer(listener: &TcpListener, response: &str) -> Value {
    let (mut stream, _) = listener.accept().await.unwrap();
    let body = request(&mut stream).await;
    stream.write_all(response.as_bytes()).await.unwrap();
    body
}

async fn request(stream: &mut TcpStream) -> Value {
    let mut received = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let length = stream.read(&mut chunk).await.unwrap();
        assert!(length > 0, "the request ended early");
        received.extend_from_slice(&chunk[..length]);
        let text = String::from_utf8_lossy(&received);
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && let Ok(value) = serde_json::from_str(body)
        {
            assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
            assert!(head.contains("Content-Type: application/json"), "{head}");
            return value;
        }
    }
}

fn spans(batch: &Value) -> usize {
    let spans = &batch["resourceSpans"][0]["scopeSpans"][0]["spans"];
    spans.as_array().unwrap().len()
}

const TAKEN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

#[tokio::test]
async fn a_batch_that_was_not_taken_is_sent_again_and_a_refused_one_is_not() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tracer = tracer(1.0, &listener.local_addr().unwrap().to_string());
    submit(&tracer);
    let busy = "HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(spans(&answer(&listener, busy).await), 2);
    assert_eq!(spans(&answer(&listener, TAKEN).await), 2);
    submit(&tracer);
    let refused = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(spans(&answer(&listener, refused).await), 2);
    submit(&tracer);
    let rejected = r#"{"partialSuccess":{"rejectedSpans":"1","errorMessage":"no"}}"#;
    let partly = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{rejected}",
        rejected.len()
    );
    assert_eq!(spans(&answer(&listener, &partly).await), 2);
    let metrics = Arc::clone(&tracer.metrics);
    let running = tracer.exporter.lock().unwrap().take().unwrap();
    // The last tracer is gone, so the exporter ends by itself.
    drop(tracer);
    timeout(MOST, running.task).await.unwrap().unwrap();
    assert_eq!(counts(&metrics), [3, 3]);
}

/// A collector that takes a batch and then never ends its response does not get it again, and does
/// not hold up the next one.
#[tokio::test]
async fn a_response_without_an_end_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tracer = tracer(1.0, &listener.local_addr().unwrap().to_string());
    let endless = "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n";
    // One that sends too much, and one that sends nothing.
    for piece in [&[b'x'; 64 * 1024][..], b""] {
        submit(&tracer);
        let (mut stream, _) = listener.accept().await.unwrap();
        assert_eq!(spans(&request(&mut stream).await), 2);
        stream.write_all(endless.as_bytes()).await.unwrap();
        stream.write_all(piece).await.unwrap();
        let closed = timeout(MOST / 4, stream.read(&mut [0])).await;
        assert!(!matches!(closed, Ok(Ok(1..)) | Err(_)), "{closed:?}");
    }
    submit(&tracer);
    assert_eq!(spans(&answer(&listener, TAKEN).await), 2);
    let metrics = Arc::clone(&tracer.metrics);
    let running = tracer.exporter.lock().unwrap().take().unwrap();
    drop(tracer);
    timeout(MOST, running.task).await.unwrap().unwrap();
    assert_eq!(counts(&metrics), [6, 0]);
}

#[tokio::test]
async fn a_dead_collector_costs_neither_memory_nor_the_stop() {
    // Accepts nothing: connections stand in its queue, and no response ever comes.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tracer = tracer(1.0, &listener.local_addr().unwrap().to_string());
    for _ in 0..2 * QUEUE {
        submit(&tracer);
    }
    let [_, dropped] = counts(&tracer.metrics);
    assert!(dropped >= QUEUE as u64 * 2, "{dropped}");
    let began = Instant::now();
    timeout(MOST, tracer.close()).await.unwrap();
    // The flush has a second; the rest is the machine's.
    assert!(began.elapsed() < Duration::from_secs(8));
    assert_eq!(counts(&tracer.metrics), [0, 4 * QUEUE as u64]);
}

#[tokio::test]
async fn a_stop_sends_what_is_left() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tracer = tracer(1.0, &listener.local_addr().unwrap().to_string());
    submit(&tracer);
    let (batch, ()) = tokio::join!(answer(&listener, TAKEN), tracer.close());
    assert_eq!(spans(&batch), 2);
    assert_eq!(counts(&tracer.metrics), [2, 0]);
}
