//! Rate and concurrency: a request over a limit is rejected at once, and everything is returned.
//! Quotas are in `quota.rs`, a user's share of the memory is in `shares.rs`.

use crate::support::{
    Gateway, SESSIONCODE, UNBOUND, VERIFY, bearer, emulator, refusal::refused, routes, upstream,
    verify_body, video,
};
use liveness_gateway::emulator::Scenario;

#[tokio::test]
async fn a_user_over_the_rate_is_rejected_and_others_are_not() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let tight = routes().replace(
        "rate = \"1000/s\"\nburst = 1000",
        "rate = \"6/min\"\nburst = 2",
    );
    for http2 in [false, true] {
        let gateway = Gateway::start(qiniu, "", &tight).await;
        let first = gateway.post(http2, SESSIONCODE, "{}").await;
        assert_eq!(first.header("ratelimit-policy"), "\"user\";q=2;w=20");
        assert_eq!(first.header("ratelimit"), "\"user\";r=1;t=10");
        gateway.post(http2, SESSIONCODE, "not json").await;
        let third = gateway.post(http2, SESSIONCODE, "{}").await;
        refused(&third, 429, "rate_limited");
        let wait: u64 = third.header("retry-after").parse().unwrap();
        assert!((1..=10).contains(&wait));
        assert_eq!(third.header("ratelimit"), "\"user\";r=0;t=20");
        let other = gateway
            .request(http2, "POST", SESSIONCODE)
            .header("authorization", bearer("user-2"))
            .header("content-type", "application/json");
        assert_eq!(gateway.send(http2, other, "{}").await.status, 200);
        let metrics = gateway.metrics().await;
        assert!(metrics.contains(&format!(
            "liveness_gateway_limit_refusals_total{{route=\"{SESSIONCODE}\",limit=\"rate\"}} 1"
        )));
    }
    assert_eq!(handle.session_calls(), 4);
}

#[tokio::test]
async fn concurrent_calls_are_limited_for_each_user() {
    let hanging = upstream::start(upstream::Does::Hang).await;
    let tight = routes()
        .replace("concurrent_per_user = 100", "concurrent_per_user = 1")
        .replace("timeout = \"20s\"", "timeout = \"2s\"");
    let gateway = Gateway::start(hanging.address, "", &(UNBOUND.to_owned() + &tight)).await;
    let body = verify_body("S", &video(0));
    let first = gateway.post(false, VERIFY, body.clone());
    let second = async {
        hanging.until_requests(1).await;
        gateway.post(true, VERIFY, body.clone()).await
    };
    let (first, second) = tokio::join!(first, second);
    refused(&second, 429, "too_many_concurrent");
    assert_eq!(second.header("retry-after"), "1");
    refused(&first, 504, "upstream_timeout");
    assert_eq!(hanging.requests(), 1);
}
