//! Metrics of a running gateway: each series that is known beforehand stands at 0 from the start,
//! and calls that Qiniu bills are told from answers that cost nothing.

use crate::support::{
    Gateway, SESSIONCODE, UNBOUND, VERIFY, backend, emulator, routes, session,
    upstream::{self, Does, answer},
    verify_body, video,
};
use liveness_gateway::emulator::Scenario;

/// The value of a series; `None` if there is no such series.
fn value(metrics: &str, series: &str) -> Option<f64> {
    let series = format!("liveness_gateway_{series} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&series));
    line.map(|value| value.parse().unwrap())
}

#[tokio::test]
async fn series_of_the_configuration_stand_at_zero_from_the_start() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let backend = backend::start(backend::OK).await;
    let fetched = "[[identity]]\nissuer = \"https://fetched.example\"\naudience = \"a\"\n\
                   jwks_url = \"http://127.0.0.1:1/\"\n";
    let more = format!("{fetched}{}{}", backend.sections(""), routes());
    let gateway = Gateway::start(qiniu, "max_connections = 77", &more).await;
    let metrics = gateway.metrics().await;
    for series in [
        format!("requests_total{{route=\"{SESSIONCODE}\",status=\"200\",code=\"ok\"}}"),
        format!("request_receive_seconds_count{{route=\"{VERIFY}\"}}"),
        format!("upstream_requests_total{{route=\"{VERIFY}\",outcome=\"rejected_credentials\"}}"),
        format!("qiniu_errors_total{{route=\"{VERIFY}\",error_code=\"other\"}}"),
        format!("limit_refusals_total{{route=\"{VERIFY}\",limit=\"quota\"}}"),
        format!("billed_calls_total{{route=\"{VERIFY}\"}}"),
        "requests_total{route=\"/.well-known/jwks.json\",status=\"200\",code=\"ok\"}".to_owned(),
        "limit_refusals_total{route=\"none\",limit=\"address\"}".to_owned(),
        "replayed_answers_total{state=\"waited\"}".to_owned(),
        "auth_refusals_total{reason=\"expired\"}".to_owned(),
        "video_findings_total{finding=\"not_mp4\"}".to_owned(),
        "verdicts_total{passed=\"false\"}".to_owned(),
        "evidence_deliveries_total{outcome=\"undelivered\"}".to_owned(),
        "key_set_fetches_total{issuer=\"https://fetched.example\",outcome=\"too_large\"}"
            .to_owned(),
        "tls_handshakes_total{outcome=\"timeout\"}".to_owned(),
        "reloads_total{what=\"configuration\",outcome=\"refused\"}".to_owned(),
        "clock_skew_seconds{peer=\"qiniu\"}".to_owned(),
        "clock_skew_seconds{peer=\"evidence\"}".to_owned(),
        "clock_skew_seconds{peer=\"https://fetched.example\"}".to_owned(),
    ] {
        assert_eq!(value(&metrics, &series), Some(0.0), "{series} in {metrics}");
    }
    assert_eq!(value(&metrics, "connections_limit"), Some(77.0));
    assert_eq!(value(&metrics, "ready"), Some(1.0));
    let never = "key_set_age_seconds{issuer=\"https://fetched.example\"}";
    let age = value(&metrics, never);
    assert!(
        age.is_some_and(|age| age > 0.0),
        "an issuer that never answered grows old"
    );
    let session_calls = format!("billed_calls_total{{route=\"{SESSIONCODE}\"}}");
    assert_eq!(
        value(&metrics, &session_calls),
        None,
        "a session costs nothing"
    );
}

#[tokio::test]
async fn calls_that_are_billed_are_counted_and_replayed_answers_apart() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    let billed = format!("billed_calls_total{{route=\"{VERIFY}\"}}");
    let replayed = "replayed_answers_total{state=\"cached\"}";
    for (scenario, calls, replays) in [
        (Scenario::Pass, 1.0, 1.0),
        (Scenario::ActionFail, 2.0, 2.0),
        // Liveness not passed: a judgement.
        (Scenario::Error(223_120), 3.0, 3.0),
        // No face found, and busy: nothing was judged. What was refused is not cached.
        (Scenario::Error(216_501), 3.0, 4.0),
        (Scenario::Busy, 3.0, 4.0),
    ] {
        handle.set_scenario(Scenario::Pass);
        let body = verify_body(&session(&gateway).await, &video(0));
        handle.set_scenario(scenario);
        for _ in 0..2 {
            gateway.post(false, VERIFY, body.clone()).await;
        }
        let metrics = gateway.metrics().await;
        assert_eq!(value(&metrics, &billed), Some(calls), "{scenario:?}");
        assert_eq!(value(&metrics, replayed), Some(replays), "{scenario:?}");
    }
    assert_eq!(handle.billed_calls(), 3, "as Qiniu's emulator counts");
}

#[tokio::test]
async fn a_call_whose_response_is_lost_may_be_billed() {
    for (does, calls) in [
        (Does::Close, 1.0),
        (Does::Answer(answer("500 X", "{}")), 1.0),
        (Does::Answer(answer("400 X", "{}")), 0.0),
    ] {
        let qiniu = upstream::start(does).await;
        let gateway = Gateway::start(qiniu.address, "", &(UNBOUND.to_owned() + &routes())).await;
        let refused = gateway
            .post(false, VERIFY, verify_body("s", &video(0)))
            .await;
        assert!(refused.status.is_server_error(), "{refused:?}");
        let billed = format!("billed_calls_total{{route=\"{VERIFY}\"}}");
        assert_eq!(value(&gateway.metrics().await, &billed), Some(calls));
    }
}
