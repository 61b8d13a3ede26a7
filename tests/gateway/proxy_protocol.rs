//! `server.proxy_protocol`: PROXY headers before plain HTTP and before TLS.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use liveness_gateway::emulator::Scenario;
use rustls::RootCertStore;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    connections::certificates,
    support::{Gateway, SESSIONCODE, emulator, events, own_process, raw, routes, soon},
};

const TRUSTED: &str = "proxy_protocol = true\ntrusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]\n";
const ELSEWHERE: &str = "proxy_protocol = true\ntrusted_proxies = [\"10.0.0.0/8\"]\n";
const LINE: &str = "PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\n";
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// The header of version 2 for a connection from this IPv6 address, with a TLV that pads it.
fn binary(source: &str) -> Vec<u8> {
    let source: std::net::Ipv6Addr = source.parse().unwrap();
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x2b".to_vec();
    header.extend(source.octets());
    header.extend([0; 16]);
    header.extend([0x12, 0x67, 1, 187]);
    header.extend([4, 0, 4, 0, 0, 0, 0]);
    header
}

/// A gateway with TLS, and what its clients trust. The folder lives as long as the test.
async fn secure(
    qiniu: SocketAddr,
    server: &str,
) -> (Gateway, Arc<RootCertStore>, certificates::Files) {
    let (files, roots) = certificates::files();
    let shown = |path: &PathBuf| path.display().to_string();
    let tls = format!(
        "{server}[server.tls]\ncertificate = \"{}\"\nprivate_key = \"{}\"\n",
        shown(&files.certificate),
        shown(&files.key)
    );
    (Gateway::start(qiniu, &tls, &routes()).await, roots, files)
}

/// A request whose fields claim `id` and a hop, on a connection that ends with it.
fn request(id: &str) -> String {
    format!(
        "POST {SESSIONCODE} HTTP/1.1\r\nHost: g\r\nX-Request-Id: {id}\r\nX-Forwarded-For: 198.51.100.1\r\n\
         Content-Length: 0\r\nConnection: close\r\n\r\n"
    )
}

/// Sends one request over HTTP/1.1 and returns the response.
async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, text: &str) -> String {
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    answer
}

/// Sends one request over HTTP/2 and returns its status.
async fn ask_http2(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> u16 {
    let (mut sender, connection) =
        http2::handshake::<_, _, Full<&[u8]>>(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let request = Request::post(format!("https://localhost{SESSIONCODE}"))
        .body(Full::default())
        .unwrap();
    let (parts, body) = soon(sender.send_request(request))
        .await
        .unwrap()
        .into_parts();
    soon(body.collect()).await.unwrap();
    parts.status.as_u16()
}

async fn connect(gateway: &Gateway, header: &[u8]) -> TcpStream {
    let mut tcp = TcpStream::connect(gateway.address).await.unwrap();
    tcp.write_all(header).await.unwrap();
    tcp
}

#[tokio::test]
async fn the_header_s_source_is_the_peer_in_plain_text_and_over_tls() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let plain = Gateway::start(qiniu, TRUSTED, &routes()).await;
    let (tls, roots, _files) = secure(qiniu, TRUSTED).await;
    for (header, peer) in [
        (LINE.as_bytes().to_vec(), "192.0.2.7:4711"),
        (binary("2001:db8::1"), "[2001:db8::1]:4711"),
        (binary("::ffff:192.0.2.8"), "192.0.2.8:4711"),
    ] {
        let answer = ask(connect(&plain, &header).await, &request("forged")).await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        plain.record(&format!("\"peer\":\"{peer}\"")).await;
        assert_eq!(ask_http2(connect(&plain, &header).await).await, 401);

        let stream = connect(&tls, &header).await;
        let stream = certificates::handshake(stream, &roots, &[]).await.unwrap();
        let answer = ask(stream, &request("forged")).await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        tls.record(&format!("\"peer\":\"{peer}\"")).await;
        let stream = connect(&tls, &header).await;
        let stream = certificates::handshake(stream, &roots, &[b"h2"])
            .await
            .unwrap();
        assert_eq!(ask_http2(stream).await, 401);
    }
    for gateway in [plain, tls] {
        let log = gateway.log();
        assert!(
            !log.contains("127.0.0.1") && !log.contains("forged"),
            "{log}"
        );
        assert!(!log.contains("198.51.100.1"), "{log}");
    }
}

#[tokio::test]
async fn a_header_may_arrive_byte_by_byte_and_with_the_request() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = Gateway::start(qiniu, TRUSTED, &routes()).await;
    for (header, peer) in [
        (LINE.as_bytes().to_vec(), "192.0.2.7:4711"),
        (binary("2001:db8::1"), "[2001:db8::1]:4711"),
    ] {
        let all = [&header[..], request("x").as_bytes()].concat();
        assert!(
            raw::rest(connect(&gateway, &all).await)
                .await
                .starts_with("HTTP/1.1 401 ")
        );
        let mut tcp = connect(&gateway, &[]).await;
        tcp.set_nodelay(true).unwrap();
        for byte in all {
            tcp.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert!(raw::rest(tcp).await.starts_with("HTTP/1.1 401 "));
        let log = gateway.log();
        let records = log
            .lines()
            .filter(|line| line.contains(&format!("\"peer\":\"{peer}\"")));
        assert_eq!(records.count(), 2, "{log}");
    }
}

#[tokio::test]
async fn trust_is_judged_by_the_address_in_the_header() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = Gateway::start(qiniu, TRUSTED, &routes()).await;
    for (id, header, believed) in [
        (
            "trusted-too",
            &b"PROXY TCP4 10.2.3.4 10.0.0.1 4711 443\r\n"[..],
            true,
        ),
        ("a-client", LINE.as_bytes(), false),
        ("local", LOCAL, true),
        ("nobody", b"PROXY UNKNOWN\r\n", false),
        ("unspecified", b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\0", false),
    ] {
        let answer = ask(connect(&gateway, header).await, &request(id)).await;
        assert_eq!(answer.contains(id), believed, "{id}: {answer}");
        if believed {
            assert_eq!(gateway.record(id).await["forwarded_for"], "198.51.100.1");
        }
    }
}

#[tokio::test]
async fn a_trusted_peer_without_a_valid_header_gets_400_or_no_handshake() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let plain = Gateway::start(qiniu, TRUSTED, &routes()).await;
    let (tls, roots, _files) = secure(qiniu, TRUSTED).await;
    for header in [
        &b""[..],
        b"PROXY TCP4 192.0.2.7 10.0.0.1 4711\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\n",
        b"\r\n\r\n\0\r\nQUIT\n\x11\x11\0\x0c",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
    ] {
        let answer = ask(connect(&plain, header).await, &request("forged")).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(
            answer.contains("does not begin with a valid PROXY header"),
            "{answer}"
        );
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1);
        let handshake = certificates::handshake(connect(&tls, header).await, &roots, &[]);
        assert!(soon(handshake).await.is_err());
    }
    let record = plain.record("malformed_request").await;
    assert!(record["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert_eq!(tls.log(), "");
}

#[tokio::test]
async fn a_peer_that_is_not_trusted_is_served_without_a_header_and_refused_with_one() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let plain = Gateway::start(qiniu, ELSEWHERE, &routes()).await;
    let (tls, roots, _files) = secure(qiniu, ELSEWHERE).await;
    let answer = ask(connect(&plain, &[]).await, &request("forged")).await;
    assert!(
        answer.starts_with("HTTP/1.1 401 ") && !answer.contains("forged"),
        "{answer}"
    );
    let stream = certificates::handshake(connect(&tls, &[]).await, &roots, &[])
        .await
        .unwrap();
    assert!(
        ask(stream, &request("forged"))
            .await
            .starts_with("HTTP/1.1 401 ")
    );
    for header in [
        LINE.as_bytes().to_vec(),
        LOCAL.to_vec(),
        binary("2001:db8::1"),
    ] {
        let answer = ask(connect(&plain, &header).await, &request("forged")).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1);
        let handshake = certificates::handshake(connect(&tls, &header).await, &roots, &[]);
        assert!(soon(handshake).await.is_err());
    }
    // Nor is a header read where the operator expects none.
    let off = "trusted_proxies = [\"127.0.0.1\"]\n";
    let off = Gateway::start(qiniu, off, &routes()).await;
    let answer = ask(connect(&off, LINE.as_bytes()).await, &request("x")).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    for gateway in [plain, tls, off] {
        assert!(!gateway.log().contains("192.0.2.7"));
    }
}

#[tokio::test]
async fn a_header_has_the_head_timeout() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let server = TRUSTED.to_owned() + "head_timeout = \"50ms\"\n";
    let gateway = Gateway::start(qiniu, &server, &routes()).await;
    let (tls, _roots, _files) = secure(qiniu, &server).await;
    for gateway in [&gateway, &tls] {
        for part in [
            &b""[..],
            b"PROXY TCP4 192.0.2.7",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x04\0",
        ] {
            let mut tcp = connect(gateway, part).await;
            let mut answer = Vec::new();
            // The bytes that were not read may make the end a reset.
            drop(soon(tcp.read_to_end(&mut answer)).await);
            assert_eq!(answer, b"");
        }
        assert_eq!(gateway.log(), "");
    }
    gateway.until_metrics_have("connections 0").await;
}

#[tokio::test]
async fn clients_behind_the_header_are_counted_apart() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let server = TRUSTED.to_owned() + "rate_per_address = \"2/day\"\n";
    let gateway = Gateway::start(qiniu, &server, &routes()).await;
    for (source, statuses) in [
        ("2001:db8::1", [401, 401, 429]),
        ("2001:db8:0:1::1", [401, 401, 429]),
        ("2001:db8::2", [429, 429, 429]),
    ] {
        for status in statuses {
            let answer = ask(connect(&gateway, &binary(source)).await, &request("x")).await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status} ")),
                "{answer}"
            );
        }
    }
}

#[tokio::test]
async fn health_checks_of_a_load_balancer_leave_no_line_in_the_log() {
    let name = "proxy_protocol::health_checks_of_a_load_balancer_leave_no_line_in_the_log";
    if !own_process::is_here(name) {
        return;
    }
    let log = events::capture(tracing::Level::INFO);
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let plain = Gateway::start(qiniu, TRUSTED, &routes()).await;
    let (tls, _roots, _files) = secure(qiniu, TRUSTED).await;
    log.lock().unwrap().clear();
    for gateway in [&plain, &tls] {
        for check in [LOCAL, b"", b"PROXY UNKNOWN\r\n", b"PROX", LINE.as_bytes()] {
            let mut tcp = connect(gateway, check).await;
            tcp.shutdown().await.unwrap();
            drop(soon(tcp.read_to_end(&mut Vec::new())).await);
        }
        assert_eq!(gateway.log(), "");
    }
    assert_eq!(String::from_utf8(log.lock().unwrap().clone()).unwrap(), "");
}
