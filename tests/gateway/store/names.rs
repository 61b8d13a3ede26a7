//! Callers are counted under the same names whatever becomes of the secrets of replicas.

use std::net::SocketAddr;

use liveness_gateway::emulator::Scenario;

use super::{
    eventually, rotating,
    words::{caller, store},
};
use crate::support::{
    Gateway, SESSIONCODE, emulator,
    folder::Folder,
    quota::{left, with_quota},
    redis::{self, Redis},
    sealed::{KEY, OTHER_KEY},
};

const ONE_KEY: &str = "[sessions]\nseal_key = FILE(seal)\n";
const TWO_KEYS: &str = "[sessions]\nseal_key = FILE(seal)\nprevious_seal_key = FILE(previous)\n";
const THIRD_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Both of a route's limits, tight.
fn limited() -> String {
    with_quota("100/day").replace(
        "rate = \"1000/s\"\nburst = 1000",
        "rate = \"1/day\"\nburst = 100",
    )
}

async fn replica(qiniu: SocketAddr, folder: &Folder, keys: &str) -> Gateway {
    rotating(qiniu, folder, keys, &limited()).await
}

/// What is left of rate and quota after one more call.
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

/// Until the store holds the key of names for so many secrets.
async fn known_by(redis: &Redis, secrets: usize) {
    for _ in 0..2000 {
        if redis.keys("liveness-gateway:names:*").await.len() == secrets {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("never {secrets}");
}

#[tokio::test]
async fn who_starts_after_a_change_of_the_seal_key_goes_on_with_the_same_counts() {
    if !redis::is_there() {
        return;
    }
    let (qiniu, _handle) = emulator(Scenario::Pass).await;
    let redis = Redis::start().await;
    let folder = Folder::with(&[("seal", KEY), ("redis", &redis.url())]);
    let one = replica(qiniu, &folder, ONE_KEY).await;
    assert_eq!(after_a_call(&one).await, (99, 99));
    folder.write("seal", OTHER_KEY);
    known_by(&redis, 2).await;
    let other = replica(qiniu, &folder, ONE_KEY).await;
    assert_eq!(after_a_call(&other).await, (98, 98));
    drop(one);
    // The one that knew both is gone.
    folder.write("seal", THIRD_KEY);
    known_by(&redis, 3).await;
    let third = replica(qiniu, &folder, ONE_KEY).await;
    assert_eq!(after_a_call(&third).await, (97, 97));
    assert_eq!(after_a_call(&other).await, (96, 96));
}

#[tokio::test]
async fn keys_that_change_places_name_callers_alike() {
    if !redis::is_there() {
        return;
    }
    let (qiniu, _handle) = emulator(Scenario::Pass).await;
    let redis = Redis::start().await;
    let url = redis.url();
    let before = Folder::with(&[("seal", KEY), ("previous", OTHER_KEY), ("redis", &url)]);
    let after = Folder::with(&[("seal", OTHER_KEY), ("previous", KEY), ("redis", &url)]);
    let one = replica(qiniu, &before, TWO_KEYS).await;
    let other = replica(qiniu, &after, TWO_KEYS).await;
    let later = replica(qiniu, &after, ONE_KEY).await;
    for (gateway, rest) in [(&one, 99), (&other, 98), (&later, 97), (&one, 96)] {
        assert_eq!(after_a_call(gateway).await, (rest, rest));
    }
}

#[tokio::test]
async fn replicas_that_named_callers_apart_soon_agree() {
    if !redis::is_there() {
        return;
    }
    let (qiniu, _handle) = emulator(Scenario::Pass).await;
    let redis = Redis::start().await;
    let url = redis.url();
    let [old, new] = [KEY, OTHER_KEY].map(|key| Folder::with(&[("seal", key), ("redis", &url)]));
    let one = replica(qiniu, &old, ONE_KEY).await;
    assert_eq!(after_a_call(&one).await, (99, 99));
    // It was quicker than the news: for all it knows it is the first.
    let other = replica(qiniu, &new, ONE_KEY).await;
    assert_eq!(after_a_call(&other).await, (99, 99));
    old.write("seal", OTHER_KEY);
    for _ in 0..2000 {
        let answer = other.post(false, SESSIONCODE, "[]").await;
        assert_eq!(answer.status, 400);
        // Its own call is told too, under the older name.
        if left(&answer) == 98 {
            assert_eq!(after_a_call(&one).await.1, 97);
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("never");
}

#[tokio::test]
async fn who_starts_at_the_same_time_names_callers_alike_at_once() {
    if !redis::is_there() {
        return;
    }
    let redis = Redis::start().await;
    let caller = caller("user-1");
    for _ in 0..20 {
        redis.ask(&["FLUSHALL"]).await;
        let four = tokio::join!(store(&redis), store(&redis), store(&redis), store(&redis));
        let names = [four.0, four.1, four.2, four.3].map(|it| it.name("rate", "/", &caller));
        assert!(names[0].is_ok());
        assert!(names.iter().all(|name| *name == names[0]), "{names:?}");
    }
}

#[tokio::test]
async fn a_store_that_forgot_everything_is_told_how_callers_are_named() {
    if !redis::is_there() {
        return;
    }
    let (qiniu, _handle) = emulator(Scenario::Pass).await;
    let redis = Redis::start().await;
    let folder = Folder::with(&[("seal", KEY), ("redis", &redis.url())]);
    let one = replica(qiniu, &folder, ONE_KEY).await;
    assert_eq!(after_a_call(&one).await.1, 99);
    redis.ask(&["FLUSHALL"]).await;
    known_by(&redis, 1).await;
    let other = replica(qiniu, &folder, ONE_KEY).await;
    assert_eq!(after_a_call(&one).await.1, 98);
    assert_eq!(after_a_call(&other).await.1, 97);
}

#[tokio::test]
async fn the_key_of_names_is_kept_for_as_long_as_somebody_knows_it() {
    if !redis::is_there() {
        return;
    }
    let redis = Redis::start().await;
    let _one = store(&redis).await;
    let places = redis.keys("liveness-gateway:names:*").await;
    assert_eq!(places.len(), 1);
    redis.ask(&["EXPIRE", &places[0], "60"]).await;
    eventually("renewed", async || {
        let left = redis.ask(&["TTL", &places[0]]).await;
        str::from_utf8(&left[0]).unwrap().parse::<i64>().unwrap() > 2 * 86_400
    })
    .await;
}
