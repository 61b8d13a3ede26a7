//! The names of the families, and the bounds on their series.

use super::{routes::MAX_ERROR_CODES, *};

fn lines_of(metrics: &Metrics) -> Vec<String> {
    metrics.encode().lines().map(str::to_owned).collect()
}

#[test]
fn every_family_is_exposed_under_its_exact_name() {
    let metrics = Metrics::new(LogWriter::discard());
    let route: Arc<str> = "/v2/x".into();
    metrics.record_request(&route, 200, "ok", Duration::from_millis(20));
    metrics.record_upstream_call(&route, "success", Duration::from_millis(10));
    metrics.count_qiniu_error(&route, 216_100);
    metrics.count_auth_refusal("expired_token");
    metrics.count_limit_refusal(metrics.no_route(), "rate");
    metrics.key_sets.count_success(&"https://i".into());
    metrics.add_body_bytes(7);
    metrics.add_removed_bytes(9);
    metrics.body_memory.set(5);
    metrics.body_memory_limit.set(512);
    let text = lines_of(&metrics);
    let version = env!("CARGO_PKG_VERSION");
    for line in [
        r#"requests_total{route="/v2/x",status="200",code="ok"} 1"#,
        r#"request_duration_seconds_count{route="/v2/x"} 1"#,
        r#"request_duration_seconds_bucket{le="0.025",route="/v2/x"} 1"#,
        r#"upstream_duration_seconds_count{route="/v2/x"} 1"#,
        r#"upstream_requests_total{route="/v2/x",outcome="success"} 1"#,
        r#"qiniu_errors_total{route="/v2/x",error_code="216100"} 1"#,
        "request_body_bytes_total 7",
        "response_removed_bytes_total 9",
        "body_memory_bytes 5",
        "body_memory_limit_bytes 512",
        "connections 0",
        "requests_in_flight 0",
        r#"auth_refusals_total{reason="expired_token"} 1"#,
        r#"limit_refusals_total{route="none",limit="rate"} 1"#,
        r#"key_set_fetches_total{issuer="https://i",outcome="success"} 1"#,
        "log_lines_dropped_total 0",
        &format!(r#"build_info{{version="{version}"}} 1"#),
    ] {
        let line = format!("liveness_gateway_{line}");
        assert!(
            text.contains(&line),
            "{line} is not in\n{}",
            text.join("\n")
        );
    }
    let age = r#"liveness_gateway_key_set_age_seconds{issuer="https://i"} 0."#;
    assert!(text.iter().any(|line| line.starts_with(age)));
    assert_eq!(text.last().unwrap(), "# EOF");
    assert!(
        text.iter()
            .all(|line| line.starts_with('#') || line.starts_with("liveness_gateway_"))
    );
}

#[test]
fn error_codes_beyond_the_bound_share_one_series() {
    let metrics = Metrics::new(LogWriter::discard());
    let route: Arc<str> = "/".into();
    for code in 1..=1_000 {
        metrics.count_qiniu_error(&route, code);
    }
    metrics.count_qiniu_error(&route, 5);
    let text = metrics.encode();
    assert!(
        text.contains(r#"error_code="5"} 2"#) && text.contains(r#"error_code="other"} 744"#),
        "{text}"
    );
    assert_eq!(text.matches("error_code=").count(), MAX_ERROR_CODES + 1);
}

#[test]
fn a_gauge_guard_counts_down_also_after_a_panic() {
    let gauge = Gauge::default();
    let guard = GaugeGuard::new(&gauge);
    let moved = GaugeGuard::new(&gauge);
    assert_eq!(gauge.get(), 2);
    drop(guard);
    drop(std::panic::catch_unwind(std::panic::AssertUnwindSafe(
        || {
            let _held = moved;
            std::panic::resume_unwind(Box::new(()));
        },
    )));
    assert_eq!(gauge.get(), 0);
}
