//! HTTP/1.1 framing by the letter of RFC 9112: what two parsers could read in two ways is refused,
//! the connection is closed, and no byte behind it becomes a request.

use crate::support::{Gateway, SESSIONCODE, emulator, raw};
use liveness_gateway::emulator::Scenario;

/// Field lines that frame a body in two ways, or in none.
const AMBIGUOUS_FIELDS: &[(&str, &str)] = &[
    (
        "a length and chunks",
        "Content-Length: 2\r\nTransfer-Encoding: chunked",
    ),
    (
        "chunks and a length",
        "Transfer-Encoding: chunked\r\nContent-Length: 2",
    ),
    (
        "two lengths that differ",
        "Content-Length: 2\r\nContent-Length: 3",
    ),
    (
        "two lengths that agree",
        "Content-Length: 2\r\nContent-Length: 2",
    ),
    ("a list of lengths", "Content-Length: 2, 2"),
    ("a length with a sign", "Content-Length: +2"),
    ("a negative length", "Content-Length: -2"),
    ("an empty length", "Content-Length: "),
    ("a length in hexadecimal", "Content-Length: 0x2"),
    (
        "a length over 64 bits",
        "Content-Length: 18446744073709551618",
    ),
    ("chunked twice", "Transfer-Encoding: chunked, chunked"),
    (
        "chunked in two lines",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    ),
    ("another coding", "Transfer-Encoding: gzip, chunked"),
    ("chunked not last", "Transfer-Encoding: chunked, identity"),
    ("a folded field", "X-A: b\r\n c\r\nContent-Length: 2"),
    ("a blank before the colon", "Content-Length : 2"),
    ("a bare LF", "X-A: b\nContent-Length: 2"),
    (
        "a bare CR",
        "X-A: b\rContent-Length: 2\r\nContent-Length: 2",
    ),
];

/// A pipelined request that must never be answered.
fn smuggled() -> String {
    raw::whole("smuggled", SESSIONCODE, "{}")
}

/// The statuses of all responses until the connection is closed.
async fn statuses(gateway: &Gateway, text: &str) -> Vec<u16> {
    let answer = raw::ask(gateway.address, text).await;
    // A body ends without a line break, so a status line may follow on the same line.
    let heads = answer.split("HTTP/1.1 ").skip(1);
    heads.map(|head| head[..3].parse().unwrap()).collect()
}

/// A `POST` with a chunked body.
fn chunked(body: &str) -> String {
    raw::head("u", SESSIONCODE, "Transfer-Encoding: chunked") + body
}

#[tokio::test]
async fn an_ambiguous_chunked_body_is_refused_and_nothing_behind_it_is_read() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    let blanks = format!("2{}\r\n{{}}\r\n0\r\n\r\n", " ".repeat(400_000));
    let cases = [
        ("a bare LF at the end", "2\r\n{}\r\n0\r\n\n"),
        ("a bare LF behind a trailer", "2\r\n{}\r\n0\r\nX: y\n\r\n"),
        ("a bare LF behind the last size", "2\r\n{}\r\n0\n\r\n"),
        ("a bare LF behind a size", "2\n{}\r\n0\r\n\r\n"),
        ("a bare CR behind a size", "2\r{}\r\n0\r\n\r\n"),
        ("no line break behind a chunk", "2\r\n{}0\r\n\r\n"),
        ("a longer chunk than its size", "2\r\n{} \r\n0\r\n\r\n"),
        ("a size with a sign", "+2\r\n{}\r\n0\r\n\r\n"),
        ("a size with a prefix", "0x2\r\n{}\r\n0\r\n\r\n"),
        ("a blank behind a size", "2 \r\n{}\r\n0\r\n\r\n"),
        ("a blank before a size", " 2\r\n{}\r\n0\r\n\r\n"),
        ("400,000 blanks behind a size", &blanks),
        ("an empty size", "\r\n{}\r\n0\r\n\r\n"),
        (
            "a size over 64 bits",
            "10000000000000002\r\n{}\r\n0\r\n\r\n",
        ),
        ("an extension without a name", "2;\r\n{}\r\n0\r\n\r\n"),
        (
            "a control character in an extension",
            "2;a=\u{1}\r\n{}\r\n0\r\n\r\n",
        ),
        ("a folded trailer", "2\r\n{}\r\n0\r\nX: y\r\n z\r\n\r\n"),
        ("a trailer without a colon", "2\r\n{}\r\n0\r\nX\r\n\r\n"),
        (
            "a blank before a trailer's colon",
            "2\r\n{}\r\n0\r\nX : y\r\n\r\n",
        ),
    ];
    for (label, body) in cases {
        let text = chunked(body) + &smuggled();
        assert_eq!(statuses(&gateway, &text).await, [400], "{label}");
    }
    assert_eq!(handle.session_calls(), 0, "nothing went upstream");
}

#[tokio::test]
async fn an_ambiguous_head_is_refused_and_nothing_behind_it_is_read() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    for (label, line) in AMBIGUOUS_FIELDS {
        let text = raw::head("u", SESSIONCODE, line) + "{}" + &smuggled();
        assert_eq!(statuses(&gateway, &text).await, [400], "{label}");
    }
    let head = raw::whole("u", SESSIONCODE, "{}");
    let heads = [
        ("a fragment", head.replace(" HTTP/1.1", "#x HTTP/1.1")),
        (
            "a target that is no ASCII",
            head.replace(" HTTP/1.1", "\u{e9} HTTP/1.1"),
        ),
        (
            "a bare LF behind the request line",
            head.replacen("\r\n", "\n", 1),
        ),
        ("a bare LF before the request", format!("\n{head}")),
    ];
    for (label, head) in heads {
        let text = head + &smuggled();
        assert_eq!(statuses(&gateway, &text).await, [400], "{label}");
    }
    assert_eq!(handle.session_calls(), 0, "nothing went upstream");
}

#[tokio::test]
async fn an_earlier_request_is_answered_before_an_ambiguous_one_is_refused() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    let good = raw::whole("u", SESSIONCODE, "{}");
    let bad = raw::head("u", SESSIONCODE, "Content-Length: 2\r\nContent-Length: 2") + "{}";
    let text = good + &bad + &smuggled();
    assert_eq!(statuses(&gateway, &text).await, [200, 400]);
    assert_eq!(handle.session_calls(), 1);
}

#[tokio::test]
async fn every_valid_framing_passes() {
    let (qiniu, _handle) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    let bodies = [
        ("one chunk", "2\r\n{}\r\n0\r\n\r\n"),
        ("two chunks", "1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"),
        ("leading zeros", "0002\r\n{}\r\n000\r\n\r\n"),
        (
            "extensions",
            "2;a;b=c ; d = \"e\\\"f\"\r\n{}\r\n0;g\r\n\r\n",
        ),
        ("trailers", "2\r\n{}\r\n0\r\nX-A: b\r\nX-C:\r\n\r\n"),
    ];
    for (label, body) in bodies {
        let last = raw::head("u", SESSIONCODE, "Connection: close\r\nContent-Length: 2") + "{}";
        let text = chunked(body) + "\r\n" + &last;
        assert_eq!(statuses(&gateway, &text).await, [200, 200], "{label}");
    }
}
