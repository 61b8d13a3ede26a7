//! The resident memory of connections that wait for their next request.
//!
//! The gateway is a process of its own, so that nothing else is measured. The allocator keeps what
//! a request took and the waiting connection gave back. So a second crowd of connections finds
//! that, and only what each of them holds while it waits is new.
#![cfg(target_os = "linux")]
#![allow(clippy::print_stdout, reason = "figures for a person")]

use std::{any::Any, sync::Arc, time::Duration};

use rustls::RootCertStore;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

use crate::connections::certificates;
use crate::support::{
    crowd,
    frames::{self, FrameClient},
    gateway_process::GatewayProcess,
};

/// Connections that wait at the same time.
const CONNECTIONS: usize = 150;
/// Longer than a connection is idle before it is parked.
const REST: Duration = Duration::from_millis(1300);

/// Its resident memory without the pages of its file, in bytes.
fn resident(gateway: &GatewayProcess) -> usize {
    let pages = gateway.proc("statm");
    let pages = pages.split_whitespace().skip(1).take(2);
    let pages: Vec<usize> = pages.map(|number| number.parse().unwrap()).collect();
    (pages[0] - pages[1]) * 4096
}

/// Sends a request without a route, and reads its response.
async fn ask<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> S {
    let request = "GET /none HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let mut response = Vec::new();
    while !response.ends_with(b"\"}") {
        assert!(stream.read_buf(&mut response).await.unwrap() > 0);
    }
    assert!(response.starts_with(b"HTTP/1.1 404 "));
    stream
}

/// The same over HTTP/2.
async fn ask_http2<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> FrameClient<S> {
    let mut client = FrameClient::begin(stream).await.unwrap();
    let fields = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", "/none"),
    ];
    let head = frames::headers(1, true, &fields);
    client
        .send(&[frames::settings_ack(), head].concat())
        .await
        .unwrap();
    assert_eq!(client.response(1).await, Some(Ok(404)));
    client
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Plain,
    Tls,
    Http2,
}

/// A connection that has had its first response.
async fn used(
    protocol: Protocol,
    gateway: &GatewayProcess,
    roots: &Arc<RootCertStore>,
) -> Box<dyn Any> {
    let address = gateway.address;
    match protocol {
        Protocol::Plain => Box::new(ask(TcpStream::connect(address).await.unwrap()).await),
        Protocol::Tls => Box::new(ask(certificates::connect(address, roots, &[]).await).await),
        Protocol::Http2 => {
            let stream = certificates::connect(address, roots, &[b"h2"]).await;
            Box::new(ask_http2(stream).await)
        }
    }
}

/// The bytes that each connection holds.
async fn held(protocol: Protocol) -> usize {
    let (files, roots) = certificates::files();
    let tls = match protocol {
        Protocol::Plain => String::new(),
        _ => format!(
            "tls.certificate = {:?}\ntls.private_key = {:?}\n",
            files.certificate, files.key
        ),
    };
    // No connection is closed for being idle.
    let server = format!("head_timeout = \"60s\"\n{tls}");
    // Nobody listens there.
    let upstream = "127.0.0.1:9".parse().unwrap();
    let gateway = GatewayProcess::start("-c 0", upstream, &server).await;
    let mut connections = Vec::new();
    let mut before = 0;
    for _ in 0..2 {
        before = resident(&gateway);
        for _ in 0..CONNECTIONS {
            connections.push(used(protocol, &gateway, &roots).await);
        }
        tokio::time::sleep(REST).await;
    }
    let each = resident(&gateway).saturating_sub(before) / CONNECTIONS;
    println!("{protocol:?}: {each} bytes for each connection");
    each
}

#[tokio::test]
async fn connections_that_wait_hold_hardly_any_memory() {
    let _alone = crowd::alone().await;
    let (plain, tls, http2) = tokio::join!(
        held(Protocol::Plain),
        held(Protocol::Tls),
        held(Protocol::Http2),
    );
    assert!(plain <= 11 * 1024, "plain: {plain}");
    assert!(tls <= 19 * 1024, "TLS: {tls}");
    assert!(http2 <= 40 * 1024, "HTTP/2: {http2}");
}
