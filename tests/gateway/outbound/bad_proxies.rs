//! Proxies that misbehave: each call gets its 502 before anything of it was sent, the log says what
//! is wrong, all is freed, and the same upload passes once the proxy works.

use std::{collections::HashSet, time::Duration};

use super::{BACKEND, World, logged, until_all_is_freed, verify};
use crate::support::{
    Gateway, VERDICT,
    backend::{self, OK},
    claims,
    proxy::{Cut, Does, Ending, PASSWORD},
    session,
};

/// What no log may repeat of an answer.
const MARKER: &str = "text-of-the-proxy";

fn answer(text: &str) -> Does {
    Does::Answer(format!("HTTP/1.1 {text}\r\nX-Error: {MARKER}\r\n\r\n{MARKER}").into())
}

/// A misbehaviour: its label, and what the log says of it.
type Case = (&'static str, Does, &'static str);

/// Answers that are HTTP, and open no tunnel.
fn refusals() -> Vec<Case> {
    let cases = [
        ("407", "wants other credentials (407)"),
        ("403", "forbids a tunnel to qiniu.example:443 (403)"),
        ("400", "it answered CONNECT with 400"),
        ("502", "opens no tunnel to qiniu.example:443"),
        ("504", "it answered CONNECT with 504"),
        ("302", "it answered CONNECT with 302"),
        ("101", "it answered CONNECT with 101"),
    ];
    let answer = |status| answer(&format!("{status} X"));
    let cases = cases.map(|(status, log)| (status, answer(status), log));
    let endless = Does::Endless(
        b"HTTP/1.1 503 X\r\n\r\n".to_vec(),
        vec![b'x'; 65_536],
        Duration::ZERO,
    );
    let endless = ("an endless 503", endless, "it answered CONNECT with 503");
    cases.into_iter().chain([endless]).collect()
}

/// What is no whole answer, or more than one.
fn malformed() -> Vec<Case> {
    let start = b"HTTP/1.1 200 OK\r\n";
    let broken = "can't be used";
    let incomplete = "its answer to CONNECT is incomplete";
    let no_http = "its answer to CONNECT is not HTTP";
    let too_large = "its answer to CONNECT is too large";
    let stays = |bytes: &[u8]| Does::AnswerAndStay(bytes.to_vec());
    let endless =
        |first: &[u8], more: &[u8]| Does::Endless(first.to_vec(), more.repeat(100), Duration::ZERO);
    let more = [start, &b"\r\nHTTP/1.1 200 OK\r\n\r\n"[..]].concat();
    let field = [start, &b"X: "[..]].concat();
    vec![
        ("half a head", Does::Answer(start.to_vec()), incomplete),
        ("no answer", Does::Close, broken),
        ("a reset", Does::Reset, broken),
        (
            "an empty answer",
            Does::Answer(Vec::new()),
            "without an answer",
        ),
        ("SSH", stays(b"SSH-2.0-OpenSSH\r\n"), no_http),
        ("SOCKS", stays(&[5, 0, 0, 1]), no_http),
        ("a TLS alert", stays(&[21, 3, 1, 0, 2, 2, 70]), no_http),
        ("an endless field", endless(&field, b"xxxxx"), too_large),
        ("endless fields", endless(start, b"X: y\r\n"), no_http),
        (
            "endless 100s",
            endless(b"", b"HTTP/1.1 100 X\r\n\r\n"),
            too_large,
        ),
        (
            "bytes behind the answer",
            stays(&more),
            "has bytes behind it",
        ),
        (
            "no TLS in the tunnel",
            Does::Answer(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()),
            "there is no TLS connection through the proxy",
        ),
    ]
}

#[tokio::test]
async fn a_proxy_that_opens_no_tunnel_fails_a_call_before_it_is_sent() {
    let world = World::start(&[]).await;
    let gateway = Gateway::run(world.settings("")).await;
    let cases = refusals().into_iter().chain(malformed());
    let mut seen = HashSet::new();
    for (number, (label, does, log)) in (1..).zip(cases) {
        world.proxy.does(Does::Tunnel);
        let session = session(&gateway).await;
        world.proxy.does(does);
        let answer = verify(&gateway, &session).await;
        let status = (answer.status.as_u16(), answer.code());
        assert_eq!(status, (502, "upstream_unreachable".into()), "{label}");
        let logged = logged(&answer);
        // The same line within ten seconds is only counted.
        let left_out = !seen.insert(log) && logged.is_empty();
        assert!(left_out || logged.contains(log), "{label}: {logged}");
        assert!(!logged.contains(MARKER), "{label}: {logged}");
        until_all_is_freed(&gateway, &world.proxy).await;
        world.proxy.does(Does::Tunnel);
        let answer = verify(&gateway, &session).await;
        assert_eq!(answer.status, 200, "{label}: {answer:?}");
        assert_eq!(world.calls.verify_calls(), number, "{label}");
    }
    world.keeps_the_password(&gateway);
}

#[tokio::test]
async fn a_proxy_that_takes_too_long_is_given_up_and_named() {
    let world = World::start(&[]).await;
    let mut settings = world.settings("");
    settings.qiniu.connect_timeout = Duration::from_millis(300);
    let gateway = Gateway::run(settings).await;
    let drip = Duration::from_millis(5);
    let mut seen = HashSet::new();
    let tunnel = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    for (label, does, log) in [
        (
            "silence",
            Does::Hang,
            "it did not answer CONNECT within 300ms",
        ),
        (
            "one byte at a time",
            Does::Endless(b"HTTP/1.1 200 OK\r\nX: ".to_vec(), b"x".to_vec(), drip),
            "it did not answer CONNECT within 300ms",
        ),
        (
            "a silent tunnel",
            Does::AnswerAndStay(tunnel),
            "the TLS handshake did not end within 300ms",
        ),
    ] {
        world.proxy.does(does);
        let answer = gateway.post(false, crate::support::SESSIONCODE, "{}").await;
        let status = (answer.status.as_u16(), answer.code());
        assert_eq!(status, (502, "upstream_unreachable".into()), "{label}");
        let logged = logged(&answer);
        // The same line within ten seconds is only counted.
        let left_out = !seen.insert(log) && logged.is_empty();
        assert!(
            left_out || (logged.contains(log) && logged.contains("outbound.proxy")),
            "{label}: {logged}"
        );
        until_all_is_freed(&gateway, &world.proxy).await;
    }
    world.keeps_the_password(&gateway);
}

#[tokio::test]
async fn a_proxy_that_is_gone_is_named() {
    let (_socket, nobody) = crate::support::upstream::not_listening();
    let world = World::start(&[]).await;
    let url = format!("http://ann:{PASSWORD}@{nobody}");
    world.folder.write("proxy", &url);
    let file = world.folder.path().join("proxy");
    let outbound = format!("[outbound]\nproxy = {{ file = \"{}\" }}\n", file.display());
    let gateway = Gateway::run(world.settings_of(&outbound, "")).await;
    let answer = gateway.post(false, crate::support::SESSIONCODE, "{}").await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (502, "upstream_unreachable")
    );
    let logged = logged(&answer);
    assert!(
        logged.contains("the proxy of `outbound.proxy` can't be used"),
        "{logged}"
    );
    assert!(
        logged.contains("refused") && logged.contains("`outbound.no_proxy`"),
        "{logged}"
    );
    assert!(!logged.contains(&nobody.port().to_string()), "{logged}");
}

#[tokio::test]
async fn evidence_that_no_proxy_carries_is_undelivered_and_the_log_says_why() {
    let backend = backend::start(OK).await;
    let world = World::start(&[(BACKEND, backend.address)]).await;
    let evidence = format!(
        "{VERDICT}[evidence]\nurl = \"https://{BACKEND}/a\"\nsecret = {{ env = \"WEBHOOK\" }}\n\
         timeout = \"2s\"\n{}",
        world.ca_file()
    );
    let mut settings = world.settings(&evidence);
    // Qiniu is reached by a proxy that works.
    let other = World::start(&[]).await;
    settings.qiniu = other.settings("").qiniu;
    let gateway = Gateway::run(settings).await;
    for (does, log, attempts) in [
        (
            answer("403 X"),
            "forbids a tunnel to backend.example:443 (403)",
            2,
        ),
        (Does::Hang, "it did not answer CONNECT within 1s", 1),
        (
            Does::Break(Cut::Request(2000), Ending::Reset),
            "the backend sent no response",
            2,
        ),
        (
            Does::Break(Cut::Response(5), Ending::Close),
            "there is no TLS connection through the proxy",
            2,
        ),
    ] {
        let before = world.proxy.heads().len();
        world.proxy.does(does);
        let session = session(&gateway).await;
        let answer = verify(&gateway, &session).await;
        assert_eq!(answer.status, 200, "{log}: {answer:?}");
        let claims = claims(&gateway, answer.json()["verdict"].as_str().unwrap()).await;
        assert_eq!(claims["liveness"]["evidence"], "undelivered", "{log}");
        assert!(backend.deliveries().is_empty(), "{log}");
        let logged = logged(&answer);
        assert!(logged.contains(log), "{log}: {logged}");
        assert_eq!(world.proxy.heads().len() - before, attempts, "{log}");
        until_all_is_freed(&gateway, &world.proxy).await;
    }
    world.keeps_the_password(&gateway);
}
