//! `LIVENESS_GATEWAY__…` variables: each type of value, and each error.

use super::{good, load, minimal, report};

const ROUTES: &str = r#"
[[routes]]
path = "/a"
kind = "plain"
[[routes]]
path = "/b"
kind = "plain"
rate = "1/s"
"#;

#[test]
fn every_kind_of_value_can_be_overridden() {
    let loaded = good(
        &minimal(ROUTES),
        &[
            ("LIVENESS_GATEWAY__SERVER__LISTEN", "127.0.0.1:1, [::1]:2"),
            (
                "LIVENESS_GATEWAY__SERVER__TRUSTED_PROXIES",
                "10.0.0.0/8,::1",
            ),
            ("LIVENESS_GATEWAY__SERVER__MAX_CONNECTIONS", "12"),
            ("LIVENESS_GATEWAY__SERVER__HEAD_TIMEOUT", "7s"),
            ("LIVENESS_GATEWAY__SERVER__CORS__MAX_AGE", "1min"),
            ("LIVENESS_GATEWAY__QINIU__SIGN_DATE", "false"),
            ("LIVENESS_GATEWAY__IDENTITY__0__AUDIENCE", "x,y"),
            ("LIVENESS_GATEWAY__ROUTES__1__RATE", "9/h"),
            ("LIVENESS_GATEWAY__ROUTES__0__BURST", "77"),
            ("LIVENESS_GATEWAY__ROUTES__0__REQUEST__FIELDS", "p,q"),
            ("LIVENESS_GATEWAY__ROUTES__0__RESPONSE__MAX_STRING", "1KiB"),
            ("LIVENESS_GATEWAY__LOG__LEVEL", "warn"),
            // Neither is an override: the gateway's own variable, and one that Kubernetes sets for
            // a service of this name.
            ("LIVENESS_GATEWAY_CONFIG", "elsewhere.toml"),
            ("LIVENESS_GATEWAY_PORT", "tcp://10.0.0.1:80"),
        ],
    );
    for line in [
        "listen = [\"127.0.0.1:1\", \"[::1]:2\"]",
        "trusted_proxies = [\"10.0.0.0/8\", \"::1\"]",
        "max_connections = 12",
        "head_timeout = \"7s\"",
        "max_age = \"1min\"",
        "sign_date = false",
        "audience = [\"x\", \"y\"]",
        "rate = \"9/h\"",
        "burst = 77",
        "request.fields = [\"p\", \"q\"]",
        "response.max_string = \"1KiB\"",
        "level = \"warn\"",
    ] {
        assert!(
            loaded.effective.lines().any(|it| it == line),
            "{line}\n{}",
            loaded.effective
        );
    }
    let bursts: Vec<_> = loaded
        .settings
        .routes
        .iter()
        .map(|it| it.burst.get())
        .collect();
    assert_eq!(bursts, [77, 10]);
}

#[test]
fn the_source_of_a_secret_can_be_overridden() {
    let text = minimal("").replace("{ env = \"SK\" }", "{ file = \"/nowhere/at/all\" }");
    assert!(load(&text, &[]).is_err());
    let loaded = good(
        &text,
        &[
            ("LIVENESS_GATEWAY__QINIU__SECRET_KEY__ENV", "OTHER"),
            ("OTHER", "other"),
        ],
    );
    assert_eq!(
        loaded.settings.qiniu.credentials.secret_key.reveal(),
        b"other"
    );
    let loaded = good(
        &minimal("").replace("secret = { env = \"HMAC\" }", ""),
        &[("LIVENESS_GATEWAY__IDENTITY__0__SECRET__ENV", "HMAC")],
    );
    assert!(loaded.effective.contains("secret = { env = \"HMAC\" }"));
}

#[test]
fn an_error_of_an_override_names_its_variable() {
    for (variable, value, message) in [
        (
            "SERVER__LISTEN",
            "nonsense",
            "`nonsense` is not an IP address",
        ),
        ("SERVER__MAX_CONNECTIONS", "many", "must be a whole number"),
        (
            "SERVER__MAX_CONNECTIONS",
            "0",
            "`max_connections` can't be a number",
        ),
        (
            "SERVER__HEAD_TIMEOUT",
            "5 minutes",
            "`head_timeout` can't be `5 minutes`",
        ),
        ("SERVER__HEAD_TIMEOUT", "2h", "`head_timeout` can't be `2h`"),
        (
            "SERVER__TRUSTED_PROXIES",
            "10.0.0.0/8,office",
            "`office` is not a network",
        ),
        ("QINIU__SIGN_DATE", "yes", "must be true or false"),
        ("QINIU__SECRET_KEY__ENV", "UNSET", "`UNSET` is not set"),
        ("QINIU__SECRET_KEY", "inline-secret", "overrides no key"),
        ("SERVER__LISTENS", "127.0.0.1:1", "overrides no key"),
        ("SERVER", "127.0.0.1:1", "overrides no key"),
        ("", "x", "overrides no key"),
        ("ROUTES__2__RATE", "1/s", "names no table of the file"),
        ("ROUTES__2__BURST", "1", "names no table of the file"),
        ("ROUTES__RATE", "1/s", "overrides no key"),
        ("ROUTES__0__QUOTAS", "1/day", "overrides no key"),
        ("0__1__2", "x", "overrides no key"),
    ] {
        let name = format!("LIVENESS_GATEWAY__{variable}");
        let report = report(&minimal(ROUTES), &[(&name, value)]);
        let text = report.to_string();
        assert_eq!(report.len(), 1, "{text}");
        assert!(text.contains(message), "{message}\n{text}");
        assert!(
            text.contains(&format!("--> environment variable {name}\n")),
            "{text}"
        );
        assert!(!text.contains("inline-secret"), "{text}");
    }
}

#[test]
fn the_two_default_routes_cannot_be_overridden() {
    let report = report(&minimal(""), &[("LIVENESS_GATEWAY__ROUTES__0__BURST", "3")]);
    assert!(
        report
            .to_string()
            .contains("only tables that are in the file")
    );
}
