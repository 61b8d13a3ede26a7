//! Sentinels and nodes of a cluster that are wrong, odd or silent: one that is right is enough.
//!
//! Everything is scripted, so this runs everywhere.

use liveness_gateway::emulator::Scenario;

use super::{ask, eventually, fake::FakeStore, replica_at, roles::together, until};
use crate::support::{Gateway, emulator, redis::free_port, routes};

const TIMEOUT: &str = "timeout = \"2s\"";

/// A sentinel's reply that names the server on this port, by failover `epoch`.
fn names(host: &str, port: u16, epoch: u32) -> String {
    bulk(&[
        "name",
        "main",
        "ip",
        host,
        "port",
        &port.to_string(),
        "config-epoch",
        &epoch.to_string(),
    ])
}

fn bulk(texts: &[&str]) -> String {
    let mut reply = format!("*{}\r\n", texts.len());
    for text in texts {
        reply.push_str(&format!("${}\r\n{text}\r\n", text.len()));
    }
    reply
}

async fn sentinel(reply: &str) -> FakeStore {
    FakeStore::on_port()
        .await
        .replies("SENTINEL MASTER main", reply)
}

async fn naming(store: &FakeStore, epoch: u32) -> FakeStore {
    sentinel(&names("127.0.0.1", store.port, epoch)).await
}

/// A server that is a replica.
async fn demoted() -> FakeStore {
    let store = FakeStore::on_port().await;
    store.reply(":epoch", "-READONLY of the test\r\n");
    store
}

fn url(login: &str, ports: &[u16], options: &str) -> String {
    let hosts: Vec<_> = ports
        .iter()
        .map(|port| format!("127.0.0.1:{port}"))
        .collect();
    format!("redis+sentinel://{login}{}/main{options}", hosts.join(","))
}

#[tokio::test]
async fn one_sentinel_that_is_right_is_enough_whatever_the_other_says() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let (replica, old) = (demoted().await, FakeStore::on_port().await);
    let unreachable = names("127.0.0.1", free_port(), 9);
    let bad = [
        // Stale: the one that it names still takes itself for the primary.
        names("127.0.0.1", old.port, 1),
        names("127.0.0.1", replica.port, 9),
        unreachable,
        names("", 6379, 9),
        names("no such host", 6379, 9),
        names("192.0.2.1", 6379, 9),
        "-ERR No such master with that name\r\n".into(),
        "-NOAUTH of the test\r\n".into(),
        "*-1\r\n".into(),
        "+OK\r\n".into(),
        "*1\r\n:1\r\n".into(),
        "HTTP/1.1 400 Bad Request\r\n\r\n".into(),
        // It is silent.
        String::new(),
    ];
    let case = async |reply: String| {
        let store = FakeStore::on_port().await;
        let (bad, good) = (sentinel(&reply).await, naming(&store, 2).await);
        let ports = [bad.port, good.port];
        let gateway = replica_at(qiniu, &url("", &ports, ""), TIMEOUT, &routes()).await;
        until(&gateway, "store_up 1").await;
        let before = store.scripts();
        assert_eq!(ask(&gateway, "u").await.status, 200, "{reply}");
        assert!(store.scripts() > before, "{reply}");
    };
    together(bad.into_iter().map(case)).await;
    assert_eq!(old.connections(), 0);
    assert!(replica.connections() > 0);
    // One that does not exist.
    let store = FakeStore::on_port().await;
    let ports = [free_port(), naming(&store, 1).await.port];
    let gateway = replica_at(qiniu, &url("", &ports, ""), TIMEOUT, &routes()).await;
    until(&gateway, "store_up 1").await;
}

#[tokio::test]
async fn sentinels_get_their_own_login_or_that_of_the_servers_if_they_want_one() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let case = async |(wants, options): (Option<&str>, &str)| {
        let store = FakeStore::on_port().await.wants_login("ann pass");
        let mut sentinel = naming(&store, 1).await;
        if let Some(login) = wants {
            sentinel = sentinel.wants_login(login);
        }
        let url = url("ann:pass@", &[sentinel.port], options);
        let gateway = replica_at(qiniu, &url, TIMEOUT, &routes()).await;
        until(&gateway, "store_up 1").await;
    };
    together(
        [
            (None, ""),
            (Some("ann pass"), ""),
            (
                Some("watcher own"),
                "?sentinel_user=watcher&sentinel_password=own",
            ),
            (Some("own"), "?sentinel_password=own"),
        ]
        .into_iter()
        .map(case),
    )
    .await;
}

#[tokio::test]
async fn a_sentinel_that_may_only_tell_the_address_is_asked_for_that() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let store = FakeStore::on_port().await;
    let address = bulk(&["localhost", &store.port.to_string()]);
    let sentinel = sentinel("-NOPERM of the test\r\n").await;
    let sentinel = sentinel.replies("SENTINEL GET-MASTER-ADDR-BY-NAME main", &address);
    let gateway = replica_at(qiniu, &url("", &[sentinel.port], ""), TIMEOUT, &routes()).await;
    until(&gateway, "store_up 1").await;
    assert_eq!(store.connections(), 1);
}

#[tokio::test]
async fn a_primary_that_noticed_nothing_is_left_when_a_sentinel_names_its_successor() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let [old, new, replica] = [
        FakeStore::on_port().await,
        FakeStore::on_port().await,
        demoted().await,
    ];
    let (stale, other) = (naming(&old, 1).await, naming(&old, 1).await);
    let url = url("", &[stale.port, other.port], "");
    let gateway = replica_at(qiniu, &url, TIMEOUT, &routes()).await;
    until(&gateway, "store_up 1").await;
    assert_eq!(new.connections(), 0);
    // Named too early: it is not promoted yet, and the old one stays in use.
    let other = other.replies("SENTINEL MASTER", &names("127.0.0.1", replica.port, 2));
    eventually("a try", async || replica.connections() > 0).await;
    assert_eq!((old.connections(), new.connections()), (1, 0));
    let _other = other.replies("SENTINEL MASTER", &names("127.0.0.1", new.port, 3));
    eventually("a switch", async || new.connections() == 1).await;
    eventually("calls to the new one", async || {
        let before = new.scripts();
        assert_eq!(ask(&gateway, "u").await.status, 200);
        new.scripts() > before
    })
    .await;
    assert_eq!(old.connections(), 1);
}

/// A node's list of nodes: this server has all slots.
fn slots(host: &str, port: u16) -> String {
    format!("*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n{host}:{port}\r\n$2\r\nid\r\n")
}

async fn at_cluster(qiniu: std::net::SocketAddr, node: &FakeStore) -> Gateway {
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
        assert_eq!(ask(&gateway, "u").await.status, 200);
        assert_eq!(fourth.scripts(), before + 1);
    }
    assert_eq!((third.connections(), fourth.connections()), (1, 1));
    assert!(gateway.metrics().await.contains("store_up 1\n"));
    // The slot is at the fourth now.
    third.reply("}:", &format!("-MOVED 1 localhost:{}\r\n", fourth.port));
    let before = fourth.scripts();
    assert_eq!(ask(&gateway, "u").await.status, 200);
    assert!(fourth.scripts() > before);
    assert!(gateway.metrics().await.contains("store_up 1\n"));
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
