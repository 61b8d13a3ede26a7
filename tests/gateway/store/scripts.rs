//! The scripts that run in the store, called directly with what no gateway sends on demand.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::redis::{self, Redis};

const CLAIM: &str = include_str!("../../../src/store/lua/claim.lua");
const PUBLISH: &str = include_str!("../../../src/store/lua/publish.lua");
const HEARTBEAT: &str = include_str!("../../../src/store/lua/heartbeat.lua");
const RATE: &str = include_str!("../../../src/store/lua/rate.lua");

const SETTLE: &str = "3000";
const LIFE: &str = "10000";

async fn eval(redis: &Redis, script: &str, keys: &[&str], args: &[&str]) -> Vec<String> {
    let count = keys.len().to_string();
    let words = [&["EVAL", script, &count], keys, args].concat();
    let answer = redis.ask(&words).await;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    answer.into_iter().map(text).collect()
}

/// The reply to replica `me` that claims session `S`. It last saw the session on replica `seen`,
/// and has been connected for a long time.
async fn claim(redis: &Redis, me: &str, seen: &str, claimed: bool) -> Vec<String> {
    let sign = format!("sign:{seen}");
    let claimed = if claimed { "1" } else { "0" };
    let args = ["print", me, "7", "60000", seen, "1", claimed, SETTLE, LIFE];
    eval(redis, CLAIM, &["S", &sign, "epoch"], &args).await
}

async fn publish(redis: &Redis, fingerprint: &str, lease: &str, state: &str) -> Vec<String> {
    let args = [fingerprint, "A", lease, "60000", state, "sealed"];
    eval(redis, PUBLISH, &["S"], &args).await
}

async fn state(redis: &Redis) -> String {
    let state = redis.ask(&["HGET", "S", "s"]).await.concat();
    String::from_utf8(state).unwrap()
}

/// Milliseconds since 1970, this much later than now, or earlier.
fn time(later: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    (i64::try_from(now.as_millis()).unwrap() + later).to_string()
}

#[tokio::test]
async fn a_later_lease_of_a_replica_ends_an_earlier_one_that_was_never_published() {
    if !redis::is_there() {
        return;
    }
    let redis = Redis::start().await;
    for (update, becomes) in [("f", "f"), ("u", "u"), ("a", "a"), ("r", "f")] {
        redis.ask(&["DEL", "S"]).await;
        // An earlier lease left the session in progress.
        let w = ["HSET", "S", "s", "w", "p", "one", "o", "A", "n", "5"];
        redis.ask(&w).await;
        publish(&redis, "another", "4", update).await;
        assert_eq!(state(&redis).await, "w", "a late update changes nothing");
        publish(&redis, "another", "6", update).await;
        assert_eq!(state(&redis).await, becomes, "{update}");
    }
}

#[tokio::test]
async fn a_clock_that_was_set_back_delays_no_new_session() {
    if !redis::is_there() {
        return;
    }
    let redis = Redis::start().await;
    assert_eq!(claim(&redis, "B", "", false).await, ["settling"]);
    redis.ask(&["SET", "epoch", &time(-1000)]).await;
    assert_eq!(claim(&redis, "B", "", false).await, ["settling"]);
    for born in [-4000, 3_600_000] {
        redis.ask(&["DEL", "S"]).await;
        redis.ask(&["SET", "epoch", &time(born)]).await;
        let args = [LIFE, "60000"];
        eval(&redis, HEARTBEAT, &["sign:B", "epoch"], &args).await;
        assert_eq!(claim(&redis, "B", "", false).await, ["acquired"], "{born}");
    }
}

#[tokio::test]
async fn no_replica_counts_as_dead_before_a_store_that_lost_its_data_can_know() {
    if !redis::is_there() {
        return;
    }
    let redis = Redis::start().await;
    // Its owner has not reached the store yet, or has just done so.
    assert_eq!(claim(&redis, "B", "A", true).await, ["wait", "A"]);
    redis.ask(&["SET", "epoch", &time(-5000)]).await;
    assert_eq!(claim(&redis, "B", "A", true).await, ["wait", "A"]);
    redis.ask(&["SET", "epoch", &time(-11_000)]).await;
    redis.ask(&["SET", "sign:A", "1"]).await;
    assert_eq!(claim(&redis, "B", "A", true).await, ["wait", "A"]);
    redis.ask(&["DEL", "sign:A"]).await;
    assert_eq!(claim(&redis, "B", "A", true).await, ["unknown"]);
}

#[tokio::test]
async fn no_caller_waits_longer_than_for_a_whole_burst_whatever_the_store_s_clock_did() {
    if !redis::is_there() {
        return;
    }
    let redis = Redis::start().await;
    // One request an hour, five at once.
    let rate = ["3600000000", "5"];
    let charge = async || eval(&redis, RATE, &["rate"], &rate).await;
    for left in (0..5).rev() {
        assert_eq!(charge().await, ["1".to_owned(), left.to_string()]);
    }
    // The clock was set back by ten hours since, or the limit was made tighter.
    redis
        .ask(&["SET", "rate", &format!("{}000", time(36_000_000))])
        .await;
    assert_eq!(charge().await, ["0", "3600000000"]);
    let expires = redis.ask(&["PTTL", "rate"]).await;
    let expires: i64 = str::from_utf8(&expires[0]).unwrap().parse().unwrap();
    let whole_burst = 5 * 3_600_000;
    assert!((1..=whole_burst).contains(&expires), "{expires}");
}
