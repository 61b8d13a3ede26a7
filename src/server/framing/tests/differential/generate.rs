//! Random HTTP/1.1 messages, and random changes of them.

use proptest::{prelude::*, sample::select};

/// A message that is nearly always valid.
pub(super) fn message() -> impl Strategy<Value = Vec<u8>> {
    let line = (
        select(vec!["GET", "POST", "OPTIONS", "TRACE", "X-Y"]),
        select(vec!["/", "/a?b", "http://g/a", "/%23/\"{}|", "//a/..;"]),
        select(vec!["1.1", "1.1", "1.1", "1.1", "1.0"]),
    );
    let field = select(vec![
        "Host: g\r\n",
        "X-A: b\t c\r\n",
        "C: d\r\n",
        "content-lengt: 5\r\n",
        "Content-Type:\r\n",
        "TE: trailers\r\n",
        "Expect: 100-continue\r\n",
        "Upgrade: h2c\r\n",
        "Connection: keep-alive, Upgrade\r\n",
        "X-Obs: \u{e9}\r\n",
    ]);
    let fields = prop::collection::vec(field, 0..5);
    (line, fields.clone(), body(), fields).prop_map(|((method, target, version), a, body, b)| {
        let begin = format!("{method} {target} HTTP/{version}\r\n{}", a.concat());
        let (field, body) = body;
        [
            begin.as_bytes(),
            &field,
            b.concat().as_bytes(),
            b"\r\n",
            &body,
        ]
        .concat()
    })
}

/// A framing field and its body.
fn body() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let length = (content(), select(vec!["", "0", "000"])).prop_map(|(content, zeros)| {
        let field = format!("Content-Length: {zeros}{}\r\n", content.len());
        (field.into_bytes(), content)
    });
    let chunk = (content(), extension(), any::<bool>()).prop_map(|(content, extension, zero)| {
        let zero = if zero { "0" } else { "" };
        let size = format!("{zero}{:x}{extension}\r\n", content.len());
        match content.is_empty() {
            true => Vec::new(),
            false => [size.as_bytes(), &content, b"\r\n"].concat(),
        }
    });
    let trailer = select(vec!["X-T: u\r\n", "Y:\r\n", "Date: \u{e9}\r\n"]);
    let trailers = prop::collection::vec(trailer, 0..3);
    let coding = select(vec![
        "Transfer-Encoding: chunked\r\n",
        "transfer-encoding:\tCHUNKED \r\n",
    ]);
    let chunks = prop::collection::vec(chunk, 0..4);
    let chunked = (coding, chunks, extension(), trailers).prop_map(
        |(coding, chunks, extension, trailers)| {
            let last = format!("0{extension}\r\n{}\r\n", trailers.concat());
            let body = [chunks.concat(), last.into_bytes()].concat();
            (coding.as_bytes().to_vec(), body)
        },
    );
    prop_oneof![Just((Vec::new(), Vec::new())), length, chunked]
}

/// The bytes of a body, which may look like a message.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let texts = select(vec![
        "",
        "{}",
        "0\r\n\r\n",
        "\r\n",
        "\n",
        "GET /x HTTP/1.1\r\nHost: g\r\n\r\n",
        "0\r\n\r\nGET /x HTTP/1.1\r\n\r\n",
    ]);
    let texts = texts.prop_map(|text| text.as_bytes().to_vec());
    prop_oneof![texts, prop::collection::vec(any::<u8>(), 0..30)]
}

fn extension() -> impl Strategy<Value = &'static str> {
    select(vec![
        "",
        "",
        "",
        ";a",
        ";a=b",
        " ; a = \"b;\\\"c\" ;d",
        ";a=\"\t\u{e9}\"",
    ])
}

/// A change of a stream: so many bytes become others.
#[derive(Clone, Debug)]
pub(super) struct StreamMutation {
    /// The part of the stream, or of its line breaks.
    part: f64,
    at_break: bool,
    removed: usize,
    inserted: &'static [u8],
}

pub(super) fn mutation() -> impl Strategy<Value = StreamMutation> {
    let texts: Vec<&'static [u8]> = vec![
        b"",
        b"\r",
        b"\n",
        b"\r\n",
        b"\r\n\r\n",
        b"\n\n",
        b" ",
        b"\t",
        b"\r\n ",
        b":",
        b";",
        b"\"",
        b"\\",
        b"0",
        b"1",
        b"a",
        b"+",
        b"-",
        b",",
        b"#",
        b"\0",
        b"\x7f",
        b"\x80",
        b"0\r\n\r\n",
        b"0\r\n\n",
        b"Content-Length: 3\r\n",
        b"\r\nContent-Length: 3",
        b"Transfer-Encoding: chunked\r\n",
        b"\nTransfer-Encoding: chunked",
        b"\rContent-Length: 5",
        b", chunked",
        b"identity",
        b" HTTP/1.1\r\n",
        b"GET /x HTTP/1.1\r\n\r\n",
        b"Content-Length : 7\r\n",
        b"Content_Length: 7\r\n",
    ];
    let removed = select(vec![0_usize, 0, 0, 1, 1, 2, 5, 20]);
    (0.0..1.0, any::<bool>(), removed, select(texts)).prop_map(
        |(part, at_break, removed, inserted)| StreamMutation {
            part,
            at_break,
            removed,
            inserted,
        },
    )
}

pub(super) fn mutated(mut stream: Vec<u8>, mutations: &[StreamMutation]) -> Vec<u8> {
    for mutation in mutations {
        let places = stream.iter().enumerate();
        let places = places.filter(|(_, byte)| !mutation.at_break || **byte == b'\r');
        let places: Vec<_> = places.map(|(place, _)| place).collect();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "streams are short, and parts are between 0 and 1"
        )]
        let place = (mutation.part * places.len() as f64) as usize;
        let at = places.get(place).copied().unwrap_or(stream.len());
        let end = (at + mutation.removed).min(stream.len());
        stream.splice(at..end, mutation.inserted.iter().copied());
    }
    stream
}
