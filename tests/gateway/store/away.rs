//! A store that is missing, is lost, comes back, is slow, or is not a store: no request fails
//! because of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use liveness_gateway::emulator::Scenario;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::Semaphore,
};

use super::{
    PASS, assert_error, eventually, replica, replica_at,
    roles::together,
    traffic::{Traffic, attempt},
    two, until,
};
use crate::support::{
    Gateway, SESSIONCODE, VERIFY, emulator,
    redis::{self, Redis, free_port},
    routes,
    sealed::fresh,
    send, session,
    upstream::{self, Does, answer},
    verify_body, video,
};

/// The most that a replica takes of an endless reply, in bytes, and what is on its way by then.
const MOST_TAKEN: usize = 32 * 1024 * 1024;

/// What stands in place of a store: it replies to everything with the same, and then goes on with
/// the same part without an end, unless that is empty.
async fn broken_store(
    says: &'static str,
    goes_on: &'static str,
    most_taken: &Arc<AtomicUsize>,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let most_taken = Arc::clone(most_taken);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let most_taken = Arc::clone(&most_taken);
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let (part, mut taken) = (goes_on.repeat(65_536 / goes_on.len().max(1)), 0);
                while matches!(stream.read(&mut request).await, Ok(1..)) {
                    let mut sent = stream.write_all(says.as_bytes()).await;
                    while sent.is_ok() && !goes_on.is_empty() {
                        sent = stream.write_all(part.as_bytes()).await;
                        taken += part.len();
                        most_taken.fetch_max(taken, Ordering::SeqCst);
                    }
                    if sent.is_err() {
                        return;
                    }
                }
            });
        }
    });
    format!("redis://{address}")
}

async fn is_ready(gateway: &Gateway) -> bool {
    let request = hyper::Request::get("/readyz").header("host", "admin");
    send(gateway.admin, false, request, bytes::Bytes::new())
        .await
        .status
        == 200
}

#[tokio::test]
async fn whatever_stands_in_place_of_the_store_requests_are_served_at_once() {
    let (qiniu, _handle) = emulator(Scenario::Pass).await;
    let most_taken = Arc::<AtomicUsize>::default();
    let mut urls = vec![format!("redis://127.0.0.1:{}", free_port())];
    for (says, goes_on) in [
        ("", ""),
        ("HTTP/1.1 400 Bad Request\r\n\r\n", ""),
        ("*1\r\n$3\r\nyes\r\n", ""),
        // One reply more than there are requests.
        (":1\r\n:1\r\n", ""),
        ("$4000000000\r\n", "x"),
        ("+", "x"),
        ("*4000000000\r\n", ":1\r\n"),
        ("*1\r\n", "*1\r\n"),
    ] {
        urls.push(broken_store(says, goes_on, &most_taken).await);
    }
    let case = async |url: String| {
        let gateway = replica_at(qiniu, &url, "", &routes()).await;
        assert!(is_ready(&gateway).await);
        for _ in 0..3 {
            attempt(&gateway, &gateway).await;
        }
        until(&gateway, "store_up 0").await;
        assert!(is_ready(&gateway).await);
    };
    together(urls.into_iter().map(case)).await;
    let most_taken = most_taken.load(Ordering::SeqCst);
    assert!(
        most_taken <= MOST_TAKEN,
        "a replica kept {most_taken} bytes"
    );
}

#[tokio::test]
async fn redis_is_killed_paused_and_restarted_and_no_request_fails() {
    if !redis::is_there() {
        return;
    }
    let (qiniu, _handle) = emulator(Scenario::Pass).await;
    let mut redis = Redis::start().await;
    let url = redis.url();
    let both = [
        replica_at(qiniu, &url, "timeout = \"200ms\"", &routes()).await,
        replica_at(qiniu, &url, "timeout = \"200ms\"", &routes()).await,
    ]
    .map(Arc::new);
    for gateway in &both {
        until(gateway, "store_up 1").await;
    }
    let traffic = Traffic::over(&both);
    let both_say = async |line: &str| {
        for gateway in &both {
            until(gateway, line).await;
        }
    };
    redis.signal("STOP");
    both_say("store_up 0").await;
    redis.signal("CONT");
    both_say("store_up 1").await;
    redis.kill();
    both_say("store_up 0").await;
    redis.start_again().await;
    both_say("store_up 1").await;
    traffic.ended_well().await;
}

#[tokio::test]
async fn responses_from_before_and_during_an_outage_are_replayed_after_it() {
    if !redis::is_there() {
        return;
    }
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let mut redis = Redis::start().await;
    let [one, other] = two(qiniu, &redis, &routes()).await;
    let before = verify_body(&session(&one).await, &video(0));
    let during = verify_body(&session(&one).await, &video(0));
    let first = one.post(false, VERIFY, before.clone()).await;
    redis.kill();
    for gateway in [&one, &other] {
        until(gateway, "store_up 0").await;
    }
    let second = one.post(false, VERIFY, during.clone()).await;
    assert_eq!(second.json()["result"]["action_verify"], "pass");
    redis.start_again().await;
    for gateway in [&one, &other] {
        until(gateway, "store_up 1").await;
    }
    known(&redis, 2).await;
    assert_eq!(other.post(false, VERIFY, before).await.body, first.body);
    assert_eq!(other.post(false, VERIFY, during).await.body, second.body);
    assert_eq!(handle.verify_calls(), 2);
}

/// How often replicas have asked for sessions.
pub(crate) async fn looks(redis: &Redis) -> u32 {
    let stats = redis.ask(&["INFO", "commandstats"]).await;
    let stats = String::from_utf8(stats[0].clone()).unwrap();
    let looks = stats.split("cmdstat_hmget:calls=").nth(1);
    looks.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
}

/// Waits until the store knows this many sessions.
async fn known(redis: &Redis, sessions: usize) {
    for _ in 0..2000 {
        if redis.keys("{liveness-gateway}:session:*").await.len() == sessions {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never {sessions}");
}

#[tokio::test]
async fn a_call_in_progress_is_published_again_to_a_store_that_lost_it() {
    if !redis::is_there() {
        return;
    }
    let gate = Arc::new(Semaphore::new(0));
    let qiniu = upstream::start(Does::WhenLet(Arc::clone(&gate), answer("200 OK", PASS))).await;
    let mut redis = Redis::start().await;
    let [one, other] = two(qiniu.address, &redis, &routes()).await.map(Arc::new);
    let id = fresh(qiniu.address, "S1");
    let body = verify_body(&id, &video(0));
    let post = |gateway: &Arc<Gateway>| {
        let (gateway, body) = (Arc::clone(gateway), body.clone());
        tokio::spawn(async move { gateway.post(false, VERIFY, body).await })
    };
    let first = post(&one);
    qiniu.until_requests(1).await;
    // This retry knows of the call, and waits through the outage.
    let before = looks(&redis).await;
    let waiting = post(&other);
    // A second look follows only if the first found the call.
    let again = async || looks(&redis).await >= before + 2;
    eventually("two looks", again).await;
    redis.start_again().await;
    for gateway in [&one, &other] {
        until(gateway, "store_up 1").await;
    }
    known(&redis, 1).await;
    let another = verify_body(&id, &video(200_000));
    let third = replica(qiniu.address, &redis, &routes()).await;
    until(&third, "store_up 1").await;
    assert_error(
        &third.post(false, VERIFY, another).await,
        409,
        "session_in_use",
    );
    assert_eq!(qiniu.requests(), 1);
    gate.add_permits(1);
    for answer in [first, waiting] {
        assert_eq!(answer.await.unwrap().body, PASS);
    }
    assert_eq!(third.post(false, VERIFY, body.clone()).await.body, PASS);
    assert_eq!(qiniu.requests(), 1);
}

#[tokio::test]
async fn a_claim_whose_reply_got_lost_blocks_nothing() {
    if !redis::is_there() {
        return;
    }
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let redis = Redis::start().await;
    let short = "timeout = \"100ms\"";
    let one = replica_at(qiniu, &redis.url(), short, &routes()).await;
    let other = replica(qiniu, &redis, &routes()).await;
    for gateway in [&one, &other] {
        until(gateway, "store_up 1").await;
    }
    let body = verify_body(&session(&one).await, &video(0));
    // The claim arrives and gets no reply; when Redis continues, it executes the claim all the
    // same.
    redis.signal("STOP");
    let first = one.post(false, VERIFY, body.clone()).await;
    assert_eq!(first.json()["result"]["action_verify"], "pass");
    redis.signal("CONT");
    for gateway in [&one, &other] {
        until(gateway, "store_up 1").await;
    }
    for gateway in [&one, &other] {
        let again = gateway.post(false, VERIFY, body.clone()).await;
        assert_eq!(again.body, first.body);
    }
    assert_eq!(handle.verify_calls(), 1);
}

#[tokio::test]
async fn everything_is_published_again_to_a_store_that_was_emptied() {
    if !redis::is_there() {
        return;
    }
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let redis = Redis::start().await;
    let [one, other] = two(qiniu, &redis, &routes()).await;
    let body = verify_body(&session(&one).await, &video(0));
    let first = one.post(false, VERIFY, body.clone()).await;
    redis.ask(&["FLUSHALL"]).await;
    // Sent at once: the other replica waits until the first one has noticed.
    assert_eq!(other.post(false, VERIFY, body).await.body, first.body);
    assert_eq!(handle.verify_calls(), 1);
}

#[tokio::test]
async fn without_a_store_its_metric_is_absent() {
    let (qiniu, _handle) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    assert_eq!(gateway.post(false, SESSIONCODE, "{}").await.status, 200);
    assert!(!gateway.metrics().await.contains("store_up"));
}
