//! Strict HTTP/1.1 (RFC 9112): what two parsers could read in two ways is refused, the connection
//! is closed, and no byte behind it becomes a request. The cases are the rows of the tables beside
//! this file; `table.rs` reads them.

mod half_closed;
mod pipelines;
mod table;

use std::time::Duration;

use crate::support::{Gateway, SESSIONCODE, emulator, raw};
use liveness_gateway::emulator::Scenario;
use table::StrictCase;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The statuses of all responses until the connection is closed. A last 0 means that it stays
/// open.
async fn statuses(gateway: &Gateway, bytes: &[u8]) -> Vec<u16> {
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let mut answer = Vec::new();
    let reading = tokio::time::timeout(Duration::from_secs(5), reader.read_to_end(&mut answer));
    // The gateway may refuse long before the last byte.
    let (read, _) = tokio::join!(reading, writer.write_all(bytes));
    let text = String::from_utf8_lossy(&answer);
    let heads = text.split("HTTP/1.").skip(1);
    let heads = heads.filter_map(|head| head.get(1..)?.strip_prefix(' ')?.get(..3)?.parse().ok());
    heads.chain(read.is_err().then_some(0)).collect()
}

/// Sends each case with a good request behind it. A case gets its statuses, and where it is valid,
/// the good request gets a 200; nothing else goes upstream.
async fn check(cases: Vec<StrictCase>) {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    let lines = "Connection: close\r\nContent-Length: 2";
    let good = raw::head("behind", SESSIONCODE, lines) + "{}";
    let (mut wrong, mut calls) = (Vec::new(), 0);
    for case in cases {
        let bytes = [&case.bytes, good.as_bytes()].concat();
        let mut expected = case.statuses.clone();
        expected.extend(case.goes_on.then_some(200));
        calls += expected.iter().filter(|status| **status == 200).count();
        let found = statuses(&gateway, &bytes).await;
        if found != expected {
            wrong.push(format!("{}: {found:?}, not {expected:?}", case.label));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(
        handle.session_calls(),
        calls as u64,
        "nothing else went upstream"
    );
}

#[tokio::test]
async fn every_head_of_the_table_gets_its_status() {
    check(table::read(include_str!("http1.txt"))).await;
}

#[tokio::test]
async fn every_chunked_body_of_the_table_gets_its_status() {
    check(table::read(include_str!("chunks.txt"))).await;
}

#[tokio::test]
async fn a_wrong_host_always_ends_the_connection() {
    let hosts = include_str!("hosts.txt");
    for request in [
        "POST $ROUTE HTTP/1.1\\r\\n$CASE$AUTH\\r\\nContent-Length: 2\\r\\n\\r\\n{}",
        "POST $ROUTE HTTP/1.1\\r\\n$CASE$AUTH\\r\\n\\r\\n",
        "GET /.well-known/unknown HTTP/1.1\\r\\n$CASE\\r\\n",
        "OPTIONS $ROUTE HTTP/1.1\\r\\nX-A: b\\r\\n$CASE\\r\\n",
    ] {
        check(table::read(&format!("@ {request}\n{hosts}"))).await;
    }
}
