//! Sentinels that are wrong, odd or silent: one that is right is enough.
//!
//! Everything is scripted, so this runs everywhere.

use liveness_gateway::emulator::Scenario;

use super::{ask, eventually, fake::FakeStore, replica_at, roles::together, rotating, until};
use crate::support::{Gateway, emulator, folder::Folder, redis::free_port, routes, sealed};

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

/// Calls until one of them comes to this store.
async fn calls_come_to(gateway: &Gateway, store: &FakeStore) {
    eventually("calls to the new one", async || {
        let before = store.scripts();
        assert_eq!(ask(gateway, "u").await.status, 200);
        store.scripts() > before
    })
    .await;
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
        "$4000000000\r\n".into(),
        "*2\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n".into(),
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
    // While no sentinel can tell, it stays in use.
    let [stale, other] =
        [stale, other].map(|it| it.replies("SENTINEL", "-LOADING of the test\r\n"));
    let asked = [stale.commands(), other.commands()];
    let again = async || stale.commands() > asked[0] + 4 && other.commands() > asked[1] + 4;
    eventually("two looks", again).await;
    assert!(gateway.metrics().await.contains("store_up 1\n"));
    let _stale = stale.replies("SENTINEL", &names("127.0.0.1", old.port, 1));
    // Named too early: it is not promoted yet, and the old one stays in use.
    let other = other.replies("SENTINEL MASTER", &names("127.0.0.1", replica.port, 2));
    eventually("a try", async || replica.connections() > 0).await;
    assert_eq!((old.connections(), new.connections()), (1, 0));
    let _other = other.replies("SENTINEL MASTER", &names("127.0.0.1", new.port, 3));
    eventually("a switch", async || new.connections() == 1).await;
    calls_come_to(&gateway, &new).await;
    assert_eq!(old.connections(), 1);
}

#[tokio::test]
async fn one_server_under_two_names_is_one_primary() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let store = FakeStore::on_port().await;
    let by_address = naming(&store, 1).await;
    let by_name = sentinel(&names("localhost", store.port, 1)).await;
    let url = url("", &[by_address.port, by_name.port], "");
    let gateway = replica_at(qiniu, &url, TIMEOUT, &routes()).await;
    until(&gateway, "store_up 1").await;
    // The other name is tried with each look at the sentinels, and nothing comes of it.
    let by_name = by_name.replies("SENTINEL MASTER", &names("localhost", store.port, 2));
    let _by_address = by_address.replies("SENTINEL MASTER", &names("localhost", store.port, 2));
    let before = store.connections();
    eventually("tries", async || store.connections() >= before + 3).await;
    drop(by_name);
    assert_eq!(ask(&gateway, "u").await.status, 200);
    assert_eq!(store.last_came_over(":rate:"), 1);
}

#[tokio::test]
async fn sentinels_of_a_new_url_are_asked_while_the_primary_is_in_use() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let [old, new] = [FakeStore::on_port().await, FakeStore::on_port().await];
    let (before, after) = (naming(&old, 1).await, naming(&new, 1).await);
    let folder = Folder::with(&[("redis", &url("", &[before.port], ""))]);
    let gateway = rotating(qiniu, &folder, sealed::SETTINGS, &routes()).await;
    assert_eq!((old.connections(), new.connections()), (1, 0));
    folder.write("redis", &url("", &[after.port], ""));
    eventually("a switch", async || new.connections() == 1).await;
    calls_come_to(&gateway, &new).await;
    assert_eq!(old.connections(), 1);
}
