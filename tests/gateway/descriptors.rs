//! File descriptors: the gateway uses as many as it may, keeps some for what is not a connection,
//! and survives when there are none.
//!
//! The limit belongs to a process, so each gateway is one of its own: the built program.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{SESSIONCODE, emulator, gateway_process::GatewayProcess, raw, upstream};
use liveness_gateway::emulator::Scenario;

#[tokio::test]
async fn the_soft_limit_is_raised_and_connections_are_held_below_it() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = GatewayProcess::start("-Sn 400 && ulimit -Hn 1000", qiniu, "").await;
    let limits = gateway.proc("limits");
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let numbers: Vec<_> = files.unwrap().split_whitespace().skip(3).take(2).collect();
    assert_eq!(numbers, ["1000", "1000"]);
    let warned = gateway.lines("server.max_connections = 10000 is held to ");
    assert_eq!(warned.len(), 1, "{:?}", gateway.lines(""));
    let number = |name: &str| warned[0][name].as_u64().unwrap();
    assert_eq!(number("limit"), 1000);
    // Qiniu alone may have 256.
    assert!(number("reserved") > 256, "{}", warned[0]);
    assert_eq!(number("allowed"), 1000 - number("reserved"));

    let fits = GatewayProcess::start("-n 1000", qiniu, "max_connections = 600").await;
    assert!(fits.lines("server.max_connections").is_empty());
}

#[tokio::test]
async fn a_lack_of_descriptors_is_survived() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    // Half of them are left to connections.
    let gateway = GatewayProcess::start("-n 80", qiniu, "min_body_rate = \"1B\"").await;
    let mut uploads = Vec::new();
    for _ in 0..39 {
        let head = raw::head(
            "alice",
            SESSIONCODE,
            "Content-Length: 2\r\nConnection: close",
        );
        uploads.push(raw::begin(gateway.address, &(head + "{")).await);
    }
    until_in_flight(&gateway, 39).await;
    let mut silent = Vec::new();
    for _ in 0..64 {
        silent.push(TcpStream::connect(gateway.admin).await.unwrap());
    }
    let request = raw::whole("bob", SESSIONCODE, "{}");
    let mut newcomer = raw::begin(gateway.address, &request).await;
    gateway.line("can't accept a connection").await;

    // The admin listener has a reserve.
    for _ in 0..5 {
        let answer = gateway.probe().await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    // When there are descriptors again, so are calls.
    drop(silent);
    let mut passed = false;
    while let Some(mut upload) = uploads.pop().filter(|_| !passed) {
        upload.write_all(b"}").await.unwrap();
        passed = raw::rest(upload).await.starts_with("HTTP/1.1 200 ");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(passed);
    // It was accepted as soon as there was a descriptor for it, maybe the last one.
    let mut begin = [0; 12];
    newcomer.read_exact(&mut begin).await.unwrap();
    assert!(begin == *b"HTTP/1.1 200" || begin == *b"HTTP/1.1 503");
    let lines = gateway.lines("can't accept a connection");
    assert_eq!(lines.len(), 1, "{lines:?}");
}

#[tokio::test]
async fn probes_are_answered_while_calls_take_all_descriptors() {
    let qiniu = upstream::start(upstream::Does::Hang).await;
    let slow = "min_body_rate = \"1B\"";
    let gateway = GatewayProcess::start("-n 80", qiniu.address, slow).await;
    let half = raw::head("alice", SESSIONCODE, "Content-Length: 2") + "{";
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(raw::begin(gateway.address, &half).await);
    }
    until_in_flight(&gateway, 4).await;
    // A call takes two descriptors.
    let call = half.replace(
        "Content-Length: 2",
        "Content-Length: 2\r\nConnection: close",
    ) + "}";
    let message = "no file descriptor is free to call Qiniu";
    let no_accept = "can't accept a connection";
    let used_up = || !gateway.lines(message).is_empty() || !gateway.lines(no_accept).is_empty();
    while !used_up() {
        assert!(open.len() < 40, "there are enough descriptors");
        let calls = qiniu.requests();
        open.push(raw::begin(gateway.address, &call).await);
        while qiniu.requests() == calls && !used_up() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    // The system refuses to accept even while nobody waits, so the last call may have its
    // descriptors, or wait for the first of them. An upload that ends has one for the next.
    if gateway.lines(message).is_empty() {
        drop(open.remove(0));
        open.push(raw::begin(gateway.address, &call).await);
    }
    gateway.line(message).await;
    let mut refused = vec![raw::rest(open.pop().unwrap()).await];
    for _ in 0..3 {
        refused.push(raw::ask(gateway.address, &call).await);
    }
    for answer in refused {
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.contains(r#""code":"overloaded""#), "{answer}");
        assert!(answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
    }
    assert_eq!(gateway.lines(message).len(), 1);
    for _ in 0..2 {
        open.push(raw::begin(gateway.address, &half).await);
    }
    gateway.line(no_accept).await;
    // They can't be accepted. A listener that tries without a pause takes all the time it gets.
    let before = gateway.ticks();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let used = gateway.ticks() - before;
    assert!(used < 15, "it spins for {used} hundredths of a second");
    assert_eq!(gateway.lines(no_accept).len(), 1);
    for _ in 0..3 {
        let answer = gateway.probe().await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}

/// Waits until so many requests are in flight.
async fn until_in_flight(gateway: &GatewayProcess, count: usize) {
    let request = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let line = format!("liveness_gateway_requests_in_flight {count}\n");
    for _ in 0..1000 {
        if raw::ask(gateway.admin, request).await.contains(&line) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("never {count} requests in flight");
}
