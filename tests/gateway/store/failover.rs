//! Another server takes over, by sentinels or in a cluster, under load, with and without TLS: every
//! video is one call, also if it goes to two replicas at once, no request fails, and limits hold.

use std::{sync::Arc, time::Instant};

use tokio::sync::Semaphore;

use super::{
    PASS,
    away::looks,
    eventually,
    fake::lead,
    replica_at,
    roaming::{Pair, Roaming},
    scripts::PUBLISH,
    until,
};
use crate::support::{
    Gateway, VERIFY,
    folder::Folder,
    redis::{self, Redis, certificate::ServerCertificate, cluster::Cluster, watched::Watched},
    routes,
    sealed::fresh,
    upstream::{self, Does, answer},
    verify_body, video,
};

/// Waits until both replicas have this server as their store, and users have gone on with it.
/// Returns when both had it.
async fn is_taken_over_by(server: &Redis, pair: &Pair, users: &Roaming) -> Instant {
    let replicas = async || server.keys("{liveness-gateway}:replica:*").await.len() == 2;
    eventually("both are at the new primary", replicas).await;
    pair.both_are_up().await;
    let back = Instant::now();
    users.go_on().await;
    back
}

#[tokio::test]
async fn a_primary_that_is_demoted_is_left_for_the_one_that_the_sentinel_promotes() {
    if !redis::is_there() {
        return;
    }
    let certificate = ServerCertificate::new();
    let watched = Watched::start(Some(&certificate)).await;
    let mut pair = Pair::at(&watched.url(), &certificate.trust()).await;
    pair.limits_are_shared("before").await;
    let users = pair.users();
    users.go_on().await;
    let began = Instant::now();
    let next = watched.demote().await;
    let back = is_taken_over_by(&watched.servers[next], &pair, &users).await;
    pair.limits_are_shared("after").await;
    pair.was_one_call_each(users, back - began).await;
    watched.nothing_was_denied().await;
}

#[tokio::test]
async fn a_primary_that_is_killed_is_left_for_the_one_that_the_sentinel_promotes() {
    if !redis::is_there() {
        return;
    }
    let mut watched = Watched::start(None).await;
    let mut pair = Pair::at(&watched.url(), "").await;
    let users = pair.users();
    users.go_on().await;
    let began = Instant::now();
    let (next, ()) = tokio::join!(
        watched.kill(),
        pair.is_held_to_the_limits_of_both("meanwhile")
    );
    let back = is_taken_over_by(&watched.servers[next], &pair, &users).await;
    pair.limits_are_shared("after").await;
    pair.was_one_call_each(users, back - began).await;
    watched.nothing_was_denied().await;
}

#[tokio::test]
async fn a_slot_that_moves_is_followed_and_so_is_the_one_that_replaces_its_node() {
    if !redis::is_there() {
        return;
    }
    let certificate = ServerCertificate::new();
    let mut cluster = Cluster::start(Some(&certificate)).await;
    let mut pair = Pair::at(&cluster.url(), &certificate.trust()).await;
    let users = pair.users();
    users.go_on().await;
    // All keys are where they were, and new ones at the next node; then some, and then all.
    let session = "{liveness-gateway}:session:1";
    let first = &cluster.nodes[0];
    let words = ["HSET", session, "s", "w", "p", "x", "o", "A", "n", "1"];
    first.ask(&words).await;
    cluster.begin_move().await;
    // A session that is there is changed there, and never missing.
    let answered = ["x", "A", "1", "60000", "a", "sealed"];
    let words = [&["EVAL", PUBLISH, "1", session][..], &answered].concat();
    assert_eq!(first.ask(&words).await, [b"1"]);
    users.go_on().await;
    pair.limits_are_shared("before keys move").await;
    cluster.move_keys(5).await;
    users.go_on().await;
    pair.limits_are_shared("while keys move").await;
    while cluster.move_keys(100).await > 0 {}
    users.go_on().await;
    pair.limits_are_shared("when keys have moved").await;
    cluster.end_move().await;
    // It has got all keys, and what a failover may lose is not at stake.
    cluster.nodes[1].remembers_since(1).await;
    is_taken_over_by(&cluster.nodes[1], &pair, &users).await;
    pair.limits_are_shared("after the move").await;

    // The node of the URL goes, too.
    assert_eq!(cluster.nodes[0].denied().await, Vec::<String>::new());
    let began = Instant::now();
    cluster.kill().await;
    pair.is_held_to_the_limits_of_both("meanwhile").await;
    let back = is_taken_over_by(&cluster.nodes[3], &pair, &users).await;
    pair.limits_are_shared("after the failover").await;
    pair.was_one_call_each(users, back - began).await;
    assert_eq!(cluster.nodes[3].denied().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_claim_that_a_dead_primary_did_not_pass_on_is_published_to_its_successor_first() {
    if !redis::is_there() {
        return;
    }
    let gate = Arc::new(Semaphore::new(0));
    let qiniu = upstream::start(Does::WhenLet(Arc::clone(&gate), answer("200 OK", PASS))).await;
    let folder = Folder::with(&[]);
    let path = |name: &str| folder.path().join(name);
    let socket = |name: &str| path(name).to_str().unwrap().to_owned();
    let mut old = Redis::start_with(&["--unixsocket", &socket("old")]).await;
    let port = old.port.to_string();
    let replica = [
        "--unixsocket",
        &socket("new"),
        "--replicaof",
        "127.0.0.1",
        &port,
    ];
    let new = Redis::start_with(&replica).await;
    old.until_info("replication", "state=online").await;
    old.remembers_since(1).await;
    let gateway = async |name: &str| {
        lead(&path(name), &path("old"));
        let url = format!("unix://{}", path(name).display());
        let gateway = replica_at(qiniu.address, &url, "timeout = \"2s\"", &routes()).await;
        until(&gateway, "store_up 1").await;
        Arc::new(gateway)
    };
    let [owner, other] = [gateway("owner").await, gateway("other").await];
    let body = verify_body(&fresh(qiniu.address, "S1"), &video(0));
    let post = |gateway: &Arc<Gateway>| {
        let (gateway, body) = (Arc::clone(gateway), body.clone());
        tokio::spawn(async move { gateway.post(false, VERIFY, body).await })
    };
    let epoch = async || new.ask(&["GET", "{liveness-gateway}:epoch"]).await;
    eventually("the epoch is replicated", async || {
        !epoch().await.is_empty()
    })
    .await;
    // From now on it gets nothing any more, and has forgotten nothing that it got.
    new.ask(&["REPLICAOF", "NO", "ONE"]).await;
    let first = post(&owner);
    qiniu.until_requests(1).await;
    old.kill();
    until(&other, "store_up 0").await;
    lead(&path("other"), &path("new"));
    until(&other, "store_up 1").await;
    let before = looks(&new).await;
    let retry = post(&other);
    // The new primary does not know the session, and may have forgotten it.
    let again = async || looks(&new).await >= before + 2;
    eventually("two looks", again).await;
    lead(&path("owner"), &path("new"));
    until(&owner, "store_up 1").await;
    gate.add_permits(2);
    for answer in [first, retry] {
        assert_eq!(answer.await.unwrap().body, PASS);
    }
    assert_eq!(qiniu.requests(), 1);
}
