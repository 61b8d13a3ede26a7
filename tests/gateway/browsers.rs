//! Browsers: pages of the configured origins may call the gateway, and can read its errors.

use crate::support::{
    Answer, Gateway, SESSIONCODE, VERDICT, VERIFY, bearer, emulator, raw, refusal::refused, routes,
    session, verify_body, video,
};
use liveness_gateway::emulator::Scenario;

const APP: &str = "https://app.example.com";
const KEY_SET: &str = "/.well-known/jwks.json";

/// Header fields that pages send, each with the one who adds it.
const SENT: &[(&str, &str)] = &[
    ("the app", "authorization"),
    ("the app", "content-type"),
    ("the app", "liveness-session"),
    ("the app", "liveness-face-field"),
    ("the app", "liveness-nonce"),
    ("Sentry", "sentry-trace"),
    ("Sentry, OpenTelemetry", "baggage"),
    ("OpenTelemetry, Datadog", "traceparent"),
    ("OpenTelemetry, Datadog", "tracestate"),
    ("Datadog", "x-datadog-trace-id"),
    ("Datadog", "x-datadog-parent-id"),
    ("Datadog", "x-datadog-origin"),
    ("Datadog", "x-datadog-sampling-priority"),
    ("old libraries", "x-requested-with"),
    ("`allowed_headers`", "x-b3-traceid"),
];

/// Where pages are that may call: on the web, in apps, in extensions.
const ORIGINS: &[&str] = &[
    APP,
    "https://localhost",
    "http://localhost:3000",
    "http://tauri.localhost",
    "capacitor://localhost",
    "ionic://localhost",
    "tauri://localhost",
    "app://.",
    "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
    "moz-extension://b3a1c7e0-93f5-4a2c-8e39-0f6b7d1c2a55",
];

/// A gateway that lets pages of [`ORIGINS`] call it.
async fn gateway() -> Gateway {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    start(qiniu).await
}

async fn start(qiniu: std::net::SocketAddr) -> Gateway {
    let server =
        format!("cors.allowed_origins = {ORIGINS:?}\ncors.allowed_headers = [\"X-B3-TraceId\"]");
    Gateway::start(qiniu, &server, &format!("{VERDICT}{}", routes())).await
}

/// Whether a browser lets the page send its request: Fetch standard, section 4.8.
fn permits(preflight: &Answer, origin: &str, method: &str, headers: &[&str]) -> bool {
    let list = |name: &str| {
        let items = preflight.header(name).to_ascii_lowercase();
        items
            .split(',')
            .map(|item| item.trim().to_owned())
            .collect::<Vec<_>>()
    };
    let allowed = list("access-control-allow-headers");
    let methods = list("access-control-allow-methods");
    preflight.status.is_success()
        && preflight.header("access-control-allow-origin") == origin
        && methods.contains(&method.to_ascii_lowercase())
        // A `*` would not be enough: it does not include `Authorization`.
        && headers.iter().all(|header| allowed.iter().any(|item| item == header))
}

#[tokio::test]
async fn browsers_let_pages_of_apps_and_with_tracing_call() {
    let gateway = gateway().await;
    let names: Vec<_> = SENT.iter().map(|(_, name)| *name).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    // Chromium and Firefox sort the names; others need not, and may write blanks.
    let lists = [sorted.join(","), names.join(", ")];
    for (http2, origin) in [(false, ORIGINS), (true, &ORIGINS[..2])]
        .into_iter()
        .flat_map(|(http2, origins)| origins.iter().map(move |origin| (http2, *origin)))
    {
        for (path, method) in [(SESSIONCODE, "POST"), (VERIFY, "POST"), (KEY_SET, "GET")] {
            for list in &lists {
                let preflight = gateway
                    .request(http2, "OPTIONS", path)
                    .header("accept", "*/*")
                    .header("access-control-request-method", method)
                    .header("access-control-request-headers", list)
                    .header("access-control-request-private-network", "true")
                    .header("origin", origin)
                    .header("sec-fetch-mode", "cors")
                    .header("sec-fetch-dest", "empty");
                let answer = gateway.send(http2, preflight, "").await;
                assert!(
                    permits(&answer, origin, method, &names),
                    "{path} {answer:?}"
                );
                assert!(!permits(&answer, origin, method, &["x-other"]));
                assert!(!permits(&answer, origin, "PUT", &[]));
                assert_eq!(answer.header("vary"), "Origin");
                assert_eq!(answer.header("access-control-max-age"), "600");
                for never in ["credentials", "private-network"] {
                    let name = format!("access-control-allow-{never}");
                    assert_eq!(answer.header(&name), "", "{name}");
                }
            }
        }
    }
}

#[tokio::test]
async fn an_origin_that_is_not_listed_letter_for_letter_is_a_stranger() {
    let gateway = gateway().await;
    for origin in [
        "null",
        "*",
        "file://",
        "https://app.example.com:443",
        "https://app.example.com/",
        "https://APP.example.com",
        "http://app.example.com",
        "https://app.example.com.evil.example",
        "capacitor://localhost:80",
        "capacitor://evil",
        "CAPACITOR://localhost",
        "chrome-extension://abcdefghijklmnopabcdefghijklmnoq",
    ] {
        for (method, path) in [("OPTIONS", VERIFY), ("POST", VERIFY), ("GET", KEY_SET)] {
            let request = gateway
                .request(false, method, path)
                .header("origin", origin);
            let answer = gateway.send(false, request, "").await;
            let fields = answer.headers.keys().map(|name| name.as_str());
            let cors: Vec<_> = fields.filter(|name| name.starts_with("access-")).collect();
            assert!(cors.is_empty(), "{origin}: {answer:?}");
            assert_eq!(answer.header("vary"), "Origin");
        }
    }
}

#[tokio::test]
async fn what_a_page_adds_for_tracing_never_reaches_qiniu() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let gateway = start(qiniu).await;
    for http2 in [false, true] {
        let mut request = gateway
            .request(http2, "POST", SESSIONCODE)
            .header("authorization", bearer("user-1"))
            .header("content-type", "application/json")
            .header("origin", APP);
        for (_, name) in SENT.iter().skip(2) {
            request = request.header(*name, "00-4bf92f3577b34da6a3ce929d0e0e4736");
        }
        let answer = gateway.send(http2, request, "{}").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let names = handle.last_header_names();
        let own = ["authorization", "content-type"];
        for (who, name) in SENT.iter().filter(|(_, name)| !own.contains(name)) {
            let sent = names.iter().any(|sent| sent.eq_ignore_ascii_case(name));
            assert!(!sent, "{name} of {who}: {names:?}");
        }
        assert!(!names.iter().any(|name| name.eq_ignore_ascii_case("origin")));
    }
}

#[tokio::test]
async fn a_page_can_tell_the_response_to_a_retry_from_a_first_one() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let gateway = start(qiniu).await;
    let body = verify_body(&session(&gateway).await, &video(0));
    for (http2, replayed) in [(false, ""), (false, "true"), (true, "true")] {
        let request = gateway
            .request(http2, "POST", VERIFY)
            .header("authorization", bearer("user-1"))
            .header("content-type", "application/json")
            .header("liveness-replayed", "maybe")
            .header("origin", APP);
        let answer = gateway.send(http2, request, body.clone()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("liveness-replayed"), replayed);
        let exposed = answer.header("access-control-expose-headers");
        for name in [
            "X-Request-Id",
            "Retry-After",
            "RateLimit",
            "RateLimit-Policy",
            "WWW-Authenticate",
            "Liveness-Replayed",
        ] {
            assert!(exposed.split(", ").any(|item| item == name), "{exposed}");
        }
    }
    assert_eq!(handle.verify_calls(), 1);
}

#[tokio::test]
async fn pages_of_configured_origins_may_call_and_can_read_errors() {
    let gateway = gateway().await;
    for http2 in [false, true] {
        let from = |method: &str, origin: &str| {
            let request = gateway.request(http2, method, VERIFY);
            request.header("origin", origin)
        };
        let preflight = from("OPTIONS", APP).header("access-control-request-method", "POST");
        let answer = gateway.send(http2, preflight, "").await;
        assert_eq!(answer.status, 204);
        assert_eq!(answer.header("access-control-allow-origin"), APP);
        assert_eq!(answer.header("access-control-allow-methods"), "POST");
        let headers = answer.header("access-control-allow-headers");
        for name in [
            "Authorization",
            "Content-Type",
            "Liveness-Session",
            "Liveness-Nonce",
        ] {
            assert!(headers.split(", ").any(|it| it == name), "{headers}");
        }
        let refusal = gateway.send(http2, from("POST", APP), "{}").await;
        refused(&refusal, 401, "missing_token");
        assert_eq!(refusal.header("access-control-allow-origin"), APP);
        let stranger = from("POST", "https://evil.example");
        let stranger = gateway.send(http2, stranger, "{}").await;
        assert_eq!(stranger.header("access-control-allow-origin"), "");
        assert_eq!(stranger.header("vary"), "Origin");
    }
}

#[tokio::test]
async fn pages_can_read_errors_about_unreadable_heads() {
    let gateway = gateway().await;
    // Heads that never become a request; hyper alone would answer them.
    let large = "x".repeat(70_000);
    for (rest, status, code) in [
        ("Content-Length: x\r\n\r\n", 400, "malformed_request"),
        (
            &format!("X-Large: {large}\r\n\r\n"),
            431,
            "headers_too_large",
        ),
    ] {
        let head = format!("POST {VERIFY} HTTP/1.1\r\nHost: g\r\nOrigin: {APP}\r\n{rest}");
        let answer = raw::ask(gateway.address, &head).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        assert!(
            answer
                .to_ascii_lowercase()
                .contains(&format!("\r\naccess-control-allow-origin: {APP}\r\n")),
            "{answer}"
        );
        let record = gateway.record(code).await;
        assert_eq!(
            (&record["status"], &record["method"]),
            (&status.into(), &"POST".into())
        );
        assert!(answer.contains(record["request_id"].as_str().unwrap()));
    }
}
