//! The exposition as a whole: its grammar in both formats, and what `docs/metrics.md` says of
//! each family.

mod documented;
mod grammar;

use std::time::SystemTime;

use self::grammar::{ReadFamily, read};
use super::{
    labels::{KeySetOutcome, ReloadOutcome},
    *,
};

const FORMATS: [TextFormat; 2] = [TextFormat::Prometheus, TextFormat::OpenMetrics];

/// Metrics of a gateway with every part configured, before anything is counted.
fn prepared() -> Arc<Metrics> {
    let metrics = Metrics::new(LogWriter::discard());
    metrics.prepare_route(&"/v2/session".into(), false);
    metrics.prepare_route(&"/v2/verify".into(), true);
    metrics.prepare_page(&"/.well-known/jwks.json".into());
    metrics.prepare_verdicts();
    metrics.prepare_evidence();
    metrics.prepare_audit();
    metrics.prepare_traces();
    let issuer: Arc<str> = "https://login.example/\"\\\n".into();
    metrics.key_sets.prepare([&issuer].into_iter());
    metrics.prepare_clocks(["qiniu".into(), "evidence".into(), issuer].into_iter());
    metrics.store_up.set(false);
    let expiry = [("tls.crt".into(), SystemTime::now())];
    metrics.replace_certificate_expiries(expiry.into());
    metrics
}

/// The same after one of everything was counted.
fn counted() -> Arc<Metrics> {
    let metrics = prepared();
    let route: Arc<str> = "/v2/verify".into();
    let second = Duration::from_secs(1);
    let trace_id = TraceId::new([7; 16]);
    metrics.record_request(&route, 200, "ok", Duration::from_micros(1), trace_id);
    metrics.record_request(&route, 408, "body_too_slow", 3_000 * second, trace_id);
    metrics.record_request(metrics.no_route(), 404, "unknown_route", second, None);
    metrics.record_receive(&route, second);
    metrics.record_upstream_call(&route, UpstreamOutcome::QiniuError, second);
    metrics.count_billed_call(&route);
    metrics.count_qiniu_error(&route, 216_100);
    metrics.count_qiniu_error(&route, -1);
    metrics.count_auth_refusal(AuthReason::Expired);
    metrics.count_limit_refusal(&route, RouteLimit::Rate);
    metrics.count_address_refusal();
    metrics.count_replayed(ReplayState::Waited);
    metrics.count_verdict(true);
    metrics.count_evidence_delivery(false);
    metrics.count_audit_record(AuditOutcome::Written);
    metrics.count_spans(SpanOutcome::Dropped, 3);
    metrics.count_video_finding(VideoFinding::Duration);
    metrics.count_tls_handshake(TlsHandshakeOutcome::NotTls);
    let mut report = metrics.reload_report(ReloadedPart::Tls);
    report.count(ReloadOutcome::Refused);
    metrics.set_clock_skew("qiniu", -0.25);
    metrics.add_body_bytes(7);
    metrics.add_removed_bytes(9);
    metrics.body_memory.set(5);
    metrics.connections.dec();
    let issuer = "https://login.example/\"\\\n".into();
    metrics.key_sets.count_success(&issuer);
    metrics
        .key_sets
        .count_failure(&issuer, KeySetOutcome::Status);
    metrics
}

#[test]
fn both_formats_keep_their_grammar_and_have_the_same_samples() {
    for metrics in [Metrics::new(LogWriter::discard()), prepared(), counted()] {
        let [text, open_metrics] = FORMATS.map(|format| {
            let families = read(&metrics.encode(format), format);
            let names = families.into_iter().flat_map(|family| {
                let ReadFamily { name, samples, .. } = family;
                samples
                    .into_iter()
                    .map(move |sample| format!("{name}{} {:?}", sample.suffix, sample.labels))
            });
            names.collect::<Vec<_>>()
        });
        assert_eq!(text, open_metrics);
    }
}

#[test]
fn what_is_counted_appears_once_and_under_its_labels() {
    let metrics = counted();
    let text = metrics.encode(TextFormat::Prometheus);
    for line in [
        r#"requests_total{route="/v2/verify",status="200",code="ok"} 1"#,
        r#"requests_total{route="/v2/verify",status="408",code="body_too_slow"} 1"#,
        r#"requests_total{route="none",status="404",code="unknown_route"} 1"#,
        r#"request_duration_seconds_bucket{route="/v2/verify",le="0.001"} 1"#,
        r#"request_duration_seconds_bucket{route="/v2/verify",le="1800.0"} 1"#,
        r#"request_duration_seconds_bucket{route="/v2/verify",le="+Inf"} 2"#,
        r#"request_duration_seconds_count{route="/v2/verify"} 2"#,
        r#"request_receive_seconds_sum{route="/v2/verify"} 1"#,
        r#"upstream_duration_seconds_count{route="/v2/verify"} 1"#,
        r#"upstream_requests_total{route="/v2/verify",outcome="qiniu_error"} 1"#,
        r#"billed_calls_total{route="/v2/verify"} 1"#,
        r#"qiniu_errors_total{route="/v2/verify",error_code="216100"} 1"#,
        r#"qiniu_errors_total{route="/v2/verify",error_code="-1"} 1"#,
        r#"auth_refusals_total{reason="expired"} 1"#,
        r#"limit_refusals_total{route="/v2/verify",limit="rate"} 1"#,
        r#"limit_refusals_total{route="none",limit="address"} 1"#,
        r#"replayed_answers_total{state="waited"} 1"#,
        r#"verdicts_total{passed="true"} 1"#,
        r#"evidence_deliveries_total{outcome="undelivered"} 1"#,
        r#"audit_records_total{outcome="written"} 1"#,
        r#"trace_spans_total{outcome="dropped"} 3"#,
        r#"video_findings_total{finding="duration"} 1"#,
        r#"tls_handshakes_total{outcome="not_tls"} 1"#,
        r#"reloads_total{what="tls",outcome="refused"} 1"#,
        r#"clock_skew_seconds{peer="qiniu"} -0.25"#,
        r#"key_set_fetches_total{issuer="https://login.example/\"\\\n",outcome="status"} 1"#,
        "request_body_bytes_total 7",
        "response_removed_bytes_total 9",
        "body_memory_bytes 5",
        "connections -1",
        "store_up 0",
        concat!(
            r#"build_info{version=""#,
            env!("CARGO_PKG_VERSION"),
            r#""} 1"#
        ),
    ] {
        let line = format!("\nliveness_gateway_{line}\n");
        assert_eq!(text.matches(&line).count(), 1, "{line} is not in\n{text}");
    }
}

#[test]
fn a_request_of_a_trace_is_an_exemplar_of_its_bucket() {
    let metrics = prepared();
    let route: Arc<str> = "/v2/verify".into();
    let ids = [1, 2].map(|byte| TraceId::new([byte; 16]).unwrap());
    for id in ids {
        let duration = Duration::from_millis(20);
        metrics.record_request(&route, 200, "ok", duration, Some(id));
    }
    let text = metrics.encode(TextFormat::OpenMetrics);
    let bucket = r#"_request_duration_seconds_bucket{route="/v2/verify",le="0.025"} 2 # "#;
    let exemplar = format!("{bucket}{{trace_id=\"{}\"}} 0.02 ", ids[1]);
    assert!(text.contains(&exemplar), "{exemplar} in {text}");
    assert_eq!(text.matches(" # {").count(), 1);
    assert!(!metrics.encode(TextFormat::Prometheus).contains("trace_id"));
}
