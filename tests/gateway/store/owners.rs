//! A replica that ends during a call: if it is stopped, it finishes the call; if it is killed, the
//! outcome is unknown and no replica repeats the call.

use std::sync::Arc;

use liveness_gateway::server::drain::DrainOutcome;
use tokio::{sync::Semaphore, task::JoinSet};

use super::{
    PASS, assert_error,
    process::{Process, shared_secret},
    replica, two, until,
};
use crate::support::{
    VERIFY, crowd,
    quota::with_quota,
    raw,
    redis::{self, Redis},
    routes,
    sealed::fresh,
    upstream::{self, Does, answer},
    verify_body, video,
};

#[tokio::test]
async fn the_call_of_a_killed_replica_is_never_repeated() {
    if !redis::is_there() {
        return;
    }
    let _alone = crowd::alone().await;
    let qiniu = upstream::start(Does::Hang).await;
    let redis = Redis::guarded(&[]).await;
    let other = Arc::new(replica(qiniu.address, &redis, &with_quota("5/day")).await);
    until(&other, "store_up 1").await;
    let routes = with_quota("5/day");
    let owner = Process::start(qiniu.address, &redis.url(), &shared_secret(), &routes);
    let id = fresh(qiniu.address, "S1");
    let (body, another) = (
        verify_body(&id, &video(0)),
        verify_body(&id, &video(200_000)),
    );
    let _caller = raw::begin(owner.address, &raw::whole("user-1", VERIFY, &body)).await;
    qiniu.until_requests(1).await;
    let mut tries = JoinSet::new();
    let mut retry = |number: usize, body: &String| {
        let (other, body) = (Arc::clone(&other), body.clone());
        tries.spawn(async move { other.post(number.is_multiple_of(2), VERIFY, body).await });
    };
    // Half of the retries wait already when it dies.
    (0..100).for_each(|number| retry(number, &body));
    until(&other, "requests_in_flight 100").await;
    drop(owner);
    expire_heartbeats(&redis).await;
    (0..100).for_each(|number| retry(number, &body));
    for answer in tries.join_all().await {
        assert_error(&answer, 409, "outcome_unknown");
    }
    for body in [another, body] {
        let answer = other.post(false, VERIFY, body).await;
        assert_error(&answer, 409, "outcome_unknown");
    }
    assert_eq!(qiniu.requests(), 1);
    // The call may have been billed, so it counts against the quota; no other does.
    let counts = redis.keys("{liveness-gateway}:quota:*").await;
    assert_eq!(counts.len(), 1);
    assert_eq!(redis.ask(&["HGET", &counts[0], "n"]).await, [b"1"]);
    assert_eq!(redis.denied().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_stopped_replica_finishes_its_call_although_the_caller_has_left() {
    if !redis::is_there() {
        return;
    }
    let gate = Arc::new(Semaphore::new(0));
    let qiniu = upstream::start(Does::WhenLet(Arc::clone(&gate), answer("200 OK", PASS))).await;
    let redis = Redis::start().await;
    let [mut owner, other] = two(qiniu.address, &redis, &routes()).await;
    let body = verify_body(&fresh(qiniu.address, "S1"), &video(0));
    let stream = raw::begin(owner.address, &raw::whole("user-1", VERIFY, &body)).await;
    qiniu.until_requests(1).await;
    drop(stream);
    until(&owner, "connections 0").await;
    owner.stop();
    let (again, ()) = tokio::join!(other.post(false, VERIFY, body), async {
        until(&other, "requests_in_flight 1").await;
        gate.add_permits(1);
    });
    assert_eq!(
        (again.status.as_u16(), &again.body[..]),
        (200, PASS.as_bytes())
    );
    assert_eq!((&mut owner.ended).await.unwrap(), DrainOutcome::default());
    assert_eq!(qiniu.requests(), 1);
}

/// Ends the life of all heartbeats, which is ten seconds for a process. The replicas that are alive
/// send another one.
async fn expire_heartbeats(redis: &Redis) {
    let heartbeats = redis.keys("{liveness-gateway}:replica:*").await;
    let mut longest = 0;
    for heartbeat in &heartbeats {
        let left = redis.ask(&["PTTL", heartbeat]).await.concat();
        let left: u32 = str::from_utf8(&left).unwrap().parse().unwrap();
        longest = left.max(longest);
        redis.ask(&["DEL", heartbeat]).await;
    }
    assert!((5_000..=10_000).contains(&longest), "{longest}");
}
