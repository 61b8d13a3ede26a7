//! The framing of messages, at every split.

use super::*;

const MESSAGES: &[u8] = b"\r\nPOST /a HTTP/1.1\r\nHost: g\r\nContent-Length: 3\r\n\r\nabc\
    POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
    2;a=\"b\\\"c\" ; d\r\n{}\r\n00\r\nX-A: b\r\n\r\n\
    GET /c HTTP/1.0\r\n\r\n";

/// The result for the bytes, in two parts: the offset of the fault counts from the first.
fn read(bytes: &[u8], split: usize) -> Result<MessageFraming, (usize, FramingError)> {
    let mut framing = MessageFraming::new();
    let (first, second) = bytes.split_at(split);
    framing.read(first)?;
    let second = framing.read(second);
    second.map_err(|(valid, error)| (split + valid, error))?;
    Ok(framing)
}

#[test]
fn messages_are_followed_however_the_bytes_are_split() {
    for split in 0..=MESSAGES.len() {
        let framing = read(MESSAGES, split).unwrap();
        assert_eq!(framing.state, FramingState::Start, "{split}");
        assert!(framing.partial.is_empty());
    }
    for end in 0..MESSAGES.len() {
        assert!(read(&MESSAGES[..end], end / 2).is_ok(), "{end}");
    }
}

#[test]
fn a_fault_is_found_however_the_bytes_are_split() {
    let head = "POST / HTTP/1.1\r\n";
    for (label, text, error) in [
        ("bare LF", "Host: g\n\r\n", FramingError::BareLineBreak),
        ("bare CR", "Host: g\rX\r\n\r\n", FramingError::BareLineBreak),
        ("folding", "X: a\r\n b\r\n\r\n", FramingError::Folding),
        ("length", "Content-Length: +1\r\n\r\n", FramingError::Length),
        (
            "coding",
            "Transfer-Encoding: gzip\r\n\r\n",
            FramingError::TransferCoding,
        ),
        (
            "both",
            "Content-Length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            FramingError::LengthAndCoding,
        ),
        (
            "end of chunks",
            "Transfer-Encoding: chunked\r\n\r\n0\r\n\n",
            FramingError::BareLineBreak,
        ),
        (
            "trailer",
            "Transfer-Encoding: chunked\r\n\r\n0\r\nX y\r\n\r\n",
            FramingError::Trailer,
        ),
        (
            "size",
            "Transfer-Encoding: chunked\r\n\r\n0x1\r\n",
            FramingError::Chunk,
        ),
    ] {
        let bytes = [head, text].concat().into_bytes();
        for split in 0..=bytes.len() {
            let (valid, found) = read(&bytes, split).err().unwrap();
            assert_eq!(found, error, "{label}, {split}");
            assert!(valid < bytes.len(), "{label}, {split}");
        }
    }
    let old = b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n";
    let (_, error) = read(old, 20).err().unwrap();
    assert_eq!(error, FramingError::CodingInHttp10);
}

#[test]
fn a_long_field_is_followed_without_being_kept() {
    let mut framing = MessageFraming::new();
    framing.read(b"GET / HTTP/1.1\r\nX: ").unwrap();
    for _ in 0..1000 {
        framing.read(&[b'a'; 100]).unwrap();
    }
    assert!(framing.partial.len() <= MAX_LINE);
    framing.read(b"\r").unwrap();
    framing.read(b"\n\r\n").unwrap();
    assert_eq!(framing.state, FramingState::Start);
    let mut framing = MessageFraming::new();
    framing.read(b"GET / HTTP/1.1\r\nX: ").unwrap();
    framing.read(&[b'a'; 5000]).unwrap();
    assert!(
        framing.read(b"\n").is_err(),
        "a bare LF behind a long field"
    );
}
