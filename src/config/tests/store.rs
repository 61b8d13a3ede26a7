//! `[store]`: valid and invalid settings.

use std::time::Duration;

use crate::store::StoreNames;

use super::{SEAL_KEY, good, minimal, wrong::only};

const URL: &str = "rediss://ann:MARKER@redis.example.com:6380/2";
const KEYS: &[(&str, &str)] = &[
    ("SEAL", SEAL_KEY),
    ("REDIS", URL),
    ("WRONG", "http://ann:MARKER@redis.example.com"),
    (
        "INSECURE",
        "rediss://ann:MARKER@redis.example.com/#insecure",
    ),
    (
        "NO_SERVICE",
        "rediss+sentinel://ann:MARKER@redis.example.com",
    ),
    ("PLAIN", PLAIN),
];
const PLAIN: &str = "redis+cluster://ann:MARKER@redis.example.com,127.0.0.1";
const SEALED: &str = "[sessions]\nseal_key = { env = \"SEAL\" }\n";

/// Expects exactly one error, with this message, at this part of the text.
fn one(more: &str, message: &str, part: &str) {
    let shown = only(&minimal(more), KEYS, message, part);
    assert!(
        !shown.contains("MARKER") && !shown.contains("ann"),
        "{shown}"
    );
}

#[test]
fn the_store_has_its_defaults_and_no_output_shows_its_address() {
    assert!(good(&minimal(SEALED), KEYS).settings.store.is_none());
    let loaded = good(
        &minimal(&format!("{SEALED}[store]\nredis = {{ env = \"REDIS\" }}\n")),
        KEYS,
    );
    assert_eq!(
        loaded.settings.store.unwrap().timeout,
        Duration::from_millis(50)
    );
    assert!(!loaded.effective.contains("MARKER") && !loaded.effective.contains("example.com:6380"));
    assert_eq!(good(&loaded.effective, KEYS).effective, loaded.effective);
    let mesh = "[store]\nredis = { env = \"PLAIN\" }\nallow_plaintext = true\nprefix = \"a\"\n";
    let loaded = good(&minimal(&format!("{SEALED}{mesh}")), KEYS);
    assert_eq!(
        loaded.settings.store.unwrap().names,
        StoreNames::new("a").unwrap()
    );
    let unbound = "[sessions]\nbind = false\n[store]\nredis = { env = \"REDIS\" }\n";
    assert!(good(&minimal(unbound), KEYS).settings.store.is_some());
}

#[test]
fn each_error_has_its_location_and_none_shows_the_secret() {
    let sealed = |lines: &str| format!("{SEALED}[store]\n{lines}\n");
    one(
        &sealed("redis = { env = \"WRONG\" }"),
        "`redis` is not the URL of a Redis",
        "\"WRONG\"",
    );
    one(
        &sealed("redis = { env = \"INSECURE\" }"),
        "has a `?` or `#` part",
        "\"INSECURE\"",
    );
    one(
        &sealed("redis = { env = \"NO_SERVICE\" }"),
        "`redis` names no service of the sentinels",
        "\"NO_SERVICE\"",
    );
    one(
        &sealed("redis = { env = \"PLAIN\" }"),
        "`redis` is not encrypted, and leads to another machine",
        "\"PLAIN\"",
    );
    one(
        &sealed("redis = { env = \"REDIS\" }\nprefix = \"a{b}\""),
        "`prefix` can't be part of a name in the store",
        "\"a{b}\"",
    );
    one(
        &sealed("redis = { env = \"REDIS\" }\nprefix = \"\""),
        "`prefix` is missing",
        "store]",
    );
    one(
        "[store]\nredis = { env = \"REDIS\" }\n",
        "needs `sessions.seal_key`",
        "store]",
    );
    one(
        &sealed("redis = { env = \"REDIS\" }\ntimeout = \"6s\""),
        "from \"1ms\" to \"5s\"",
        "\"6s\"",
    );
    one(
        &sealed("timeout = \"10ms\""),
        "`redis` is missing",
        "store]",
    );
}
