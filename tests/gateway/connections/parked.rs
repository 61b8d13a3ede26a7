//! HTTP/1.1 connections that have rested for longer than hyper keeps them: they serve, end and stop
//! as any other.

use std::time::Duration;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    certificates,
    peer::{GET, Running, settings, start},
};
use crate::support::soon;

/// Longer than a connection is idle before it is parked.
const REST: Duration = Duration::from_millis(1300);

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A plain and a TLS gateway, with four connections to each that have had a request and rested.
async fn rested() -> Vec<(Running, Vec<Box<dyn Stream>>)> {
    let (files, roots) = certificates::files();
    let mut secure = settings();
    secure.tls = Some(files.server_config(None).unwrap());
    let mut all = Vec::new();
    for (settings, tls) in [(settings(), false), (secure, true)] {
        let running = start(settings).await;
        let mut streams: Vec<Box<dyn Stream>> = Vec::new();
        for _ in 0..4 {
            let mut stream: Box<dyn Stream> = match tls {
                true => Box::new(certificates::connect(running.public, &roots, &[]).await),
                false => Box::new(TcpStream::connect(running.public).await.unwrap()),
            };
            ask(&mut stream, &[GET], 1).await;
            streams.push(stream);
        }
        all.push((running, streams));
    }
    tokio::time::sleep(REST).await;
    all
}

/// Sends these pieces, each in a write of its own, and reads so many responses.
async fn ask(stream: &mut Box<dyn Stream>, pieces: &[&str], responses: usize) {
    for piece in pieces {
        stream.write_all(piece.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
    }
    let mut read = Vec::new();
    while String::from_utf8_lossy(&read).matches(" tls=").count() < responses {
        assert!(soon(stream.read_buf(&mut read)).await.unwrap() > 0);
    }
}

/// Everything until the end of the stream.
async fn rest(stream: &mut Box<dyn Stream>) -> String {
    let mut read = String::new();
    let _ = soon(stream.read_to_string(&mut read)).await;
    read
}

#[tokio::test]
async fn a_rested_connection_serves_and_ends_as_any_other() {
    for (mut running, mut streams) in rested().await {
        let [first, second, third, _] = &mut streams[..] else {
            panic!("there are four");
        };
        ask(first, &["G", "ET / HTTP/1.1\r\nHo", "st: x\r\n\r\n"], 1).await;
        let upload = format!(
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\n{}{GET}",
            "b".repeat(90_000)
        );
        ask(second, &[&upload], 2).await;
        third
            .write_all(b"GET / HTTP/1.1\nHost: x\r\n\r\n")
            .await
            .unwrap();
        third.flush().await.unwrap();
        let refused = rest(third).await;
        assert!(refused.starts_with("HTTP/1.1 400 "), "{refused}");
        running.until_connections_are(3).await;
        drop(streams.pop());
        running.until_connections_are(2).await;
        running.stop.take().unwrap().send(()).unwrap();
        let outcome = soon(&mut running.outcome).await.unwrap();
        assert_eq!(outcome.cut, 0);
    }
}

#[tokio::test]
async fn a_stop_ends_connections_that_rest() {
    for (mut running, mut streams) in rested().await {
        running.stop.take().unwrap().send(()).unwrap();
        for stream in &mut streams {
            assert_eq!(rest(stream).await, "");
        }
        let outcome = soon(&mut running.outcome).await.unwrap();
        assert_eq!(outcome.cut, 0);
    }
}
