//! A full listener: who must go, who stays, and how little memory unfinished heads take.

use std::{io::Write as _, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    certificates,
    peer::{GET, KNOWN, Running, WAIT, connect, read_all, read_until, settings, start},
};
use crate::support::{crowd, soon};

/// A server of so many places, whose own time limits pass in no test.
async fn crowded(places: usize) -> Running {
    let mut crowded = settings();
    crowded.max_connections = places;
    crowded.head_timeout = Duration::from_secs(600);
    crowded.idle_timeout = Duration::from_secs(600);
    start(crowded).await
}

/// A connection on which one request was answered.
async fn used(running: &Running, request: &str) -> TcpStream {
    let mut tcp = connect(running.public, request).await;
    read_until(&mut tcp, "0 tls=false").await;
    tcp
}

async fn works(tcp: &mut TcpStream) {
    tcp.write_all(GET.as_bytes()).await.unwrap();
    read_until(tcp, "0 tls=false").await;
}

#[tokio::test]
async fn a_newcomer_replaces_the_stranger_who_is_idle_for_longest() {
    let running = crowded(4).await;
    let mut known = used(&running, KNOWN).await;
    let mut busy = connect(running.public, WAIT).await;
    soon(running.gate.arrived.notified()).await;
    let mut first = used(&running, GET).await;
    let mut second = used(&running, GET).await;
    let mut newcomer = used(&running, GET).await;
    assert_eq!(read_all(&mut first).await, "");
    let mut another = used(&running, GET).await;
    assert_eq!(read_all(&mut second).await, "");
    for stays in [&mut known, &mut newcomer, &mut another] {
        works(stays).await;
    }
    running.gate.release.notify_one();
    read_until(&mut busy, "waited").await;
}

#[tokio::test]
async fn a_head_that_does_not_end_gives_its_place_away_with_408() {
    let running = crowded(1).await;
    let mut half = connect(running.public, "GET / HTTP/1.1\r\nHost:").await;
    running.until_connections_are(1).await;
    let mut silent = connect(running.public, "").await;
    let answer = read_all(&mut half).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("\r\nRetry-After: 1\r\n"), "{answer}");
    let mut newcomer = used(&running, GET).await;
    assert_eq!(read_all(&mut silent).await, "");
    works(&mut newcomer).await;
}

#[tokio::test]
async fn without_strangers_the_longest_idle_connection_goes() {
    let running = crowded(2).await;
    let mut first = used(&running, KNOWN).await;
    let mut second = used(&running, KNOWN).await;
    used(&running, GET).await;
    assert_eq!(read_all(&mut first).await, "");
    works(&mut second).await;
}

#[tokio::test]
async fn silent_tls_handshakes_give_their_places_away() {
    let (files, roots) = certificates::files();
    let mut crowded = settings();
    crowded.max_connections = 2;
    crowded.head_timeout = Duration::from_secs(600);
    crowded.tls = Some(files.server_config(None).unwrap());
    let running = start(crowded).await;
    let mut silent = Vec::new();
    for _ in 0..6 {
        silent.push(connect(running.public, "").await);
    }
    let newcomer = certificates::connect(running.public, &roots, &[]);
    let mut newcomer = soon(newcomer).await;
    newcomer
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    soon(newcomer.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.ends_with("0 tls=true"), "{answer}");
}

#[tokio::test]
async fn an_idle_stranger_is_closed_early_and_a_user_is_not() {
    let mut short = settings();
    short.head_timeout = Duration::from_millis(50);
    short.idle_timeout = Duration::from_secs(600);
    let running = start(short).await;
    let mut known = used(&running, KNOWN).await;
    let mut stranger = used(&running, GET).await;
    assert_eq!(read_all(&mut stranger).await, "");
    works(&mut known).await;
}

#[tokio::test]
async fn the_oldest_heads_end_when_all_together_take_too_much() {
    const HEAD: usize = 200 * 1024;
    let _alone = crowd::alone().await;
    let mut crowded = settings();
    crowded.max_connections = 400;
    crowded.max_head_bytes = 128 * 1024;
    crowded.head_timeout = Duration::from_secs(600);
    let running = start(crowded).await;
    let head = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}", "a".repeat(HEAD));
    let mut heads = Vec::new();
    // 64 MiB are the memory of 128 of them.
    for _ in 0..340 {
        heads.push(connect(running.public, &head).await);
    }
    let mut heads = heads.into_iter();
    for _ in 0..10 {
        let answer = read_all(&mut heads.next().unwrap()).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
    let mut last = heads.next_back().unwrap();
    last.write_all(b"\r\n\r\n").await.unwrap();
    read_until(&mut last, "0 tls=false").await;
    // The memory of heads that are complete, or have ended, counts no longer.
    drop(heads);
    running.until_connections_are(1).await;
    let mut next = connect(running.public, &head).await;
    works(&mut last).await;
    next.write_all(b"\r\n\r\n").await.unwrap();
    read_until(&mut next, "0 tls=false").await;
}

#[tokio::test]
async fn probes_are_answered_before_and_behind_a_burst_of_silent_connections() {
    const PROBE: &[u8] = b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let _alone = crowd::alone().await;
    let running = start(settings()).await;
    let connect_now = |bytes: &[u8]| {
        let mut tcp = std::net::TcpStream::connect(running.admin).unwrap();
        tcp.write_all(bytes).unwrap();
        tcp.set_nonblocking(true).unwrap();
        TcpStream::from_std(tcp).unwrap()
    };
    // Without an await, so that all of them are in the kernel's queue when the server accepts the
    // first.
    let mut first = connect_now(PROBE);
    let silent: Vec<_> = (0..100).map(|_| connect_now(b"")).collect();
    let mut last = connect_now(PROBE);
    // The silent ones would have five seconds each.
    for probe in [&mut first, &mut last] {
        let answer = tokio::time::timeout(Duration::from_secs(1), read_all(probe)).await;
        assert!(answer.unwrap().starts_with("HTTP/1.1 200 "));
    }
    // Nor does one go before all of its request has come, if few come behind it.
    let mut slow = connect(running.admin, "GET /livez HTTP/1.1\r\n").await;
    let newcomers: Vec<_> = (0..32).map(|_| connect_now(b"")).collect();
    slow.write_all(b"Host: x\r\n\r\n").await.unwrap();
    assert!(read_all(&mut slow).await.starts_with("HTTP/1.1 200 "));
    drop((silent, newcomers));
}
