//! Clocks that differ, as tokens and the dates of responses show them.

use std::time::{Duration, SystemTime};

use super::ask;
use crate::support::{
    Gateway, SECRET, SESSIONCODE, emulator,
    events::{self, logged},
    identity::section,
    routes, settings,
    upstream::{self, Does},
};
use liveness_gateway::emulator::Scenario;

/// A gateway whose issuer has a name of its own, which its log lines can be found by.
async fn of_issuer(issuer: &str) -> Gateway {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let identity = section(issuer, "secret = { env = \"JWT\" }");
    let endpoint = format!("endpoint = \"http://{qiniu}\"");
    Gateway::run(settings(&endpoint, "", &(identity + &routes()))).await
}

#[tokio::test]
async fn a_clock_that_is_an_hour_off_is_told_by_tokens() {
    events::keep();
    let hour = Duration::from_secs(3_600);
    let behind = "https://clock-behind.example/";
    let gateway = of_issuer(behind).await;
    ask(&gateway, SECRET, |claims| {
        claims.issuer = behind;
        claims.now += hour;
    })
    .await;
    logged(&[
        behind,
        "from the future",
        "clock is behind",
        "NTP",
        "off_by_s\":35",
    ])
    .await;
    let ahead = "https://clock-ahead.example/";
    let gateway = of_issuer(ahead).await;
    for _ in 0..3 {
        ask(&gateway, SECRET, |claims| {
            claims.issuer = ahead;
            claims.now -= hour;
        })
        .await;
    }
    logged(&[
        ahead,
        "have expired",
        "clock is ahead",
        "NTP",
        "off_by_s\":30",
    ])
    .await;
    gateway
        .until_metrics_have("auth_refusals_total{reason=\"expired\"} 3")
        .await;
}

#[tokio::test]
async fn a_clock_that_is_an_hour_off_is_told_by_qiniu_s_date() {
    events::keep();
    let date = SystemTime::now() + Duration::from_secs(4_321);
    let rejected = format!(
        "HTTP/1.1 403 X\r\nDate: {}\r\nContent-Length: 0\r\n\r\n",
        httpdate::fmt_http_date(date)
    );
    let qiniu = upstream::start(Does::Answer(rejected.into())).await;
    let gateway = Gateway::plain(qiniu.address).await;
    let answer = gateway.post(false, SESSIONCODE, "").await;
    assert_eq!(answer.code(), "upstream_rejected_credentials");
    let id = answer.header("x-request-id");
    logged(&[id, "\"error\"", "HTTP 403", "qiniu.secret_key", "clock"]).await;
    logged(&["\"skew_s\":43", "qiniu", "synchronise this machine's clock"]).await;
    let metrics = gateway.metrics().await;
    let skew = "\nliveness_gateway_clock_skew_seconds{peer=\"qiniu\"} 43";
    assert!(metrics.contains(skew), "{metrics}");
}
