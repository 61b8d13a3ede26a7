//! Another server takes over, by sentinels or in a cluster, under load: every video is one call,
//! also if it goes to two replicas at once, no request fails, and limits hold.

use super::{
    eventually,
    roaming::{Pair, Roaming},
};
use crate::support::redis::{self, Redis, cluster::Cluster, watched::Watched};

/// Waits until both replicas have this server as their store, and users have gone on with it.
async fn is_taken_over_by(server: &Redis, pair: &Pair, users: &Roaming) {
    let replicas = async || server.keys("{liveness-gateway}:replica:*").await.len() == 2;
    eventually("both are at the new primary", replicas).await;
    pair.both_are_up().await;
    users.go_on().await;
}

#[tokio::test]
async fn a_primary_that_is_demoted_and_one_that_is_killed_are_left_for_the_next() {
    if !redis::is_there() {
        return;
    }
    let mut watched = Watched::start(&[]).await;
    let mut pair = Pair::at(&watched.url()).await;
    pair.limits_are_shared("before").await;
    let users = pair.users();
    users.go_on().await;
    let next = watched.demote().await;
    is_taken_over_by(&watched.servers[next], &pair, &users).await;
    pair.limits_are_shared("between").await;
    watched.healed().await;
    let (next, ()) = tokio::join!(
        watched.kill(),
        pair.is_held_to_the_limits_of_both("meanwhile")
    );
    is_taken_over_by(&watched.servers[next], &pair, &users).await;
    pair.limits_are_shared("after").await;
    pair.was_one_call_each(users).await;
}

#[tokio::test]
async fn a_slot_that_moves_is_followed_and_so_is_the_one_that_replaces_its_node() {
    if !redis::is_there() {
        return;
    }
    let mut cluster = Cluster::start().await;
    let mut pair = Pair::at(&cluster.url()).await;
    let users = pair.users();
    users.go_on().await;
    // All keys are where they were, and new ones at the next node; then some, and then all.
    cluster.begin_move().await;
    users.go_on().await;
    pair.limits_are_shared("before keys move").await;
    cluster.move_keys(5).await;
    users.go_on().await;
    pair.limits_are_shared("while keys move").await;
    while cluster.move_keys(100).await > 0 {}
    users.go_on().await;
    pair.limits_are_shared("when keys have moved").await;
    cluster.end_move().await;
    is_taken_over_by(&cluster.nodes[1], &pair, &users).await;
    pair.limits_are_shared("after the move").await;

    cluster.nodes[1].kill();
    pair.is_held_to_the_limits_of_both("meanwhile").await;
    is_taken_over_by(&cluster.nodes[3], &pair, &users).await;
    pair.limits_are_shared("after the failover").await;

    // The node of the URL is gone, and a connection is needed.
    cluster.nodes[0].kill();
    cluster.nodes[3]
        .ask(&["CLIENT", "KILL", "TYPE", "normal"])
        .await;
    is_taken_over_by(&cluster.nodes[3], &pair, &users).await;
    pair.limits_are_shared("without the first node").await;
    pair.was_one_call_each(users).await;
}
