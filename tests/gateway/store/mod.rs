//! Replicas that share limits and sessions through a real Redis, with the store in every state.
//!
//! Each test has its own Redis (`support/redis.rs`). Without a `redis-server` the tests are
//! skipped; with `CI=true` they fail. What a real one does seldom is tested with a scripted one
//! (`fake.rs`), which runs everywhere.
#![cfg(feature = "redis")]

mod away;
mod counters;
mod failover;
pub(crate) mod fake;
mod limits;
mod load;
mod names;
mod odd_clusters;
mod odd_sentinels;
mod owners;
mod process;
mod quotas;
mod roaming;
mod roles;
mod rotation;
mod scripts;
mod secrets;
mod sessions;
mod slow;
mod tls;
mod traffic;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::support::{
    Answer, Gateway, ISSUER, SESSIONCODE, bearer, folder::Folder, redis::Redis, sealed,
    settings_with,
};
use liveness_gateway::{config::Settings, store::StorePace};

/// A response of Qiniu's to a video that passes.
pub(crate) const PASS: &str = concat!(
    r#"{"error_code":0,"error_msg":"SUCCESS","serverlogid":1730042187,"#,
    r#""result":{"score":0.9600000000000001,"action_verify":"pass"}}"#
);

/// Replicas that notice each other, and give the store time to settle, faster than those of
/// production do. One waits as long for a failover.
pub(crate) const PACE: StorePace = StorePace {
    heartbeat: Duration::from_millis(300),
    lifetime: Duration::from_secs(3),
    longest_pause: Duration::from_millis(300),
    settling: Duration::from_millis(1500),
    recovery: Duration::from_millis(1500),
    failover: Duration::from_secs(10),
};

/// A replica whose calls to the store have plenty of time, because the machine may be busy.
pub(crate) async fn replica(upstream: SocketAddr, redis: &Redis, routes: &str) -> Gateway {
    replica_at(upstream, &redis.url(), "timeout = \"5s\"", routes).await
}

/// A replica with the store at this URL, whatever is there.
pub(crate) async fn replica_at(
    upstream: SocketAddr,
    url: &str,
    store: &str,
    routes: &str,
) -> Gateway {
    Gateway::run(configured(upstream, url, store, routes)).await
}

/// The settings of such a replica.
pub(crate) fn configured(upstream: SocketAddr, url: &str, store: &str, routes: &str) -> Settings {
    let store = format!("redis = {{ env = \"REDIS\" }}\n{store}");
    let more = sections(sealed::SETTINGS, &store, routes);
    let qiniu = format!("endpoint = \"http://{upstream}\"");
    paced(settings_with(&qiniu, "", &more, &[("REDIS", url)]))
}

/// The same settings at the [`PACE`] of the tests.
pub(crate) fn paced(mut settings: Settings) -> Settings {
    settings.store.as_mut().unwrap().pace = PACE;
    settings
}

/// The sections of a replica's configuration besides those of every gateway.
pub(crate) fn sections(sessions: &str, store: &str, routes: &str) -> String {
    format!(
        "[[identity]]\nissuer = \"{ISSUER}\"\naudience = \"liveness\"\n\
         secret = {{ env = \"JWT\" }}\n\
         {sessions}[store]\n{store}\n{routes}"
    )
}

/// Two replicas that have both reached the store.
pub(crate) async fn two(upstream: SocketAddr, redis: &Redis, routes: &str) -> [Gateway; 2] {
    let both = [
        replica(upstream, redis, routes).await,
        replica(upstream, redis, routes).await,
    ];
    for gateway in &both {
        until(gateway, "store_up 1").await;
    }
    both
}

/// Requests a session for this user.
pub(crate) async fn ask(gateway: &Gateway, user: &str) -> Answer {
    let request = gateway
        .request(false, "POST", SESSIONCODE)
        .header("authorization", bearer(user))
        .header("content-type", "application/json");
    gateway.send(false, request, "{}").await
}

/// Waits until the gateway's metrics show this line.
pub(crate) async fn until(gateway: &Gateway, line: &str) {
    let line = format!("liveness_gateway_{line}\n");
    eventually(&line, async || gateway.metrics().await.contains(&line)).await;
}

/// Waits until `is_so` returns true.
pub(crate) async fn eventually(what: &str, is_so: impl AsyncFn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is_so().await {
        assert!(Instant::now() < end, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A replica whose secrets are in this folder, which it reads every few milliseconds: `redis`, and
/// the seal keys that `sessions` names.
pub(crate) async fn rotating(
    upstream: SocketAddr,
    folder: &Folder,
    sessions: &str,
    routes: &str,
) -> Gateway {
    let file = |name: &str| format!("{{ file = \"{}\" }}", folder.path().join(name).display());
    let sessions = sessions.replace("FILE(seal)", &file("seal"));
    let sessions = sessions.replace("FILE(previous)", &file("previous"));
    let store = format!("redis = {}\ntimeout = \"5s\"", file("redis"));
    let qiniu = format!("endpoint = \"http://{upstream}\"");
    let more = sections(&sessions, &store, routes);
    let mut settings = paced(settings_with(&qiniu, "", &more, &[]));
    settings.reloadable.poll_interval = Duration::from_millis(5);
    let gateway = Gateway::run(settings).await;
    until(&gateway, "store_up 1").await;
    gateway
}

/// Asserts that a response is this error.
pub(crate) fn assert_error(answer: &Answer, status: u16, code: &str) {
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (status, code),
        "{answer:?}"
    );
}
