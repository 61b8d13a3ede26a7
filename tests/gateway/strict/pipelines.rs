//! Several requests on one connection: each ends where its framing says, and what looks like a
//! request inside of another one never is one.

use super::statuses;
use crate::support::{Gateway, SESSIONCODE, emulator, raw};
use liveness_gateway::emulator::Scenario;

/// A request that goes upstream, without `Connection: close`.
fn good() -> String {
    raw::whole("u", SESSIONCODE, "{}")
}

/// A request that goes upstream, behind which the connection closes.
fn last() -> String {
    raw::head("u", SESSIONCODE, "Connection: close\r\nContent-Length: 2") + "{}"
}

/// A request whose head has these lines, and whose body is this text.
fn with(lines: &str, body: &str) -> String {
    let lines = format!("{lines}\r\nContent-Length: {}", body.len());
    raw::head("u", SESSIONCODE, &lines) + body
}

#[tokio::test]
async fn an_upgrade_is_ignored_and_its_body_stays_a_body() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for upgrade in [
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA",
        "Connection: Upgrade\r\nUpgrade: TLS/1.0, HTTP/2.0",
    ] {
        // The body is a whole request, which is no JSON. Whether all of it was read when it is
        // refused decides about the connection.
        let before = handle.session_calls();
        let text = with(upgrade, &good()) + &last();
        let found = statuses(&gateway, text.as_bytes()).await;
        assert!(
            found == [400] || found == [400, 200],
            "{upgrade}: {found:?}"
        );
        let before = before + found.len() as u64 - 1;
        assert_eq!(handle.session_calls(), before, "{upgrade}");
        let text = with(upgrade, "{}") + &last();
        assert_eq!(
            statuses(&gateway, text.as_bytes()).await,
            [200, 200],
            "{upgrade}"
        );
        assert_eq!(handle.session_calls(), before + 2, "{upgrade}");
        // The peer may not begin to speak HTTP/2.
        let text = with(upgrade, "{}") + preface + &last();
        assert_eq!(
            statuses(&gateway, text.as_bytes()).await,
            [200, 505],
            "{upgrade}"
        );
    }
}

#[tokio::test]
async fn a_body_that_looks_like_a_request_is_none() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    let inner = format!("{}\r\n", good());
    let chunk = format!("{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len());
    let chunked = raw::head("u", SESSIONCODE, "Transfer-Encoding: chunked") + &chunk;
    for text in [with("X-A: b", &inner), chunked] {
        let text = text + &last();
        let found = statuses(&gateway, text.as_bytes()).await;
        // The body is refused as soon as it is no JSON; whether its rest has been read by then
        // decides about the connection.
        assert!(found == [400] || found == [400, 200], "{found:?}");
    }
    assert!(handle.session_calls() <= 2, "{}", handle.session_calls());
}

#[tokio::test]
async fn an_earlier_request_is_answered_before_a_broken_one_is_refused() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    let (host, token) = ("Host: g\r\n", "Host: g\r\nHost: h\r\n");
    for (broken, status) in [
        (with("Content-Length: 2", "{}"), 400),
        (good().replace(host, token), 400),
        (good().replace("HTTP/1.1", "HTTP/1.2"), 505),
        (with(&format!("X-A: {}", "a".repeat(40_000)), "{}"), 431),
        (
            raw::head("u", SESSIONCODE, "Transfer-Encoding: gzip, chunked"),
            501,
        ),
        (
            raw::head("u", SESSIONCODE, "Transfer-Encoding: chunked") + "2\n{}",
            400,
        ),
    ] {
        let before = handle.session_calls();
        let text = good() + &broken + &last();
        assert_eq!(
            statuses(&gateway, text.as_bytes()).await,
            [200, status],
            "{broken:?}"
        );
        assert_eq!(handle.session_calls(), before + 1, "{broken:?}");
    }
}

#[tokio::test]
async fn a_long_pipeline_is_answered_in_order() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    let unknown = "GET / HTTP/1.1\r\nHost: g\r\n\r\n";
    let text = (good() + unknown).repeat(20) + &last();
    let expected = [[200, 404].repeat(20), vec![200]].concat();
    assert_eq!(statuses(&gateway, text.as_bytes()).await, expected);
    assert_eq!(handle.session_calls(), 21);
}
