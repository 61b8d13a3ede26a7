//! One quota over several replicas: calls that Qiniu took through any of them count once, and
//! nothing else counts.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
};

use liveness_gateway::{emulator::Scenario, limit::clock::Clock};
use tokio::task::JoinSet;

use super::{PASS, assert_error, configured, until};
use crate::support::{
    Answer, Gateway, SESSIONCODE, VERIFY, emulator,
    quota::{DAY, clock, left, with_quota},
    raw::{ask, begin, head},
    redis::{self, Redis},
    sealed::fresh,
    upstream::{self, Does, answer},
    verify_body, video,
};

/// A replica with this clock.
async fn one_by(clock: &Clock, upstream: SocketAddr, redis: &Redis, quota: &str) -> Gateway {
    let (url, quota) = (redis.url(), with_quota(quota));
    let settings = configured(upstream, &url, "timeout = \"2s\"", &quota);
    let gateway = Gateway::run_by(settings, clock).await;
    until(&gateway, "store_up 1").await;
    gateway
}

async fn two_by(clock: &Clock, upstream: SocketAddr, redis: &Redis, quota: &str) -> [Gateway; 2] {
    [
        one_by(clock, upstream, redis, quota).await,
        one_by(clock, upstream, redis, quota).await,
    ]
}

async fn call(gateway: &Gateway) -> Answer {
    gateway.post(false, SESSIONCODE, "{}").await
}

/// How many calls are left, without making one.
async fn calls_left(gateway: &Gateway) -> u32 {
    left(&gateway.post(false, SESSIONCODE, "[]").await)
}

async fn verify(gateway: &Gateway, upstream: SocketAddr, session: &str) -> Answer {
    let body = verify_body(&fresh(upstream, session), &video(0));
    gateway.post(false, VERIFY, body).await
}

#[tokio::test]
async fn two_replicas_count_together_and_start_new_windows_together() {
    if !redis::is_there() {
        return;
    }
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let redis = Redis::start().await;
    let (clock, passed) = clock();
    let both = two_by(&clock, qiniu, &redis, "6/day").await;
    for day in 1..3 {
        for number in 0..6 {
            let (one, other) = (&both[number % 2], &both[(number + 1) % 2]);
            let answer = call(one).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            let remaining = 5 - u32::try_from(number).unwrap();
            // The replica that did not make the call knows it too.
            assert_eq!(
                (left(&answer), calls_left(other).await),
                (remaining, remaining)
            );
        }
        let until = DAY - if day == 1 { 3600 } else { 0 };
        for gateway in &both {
            let refused = call(gateway).await;
            assert_error(&refused, 429, "quota_exceeded");
            assert_eq!(refused.header("retry-after"), until.to_string());
        }
        assert_eq!(handle.session_calls(), day * 6);
        passed.fetch_add(until - 1, Ordering::SeqCst);
        assert_error(&call(&both[0]).await, 429, "quota_exceeded");
        passed.fetch_add(1, Ordering::SeqCst);
    }
    // One key for each day, which expires when no request can ask for it.
    let counts = redis.keys("{liveness-gateway}:quota:*").await;
    assert_eq!(counts.len(), 2);
    for count in counts {
        let goes = redis.ask(&["TTL", &count]).await;
        let goes: u64 = str::from_utf8(&goes[0]).unwrap().parse().unwrap();
        // The store's clock goes on while the test's stands.
        assert!(goes > DAY - 60 && goes <= 2 * DAY, "{goes}");
    }
}

#[tokio::test]
async fn concurrent_calls_over_two_replicas_never_exceed_the_quota_together() {
    if !redis::is_there() {
        return;
    }
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let redis = Redis::start().await;
    let (clock, _) = clock();
    let both = two_by(&clock, qiniu, &redis, "10/day").await.map(Arc::new);
    let mut tries = JoinSet::new();
    for number in 0..60 {
        let gateway = Arc::clone(&both[number % 2]);
        tries.spawn(async move { gateway.post(number % 4 < 2, SESSIONCODE, "{}").await });
    }
    let answers = tries.join_all().await;
    let (passed, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|it| it.status == 200);
    assert_eq!((passed.len(), handle.session_calls()), (10, 10));
    for answer in refused {
        assert_error(answer, 429, "quota_exceeded");
    }
    for gateway in &both {
        assert_eq!(calls_left(gateway).await, 0);
    }
}

#[tokio::test]
async fn a_call_that_qiniu_did_not_take_is_returned_on_every_replica() {
    if !redis::is_there() {
        return;
    }
    let (clock, passed) = clock();
    let redis = Redis::start().await;
    for (status, comes_back) in [("503 X", true), ("400 X", true), ("500 X", false)] {
        let answers = vec![answer(status, "{}"), answer("200 OK", PASS)];
        let qiniu = upstream::start(Does::InTurn(answers)).await;
        let [one, other] = two_by(&clock, qiniu.address, &redis, "1/day").await;
        let failed = verify(&one, qiniu.address, "S1").await;
        assert_eq!(left(&failed), u32::from(comes_back), "{failed:?}");
        let next = verify(&other, qiniu.address, "S2").await;
        assert_eq!(next.status == 200, comes_back, "{status} {next:?}");
        for gateway in [&one, &other] {
            let refused = verify(gateway, qiniu.address, "S3").await;
            assert_error(&refused, 429, "quota_exceeded");
        }
        assert_eq!(qiniu.requests(), 1 + usize::from(comes_back));
        passed.fetch_add(DAY, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn with_the_quota_used_up_a_retry_elsewhere_is_answered_and_another_upload_is_rejected_early()
{
    if !redis::is_there() {
        return;
    }
    let qiniu = upstream::start(Does::Answer(answer("200 OK", PASS))).await;
    let redis = Redis::start().await;
    let (clock, passed) = clock();
    let [one, other] = two_by(&clock, qiniu.address, &redis, "1/day").await;
    assert_eq!(verify(&one, qiniu.address, "S1").await.body, PASS);
    let retry = verify(&other, qiniu.address, "S1").await;
    assert_eq!((retry.body.as_ref(), left(&retry)), (PASS.as_bytes(), 0));
    assert_error(
        &verify(&other, qiniu.address, "S2").await,
        429,
        "quota_exceeded",
    );
    assert_eq!(qiniu.requests(), 1);
    let upload = head(
        "user-1",
        VERIFY,
        "Content-Length: 20000000\r\nExpect: 100-continue",
    );
    // It may be a retry: only the body tells.
    passed.store(360, Ordering::SeqCst);
    let mut invited = begin(other.address, &upload).await;
    let mut said = [0; 21];
    tokio::io::AsyncReadExt::read_exact(&mut invited, &mut said)
        .await
        .unwrap();
    assert_eq!(&said, b"HTTP/1.1 100 Continue");
    drop(invited);
    // By now no response is cached. A replica that has never seen the user knows it as well.
    passed.store(361, Ordering::SeqCst);
    let third = one_by(&clock, qiniu.address, &redis, "1/day").await;
    for gateway in [&one, &other, &third] {
        let said = ask(gateway.address, &upload).await;
        assert!(said.starts_with("HTTP/1.1 429 "), "{said}");
    }
}

#[tokio::test]
async fn without_the_store_a_replica_continues_with_its_count_and_publishes_it_later() {
    if !redis::is_there() {
        return;
    }
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let mut redis = Redis::start().await;
    let (clock, _) = clock();
    let both = two_by(&clock, qiniu, &redis, "8/day").await;
    for number in [0, 0, 0, 1] {
        assert_eq!(call(&both[number]).await.status, 200);
    }
    redis.kill();
    for gateway in &both {
        until(gateway, "store_up 0").await;
    }
    // The second replica knows all four calls, and learns of no more.
    for remaining in (0..4).rev() {
        assert_eq!(left(&call(&both[1]).await), remaining);
    }
    assert_error(&call(&both[1]).await, 429, "quota_exceeded");
    // The first replica does not know the second's calls.
    assert_eq!(left(&call(&both[0]).await), 4);
    redis.start_again().await;
    for gateway in &both {
        until(gateway, "store_up 1").await;
    }
    // Nine calls were made; each replica publishes its own to the empty store.
    assert_eq!(calls_left(&both[0]).await, 4);
    assert_eq!(calls_left(&both[1]).await, 0);
    for gateway in &both {
        assert_error(&call(gateway).await, 429, "quota_exceeded");
    }
    assert_eq!(handle.session_calls(), 9);
}

#[tokio::test]
async fn without_the_store_an_upload_that_is_no_retry_is_rejected_before_its_call() {
    if !redis::is_there() {
        return;
    }
    let qiniu = upstream::start(Does::Answer(answer("200 OK", PASS))).await;
    let mut redis = Redis::start().await;
    let (clock, _) = clock();
    let [one, other] = two_by(&clock, qiniu.address, &redis, "1/day").await;
    assert_eq!(verify(&one, qiniu.address, "S1").await.body, PASS);
    let refused = verify(&other, qiniu.address, "S2").await;
    assert_error(&refused, 429, "quota_exceeded");
    redis.kill();
    until(&other, "store_up 0").await;
    // The call was recent, so the upload is received: the replica made no call itself, but knows of
    // this one.
    let refused = verify(&other, qiniu.address, "S2").await;
    assert_error(&refused, 429, "quota_exceeded");
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(qiniu.requests(), 1);
}

#[tokio::test]
async fn a_caller_without_calls_leaves_nothing_in_the_store() {
    if !redis::is_there() {
        return;
    }
    let (qiniu, _handle) = emulator(Scenario::Pass).await;
    let redis = Redis::start().await;
    let (clock, _) = clock();
    let one = one_by(&clock, qiniu, &redis, "5/day").await;
    for calls_of_another in 0..2 {
        assert_eq!(calls_left(&one).await, 5);
        let counts = redis.keys("{liveness-gateway}:quota:*").await;
        assert_eq!(counts.len(), calls_of_another);
        assert_eq!(super::ask(&one, "user-2").await.status, 200);
    }
}

#[tokio::test]
async fn a_call_is_counted_once_although_the_store_s_reply_was_late() {
    if !redis::is_there() {
        return;
    }
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let redis = Redis::start().await;
    let (clock, _) = clock();
    let impatient = configured(
        qiniu,
        &redis.url(),
        "timeout = \"100ms\"",
        &with_quota("4/day"),
    );
    let one = Gateway::run_by(impatient, &clock).await;
    until(&one, "store_up 1").await;
    let other = one_by(&clock, qiniu, &redis, "4/day").await;
    // When Redis continues, it executes calls whose replies nobody waits for.
    redis.signal("STOP");
    assert_eq!(left(&call(&one).await), 3);
    redis.signal("CONT");
    for gateway in [&one, &other] {
        until(gateway, "store_up 1").await;
    }
    assert_eq!(left(&call(&one).await), 2);
    assert_eq!(left(&call(&other).await), 1);
    assert_eq!(left(&call(&one).await), 0);
    for gateway in [&one, &other] {
        assert_error(&call(gateway).await, 429, "quota_exceeded");
    }
    assert_eq!(handle.session_calls(), 4);
}

#[tokio::test]
async fn a_restart_loses_no_count() {
    if !redis::is_there() {
        return;
    }
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let redis = Redis::start().await;
    let (clock, _) = clock();
    for _ in 0..3 {
        let one = one_by(&clock, qiniu, &redis, "3/day").await;
        assert_eq!(call(&one).await.status, 200);
    }
    let one = one_by(&clock, qiniu, &redis, "3/day").await;
    assert_error(&call(&one).await, 429, "quota_exceeded");
    assert_eq!(handle.session_calls(), 3);
}
