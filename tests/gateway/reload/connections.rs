//! Limits of connections and of their peers hold after a reload: for new connections, and for
//! those that are open.

use liveness_gateway::emulator::Scenario;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Reloaded, configuration};
use crate::support::{SESSIONCODE, emulator, raw, routes, soon};

const PLACES: &str = "max_connections = 300";
const UNLIMITED: &str = "max_head_bytes = \"32KiB\"";

/// The status of the response to this request.
async fn status(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let head = raw::until(stream, "\r\n\r\n").await;
    let length = head.lines().find_map(|line| {
        line.to_lowercase()
            .strip_prefix("content-length: ")
            .map(str::to_owned)
    });
    let mut body = vec![0; length.unwrap().parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    head["HTTP/1.1 ".len()..][..3].to_owned()
}

/// The same for an authenticated request.
async fn ask(stream: &mut TcpStream) -> String {
    status(stream, &raw::whole("user-1", SESSIONCODE, "{}")).await
}

/// Whether there were too many requests of the client that this one is counted for.
async fn is_limited(stream: &mut TcpStream) -> bool {
    let request = "GET /none HTTP/1.1\r\nHost: g\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n";
    let status = status(stream, request).await;
    assert!(status == "404" || status == "429", "{status}");
    status == "429"
}

async fn connect(file: &Reloaded) -> TcpStream {
    TcpStream::connect(file.gateway.address).await.unwrap()
}

#[tokio::test]
async fn limits_of_peers_and_connections_hold_for_open_connections_and_new_ones() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let text = configuration(qiniu, &routes()).replace(PLACES, &format!("{PLACES}\n{UNLIMITED}"));
    let mut file = Reloaded::start(text).await;
    let mut open = connect(&file).await;
    assert!(!is_limited(&mut open).await);

    // What the address has used is counted from now on.
    file.change(UNLIMITED, "rate_per_address = \"2/day\"").await;
    assert!(!is_limited(&mut open).await);
    assert!(!is_limited(&mut connect(&file).await).await);
    for stream in [&mut open, &mut connect(&file).await] {
        assert!(is_limited(stream).await);
    }
    // That ends a connection. A trusted proxy says who its client is.
    open = connect(&file).await;
    let trusted = "trusted_proxies = [\"127.0.0.1\"]\nrate_per_address = \"2/day\"";
    file.change("rate_per_address = \"2/day\"", trusted).await;
    for stream in [&mut open, &mut connect(&file).await] {
        assert!(!is_limited(stream).await);
    }
    // What was counted before still is.
    file.change(trusted, "rate_per_address = \"3/day\"").await;
    assert!(!is_limited(&mut open).await);
    for stream in [&mut open, &mut connect(&file).await] {
        assert!(is_limited(stream).await);
    }
    file.change("rate_per_address = \"3/day\"", UNLIMITED).await;
    open = connect(&file).await;

    // The only place is that of an open connection, until a newcomer takes it.
    assert_eq!(ask(&mut open).await, "200");
    file.gateway.until_metrics_have("connections 1").await;
    file.change(PLACES, "max_connections = 1").await;
    assert_eq!(ask(&mut open).await, "200");
    let mut newest = connect(&file).await;
    assert_eq!(ask(&mut newest).await, "200");
    assert_eq!(soon(open.read(&mut [0])).await.unwrap(), 0);
    file.change("max_connections = 1", PLACES).await;

    file.change("idle_timeout = \"10min\"", "idle_timeout = \"50ms\"")
        .await;
    assert_eq!(soon(newest.read(&mut [0])).await.unwrap(), 0);
    let mut new = connect(&file).await;
    assert_eq!(ask(&mut new).await, "200");
    assert_eq!(soon(new.read(&mut [0])).await.unwrap(), 0);

    let larger = "max_head_bytes = \"128KiB\"";
    file.change(UNLIMITED, larger).await;
    let field = "x".repeat(100 << 10);
    let request = format!("GET /none HTTP/1.1\r\nHost: g\r\nX-Long: {field}\r\n\r\n");
    assert_eq!(status(&mut connect(&file).await, &request).await, "404");
    file.change(larger, UNLIMITED).await;
    assert_eq!(status(&mut connect(&file).await, &request).await, "431");

    let half = raw::begin(file.gateway.address, "POST ").await;
    file.change("head_timeout = \"10min\"", "head_timeout = \"50ms\"")
        .await;
    let answers = [
        raw::rest(half).await,
        raw::ask(file.gateway.address, "POST ").await,
    ];
    for answer in answers {
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
}
