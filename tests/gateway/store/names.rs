//! Callers have the same names in the store on all replicas with the same secret, and others under
//! another.

use std::{collections::HashSet, net::SocketAddr};

use liveness_gateway::emulator::Scenario;

use super::{
    counters::{caller, store_with},
    eventually, rotating, sections, until,
};
use crate::support::{
    Gateway, SESSIONCODE, emulator,
    folder::Folder,
    quota::{left, with_quota},
    redis::{self, Redis},
    sealed::{KEY, OTHER_KEY},
    settings_with,
};

const ONE_KEY: &str = "[sessions]\nseal_key = FILE(seal)\n";

/// Both limits of a route, so tight that nothing comes back while a test runs.
fn limited() -> String {
    with_quota("100/day").replace(
        "rate = \"1000/s\"\nburst = 1000",
        "rate = \"1/day\"\nburst = 100",
    )
}

async fn replica(qiniu: SocketAddr, folder: &Folder) -> Gateway {
    rotating(qiniu, folder, ONE_KEY, &limited()).await
}

/// What is left of the rate and the quota after one more call.
async fn after_a_call(gateway: &Gateway) -> (u32, u32) {
    let answer = gateway.post(false, SESSIONCODE, "{}").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let (_, rate) = answer
        .header("ratelimit")
        .split_once("\"user\";r=")
        .unwrap();
    let rate = rate.split_once(';').unwrap().0.parse().unwrap();
    (rate, left(&answer))
}

#[tokio::test]
async fn replicas_with_the_same_secret_give_a_caller_the_same_name_and_others_another() {
    if !redis::is_there() {
        return;
    }
    let redis = Redis::start().await;
    let [one, same, other] = [
        store_with(&redis, b"one secret").await,
        store_with(&redis, b"one secret").await,
        store_with(&redis, b"another").await,
    ];
    let caller = caller("user-1");
    let name = |store: &liveness_gateway::store::Store| {
        store.caller_key("rate", "/", &caller.issuer, &caller.user)
    };
    assert_eq!(name(&one), name(&same));
    assert_ne!(name(&one), name(&other));
}

#[tokio::test]
async fn a_new_seal_key_begins_rates_and_quotas_anew_on_replicas_that_start_with_it() {
    if !redis::is_there() {
        return;
    }
    let (qiniu, _handle) = emulator(Scenario::Pass).await;
    let redis = Redis::start().await;
    let folder = Folder::with(&[("seal", KEY), ("redis", &redis.url())]);
    let before = replica(qiniu, &folder).await;
    assert_eq!(after_a_call(&before).await, (99, 99));
    assert_eq!(after_a_call(&before).await, (98, 98));
    drop(before);
    folder.write("seal", OTHER_KEY);
    let [one, other] = [replica(qiniu, &folder).await, replica(qiniu, &folder).await];
    // Once: from then on all replicas with the new key count together.
    assert_eq!(after_a_call(&one).await, (99, 99));
    assert_eq!(after_a_call(&other).await, (98, 98));
    assert_eq!(after_a_call(&one).await, (97, 97));
}

#[tokio::test]
async fn a_seal_key_that_changes_while_a_replica_runs_names_callers_anew_from_then_on() {
    if !redis::is_there() {
        return;
    }
    let (qiniu, _handle) = emulator(Scenario::Pass).await;
    let redis = Redis::start().await;
    let folder = Folder::with(&[("seal", KEY), ("redis", &redis.url())]);
    let one = replica(qiniu, &folder).await;
    assert_eq!(after_a_call(&one).await, (99, 99));
    let names = async || -> HashSet<String> {
        let keys = redis.keys("{liveness-gateway}:rate:*").await;
        keys.into_iter().collect()
    };
    let before = names().await;
    assert_eq!(before.len(), 1);
    folder.write("seal", OTHER_KEY);
    // A request that is refused is counted by the rate and makes no call.
    eventually("a new name", async || {
        one.post(false, SESSIONCODE, "[]").await;
        names().await.len() == 2
    })
    .await;
    let (rate, quota) = after_a_call(&one).await;
    assert_eq!(rate, 98, "the rate began anew");
    assert_eq!(
        quota, 98,
        "the replica published its own calls under the new name"
    );
    // A replica that starts with the new key counts together with this one.
    let other = replica(qiniu, &folder).await;
    assert_eq!(after_a_call(&other).await, (97, 97));
}

#[tokio::test]
async fn without_bound_sessions_replicas_name_callers_by_qiniu_s_secret_key() {
    if !redis::is_there() {
        return;
    }
    let (qiniu, _handle) = emulator(Scenario::Pass).await;
    let redis = Redis::start().await;
    let unbound = async || {
        let store = "redis = { env = \"REDIS\" }\ntimeout = \"2s\"";
        let more = sections("[sessions]\nbind = false\n", store, &limited());
        let qiniu = format!("endpoint = \"http://{qiniu}\"");
        let settings = settings_with(&qiniu, "", &more, &[("REDIS", &redis.url())]);
        let gateway = Gateway::run(settings).await;
        until(&gateway, "store_up 1").await;
        gateway
    };
    let [one, other] = [unbound().await, unbound().await];
    assert_eq!(after_a_call(&one).await, (99, 99));
    assert_eq!(after_a_call(&other).await, (98, 98));
}
