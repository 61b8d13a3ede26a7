//! Plain text: both protocols, timeouts, limits, unreadable heads.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::{Request, client::conn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::peer::{GET, WAIT, connect, read_all, read_until, settings, start};
use crate::support::soon;

#[tokio::test]
async fn one_connection_carries_several_requests() {
    let running = start(settings()).await;
    let mut tcp = connect(running.public, GET).await;
    assert!(
        read_until(&mut tcp, "0 tls=false")
            .await
            .starts_with("HTTP/1.1 200 OK")
    );
    tcp.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
        .await
        .unwrap();
    read_until(&mut tcp, "3 tls=false").await;
    tcp.write_all([GET, GET].concat().as_bytes()).await.unwrap();
    read_until(&mut tcp, "0 tls=false").await;
    read_until(&mut tcp, "0 tls=false").await;
}

#[tokio::test]
async fn a_head_may_arrive_byte_by_byte() {
    let running = start(settings()).await;
    let mut tcp = TcpStream::connect(running.public).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    for byte in b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na" {
        tcp.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    read_until(&mut tcp, "1 tls=false").await;
}

#[tokio::test]
async fn http2_works_in_plain_text() {
    let running = start(settings()).await;
    let tcp = TcpStream::connect(running.public).await.unwrap();
    let (mut sender, connection) = conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tcp))
        .await
        .unwrap();
    tokio::spawn(connection);
    let body = Full::new(Bytes::from(vec![7; 3_000_000]));
    let request = Request::post("http://x/").body(body).unwrap();
    let response = soon(sender.send_request(request)).await.unwrap();
    assert_eq!(response.version(), hyper::Version::HTTP_2);
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "3000000 tls=false"
    );
}

#[tokio::test]
async fn an_incomplete_head_gets_408_in_time() {
    let running = start({
        let mut settings = settings();
        settings.head_timeout = Duration::from_millis(50);
        settings
    })
    .await;
    // The last one begins both HTTP/1.1 and HTTP/2.
    for half in [
        "GET / HTTP/1.1\r\nHost:",
        "POST / HTTP/1.1\r\nHost: x\r\n",
        "P",
    ] {
        let answer = read_all(&mut connect(running.public, half).await).await;
        assert_408(&answer);
    }
    // On a connection that was used before.
    let mut tcp = connect(running.public, GET).await;
    read_until(&mut tcp, "0 tls=false").await;
    tcp.write_all(b"GET /").await.unwrap();
    assert_408(&read_all(&mut tcp).await);
    let counted = r#"requests_total{route="none",status="408",code="request_timeout"} 4"#;
    assert!(running.exposed().contains(counted));
}

fn assert_408(answer: &str) {
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("{answer:?}"));
    assert!(
        head.starts_with("HTTP/1.1 408 ") && head.contains("\r\nX-Request-Id: "),
        "{head}"
    );
    assert!(
        head.contains("\r\nConnection: close") && head.contains("application/problem+json"),
        "{head}"
    );
    assert!(head.contains("\r\nRetry-After: 1"), "{head}");
    let problem: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(problem["code"], "request_timeout");
}

#[tokio::test]
async fn a_connection_without_a_byte_is_closed_silently() {
    let mut short = settings();
    short.head_timeout = Duration::from_millis(50);
    let running = start(short).await;
    assert_eq!(read_all(&mut connect(running.public, "").await).await, "");
}

#[tokio::test]
async fn an_idle_connection_is_closed_silently() {
    let mut short = settings();
    short.idle_timeout = Duration::from_millis(50);
    let running = start(short).await;
    let mut tcp = connect(running.public, GET).await;
    read_until(&mut tcp, "0 tls=false").await;
    assert_eq!(read_all(&mut tcp).await, "");
    let tcp = TcpStream::connect(running.public).await.unwrap();
    let (sender, connection) =
        conn::http2::handshake::<_, _, Empty<Bytes>>(TokioExecutor::new(), TokioIo::new(tcp))
            .await
            .unwrap();
    soon(connection).await.unwrap();
    drop(sender);
}

#[tokio::test]
async fn a_trusted_proxy_keeps_a_connection_on_which_nobody_was_authenticated() {
    let mut short = settings();
    short.head_timeout = Duration::from_millis(50);
    let strangers = start(short).await;
    let mut short = settings();
    short.head_timeout = Duration::from_millis(50);
    short.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let proxies = start(short).await;
    let mut proxy = connect(proxies.public, GET).await;
    read_until(&mut proxy, "0 tls=false").await;
    let mut stranger = connect(strangers.public, GET).await;
    read_until(&mut stranger, "0 tls=false").await;
    assert_eq!(read_all(&mut stranger).await, "");
    proxy.write_all(GET.as_bytes()).await.unwrap();
    read_until(&mut proxy, "0 tls=false").await;
}

#[tokio::test]
async fn a_request_in_flight_is_not_idle() {
    let mut short = settings();
    short.idle_timeout = Duration::from_millis(20);
    short.head_timeout = Duration::from_millis(20);
    let running = start(short).await;
    let mut waiting = connect(running.public, WAIT).await;
    soon(running.gate.arrived.notified()).await;
    // A second connection outlasts both timeouts in the meantime.
    assert_eq!(read_all(&mut connect(running.public, "").await).await, "");
    assert_eq!(read_all(&mut connect(running.public, "").await).await, "");
    running.gate.release.notify_one();
    read_until(&mut waiting, "waited").await;
}

#[tokio::test]
async fn unreadable_heads_get_problems() {
    let running = start(settings()).await;
    let long = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n",
        "a".repeat(100_000)
    );
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(200));
    for (head, status, code) in [
        (
            "GET / HTTP/1.1\r\nHost : x\r\n\r\n",
            "400",
            "malformed_request",
        ),
        ("\u{16}\u{3}\u{1} hello\r\n\r\n", "400", "malformed_request"),
        (&long, "431", "headers_too_large"),
        (&many, "431", "headers_too_large"),
    ] {
        let answer = read_all(&mut connect(running.public, head).await).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        assert!(
            answer.contains(&format!(r#""code":"{code}""#))
                && answer.matches("HTTP/1.1").count() <= 2,
            "{answer}"
        );
    }
    // After a good request, its response still arrives.
    let mut tcp = connect(running.public, &format!("{GET}nonsense\r\n\r\n")).await;
    read_until(&mut tcp, "0 tls=false").await;
    assert!(read_all(&mut tcp).await.starts_with("HTTP/1.1 400 "));
}

#[tokio::test]
async fn the_response_to_a_refused_upload_is_not_lost() {
    let running = start(settings()).await;
    for _ in 0..20 {
        let head = "POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n";
        let mut tcp = connect(running.public, head).await;
        tcp.write_all(&vec![b'a'; 200_000]).await.unwrap();
        let answer = read_all(&mut tcp).await;
        assert!(
            answer.starts_with("HTTP/1.1 413 ") && answer.ends_with("refused"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_refused_upload_that_continues_is_not_reset() {
    let running = start(settings()).await;
    let head = "POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n";
    let mut tcp = connect(running.public, head).await;
    assert!(read_all(&mut tcp).await.ends_with("refused"));
    // The server's side of the connection has ended; what the peer still sends is read.
    for _ in 0..10 {
        tcp.write_all(&[b'a'; 20_000]).await.unwrap();
        tokio::task::yield_now().await;
    }
    // Until the limit is reached.
    let endless = async { while tcp.write_all(&[b'a'; 20_000]).await.is_ok() {} };
    soon(endless).await;
}

#[tokio::test]
async fn connections_over_the_limit_wait() {
    let mut one = settings();
    one.max_connections = 1;
    let running = start(one).await;
    let mut first = connect(running.public, WAIT).await;
    soon(running.gate.arrived.notified()).await;
    let mut second = connect(running.public, GET).await;
    assert!(running.exposed().contains("liveness_gateway_connections 1"));
    let early = tokio::time::timeout(Duration::from_millis(100), second.read_u8()).await;
    assert!(early.is_err(), "{early:?}");
    running.gate.release.notify_one();
    read_until(&mut first, "waited").await;
    drop(first);
    read_until(&mut second, "0 tls=false").await;
}
