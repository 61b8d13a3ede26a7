//! `[outbound]`: valid and invalid settings.

use super::{good, minimal, wrong::only};

const KEYS: &[(&str, &str)] = &[
    ("PROXY", "http://ann:MARKER@proxy.example.com:3128"),
    ("SOCKS", "socks5://ann:MARKER@proxy.example.com:1080"),
    ("PORTLESS", "http://ann:MARKER@proxy.example.com"),
    ("PATH", "http://ann:MARKER@proxy.example.com:3128/MARKER"),
    ("LOGIN", "http://ann:MARKER%@proxy.example.com:3128"),
];

fn section(lines: &str) -> String {
    minimal(&format!("[outbound]\n{lines}\n"))
}

#[test]
fn no_output_shows_the_proxy_and_the_environment_names_none() {
    let proxies = [
        ("HTTPS_PROXY", "http://other.example.com:1"),
        ("https_proxy", "http://other.example.com:1"),
        ("ALL_PROXY", "http://other.example.com:1"),
    ];
    let without = good(&minimal(""), &proxies);
    assert!(without.settings.reloadable.proxy.is_none());
    assert!(without.effective.contains("[outbound]\nno_proxy = []\n"));
    assert!(!without.effective.contains("other"));
    let lines = "proxy = { env = \"PROXY\" }\nno_proxy = [\"a.example\", \".b.example\", \
                 \"10.0.0.0/8\", \"fd00::1\"]";
    let loaded = good(&section(lines), KEYS);
    assert!(
        loaded
            .effective
            .contains("proxy = { env = \"PROXY\" } # ***")
    );
    assert!(!loaded.effective.contains("MARKER") && !loaded.effective.contains("3128"));
    assert_eq!(good(&loaded.effective, KEYS).effective, loaded.effective);
}

#[test]
fn each_error_has_its_location_and_none_shows_the_secret() {
    for (lines, message, part) in [
        (
            "proxy = { env = \"SOCKS\" }",
            "the secret of `proxy` is not the URL of an HTTP proxy",
            "\"SOCKS\"",
        ),
        (
            "proxy = { env = \"PORTLESS\" }",
            "names no port",
            "\"PORTLESS\"",
        ),
        (
            "proxy = { env = \"PATH\" }",
            "has something behind the port",
            "\"PATH\"",
        ),
        (
            "proxy = { env = \"LOGIN\" }",
            "holds a user or password that can't be sent",
            "\"LOGIN\"",
        ),
        (
            "proxy = \"http://ann:MARKER@proxy.example.com:3128\"",
            "`proxy` must say where the secret is",
            "\"http",
        ),
        ("proxy = { env = \"NOT_SET\" }", "is not set", "\"NOT_SET\""),
        (
            "no_proxy = [\"a.example\"]",
            "`no_proxy` is for a `proxy`, and there is none",
            "\"a.example\"",
        ),
        ("prox = \"a\"", "did you mean `proxy`?", "prox"),
    ] {
        let shown = only(&section(lines), KEYS, message, part);
        assert!(!shown.contains("MARKER"), "{shown}");
    }
    for host in [
        "*",
        "*.example.com",
        "example.com:443",
        "https://example.com",
        "10.0.0.0/33",
        "",
    ] {
        let lines = format!("proxy = {{ env = \"PROXY\" }}\nno_proxy = [\"{host}\"]");
        let message = format!("`{host}` is not a host");
        only(&section(&lines), KEYS, &message, &format!("\"{host}\""));
    }
}
