//! One call for each session, however many replicas its uploads reach.

use std::sync::Arc;

use liveness_gateway::emulator::Scenario;
use tokio::{sync::Semaphore, task::JoinSet};

use super::{PASS, assert_error, away::looks, eventually, two, until};
use crate::support::{
    Gateway, VERIFY, crowd, emulator, raw,
    redis::{self, Redis},
    routes,
    sealed::fresh,
    session,
    upstream::{self, Does, answer},
    verify_body, video,
};

#[tokio::test]
async fn two_hundred_uploads_over_two_replicas_are_one_call() {
    if !redis::is_there() {
        return;
    }
    let _alone = crowd::alone().await;
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let redis = Redis::start().await;
    let both = two(qiniu, &redis, &routes()).await.map(Arc::new);
    let body = verify_body(&session(&both[0]).await, &video(0));
    let mut tries = JoinSet::new();
    for number in 0..200 {
        let (gateway, body) = (Arc::clone(&both[number % 2]), body.clone());
        tries.spawn(async move { gateway.post(number % 4 < 2, VERIFY, body).await });
    }
    let answers = tries.join_all().await;
    for answer in &answers {
        assert_eq!(
            (answer.status.as_u16(), &answer.body),
            (200, &answers[0].body)
        );
    }
    assert_eq!(answers[0].json()["result"]["action_verify"], "pass");
    assert_eq!(handle.verify_calls(), 1);
    let mut counted = 0;
    for gateway in &both {
        let metrics = gateway.metrics().await;
        let calls = metrics.lines().filter(|line| {
            line.starts_with("liveness_gateway_upstream_requests_total{") && line.contains(VERIFY)
        });
        counted += calls
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
            .sum::<u64>();
    }
    assert_eq!(counted, handle.verify_calls());
}

#[tokio::test]
async fn a_retry_elsewhere_waits_for_the_call_and_another_video_does_not() {
    if !redis::is_there() {
        return;
    }
    let gate = Arc::new(Semaphore::new(0));
    let qiniu = upstream::start(Does::WhenLet(Arc::clone(&gate), answer("200 OK", PASS))).await;
    let redis = Redis::start().await;
    let [one, other] = two(qiniu.address, &redis, &routes()).await.map(Arc::new);
    let id = fresh(qiniu.address, "S1");
    let (body, another) = (
        verify_body(&id, &video(0)),
        verify_body(&id, &video(200_000)),
    );
    let post = |gateway: &Arc<Gateway>| {
        let (gateway, body) = (Arc::clone(gateway), body.clone());
        tokio::spawn(async move { gateway.post(false, VERIFY, body).await })
    };
    let first = post(&one);
    qiniu.until_requests(1).await;
    assert_error(
        &other.post(false, VERIFY, another.clone()).await,
        409,
        "session_in_use",
    );
    let retry = post(&other);
    until(&other, "requests_in_flight 1").await;
    // A retry whose caller leaves delays nothing.
    let left = post(&other);
    until(&other, "requests_in_flight 2").await;
    left.abort();
    gate.add_permits(1);
    assert_eq!(first.await.unwrap().body, PASS);
    let answer = retry.await.unwrap();
    assert_eq!(
        (answer.status.as_u16(), answer.body.as_ref()),
        (200, PASS.as_bytes())
    );
    for gateway in [&one, &other] {
        assert_error(
            &gateway.post(false, VERIFY, another.clone()).await,
            409,
            "session_used",
        );
        assert_eq!(gateway.post(true, VERIFY, body.clone()).await.body, PASS);
    }
    assert_eq!(qiniu.requests(), 1);
}

#[tokio::test]
async fn the_other_replica_has_a_response_before_its_caller_does() {
    if !redis::is_there() {
        return;
    }
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let redis = Redis::start().await;
    let [one, other] = two(qiniu, &redis, &routes()).await;
    for round in 0..8 {
        let body = verify_body(&session(&one).await, &video(0));
        let first = one.post(false, VERIFY, body.clone()).await;
        for key in redis.keys("{liveness-gateway}:session:*").await {
            assert_eq!(redis.ask(&["HGET", &key, "s"]).await, [b"a"], "{round}");
        }
        let again = other.post(false, VERIFY, body).await;
        assert_eq!((again.status, &again.body), (first.status, &first.body));
        assert_eq!(handle.verify_calls(), round + 1);
    }
}

#[tokio::test]
async fn a_session_that_qiniu_did_not_take_is_free_everywhere_and_one_with_a_lost_response_nowhere()
{
    if !redis::is_there() {
        return;
    }
    let answers = vec![
        answer("503 X", "{}"),
        answer("503 X", "{}"),
        answer("200 OK", PASS),
        answer("500 X", "{}"),
    ];
    let qiniu = upstream::start(Does::InTurn(answers)).await;
    let redis = Redis::start().await;
    let [one, other] = two(qiniu.address, &redis, &routes()).await;
    let body = verify_body(&fresh(qiniu.address, "S1"), &video(0));
    for gateway in [&one, &other] {
        assert_error(
            &gateway.post(false, VERIFY, body.clone()).await,
            503,
            "upstream_busy",
        );
    }
    for gateway in [&one, &other] {
        assert_eq!(gateway.post(false, VERIFY, body.clone()).await.body, PASS);
    }
    let body = verify_body(&fresh(qiniu.address, "S2"), &video(0));
    assert_error(
        &one.post(false, VERIFY, body.clone()).await,
        502,
        "upstream_error",
    );
    for gateway in [&other, &one, &other] {
        assert_error(
            &gateway.post(false, VERIFY, body.clone()).await,
            409,
            "outcome_unknown",
        );
    }
    assert_eq!(qiniu.requests(), 4);
}

#[tokio::test]
async fn an_upload_over_the_concurrency_limit_gives_its_lease_back_on_every_replica() {
    if !redis::is_there() {
        return;
    }
    let gate = Arc::new(Semaphore::new(0));
    let qiniu = upstream::start(Does::WhenLet(Arc::clone(&gate), answer("200 OK", PASS))).await;
    let redis = Redis::start().await;
    let one_at_once = routes().replace("concurrent_per_user = 100", "concurrent_per_user = 1");
    let [one, other] = two(qiniu.address, &redis, &one_at_once).await.map(Arc::new);
    let bodies = ["S1", "S2"].map(|id| verify_body(&fresh(qiniu.address, id), &video(0)));
    let first = {
        let (gateway, body) = (Arc::clone(&one), bodies[0].clone());
        tokio::spawn(async move { gateway.post(false, VERIFY, body).await })
    };
    qiniu.until_requests(1).await;
    assert_error(
        &one.post(false, VERIFY, bodies[1].clone()).await,
        429,
        "too_many_concurrent",
    );
    gate.add_permits(2);
    assert_eq!(
        other.post(false, VERIFY, bodies[1].clone()).await.body,
        PASS
    );
    assert_eq!(first.await.unwrap().body, PASS);
    assert_eq!(qiniu.requests(), 2);
}

#[tokio::test]
async fn a_caller_who_leaves_while_a_new_store_settles_blocks_nothing() {
    if !redis::is_there() {
        return;
    }
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let redis = Redis::start_with::<&str>(&[]).await;
    let [one, _other] = two(qiniu, &redis, &routes()).await;
    let body = verify_body(&session(&one).await, &video(0));
    let request = raw::whole("user-1", VERIFY, &body);
    let stream = raw::begin(one.address, &request).await;
    eventually("a look", async || looks(&redis).await > 0).await;
    drop(stream);
    until(&one, "connections 0").await;
    let answer = one.post(false, VERIFY, body).await;
    assert_eq!(
        answer.json()["result"]["action_verify"],
        "pass",
        "{answer:?}"
    );
    assert_eq!(handle.verify_calls(), 1);
}
