//! One limit over several replicas.

use std::time::Duration;

use liveness_gateway::emulator::Scenario;

use super::{ask, replica_at, two, until};
use crate::support::{
    emulator,
    redis::{self, Redis},
    routes,
};

/// The default routes with this rate.
fn limited(rate: &str, burst: u32) -> String {
    routes().replace(
        "rate = \"1000/s\"\nburst = 1000\n",
        &format!("rate = \"{rate}\"\nburst = {burst}\n"),
    )
}

#[tokio::test]
async fn two_replicas_hold_one_limit_for_each_user() {
    if !redis::is_there() {
        return;
    }
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let redis = Redis::start().await;
    let both = two(qiniu, &redis, &limited("6/h", 10)).await;
    let mut left = Vec::new();
    for number in 0..10 {
        let answer = ask(&both[number % 2], "user-1").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        left.push(answer.header("ratelimit").to_owned());
    }
    let remaining: Vec<_> = (0..10).rev().map(|left| format!(";r={left};")).collect();
    for (left, remaining) in left.iter().zip(&remaining) {
        assert!(left.contains(remaining), "{left} {remaining}");
    }
    for gateway in &both {
        let refused = ask(gateway, "user-1").await;
        assert_eq!(
            (refused.status.as_u16(), refused.code().as_str()),
            (429, "rate_limited")
        );
        let wait: u64 = refused.header("retry-after").parse().unwrap();
        assert!((500..=600).contains(&wait), "{wait}");
        assert!(refused.header("ratelimit").contains(";r=0;t=6000"));
        assert_eq!(ask(gateway, "user-2").await.status, 200);
    }
    assert_eq!(handle.session_calls(), 12);
    // The counts go by themselves.
    for key in redis.keys("*").await {
        let left = redis.ask(&["PTTL", &key]).await;
        let left: i64 = str::from_utf8(&left[0]).unwrap().parse().unwrap();
        assert!(left > 0, "{key} {left}");
    }
}

#[tokio::test]
async fn what_was_used_up_comes_back_with_the_store_s_time() {
    if !redis::is_there() {
        return;
    }
    let (qiniu, _handle) = emulator(Scenario::Pass).await;
    let redis = Redis::start().await;
    let both = two(qiniu, &redis, &limited("2/s", 2)).await;
    let mut passed = 0;
    let began = std::time::Instant::now();
    for number in 0..1_000_000 {
        if ask(&both[number % 2], "user-1").await.status == 200 {
            passed += 1;
        }
        if began.elapsed() > Duration::from_secs(3) {
            break;
        }
    }
    let most = 2.0 + began.elapsed().as_secs_f64() * 2.0;
    assert!((5..=most as u32).contains(&passed), "{passed} of {most}");
}

#[tokio::test]
async fn a_replica_alone_goes_on_with_what_it_has_counted() {
    if !redis::is_there() {
        return;
    }
    let (qiniu, _handle) = emulator(Scenario::Pass).await;
    let mut redis = Redis::start().await;
    let gateway = replica_at(qiniu, &redis.url(), "timeout = \"2s\"", &limited("6/h", 4)).await;
    until(&gateway, "store_up 1").await;
    for _ in 0..2 {
        assert_eq!(ask(&gateway, "user-1").await.status, 200);
    }
    redis.kill();
    until(&gateway, "store_up 0").await;
    // Two of the four are used up, and no more than the rest is left.
    for _ in 0..2 {
        assert_eq!(ask(&gateway, "user-1").await.status, 200);
    }
    assert_eq!(ask(&gateway, "user-1").await.status, 429);
    // It comes back with nothing in it, and hears that all is used up.
    redis.start_again().await;
    until(&gateway, "store_up 1").await;
    assert_eq!(ask(&gateway, "user-1").await.status, 429);
    assert_eq!(ask(&gateway, "user-2").await.status, 200);
}

#[tokio::test]
async fn what_all_replicas_granted_counts_while_the_store_is_away() {
    if !redis::is_there() {
        return;
    }
    let (qiniu, _handle) = emulator(Scenario::Pass).await;
    let mut redis = Redis::start().await;
    let both = two(qiniu, &redis, &limited("6/h", 4)).await;
    for number in [0, 1, 1, 0] {
        assert_eq!(ask(&both[number], "user-1").await.status, 200);
    }
    redis.kill();
    for gateway in &both {
        until(gateway, "store_up 0").await;
    }
    // The second one last heard that one is left.
    assert_eq!(ask(&both[0], "user-1").await.status, 429);
    assert_eq!(ask(&both[1], "user-1").await.status, 200);
    assert_eq!(ask(&both[1], "user-1").await.status, 429);
}

#[tokio::test]
async fn a_store_that_forgot_everything_gives_nobody_a_fresh_burst() {
    if !redis::is_there() {
        return;
    }
    let (qiniu, _handle) = emulator(Scenario::Pass).await;
    let redis = Redis::start().await;
    let both = two(qiniu, &redis, &limited("6/h", 4)).await;
    for number in [0, 1, 0, 1] {
        assert_eq!(ask(&both[number], "user-1").await.status, 200);
    }
    redis.ask(&["FLUSHALL"]).await;
    let refused = ask(&both[1], "user-1").await;
    assert_eq!(refused.status, 429);
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((500..=600).contains(&wait), "{wait}");
    // Who comes later is told by the store.
    assert_eq!(ask(&both[0], "user-1").await.status, 429);
    assert_eq!(ask(&both[0], "user-2").await.status, 200);
}
