//! Browsers: pages of the configured origins may call the gateway, and can read its errors.

use crate::support::{Gateway, VERIFY, emulator, raw, refusal::refused, routes};
use liveness_gateway::emulator::Scenario;

#[tokio::test]
async fn pages_of_configured_origins_may_call_and_can_read_errors() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = Gateway::start(
        qiniu,
        "cors.allowed_origins = [\"https://app.example.com\"]",
        &routes(),
    )
    .await;
    for http2 in [false, true] {
        let preflight = gateway
            .request(http2, "OPTIONS", VERIFY)
            .header("origin", "https://app.example.com");
        let answer = gateway
            .send(
                http2,
                preflight.header("access-control-request-method", "POST"),
                "",
            )
            .await;
        assert_eq!(answer.status, 204);
        assert_eq!(
            answer.header("access-control-allow-origin"),
            "https://app.example.com"
        );
        assert_eq!(answer.header("access-control-allow-methods"), "POST");
        assert!(
            answer
                .header("access-control-allow-headers")
                .contains("Authorization")
        );
        let refusal = gateway
            .send(
                http2,
                gateway
                    .request(http2, "POST", VERIFY)
                    .header("origin", "https://app.example.com"),
                "{}",
            )
            .await;
        refused(&refusal, 401, "missing_token");
        assert_eq!(
            refusal.header("access-control-allow-origin"),
            "https://app.example.com"
        );
        let stranger = gateway
            .send(
                http2,
                gateway
                    .request(http2, "POST", VERIFY)
                    .header("origin", "https://evil.example"),
                "{}",
            )
            .await;
        assert_eq!(stranger.header("access-control-allow-origin"), "");
        assert_eq!(stranger.header("vary"), "Origin");
    }
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
        let head = format!(
            "POST {VERIFY} HTTP/1.1\r\nHost: g\r\nOrigin: https://app.example.com\r\n{rest}"
        );
        let answer = raw::ask(gateway.address, &head).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        assert!(
            answer
                .to_ascii_lowercase()
                .contains("\r\naccess-control-allow-origin: https://app.example.com\r\n"),
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
