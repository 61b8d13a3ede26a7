//! A store that is no primary any more, or refuses a call: it is left for the one that its name now
//! leads to, and an error that concerns one key concerns nobody else.
//!
//! The scripted store runs everywhere; the last tests need a real one.

use std::{future::Future, net::SocketAddr, task::Poll};

use liveness_gateway::emulator::Scenario;

use super::{
    ask, configured, eventually,
    fake::{FakeStore, lead},
    two, until,
};
use crate::support::{
    Gateway, VERIFY, emulator,
    folder::Folder,
    quota::with_quota,
    redis::{self, Redis},
    routes, session, verify_body, video,
};

/// Two stores, and a name that leads to the first of them.
fn stores(folder: &Folder) -> ([FakeStore; 2], String) {
    let path = |name: &str| folder.path().join(name);
    let stores = ["one", "other"].map(|name| FakeStore::start(&path(name)));
    stores[0].takes(&path("store"));
    (stores, format!("unix://{}", path("store").display()))
}

/// Runs these at the same time: most of each is a wait.
pub(crate) async fn together(cases: impl IntoIterator<Item = impl Future<Output = ()>>) {
    let mut cases: Vec<_> = cases.into_iter().map(Box::pin).collect();
    std::future::poll_fn(|context| {
        cases.retain_mut(|case| case.as_mut().poll(context).is_pending());
        match cases.is_empty() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
}

async fn gateway(qiniu: SocketAddr, url: &str) -> Gateway {
    let gateway = Gateway::run(configured(qiniu, url, "timeout = \"2s\"", &routes())).await;
    until(&gateway, "store_up 1").await;
    gateway
}

#[tokio::test]
async fn a_store_that_can_t_serve_is_left_for_the_one_its_name_now_leads_to() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let codes = [
        "READONLY",
        "LOADING",
        "MASTERDOWN",
        "BUSY",
        "OOM",
        "MISCONF",
        "NOREPLICAS",
        "CLUSTERDOWN",
        "MOVED",
        "NOAUTH",
    ];
    let case = async |code: &'static str| {
        let folder = Folder::with(&[]);
        let ([one, other], url) = stores(&folder);
        let gateway = gateway(qiniu, &url).await;
        assert_eq!(other.connections(), 0);
        one.reply(":rate:", &format!("-{code} of the test\r\n"));
        other.takes(&folder.path().join("store"));
        // No request fails, and the first that is refused makes the gateway leave.
        assert_eq!(ask(&gateway, "u").await.status, 200, "{code}");
        eventually(code, async || other.connections() == 1).await;
        until(&gateway, "store_up 1").await;
        let before = one.scripts();
        let asked = other.scripts();
        assert_eq!(ask(&gateway, "u").await.status, 200, "{code}");
        assert!(other.scripts() > asked, "{code}");
        assert_eq!((one.scripts(), one.connections()), (before, 1), "{code}");
    };
    together(codes.into_iter().map(case)).await;
}

#[tokio::test]
async fn a_request_asks_for_its_limits_in_one_round_trip_and_a_verify_twice_for_its_session() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let folder = Folder::with(&[]);
    let ([store, _], url) = stores(&folder);
    let quota = with_quota("1000/day");
    let gateway = Gateway::run(configured(qiniu, &url, "timeout = \"2s\"", &quota)).await;
    until(&gateway, "store_up 1").await;
    let kinds = [":rate:", ":quota:", ":session:"];
    let asked = || kinds.map(|kind| store.asked(kind));
    let body = verify_body(&session(&gateway).await, &video(0));
    assert_eq!(asked(), [1, 2, 0]);
    gateway.post(false, VERIFY, body).await;
    assert_eq!(asked(), [2, 4, 2]);
    // Neither of the first two calls waits for the reply to the other.
    store.reply("}:", "");
    tokio::select! {
        answer = ask(&gateway, "u") => panic!("{answer:?}"),
        () = eventually("both", async || asked()[..2] == [3, 5]) => {}
    }
}

#[tokio::test]
async fn an_error_that_concerns_one_key_fails_that_call_alone() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let folder = Folder::with(&[]);
    let ([store, _], url) = stores(&folder);
    let gateway = gateway(qiniu, &url).await;
    for reply in [
        "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        "-ERR user_script:7: attempt to compare nil with number\r\n",
        "-NOPERM No permissions to access a key\r\n",
        "-NEWCODE that nobody knows yet\r\n",
        // Not what the script returns.
        "+OK\r\n",
        "*2\r\n:1\r\n:-1\r\n",
        "$-1\r\n",
    ] {
        for part in [":rate:", ":session:"] {
            store.reply(part, reply);
            let body = verify_body(&session(&gateway).await, &video(0));
            let before = handle.verify_calls();
            let first = gateway.post(false, VERIFY, body.clone()).await;
            assert_eq!(first.json()["result"]["action_verify"], "pass", "{reply}");
            assert_eq!(gateway.post(false, VERIFY, body).await.body, first.body);
            assert_eq!(handle.verify_calls(), before + 1, "{reply}");
            store.recover();
        }
        assert!(gateway.metrics().await.contains("store_up 1\n"), "{reply}");
    }
    assert_eq!(store.connections(), 1);
}

#[tokio::test]
async fn a_store_that_refuses_a_heartbeat_is_left_whatever_the_error() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let replies = ["-NOPERM No permissions to access a key\r\n", "+OK\r\n"];
    let case = async |reply: &'static str| {
        let folder = Folder::with(&[]);
        let ([store, _], url) = stores(&folder);
        let gateway = gateway(qiniu, &url).await;
        store.reply(":replica:", reply);
        until(&gateway, "store_up 0").await;
        assert_eq!(ask(&gateway, "u").await.status, 200);
        store.recover();
        until(&gateway, "store_up 1").await;
    };
    together(replies.into_iter().map(case)).await;
}

#[tokio::test]
async fn a_redis_that_was_demoted_is_left_for_the_new_primary_and_no_video_is_sent_twice() {
    if !redis::is_there() {
        return;
    }
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let folder = Folder::with(&[]);
    let path = |name: &str| folder.path().join(name);
    let mut servers = Vec::new();
    for name in ["one", "other"] {
        let socket = path(name);
        let redis = Redis::start_with(&["--unixsocket", socket.to_str().unwrap()]).await;
        redis.remembers_since(1).await;
        servers.push(redis);
    }
    lead(&path("store"), &path("one"));
    let url = format!("unix://{}", path("store").display());
    let both = [gateway(qiniu, &url).await, gateway(qiniu, &url).await];
    let body = verify_body(&session(&both[0]).await, &video(0));
    // The port of a primary that does not exist.
    servers[0].ask(&["REPLICAOF", "127.0.0.1", "1"]).await;
    lead(&path("store"), &path("other"));
    let first = both[0].post(false, VERIFY, body.clone()).await;
    assert_eq!(first.json()["result"]["action_verify"], "pass");
    for gateway in &both {
        let sessions = async || {
            let up = gateway.metrics().await.contains("store_up 1\n");
            up && servers[1].keys("{liveness-gateway}:replica:*").await.len() == 2
        };
        eventually("both are at the new primary", sessions).await;
    }
    assert_eq!(both[1].post(false, VERIFY, body).await.body, first.body);
    assert_eq!(handle.verify_calls(), 1);
}

#[tokio::test]
async fn a_key_of_another_type_in_a_redis_concerns_its_user_alone() {
    if !redis::is_there() {
        return;
    }
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let redis = Redis::start().await;
    let tight = &routes().replace(
        "rate = \"1000/s\"\nburst = 1000",
        "rate = \"1/h\"\nburst = 3",
    );
    let [one, other] = two(qiniu, &redis, tight).await;
    assert_eq!(ask(&one, "broken").await.status, 200);
    let keys = redis.keys("{liveness-gateway}:rate:*").await;
    for key in &keys {
        redis.ask(&["DEL", key]).await;
        redis.ask(&["LPUSH", key, "x"]).await;
    }
    assert_eq!(keys.len(), 1);
    assert_eq!(ask(&one, "broken").await.status, 200);
    assert_eq!(ask(&other, "broken").await.status, 200);
    for gateway in [&one, &other] {
        assert!(gateway.metrics().await.contains("store_up 1\n"));
    }
    // Others still share theirs.
    for gateway in [&one, &other, &one] {
        assert_eq!(ask(gateway, "whole").await.status, 200);
    }
    assert_eq!(ask(&other, "whole").await.status, 429);
}
