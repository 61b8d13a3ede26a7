//! The store, whichever way its URL names it.

use std::{net::SocketAddr, time::Duration};

use liveness_gateway::emulator::Scenario;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{code, connect, fixed, fixed_line, has_lines, stderr, stdout};
use crate::{
    store::fake::FakeStore,
    support::{
        emulator,
        folder::Folder,
        redis::{self, Redis},
        secure::{self, Authority},
        upstream,
    },
};

const ALLOWED: &str = "writes and scripts allowed";

/// A sentinel's reply that names a server of this machine.
fn names(port: u16) -> String {
    let port = port.to_string();
    let length = port.len();
    format!("*4\r\n$2\r\nip\r\n$9\r\n127.0.0.1\r\n$4\r\nport\r\n${length}\r\n{port}\r\n")
}

/// A node's list of nodes: one of this machine has all slots.
fn slots(port: u16) -> String {
    format!("*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$9\r\n127.0.0.1\r\n:{port}\r\n$2\r\nid\r\n")
}

/// What a store says of itself.
fn info(version: &str, more: &str) -> String {
    let text = format!("# Server\r\n{version}\r\n{more}\r\n");
    format!("${}\r\n{text}\r\n", text.len())
}

fn at(store: &FakeStore) -> String {
    format!("127.0.0.1:{}", store.port)
}

async fn refusing(part: &str, reply: &str) -> FakeStore {
    let store = FakeStore::on_port().await;
    store.reply(part, &format!("{reply}\r\n"));
    store
}

/// An address at which each reply of the store comes late.
async fn delayed(store: &FakeStore) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, store) = (listener.local_addr().unwrap(), at(store));
    tokio::spawn(async move {
        while let Ok((front, _)) = listener.accept().await {
            let back = TcpStream::connect(&store).await.unwrap();
            tokio::spawn(async move {
                let (mut asked, mut told) = front.into_split();
                let (mut replies, mut calls) = back.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut asked, &mut calls).await });
                let mut reply = [0; 4096];
                while let Ok(length @ 1..) = replies.read(&mut reply).await {
                    tokio::time::sleep(Duration::from_millis(15)).await;
                    told.write_all(&reply[..length]).await.unwrap();
                }
            });
        }
    });
    address
}

/// A store, and what its line says.
struct Case {
    url: String,
    /// Further keys of `[store]`.
    keys: &'static str,
    begin: String,
    parts: Vec<String>,
}

fn case(url: String, begin: impl Into<String>, parts: &[&str]) -> Case {
    Case {
        url,
        keys: "timeout = \"2s\"",
        begin: begin.into(),
        parts: parts.iter().map(|part| (*part).to_owned()).collect(),
    }
}

impl Case {
    fn with(self, keys: &'static str) -> Self {
        Self { keys, ..self }
    }

    async fn check(self) {
        let (qiniu, _) = emulator(Scenario::Pass).await;
        let store = format!("[store]\nredis = {{ env = \"REDIS\" }}\n{}\n", self.keys);
        let endpoint = format!("endpoint = \"http://{qiniu}\"");
        let secrets = [("REDIS", self.url.clone())];
        let output = connect(&endpoint, &(fixed() + &store), &[], &secrets).await;
        let failed = self.begin.starts_with("FAILED");
        let said = [stdout(&output), stderr(&output)].concat();
        assert_eq!(code(&output), i32::from(failed), "{}: {said}", self.url);
        let line = [vec![self.begin], self.parts].concat().join(" | ");
        has_lines(&output, &["ok       Qiniu ".into(), fixed_line(), line]);
    }
}

/// Checks all of them at the same time.
async fn check_all(cases: impl IntoIterator<Item = Case>) {
    let mut checks = tokio::task::JoinSet::new();
    for case in cases {
        checks.spawn(case.check());
    }
    let mut failed = 0;
    while let Some(checked) = checks.join_next().await {
        failed += u32::from(checked.is_err());
    }
    assert_eq!(failed, 0, "their own messages say why");
}

#[tokio::test]
async fn a_store_is_asked_whichever_way_its_url_names_it() {
    let folder = Folder::with(&[]);
    let path = folder.path().join("store");
    let _socket = FakeStore::start(&path).replies("INFO", &info("redis_version:7.0.15", ""));
    let primary = FakeStore::on_port().await.wants_login("ann MARKER");
    let valkey = info("valkey_version:8.0.1", "redis_version:7.2.4");
    let primary = primary.replies("INFO", &valkey);
    let sentinel = FakeStore::on_port().await;
    let sentinel = sentinel.replies("SENTINEL MASTER main", &names(primary.port));
    let node = FakeStore::on_port().await;
    let port = node.port;
    let node = node.replies("CLUSTER SLOTS", &slots(port));
    let evicts = "maxmemory:9\r\nmaxmemory_policy:allkeys-lru";
    let old = FakeStore::on_port().await;
    let old = old.replies("INFO", &info("redis_version:6.2.0", evicts));
    let (one, watcher, member) = (at(&primary), at(&sentinel), at(&node));
    let by_sentinel = format!("primary {one}, {ALLOWED}");
    let unix = format!("unix://{}", path.display());
    let ok = |shown: &str, version: &str| format!("ok       store     {shown}: {version}");
    check_all([
        case(
            unix.clone(),
            ok(&unix, "Redis 7.0.15, "),
            &[ALLOWED, "(store.timeout 2s)"],
        ),
        case(
            format!("redis://ann:MARKER@{one}/3"),
            ok(&format!("redis://{one}/3"), "Valkey 8.0.1, "),
            &[&by_sentinel],
        ),
        case(
            format!("redis+sentinel://ann:MARKER@{watcher}/main"),
            ok(&format!("redis+sentinel://{watcher}/main"), "Valkey 8.0.1"),
            &[&by_sentinel],
        ),
        case(
            format!("redis+cluster://{member}"),
            ok(&format!("redis+cluster://{member}"), "version unknown"),
            &[ALLOWED],
        ),
        case(
            format!("redis://{}", at(&old)),
            "warning  store ",
            &["Redis 6.2.0", "older than Redis 7.0", "allkeys-lru"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_store_that_can_t_be_used_is_told_with_the_key_to_look_at() {
    let (_refusing, nobody) = upstream::not_listening();
    let authority = Authority::new();
    let plain = FakeStore::on_port().await;
    let front = secure::front(&authority, ([127, 0, 0, 1], plain.port).into()).await;
    let locked = FakeStore::on_port().await.wants_login("ann other");
    let demoted = refusing(":epoch", "-READONLY of the test").await;
    let denied = refusing(":session:", "-NOPERM of the test").await;
    let strange = refusing(":session:", "+OK").await;
    let single = FakeStore::on_port().await;
    let single = single.replies("CLUSTER SLOTS", "-ERR cluster support is off\r\n");
    let unaware = FakeStore::on_port().await;
    let unaware = unaware.replies("SENTINEL MASTER", "-ERR No such master with that name\r\n");
    let cases = [
        (
            format!("redis://{nobody}"),
            &["connection refused", "store.redis"][..],
        ),
        (
            format!("rediss://localhost:{}", front.port()),
            &["authority that is not trusted", "(store.ca_file)"],
        ),
        (
            format!("redis://ann:MARKER@{}", at(&locked)),
            &["does not accept the user or the password", "store.redis"],
        ),
        (
            format!("redis://{}", at(&demoted)),
            &["READONLY", "it is a replica", "store.redis"],
        ),
        (
            format!("redis://{}", at(&denied)),
            &["NOPERM", "docs/store.md"],
        ),
        (
            format!("redis://{}", at(&strange)),
            &["invalid replies", "store.redis"],
        ),
        (
            format!("redis+cluster://{}", at(&single)),
            &["no node of a cluster", "write redis:// in store.redis"],
        ),
        (
            format!("redis+sentinel://{}/main", at(&unaware)),
            &["do not know the service", "store.redis"],
        ),
    ];
    check_all(cases.map(|(url, parts)| case(url, "FAILED   store ", parts))).await;
}

#[tokio::test]
async fn a_store_that_is_slow_and_one_whose_name_is_unknown_are_told_apart() {
    let distant = case(
        "redis://:MARKER@no-such-host.invalid".into(),
        "FAILED   store ",
        &["its name is not resolved", "DNS", "(store.redis)"],
    );
    let fast = FakeStore::on_port().await;
    let late = case(
        format!("redis://{}", delayed(&fast).await),
        "FAILED   store ",
        &[
            "a call takes ",
            "store.timeout is 10ms",
            "raise store.timeout",
        ],
    );
    check_all([
        distant.with("allow_plaintext = true\ntimeout = \"2s\""),
        late.with("timeout = \"10ms\""),
    ])
    .await;
}

#[tokio::test]
async fn a_real_store_is_asked_without_a_trace_that_stays() {
    if !redis::is_there() {
        return;
    }
    // The user of the documentation, who may do nothing more.
    let redis = Redis::guarded(&[]).await;
    let primary = format!("primary 127.0.0.1:{}, {ALLOWED}", redis.port);
    let asked = case(redis.url(), "ok       store ", &[&primary]);
    asked.check().await;
    assert_eq!(redis.denied().await, Vec::<String>::new());
    // What stays has an end.
    for key in redis.keys("*").await {
        let left = redis.ask(&["PTTL", &key]).await.concat();
        let left: i64 = str::from_utf8(&left).unwrap().parse().unwrap();
        assert!((0..=10_000).contains(&left), "{key}: {left}");
        // With it, the first replica would believe that the others had time to publish.
        assert_ne!(key, "{liveness-gateway}:epoch");
    }
    let port = redis.port.to_string();
    let replica = Redis::start_with(&["--replicaof", "127.0.0.1", &port]).await;
    let parts = ["READONLY", "it is a replica"];
    let asked = case(replica.url(), "FAILED   store ", &parts);
    asked.check().await;
}
