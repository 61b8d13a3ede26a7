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
async fn two_replicas_enforce_one_rate_for_each_user() {
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
    // The counts expire.
    for key in redis.keys("*").await {
        let left = redis.ask(&["PTTL", &key]).await;
        let left: i64 = str::from_utf8(&left[0]).unwrap().parse().unwrap();
        assert!(left > 0, "{key} {left}");
    }
}

#[tokio::test]
async fn requests_come_back_by_the_store_s_clock() {
    if !redis::is_there() {
        return;
    }
    let (qiniu, _handle) = emulator(Scenario::Pass).await;
    let redis = Redis::start().await;
    let both = two(qiniu, &redis, &limited("20/s", 2)).await;
    let (began, mut passed, mut asked) = (std::time::Instant::now(), 0, 0);
    while passed < 8 {
        let answer = ask(&both[asked % 2], "user-1").await;
        passed += u32::from(answer.status == 200);
        asked += 1;
    }
    // Two at once, and each of the others a twentieth of a second after the one before.
    assert!(
        began.elapsed() >= Duration::from_millis(6 * 50 - 5),
        "{began:?}"
    );
}

#[tokio::test]
async fn while_the_store_is_away_the_rate_goes_on_from_the_replica_s_own_count() {
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
    // Two of the four are used up: the replica counted them while the store decided.
    for left in [1, 0] {
        let answer = ask(&gateway, "user-1").await;
        assert_eq!(answer.status, 200);
        let left = format!("\"user\";r={left};");
        assert!(answer.header("ratelimit").contains(&left), "{answer:?}");
    }
    assert_eq!(ask(&gateway, "user-1").await.status, 429);
    assert_eq!(ask(&gateway, "user-2").await.status, 200);
}

#[tokio::test]
async fn while_the_store_is_away_each_replica_counts_what_it_granted_itself() {
    if !redis::is_there() {
        return;
    }
    let (qiniu, _handle) = emulator(Scenario::Pass).await;
    let mut redis = Redis::start().await;
    let both = two(qiniu, &redis, &limited("6/h", 4)).await;
    for number in [0, 1, 1, 1] {
        assert_eq!(ask(&both[number], "user-1").await.status, 200);
    }
    assert_eq!(ask(&both[0], "user-1").await.status, 429);
    redis.kill();
    for gateway in &both {
        until(gateway, "store_up 0").await;
    }
    // The first counted two requests, one of them refused, and the second three.
    for (gateway, passes) in both.iter().zip([2, 1]) {
        for _ in 0..passes {
            assert_eq!(ask(gateway, "user-1").await.status, 200);
        }
        assert_eq!(ask(gateway, "user-1").await.status, 429);
    }
}

#[tokio::test]
async fn a_store_that_lost_its_data_begins_rates_anew_for_all_replicas_together() {
    if !redis::is_there() {
        return;
    }
    let (qiniu, _handle) = emulator(Scenario::Pass).await;
    let redis = Redis::start().await;
    let both = two(qiniu, &redis, &limited("6/h", 4)).await;
    for _ in 0..2 {
        for number in [0, 1, 0, 1] {
            assert_eq!(ask(&both[number], "user-1").await.status, 200);
        }
        for gateway in &both {
            assert_eq!(ask(gateway, "user-1").await.status, 429);
        }
        redis.ask(&["FLUSHALL"]).await;
    }
}
