//! Replicas that share limits and sessions through a real Redis, with the store in every state that it can be in.
//!
//! Each test has its own Redis (`support/redis.rs`); without a `redis-server` they are skipped, under `CI=true` they fail.
#![cfg(feature = "redis")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod away;
mod limits;
mod load;
mod owners;
mod process;
mod secrets;
mod sessions;
#[path = "../support/mod.rs"]
mod support;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use support::{Answer, Gateway, ISSUER, redis::Redis, sealed, settings_with};

pub(crate) const PASS: &str = r#"{"error_code":0,"error_msg":"SUCCESS","serverlogid":1730042187,"result":{"score":0.9600000000000001,"action_verify":"pass"}}"#;

/// A replica; calls to the store have plenty of time, for machines that are busy.
pub(crate) async fn replica(upstream: SocketAddr, redis: &Redis, routes: &str) -> Gateway {
    replica_at(upstream, &redis.url(), "timeout = \"2s\"", routes).await
}

/// A replica with this store, whatever it is.
pub(crate) async fn replica_at(
    upstream: SocketAddr,
    url: &str,
    store: &str,
    routes: &str,
) -> Gateway {
    let qiniu = format!("endpoint = \"http://{upstream}\"");
    let more = format!(
        "[[identity]]\nissuer = \"{ISSUER}\"\naudience = \"liveness\"\nsecret = {{ env = \"JWT\" }}\n{}\
         [store]\nredis = {{ env = \"REDIS\" }}\n{store}\n{routes}",
        sealed::SETTINGS
    );
    Gateway::run(settings_with(&qiniu, "", &more, &[("REDIS", url)])).await
}

/// Two replicas that both see the store.
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

/// Until the gateway's metrics show this line.
pub(crate) async fn until(gateway: &Gateway, line: &str) {
    let line = format!("liveness_gateway_{line}\n");
    eventually(&line, async || gateway.metrics().await.contains(&line)).await;
}

/// Until it is so; it is looked at again and again.
pub(crate) async fn eventually(what: &str, is_so: impl AsyncFn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is_so().await {
        assert!(Instant::now() < end, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn told(answer: &Answer, status: u16, code: &str) {
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (status, code),
        "{answer:?}"
    );
}
