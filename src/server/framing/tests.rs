//! The framing of messages, at every split.

mod differential;

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
    let chunked = "Transfer-Encoding: chunked\r\n\r\n";
    for (text, error) in [
        ("Host: g\n\r\n", FramingError::BareLineFeed),
        ("X: a\r\n b\r\n\r\n", FramingError::Folding),
        ("Content-Length: +1\r\n\r\n", FramingError::Length),
        (
            "Transfer-Encoding: gzip\r\n\r\n",
            FramingError::TransferCoding,
        ),
        (
            "Transfer-Encoding: gzip, chunked\r\n\r\n",
            FramingError::UnknownCoding,
        ),
        (
            "Content-Length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            FramingError::LengthAndCoding,
        ),
        (&[chunked, "0\r\n\n"].concat(), FramingError::BareLineFeed),
        (
            &[chunked, "0\r\nX y\r\n\r\n"].concat(),
            FramingError::Trailer,
        ),
        (&[chunked, "0x1\r\n"].concat(), FramingError::Chunk),
        (
            &[chunked, "1\r\na\rb\n"].concat(),
            FramingError::BareLineFeed,
        ),
    ] {
        let bytes = [head, text].concat().into_bytes();
        for split in 0..=bytes.len() {
            let (valid, found) = read(&bytes, split).err().unwrap();
            assert_eq!(found, error, "{text:?}, {split}");
            assert!(valid < bytes.len(), "{text:?}, {split}");
        }
    }
    for (line, error) in [
        ("POST / HTTP/1.2\r\n", FramingError::Version),
        ("POST /#a HTTP/1.1\r\n", FramingError::RequestLine),
        ("POST http:/a HTTP/1.1\r\n", FramingError::RequestLine),
        ("POST /\r\n", FramingError::RequestLine),
        (
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n",
            FramingError::CodingInHttp10,
        ),
    ] {
        for split in 0..=line.len() {
            let (_, found) = read(line.as_bytes(), split).err().unwrap();
            assert_eq!(found, error, "{line:?}, {split}");
        }
    }
}

#[test]
fn the_limits_of_lines_do_not_depend_on_the_split() {
    let long = |before: &str, fill: &str, count: usize, behind: &str| {
        [before, &fill.repeat(count), behind].concat().into_bytes()
    };
    let post = "POST / HTTP/1.1\r\n";
    let chunked = format!("{post}Transfer-Encoding: chunked\r\n\r\n");
    for (bytes, error) in [
        (
            long("GET /", "a", 8200, " HTTP/1.1\r\n"),
            FramingError::RequestLineTooLong,
        ),
        (
            long("GET /", "a", 2000, "#b HTTP/1.1\r\n"),
            FramingError::RequestLine,
        ),
        (
            long(&format!("{post}Content-Length:"), " ", 1100, "1\r\n"),
            FramingError::Length,
        ),
        (
            long(
                &format!("{post}Transfer-Encoding:"),
                "\t",
                1100,
                "chunked\r\n",
            ),
            FramingError::TransferCoding,
        ),
        (
            long(&format!("{post}X:"), "a", 5000, "\n"),
            FramingError::BareLineFeed,
        ),
        (long(&chunked, "0", 1100, "\r\n"), FramingError::Chunk),
        (
            long(&format!("{chunked}0\r\n"), "X: y\r\n", 2000, "\r\n"),
            FramingError::Trailer,
        ),
    ] {
        for piece in [1, 7, 100, 1022, 1023, 1024, 1025, usize::MAX] {
            let mut framing = MessageFraming::new();
            let mut pieces = bytes.chunks(piece);
            let found = pieces.find_map(|piece| framing.read(piece).err());
            assert_eq!(found.map(|(_, error)| error), Some(error), "{piece}");
        }
    }
}

#[test]
fn a_long_field_is_followed_without_being_kept() {
    for piece in [1, 3, 100, 5000] {
        let mut framing = MessageFraming::new();
        framing.read(b"GET / HTTP/1.1\r\nX: ").unwrap();
        for piece in [b'a'; 20_000].chunks(piece) {
            framing.read(piece).unwrap();
            assert!(framing.partial.len() <= MAX_LINE);
        }
        framing.read(b"\r").unwrap();
        framing.read(b"\n\r\n").unwrap();
        assert_eq!(framing.state, FramingState::Start);
    }
}
