//! Arbitrary bytes in arbitrary pieces as a response of the upstream. The head and the end of the
//! body are found at the same offsets however the bytes are split, agree with a slow and plain
//! reading, and written chunks are read back.

#![no_main]

use libfuzzer_sys::fuzz_target;
use liveness_gateway::outbound::{
    MalformedResponse,
    framing::{BodyFraming, FramedPiece},
    head,
};
use liveness_gateway_fuzz::arrival;

fuzz_target!(|data: &[u8]| {
    let Some((parts, bytes)) = arrival(data) else {
        return;
    };
    assert_eq!(
        response(&parts),
        response(&[bytes]),
        "split and whole differ"
    );
    // After a valid head, any bytes may be the inside of a chunked body.
    let chunked = body(BodyFraming::chunked(), &parts);
    assert_eq!(
        chunked,
        body(BodyFraming::chunked(), &[bytes]),
        "split and whole differ"
    );
    let complete = chunked.ok().filter(|body| body.is_done);
    assert_eq!(complete, read_chunks(bytes));
    round_trip(&parts, bytes);
});

/// The head as text and the body; `None` if the head is incomplete.
type ParsedResponse = Result<Option<(String, Body)>, MalformedResponse>;

fn response(parts: &[&[u8]]) -> ParsedResponse {
    let mut buffer = Vec::new();
    let mut parts = parts.iter();
    let (head, length) = loop {
        let Some(part) = parts.next() else {
            return Ok(None);
        };
        buffer.extend_from_slice(part);
        if let Some(found) = head::parse(&buffer)? {
            break found;
        }
    };
    assert!(length <= buffer.len());
    if let Some(reqid) = &head.reqid {
        assert!(reqid.len() <= 64 && reqid.bytes().all(|byte| byte.is_ascii_graphic()));
    }
    let described = format!("{head:?}");
    delimited(
        &String::from_utf8_lossy(&buffer[..length]),
        head.status,
        &head.framing,
    );
    let mut rest = vec![&buffer[length..]];
    rest.extend(parts);
    body(head.framing, &rest).map(|body| Some((described, body)))
}

#[derive(Debug, Default, PartialEq)]
struct Body {
    bytes: Vec<u8>,
    is_done: bool,
    /// Number of bytes after the end of the body.
    left: usize,
}

fn body(mut framing: BodyFraming, parts: &[&[u8]]) -> Result<Body, MalformedResponse> {
    let mut body = Body::default();
    for part in parts {
        let mut left = *part;
        while !left.is_empty() && !framing.is_done() {
            let used = match framing.next(left)? {
                FramedPiece::Body(length) => {
                    body.bytes.extend_from_slice(&left[..length]);
                    length
                }
                FramedPiece::Skip(length) => length,
                FramedPiece::End => panic!("an end that `is_done` did not announce"),
            };
            assert!(used > 0 && used <= left.len());
            left = &left[used..];
        }
        if framing.is_done() {
            assert!(left.is_empty() || matches!(framing.next(left), Ok(FramedPiece::End)));
        }
        body.left += left.len();
    }
    body.is_done = framing.is_done();
    Ok(body)
}

/// Asserts that the head defines the end of the body unambiguously, and that the framing matches
/// it.
fn delimited(head: &str, status: u16, framing: &BodyFraming) {
    let values = |name: &str| -> Vec<String> {
        let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let named = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
        named
            .map(|(_, value)| value.trim().to_ascii_lowercase())
            .collect()
    };
    let (lengths, codings) = (values("content-length"), values("transfer-encoding"));
    let has_no_body = matches!(status, 100..=199 | 204 | 304);
    assert!(codings.is_empty() || (lengths.is_empty() && codings == ["chunked"]));
    match framing {
        BodyFraming::Length(0) if has_no_body => {}
        _ if has_no_body => panic!("a body although the status has none"),
        BodyFraming::Length(length) => {
            assert!(!lengths.is_empty() && lengths.iter().all(|text| text.parse() == Ok(*length)));
        }
        BodyFraming::Chunked(_) => assert_eq!(codings.len(), 1),
        BodyFraming::UntilClose => assert!(lengths.is_empty() && codings.is_empty()),
    }
}

/// Reads a chunked body (RFC 9112 section 7.1) line by line; `None` if it is incomplete or
/// malformed.
fn read_chunks(bytes: &[u8]) -> Option<Body> {
    const MAX_LINE: usize = 1024;
    let mut body = Body {
        is_done: true,
        ..Body::default()
    };
    let mut left = bytes;
    // The limit counts as one line: the end of a chunk with the next size line, or the last size
    // line with all trailers.
    let mut counted = 0;
    loop {
        let line = line(&mut left)?;
        counted += line.len() + 2;
        let digits = line
            .iter()
            .take_while(|byte| byte.is_ascii_hexdigit())
            .count();
        let (size, extension) = line.split_at(digits);
        if !(1..=15).contains(&digits) || !matches!(extension, [] | [b';' | b' ' | b'\t', ..]) {
            return None;
        }
        let size = u64::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()?;
        if size == 0 {
            break;
        }
        if counted > MAX_LINE {
            return None;
        }
        let (data, behind) = left.split_at_checked(usize::try_from(size).ok()?)?;
        body.bytes.extend_from_slice(data);
        left = behind.strip_prefix(b"\r\n")?;
        counted = 2;
    }
    loop {
        let trailer = line(&mut left)?;
        counted += trailer.len() + 2;
        if counted > MAX_LINE {
            return None;
        }
        if trailer.is_empty() {
            body.left = left.len();
            return Some(body);
        }
    }
}

/// Takes a line, without its end; `None` at a line feed or carriage return that is alone.
fn line<'a>(left: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = left.iter().position(|byte| matches!(byte, b'\r' | b'\n'))?;
    let (line, behind) = left.split_at(end);
    *left = behind.strip_prefix(b"\r\n")?;
    Some(line)
}

/// Writes the parts as chunks, and reads them back in other pieces.
fn round_trip(parts: &[&[u8]], bytes: &[u8]) {
    let mut written = Vec::new();
    for part in parts.iter().filter(|part| !part.is_empty()) {
        let extension = if part.len() % 2 == 0 { "" } else { ";a=b" };
        written.extend_from_slice(format!("{:x}{extension}\r\n", part.len()).as_bytes());
        written.extend_from_slice(part);
        written.extend_from_slice(b"\r\n");
    }
    written.extend_from_slice(b"0\r\n\r\n");
    let complete = Body {
        bytes: bytes.to_vec(),
        is_done: true,
        left: 0,
    };
    let step = parts.first().map_or(1, |part| part.len().max(1));
    let pieces: Vec<&[u8]> = written.chunks(step).collect();
    assert_eq!(body(BodyFraming::chunked(), &pieces), Ok(complete));
    let cut_short = body(BodyFraming::chunked(), &[&written[..written.len() - 1]]);
    assert!(cut_short.is_ok_and(|body| !body.is_done));
}
