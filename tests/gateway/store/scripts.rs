//! The scripts that run in the store, called directly with what no gateway sends on demand.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::redis::{self, Redis};

const CLAIM: &str = concat!(
    include_str!("../../../src/store/lua/primary.lua"),
    include_str!("../../../src/store/lua/age.lua"),
    include_str!("../../../src/store/lua/claim.lua")
);
pub(crate) const PUBLISH: &str = include_str!("../../../src/store/lua/publish.lua");
const HEARTBEAT: &str = concat!(
    include_str!("../../../src/store/lua/primary.lua"),
    include_str!("../../../src/store/lua/heartbeat.lua")
);
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

/// Sets since when the primary has been remembering.
async fn remembers_since(redis: &Redis, epoch: &str) {
    let epoch = format!("{epoch} {}", redis.primary_id().await);
    redis.ask(&["SET", "epoch", &epoch]).await;
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
    remembers_since(&redis, &time(-1000)).await;
    assert_eq!(claim(&redis, "B", "", false).await, ["settling"]);
    for born in [-4000, 3_600_000] {
        redis.ask(&["DEL", "S"]).await;
        remembers_since(&redis, &time(born)).await;
        eval(&redis, HEARTBEAT, &["epoch"], &["60000"]).await;
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
    remembers_since(&redis, &time(-5000)).await;
    assert_eq!(claim(&redis, "B", "A", true).await, ["wait", "A"]);
    remembers_since(&redis, &time(-11_000)).await;
    redis.ask(&["SET", "sign:A", "1"]).await;
    assert_eq!(claim(&redis, "B", "A", true).await, ["wait", "A"]);
    redis.ask(&["DEL", "sign:A"]).await;
    // A replica that was without the store until now does not judge.
    let args = ["print", "B", "7", "60000", "A", "0", "1", SETTLE, LIFE];
    let reply = eval(&redis, CLAIM, &["S", "sign:A", "epoch"], &args).await;
    assert_eq!(reply, ["wait", "A"]);
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

#[tokio::test]
async fn a_new_primary_grants_nothing_that_its_predecessor_may_have_granted_last() {
    if !redis::is_there() {
        return;
    }
    let redis = Redis::start().await;
    // What a replica got that was promoted then: an epoch that another primary noted.
    redis
        .ask(&["SET", "epoch", &format!("{} 0a", time(-60_000))])
        .await;
    let own = ["HSET", "S", "s", "w", "p", "print", "o", "B", "n", "6"];
    let freed = ["HSET", "S", "s", "f", "p", "print", "o", "A", "n", "6"];
    let set = async |state: Option<&[&str]>| {
        redis.ask(&["DEL", "S"]).await;
        if let Some(state) = state {
            redis.ask(state).await;
        }
    };
    // Each may have been followed by another replica's claim that was lost.
    for state in [None, Some(&own[..]), Some(&freed[..])] {
        set(state).await;
        assert_eq!(
            claim(&redis, "B", "", false).await,
            ["settling"],
            "{state:?}"
        );
    }
    // A claim that is repeated because its reply got lost has had no successor.
    set(Some(&[
        "HSET", "S", "s", "w", "p", "print", "o", "B", "n", "7",
    ]))
    .await;
    assert_eq!(claim(&redis, "B", "", false).await, ["acquired"]);
    // The first heartbeat notes this primary, once.
    let now: i64 = time(0).parse().unwrap();
    let epoch = eval(&redis, HEARTBEAT, &["epoch"], &["60000"]).await;
    assert!(epoch[0].parse::<i64>().unwrap() >= now, "{epoch:?} {now}");
    assert_eq!(eval(&redis, HEARTBEAT, &["epoch"], &["60000"]).await, epoch);
    set(None).await;
    assert_eq!(claim(&redis, "B", "", false).await, ["settling"]);
    remembers_since(&redis, &time(-4000)).await;
    for state in [None, Some(&own[..]), Some(&freed[..])] {
        set(state).await;
        assert_eq!(
            claim(&redis, "B", "", false).await,
            ["acquired"],
            "{state:?}"
        );
    }
}

#[tokio::test]
async fn a_session_is_claimed_alike_with_what_was_read_before() {
    if !redis::is_there() {
        return;
    }
    let redis = Redis::start().await;
    let claim = async |seen: &str, claimed: &str, alive: &str, age: &str| {
        let args = [
            "print", "B", "7", "60000", seen, "1", claimed, SETTLE, LIFE, alive, age,
        ];
        eval(&redis, CLAIM, &["S"], &args).await
    };
    assert_eq!(claim("", "0", "0", "2999").await, ["settling"]);
    assert_eq!(claim("A", "1", "0", "9999").await, ["wait", "A"]);
    assert_eq!(claim("A", "1", "1", "10000").await, ["wait", "A"]);
    assert_eq!(claim("A", "1", "0", "10000").await, ["unknown"]);
    assert_eq!(claim("", "0", "0", "3000").await, ["acquired"]);
    redis.ask(&["HSET", "S", "o", "A"]).await;
    assert_eq!(claim("A", "1", "1", "3000").await, ["wait", "A"]);
    assert_eq!(claim("A", "1", "0", "3000").await, ["unknown"]);
}

#[tokio::test]
async fn a_replica_takes_no_heartbeat_even_if_it_takes_writes() {
    if !redis::is_there() {
        return;
    }
    let redis = Redis::start_with(&["--replica-read-only", "no"]).await;
    let beat = async || eval(&redis, HEARTBEAT, &["epoch"], &["60000"]).await;
    assert!(beat().await[0].parse::<i64>().is_ok());
    // The port of a primary that does not exist.
    redis.ask(&["REPLICAOF", "127.0.0.1", "1"]).await;
    assert_eq!(beat().await, ["READONLY it is a replica"]);
    redis.ask(&["REPLICAOF", "NO", "ONE"]).await;
    redis.ask(&["ACL", "SETUSER", "default", "-info"]).await;
    assert_eq!(beat().await, ["NOPERM INFO is not permitted"]);
}
