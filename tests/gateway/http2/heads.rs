//! Heads that RFC 9113 and RFC 9110 forbid, and what becomes of each: a reset of its stream, the
//! end of its connection, or a refusal.

use super::client;
use crate::support::{Gateway, SESSIONCODE, bearer, emulator, frames};
use frames::PROTOCOL_ERROR;
use liveness_gateway::emulator::Scenario;

/// What the peer sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Status(u16),
    /// The stream is reset with PROTOCOL_ERROR; the connection goes on.
    Reset,
    /// The connection ends with PROTOCOL_ERROR.
    Goaway,
}
use Outcome::{Goaway, Reset, Status};

/// A change of the fields of a good request.
pub(super) enum Change {
    /// Field lines behind the others.
    Add(&'static [(&'static str, &'static str)]),
    /// Another value.
    Set(&'static str, &'static str),
    Remove(&'static str),
    /// A field line before the others.
    First(&'static str, &'static str),
}
use Change::{Add, First, Remove, Set};

/// Section of RFC 9113 (or of another), case, change, outcome. One line a case.
#[rustfmt::skip]
const HEADS: &[(&str, &str, Change, Outcome)] = &[
    ("8.2.1", "a blank before a value", Add(&[("x", " a")]), Reset),
    ("8.2.1", "a blank behind a value", Add(&[("x", "a ")]), Reset),
    ("8.2.1", "a tab behind a value", Add(&[("x", "a\t")]), Reset),
    ("8.2.1", "a value of a blank", Add(&[("x", " ")]), Reset),
    ("8.2.1", "an upper-case name", Add(&[("X", "a")]), Goaway),
    ("8.2.1", "an empty name", Add(&[("", "a")]), Goaway),
    ("8.2.1", "a colon in a name", Add(&[("x:y", "a")]), Goaway),
    ("8.2.1", "a blank in a name", Add(&[("x y", "a")]), Goaway),
    ("8.2.1", "a line feed in a value", Add(&[("x", "a\nb")]), Goaway),
    ("8.2.1", "a carriage return in a value", Add(&[("x", "a\rb")]), Goaway),
    ("8.2.1", "a zero in a value", Add(&[("x", "a\0b")]), Goaway),
    ("8.2.2", "connection", Add(&[("connection", "close")]), Reset),
    ("8.2.2", "keep-alive", Add(&[("keep-alive", "1")]), Reset),
    ("8.2.2", "proxy-connection", Add(&[("proxy-connection", "close")]), Reset),
    ("8.2.2", "transfer-encoding", Add(&[("transfer-encoding", "chunked")]), Reset),
    ("8.2.2", "upgrade", Add(&[("upgrade", "websocket")]), Reset),
    ("8.2.2", "te other than trailers", Add(&[("te", "gzip")]), Reset),
    ("8.2.2", "te: trailers", Add(&[("te", "trailers")]), Status(200)),
    ("8.3", "an unknown pseudo-header", First(":x", "a"), Goaway),
    ("8.3", "a pseudo-header behind a field", Add(&[(":path", "/")]), Reset),
    ("8.3", "a pseudo-header of responses", First(":status", "200"), Reset),
    ("8.3.1", "two methods", First(":method", "POST"), Reset),
    ("8.3.1", "two paths", First(":path", SESSIONCODE), Reset),
    ("8.3.1", "two schemes", First(":scheme", "http"), Reset),
    ("8.3.1", "two authorities", First(":authority", "gateway"), Reset),
    ("8.3.1", "no method", Remove(":method"), Reset),
    ("8.3.1", "an empty method", Set(":method", ""), Goaway),
    ("8.3.1", "no scheme", Remove(":scheme"), Reset),
    ("8.3.1", "an empty scheme", Set(":scheme", ""), Reset),
    ("8.3.1", "another scheme", Set(":scheme", "ftp"), Reset),
    ("8.3.1", "no path", Remove(":path"), Reset),
    ("8.3.1", "an empty path", Set(":path", ""), Reset),
    ("8.3.1", "a path without a slash", Set(":path", "v2"), Reset),
    ("8.3.1", "a whole URI as path", Set(":path", "http://gateway/"), Reset),
    ("8.3.1", "an asterisk as path", Set(":path", "*"), Status(404)),
    ("8.3.1", "a path that is no ASCII", Set(":path", "/\u{e9}"), Status(404)),
    ("8.3.1", "a blank in the path", Set(":path", "/a b"), Reset),
    ("8.3.1", "no authority and no host", Remove(":authority"), Status(400)),
    ("8.3.1", "an empty authority", Set(":authority", ""), Reset),
    ("8.3.1", "an authority with user information", Set(":authority", "u@gateway"), Status(400)),
    ("8.3.1", "an authority of two", Set(":authority", "a,b"), Status(400)),
    ("8.3.1", "a host that differs", Add(&[("host", "other")]), Status(400)),
    ("8.3.1", "a host that agrees", Add(&[("host", "gateway")]), Status(200)),
    ("8.3.1", "two hosts", Add(&[("host", "gateway"), ("host", "gateway")]), Status(400)),
    ("8.5", "CONNECT with a path", Set(":method", "CONNECT"), Reset),
    ("8441/4", "a protocol", First(":protocol", "websocket"), Reset),
    ("9110/9.3.8", "TRACE", Set(":method", "TRACE"), Status(405)),
    ("8.1.1", "a length that differs", Add(&[("content-length", "3")]), Reset),
    ("8.1.1", "a length that agrees", Add(&[("content-length", "2")]), Status(200)),
    ("8.1.1", "a length with a sign", Add(&[("content-length", "+2")]), Reset),
    ("8.1.1", "two lengths", Add(&[("content-length", "2"), ("content-length", "2")]), Reset),
    ("8.1.1", "two lengths that differ", Add(&[("content-length", "2"), ("content-length", "3")]), Reset),
    ("8.3.1", "https behind a proxy that ends TLS", Set(":scheme", "https"), Status(200)),
];

pub(super) fn fields<'a>(token: &'a str, change: &Change) -> Vec<(&'a str, &'a str)> {
    let mut fields = super::fields(SESSIONCODE).to_vec();
    fields.push(("authorization", token));
    match change {
        Add(lines) => fields.extend(*lines),
        Set(name, value) => {
            for field in fields.iter_mut().filter(|field| field.0 == *name) {
                field.1 = value;
            }
        }
        Remove(name) => fields.retain(|field| field.0 != *name),
        First(name, value) => fields.insert(0, (name, value)),
    }
    fields
}

/// What becomes of the request on stream 1, and whether the connection then still serves.
pub(super) async fn outcome(gateway: &Gateway, bytes: &[u8]) -> Outcome {
    let mut client = client(gateway).await;
    client.send(bytes).await.unwrap();
    let outcome = loop {
        let frame = client.next().await.expect("a reaction");
        let error = frame.error();
        match frame.kind {
            frames::HEADERS if frame.stream == 1 => break Status(frame.status().unwrap()),
            frames::RST_STREAM if frame.stream == 1 => {
                assert_eq!(error, Some(PROTOCOL_ERROR));
                break Reset;
            }
            frames::GOAWAY => {
                assert_eq!(error, Some(PROTOCOL_ERROR));
                break Goaway;
            }
            _ => {}
        }
    };
    if outcome != Goaway {
        let next = super::request(3, "user-1", SESSIONCODE, "{}");
        client.send(&next).await.unwrap();
        assert_eq!(
            client.response(3).await,
            Some(Ok(200)),
            "the connection goes on"
        );
    }
    outcome
}

#[tokio::test]
async fn each_forbidden_head_has_its_outcome() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    let token = bearer("user-1");
    let mut wrong = Vec::new();
    for (section, label, change, expected) in HEADS {
        let head = frames::headers(1, false, &fields(&token, change));
        let bytes = [head, frames::data(1, true, b"{}")].concat();
        let outcome = outcome(&gateway, &bytes).await;
        if outcome != *expected {
            wrong.push(format!("{section}, {label}: {outcome:?}, not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
