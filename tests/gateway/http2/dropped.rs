//! What h2 drops before the gateway sees it: none of it goes upstream.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use super::heads::{
    Change::Add,
    Outcome::{Goaway, Reset, Status},
    fields, outcome,
};
use crate::support::{Gateway, SESSIONCODE, UNBOUND, bearer, emulator, frames, routes, upstream};
use liveness_gateway::emulator::Scenario;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// An upstream that answers session codes, and keeps the heads of its requests.
async fn recording_upstream() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let good = "{\"error_code\":0,\"result\":{\"session_id\":\"S\",\"code\":\"0\"}}";
    let good = upstream::answer("200 OK", good);
    let heads: Arc<Mutex<Vec<String>>> = Arc::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let kept = Arc::clone(&heads);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            // All of these requests have the body `{}`.
            while !head.ends_with(b"\r\n\r\n{}") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
            if !head.is_empty() {
                kept.lock().unwrap().push(String::from_utf8(head).unwrap());
            }
            let _ = stream.write_all(&good).await;
        }
    });
    (address, heads)
}

/// A request whose path has a fragment, and one whose trailers have pseudo-headers: h2 drops both,
/// and neither reaches Qiniu.
#[tokio::test]
async fn what_h2_drops_never_goes_upstream() {
    let (qiniu, heads) = recording_upstream().await;
    let gateway = Gateway::start(qiniu, "", &(UNBOUND.to_owned() + &routes())).await;
    let token = bearer("user-1");
    let path = format!("{SESSIONCODE}#/v2/other?x");
    let mut fields = fields(&token, &Add(&[]));
    for field in fields.iter_mut().filter(|field| field.0 == ":path") {
        field.1 = &path;
    }
    let bytes = [
        frames::headers(1, false, &fields),
        frames::data(1, true, b"{}"),
    ];
    assert_eq!(outcome(&gateway, &bytes.concat()).await, Status(200));
    let trailers = [(":path", "/v2/other"), ("x-trailer", "a")];
    let fields = self::fields(&token, &Add(&[("te", "trailers")]));
    let bytes = [
        frames::headers(1, false, &fields),
        frames::data(1, false, b"{}"),
        frames::headers(1, true, &trailers),
    ];
    assert_eq!(outcome(&gateway, &bytes.concat()).await, Status(200));
    for head in heads.lock().unwrap().iter() {
        assert!(
            head.starts_with(&format!("POST {SESSIONCODE} HTTP/1.1\r\n")),
            "{head}"
        );
        assert!(
            !head.contains("other") && !head.contains("trailer"),
            "{head}"
        );
    }
    // Trailers that do not end the stream, or that carry what a head may not.
    for (label, trailers, expected) in [
        ("no end", frames::headers(1, false, &[("x", "a")]), Reset),
        (
            "connection",
            frames::headers(1, true, &[("connection", "x")]),
            Reset,
        ),
        (
            "upper case",
            frames::headers(1, true, &[("X", "a")]),
            Goaway,
        ),
    ] {
        let head = frames::headers(1, false, &fields);
        let bytes = [head, frames::data(1, false, b"{"), trailers].concat();
        assert_eq!(outcome(&gateway, &bytes).await, expected, "{label}");
    }
}

#[tokio::test]
async fn connect_opens_no_tunnel() {
    let gateway = Gateway::plain(emulator(Scenario::Pass).await.0).await;
    let connect = [(":method", "CONNECT"), (":authority", "other:443")];
    let bytes = frames::headers(1, false, &connect);
    assert_eq!(outcome(&gateway, &bytes).await, Status(404));
    let extended = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":path", SESSIONCODE),
        (":authority", "gateway"),
    ];
    let bytes = frames::headers(1, false, &extended);
    assert_eq!(outcome(&gateway, &bytes).await, Reset);
}
