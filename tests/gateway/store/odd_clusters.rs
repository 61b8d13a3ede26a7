//! Nodes of a cluster that are wrong, odd or gone: one that is right is enough.
//!
//! Everything is scripted, so this runs everywhere.

use std::net::SocketAddr;

use liveness_gateway::emulator::Scenario;

use super::{ask, eventually, fake::FakeStore, replica_at, roles::together, until};
use crate::support::{Answer, Gateway, emulator, routes};

const TIMEOUT: &str = "timeout = \"2s\"";

/// A node's list of nodes: this server has all slots.
fn slots(host: &str, port: u16) -> String {
    format!("*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n{host}:{port}\r\n$2\r\nid\r\n")
}

async fn at_cluster(qiniu: SocketAddr, node: &FakeStore) -> Gateway {
    let url = format!("redis+cluster://localhost:{}", node.port);
    let gateway = replica_at(qiniu, &url, TIMEOUT, &routes()).await;
    until(&gateway, "store_up 1").await;
    gateway
}

#[tokio::test]
async fn the_slot_is_found_however_the_nodes_name_each_other_and_a_call_goes_where_it_is_sent() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let [second, third, fourth] = [
        FakeStore::on_port().await,
        FakeStore::on_port().await,
        FakeStore::on_port().await,
    ];
    // Named without a host; then without one in a redirect; then by a name.
    let first = FakeStore::on_port().await;
    let first = first.replies("CLUSTER SLOTS", &slots("$-1\r\n", second.port));
    second.reply("}:", &format!("-MOVED 1 :{}\r\n", third.port));
    let gateway = at_cluster(qiniu, &first).await;
    assert_eq!(second.connections(), 1);
    third.reply(":rate:", &format!("-ASK 1 localhost:{}\r\n", fourth.port));
    for _ in 0..2 {
        let before = fourth.scripts();
        is_decided_by_the_store(&ask(&gateway, "u").await);
        assert_eq!(fourth.scripts(), before + 1);
    }
    assert_eq!((third.connections(), fourth.connections()), (1, 1));
    assert!(gateway.metrics().await.contains("store_up 1\n"));
    // The slot is at the fourth now.
    third.reply("}:", &format!("-MOVED 1 localhost:{}\r\n", fourth.port));
    let before = fourth.scripts();
    is_decided_by_the_store(&ask(&gateway, "u").await);
    assert!(fourth.scripts() > before);
    assert!(gateway.metrics().await.contains("store_up 1\n"));
}

/// A scripted store leaves five requests to each rate; the replica alone would leave hundreds.
fn is_decided_by_the_store(answer: &Answer) {
    assert_eq!(answer.status, 200, "{answer:?}");
    let limit = answer.header("ratelimit");
    assert!(limit.contains("\"user\";r=5;"), "{limit}");
}

#[tokio::test]
async fn a_cluster_that_sends_calls_in_a_circle_or_is_down_is_left_until_it_recovers() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let case = async |fault: &'static str| {
        let [one, other] = [FakeStore::on_port().await, FakeStore::on_port().await];
        let reply = slots("$9\r\nlocalhost\r\n", one.port);
        let one = one.replies("CLUSTER SLOTS", &reply);
        let gateway = at_cluster(qiniu, &one).await;
        other.reply("}:", &format!("-MOVED 1 localhost:{}\r\n", one.port));
        let fault = fault.replace("PORT", &other.port.to_string());
        one.reply("}:", &format!("{fault}\r\n"));
        assert_eq!(ask(&gateway, "u").await.status, 200, "{fault}");
        until(&gateway, "store_up 0").await;
        assert_eq!(ask(&gateway, "u").await.status, 200, "{fault}");
        one.recover();
        until(&gateway, "store_up 1").await;
    };
    together(
        [
            "-MOVED 1 localhost:PORT",
            "-CLUSTERDOWN of the test",
            "-MOVED 1 nowhere",
        ]
        .into_iter()
        .map(case),
    )
    .await;
}

#[tokio::test]
async fn a_node_that_has_left_the_cluster_makes_nobody_forget_the_others() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let [first, second] = [FakeStore::on_port().await, FakeStore::on_port().await];
    let list = slots("$9\r\nlocalhost\r\n", second.port);
    let first = first.replies("CLUSTER SLOTS", &list);
    let second = second.replies("CLUSTER SLOTS", &list);
    let gateway = at_cluster(qiniu, &first).await;
    // The node of the URL knows nobody any more, and for a while the other has no slot either.
    let first = first.replies("CLUSTER SLOTS", "*0\r\n");
    second.reply("}:", "-CLUSTERDOWN of the test\r\n");
    assert_eq!(ask(&gateway, "u").await.status, 200);
    let (one, other) = (first.commands(), second.commands());
    eventually("both are asked", async || {
        first.commands() >= one + 2 && second.commands() >= other + 4
    })
    .await;
    assert!(gateway.metrics().await.contains("store_up 0\n"));
    second.recover();
    until(&gateway, "store_up 1").await;
}
