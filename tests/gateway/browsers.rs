//! Browsers: pages of the configured origins may call the gateway, and can read its errors.

use crate::support::{Gateway, VERIFY, emulator, raw, refusal::refused, routes};
use liveness_gateway::emulator::Scenario;

const APP: &str = "https://app.example.com";

/// A gateway that lets pages of [`APP`] call it.
async fn gateway() -> Gateway {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let server = format!("cors.allowed_origins = [\"{APP}\"]");
    Gateway::start(qiniu, &server, &routes()).await
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
