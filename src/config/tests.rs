//! Valid configurations, from the text to the settings. Errors are in [`wrong`], [`wrong_parts`]
//! and [`wrong_identities`], overrides in [`overrides`], secrets in [`secrets`] and [`redact`],
//! verdicts and evidence in [`verdict`], the store in `store`, the proxy in [`outbound`], the
//! times of a stop in [`stops`], the audit log in [`audit`], what is odd in [`warnings`], the
//! documents in [`reference`].

mod audit;
mod outbound;
mod overrides;
mod redact;
mod reference;
mod secrets;
mod stops;
#[cfg(feature = "redis")]
mod store;
mod verdict;
mod warnings;
mod wrong;
mod wrong_answers;
mod wrong_identities;
mod wrong_parts;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use serde_json::Value;

use super::{ConfigErrors, LoadedConfig, keys, load_text, schema::schema};
use crate::route::{RouteKind, RouteSettings};

const EXAMPLE: &str = include_str!("../../config/gateway.toml");
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const SEAL_KEY: &str = "MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA=";
const QINIU: &str = r#"[qiniu]
access_key = { env = "AK" }
secret_key = { env = "SK" }
"#;
const IDENTITY: &str = r#"[[identity]]
issuer = "i"
audience = "a"
secret = { env = "HMAC" }
"#;

/// The minimal configuration, followed by `more`.
fn minimal(more: &str) -> String {
    format!("{QINIU}{IDENTITY}{more}")
}

fn environment(more: &[(&str, &str)]) -> BTreeMap<String, String> {
    [("AK", "ak"), ("SK", "sk"), ("HMAC", SECRET)]
        .iter()
        .chain(more)
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect()
}

/// Loads a text whose relative paths start from the folder of the example.
fn load(text: &str, more: &[(&str, &str)]) -> Result<LoadedConfig, ConfigErrors> {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    load_text(text, "t.toml", &base, &environment(more))
}

fn good(text: &str, more: &[(&str, &str)]) -> LoadedConfig {
    load(text, more).unwrap_or_else(|report| panic!("{report}"))
}

fn report(text: &str, more: &[(&str, &str)]) -> ConfigErrors {
    load(text, more)
        .err()
        .unwrap_or_else(|| panic!("taken as good:\n{text}"))
}

#[test]
fn the_example_passes_and_has_the_defaults() {
    let keys = [("QINIU_ACCESS_KEY", "ak"), ("QINIU_SECRET_KEY", "sk")];
    let least = r#"
        [qiniu]
        access_key = { env = "QINIU_ACCESS_KEY" }
        secret_key = { env = "QINIU_SECRET_KEY" }
        [[identity]]
        issuer = "https://login.example.com/"
        audience = "liveness"
    "#;
    let example = good(EXAMPLE, &keys);
    assert_eq!(example.effective, good(least, &keys).effective);
    // The output can be loaded, and has the same effect.
    assert_eq!(good(&example.effective, &keys).effective, example.effective);
}

#[test]
fn the_example_names_every_key_and_no_other() {
    let all: BTreeSet<_> = keys::all().map(|key| key.path.to_owned()).collect();
    assert_eq!(
        all.len(),
        keys::all().count(),
        "a key occurs twice in the table"
    );
    let named: BTreeSet<_> = reference::paths(EXAMPLE).into_iter().flatten().collect();
    assert_eq!(named, all);
}

#[test]
fn the_keys_that_are_comments_in_the_example_are_valid() {
    let mut sections = false;
    let on: String = EXAMPLE
        .lines()
        .filter(|line| !line.starts_with("jwks_file"))
        .filter(|line| !line.starts_with("max_stale"))
        .map(|line| {
            // Whole sections in comments, and two keys of other sections.
            sections = line != "[log]" && (sections || line == "#[verdict]");
            match line {
                "#algorithms = [\"EdDSA\"]" => "algorithms = [\"HS256\"]",
                "#secret = { env = \"LOGIN_SECRET\" }" => "secret = { env = \"LOGIN_SECRET\" }",
                line if line.starts_with("#signing_key = ") => {
                    "signing_key = { env = \"PRIVATE\" }"
                }
                line if line.starts_with("#secret = ") => "secret = { env = \"WEBHOOK\" }",
                line if line.starts_with("#seal_key = ") => "seal_key = { env = \"SEAL\" }",
                line if line.starts_with("#redis = ") => "redis = { env = \"REDIS\" }",
                line if sections && !line.starts_with("# ") => {
                    line.strip_prefix('#').unwrap_or(line)
                }
                other => other,
            }
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    let keys = [
        ("QINIU_ACCESS_KEY", "ak"),
        ("QINIU_SECRET_KEY", "sk"),
        ("LOGIN_SECRET", SECRET),
        ("PRIVATE", verdict::PRIVATE),
        ("WEBHOOK", verdict::WEBHOOK),
        ("SEAL", SEAL_KEY),
        ("REDIS", "rediss://redis.example.com"),
    ];
    let loaded = good(&on, &keys);
    let effective = loaded.effective;
    assert!(
        effective.contains("algorithms = [\"HS256\"]"),
        "{effective}"
    );
    assert!(loaded.settings.verdict.is_some() && loaded.settings.evidence.is_some());
}

#[test]
fn the_schema_contains_every_key() {
    let schema = schema();
    for key in keys::all() {
        let mut at = &schema;
        for step in key.path.split('.') {
            assert_eq!(
                at["additionalProperties"],
                Value::Bool(false),
                "{}",
                key.path
            );
            at = &at["properties"][step.trim_end_matches("[]")];
            if step.ends_with("[]") {
                assert_eq!(at["type"], "array", "{}", key.path);
                at = &at["items"];
            }
        }
        assert_eq!(at["description"], key.full_description(), "{}", key.path);
        assert_eq!(
            at.get("default").is_some(),
            matches!(key.default, keys::KeyDefault::Value(_)),
            "{}",
            key.path
        );
    }
    assert!(schema["properties"]["limits"].is_null());
}

/// Route settings as text, to compare them whole.
fn shown(route: &RouteSettings) -> String {
    let per = |rate: crate::route::Rate| (rate.count.get(), rate.per.as_secs());
    format!(
        "{:?} {} | scope {:?} | {} bytes | {:?} | rate {:?} burst {} quota {:?} | {:?} at once | fields {:?} | sets {:?} | passes {:?} | removes {} | strings {:?}",
        route.kind,
        route.path,
        route.scope,
        route.max_body,
        route.timeout,
        route.rate.map(per),
        route.burst,
        route.quota.map(per),
        route.concurrent_per_user.map(|count| count.get()),
        route.request_fields,
        route.request_set,
        route.response_fields.as_ref().map(Vec::len),
        route.remove.len(),
        route.max_string,
    )
}

const SESSION: &str = "Session /v2/actionliveness/sessioncode | scope None | 4096 bytes | 10s | rate Some((10, 60)) burst 5 quota None \
    | Some(4) at once | fields Some([\"min_code_length\", \"max_code_length\"]) | sets [] | passes Some(5) | removes 0 | strings None";
const VERIFY: &str = "Verify /v2/actionliveness/verify | scope None | 29360128 bytes | 60s | rate Some((12, 60)) burst 6 quota Some((100, 86400)) \
    | Some(1) at once | fields Some([\"session_id\", \"video_base64\", \"face_field\"]) | sets [] | passes Some(14) | removes 2 | strings Some(1024)";

#[test]
fn leeway_may_be_zero_and_other_durations_may_not() {
    let strict = good(&minimal("leeway = \"0s\"\n"), &[]);
    assert!(strict.settings.identities[0].leeway.is_zero());
    let shown = report(&minimal("[server]\nhead_timeout = \"0s\"\n"), &[]).to_string();
    assert!(shown.contains("`head_timeout` can't be `0s`"), "{shown}");
}

#[test]
fn the_two_routes_are_there_when_none_is_given() {
    let routes: Vec<_> = good(&minimal(""), &[])
        .settings
        .routes
        .iter()
        .map(shown)
        .collect();
    assert_eq!(routes, [SESSION, VERIFY]);
}

#[test]
fn a_key_that_a_route_leaves_out_has_the_default_of_its_kind() {
    let routes = r#"
        [[routes]]
        path = "/v2/actionliveness/verify"
        kind = "verify"
        [[routes]]
        path = "/v2/other"
        kind = "plain"
        [[routes]]
        path = "/v2/actionliveness/sessioncode"
        kind = "session"
    "#;
    let routes: Vec<_> = good(&minimal(routes), &[])
        .settings
        .routes
        .iter()
        .map(shown)
        .collect();
    let plain = "Plain /v2/other | scope None | 1048576 bytes | 30s | rate Some((60, 60)) burst 10 quota None \
        | None at once | fields None | sets [] | passes None | removes 0 | strings None";
    assert_eq!(routes, [VERIFY, plain, SESSION]);
}

#[test]
fn written_values_of_a_route_replace_the_defaults() {
    let routes = r#"
        [[routes]]
        path = "/v2/actionliveness/verify"
        kind = "verify"
        scope = "liveness:verify"
        max_body = "1MiB"
        timeout = "1500ms"
        rate = ""
        burst = 7
        quota = "50/day"
        concurrent_per_user = 2
        request.fields = ["session_id", "video_base64"]
        response = { remove = "result.pic", max_string = "4KiB" }
    "#;
    let loaded = good(&minimal(routes), &[]);
    let [route] = &loaded.settings.routes[..] else {
        panic!("{}", loaded.effective)
    };
    let wanted = "Verify /v2/actionliveness/verify | scope Some(\"liveness:verify\") | 1048576 bytes | 1.5s | rate None burst 7 quota Some((50, 86400)) \
        | Some(2) at once | fields Some([\"session_id\", \"video_base64\"]) | sets [] | passes Some(14) | removes 1 | strings Some(4096)";
    assert_eq!(shown(route), wanted);
    assert_eq!(route.kind, RouteKind::Verify);
}

#[test]
fn all_other_keys_have_their_defaults() {
    let settings = good(&minimal(""), &[]).settings;
    let server = &settings.server;
    assert_eq!(server.listen, ["127.0.0.1:8080".parse().unwrap()]);
    assert!(server.trusted_proxies.is_empty() && server.tls.is_none());
    assert_eq!(
        (server.max_connections, server.max_head_bytes),
        (10_000, 32 << 10)
    );
    assert_eq!(
        (server.body_memory, server.min_body_rate),
        (512 << 20, 16 << 10)
    );
    assert_eq!(server.body_memory_per_user, 64 << 20);
    let seconds = |time: Duration| time.as_secs_f64();
    assert_eq!(
        [
            server.head_timeout,
            server.idle_timeout,
            server.lame_duck,
            server.drain_timeout
        ]
        .map(seconds),
        [10.0, 75.0, 0.0, 65.0]
    );
    assert!(settings.cors.allowed_origins.is_empty());
    assert_eq!(seconds(settings.cors.max_age), 600.0);
    assert_eq!(settings.admin.listen, "127.0.0.1:9090".parse().unwrap());
    let qiniu = &settings.qiniu;
    assert_eq!(qiniu.endpoint.authority, "face-actlive.qiniuapi.com");
    assert!(qiniu.endpoint.tls && qiniu.endpoint.port == 443 && qiniu.tls.is_some());
    assert!(qiniu.sign_date && qiniu.max_connections == 256);
    assert_eq!(
        [qiniu.connect_timeout, qiniu.idle_timeout].map(seconds),
        [5.0, 30.0]
    );
    let [identity] = &settings.identities[..] else {
        panic!("not one identity")
    };
    assert_eq!(
        (&*identity.user_claim, seconds(identity.leeway)),
        ("sub", 30.0)
    );
    assert_eq!(
        (&*identity.issuer, &*identity.audience),
        ("i", &["a".to_owned()][..])
    );
    assert_eq!(
        (&*identity.audience_claim, identity.max_lifetime),
        ("aud", None)
    );
}

#[test]
fn a_pinned_member_keeps_its_type() {
    let text = "[[routes]]\npath = \"/s\"\nkind = \"session\"\n\
        request.set = { min_code_length = 2, max_code_length = 3, note = \"a\\\"b\", on = true }\n";
    let loaded = good(&minimal(text), &[]);
    let pins = serde_json::to_string(&loaded.settings.routes[0].request_set).unwrap();
    assert_eq!(
        pins,
        r#"[["max_code_length",3],["min_code_length",2],["note","a\"b"],["on",true]]"#
    );
    assert_eq!(
        good(&loaded.effective, &[]).effective,
        loaded.effective,
        "what is printed says the same"
    );
    assert!(loaded.effective.contains("min_code_length = 2"));
}
