//! The part of HTTP/1.1 that the floor, the generator and the upstream need: heads and framing.
//!
//! Trusts its peers, because the comparison starts all of them. Never used by the gateway.

use memchr::memmem;

/// How the body behind a head is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(usize),
    Chunked,
}

/// A complete head.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head<'a> {
    /// The first line, without the line end.
    pub(crate) line: &'a [u8],
    /// Length of the head including the empty line, in bytes.
    pub(crate) length: usize,
    pub(crate) framing: Framing,
}

/// Parses the head at the start of `bytes`; `None` while it is incomplete.
pub(crate) fn head(bytes: &[u8]) -> Option<Head<'_>> {
    let length = memmem::find(bytes, b"\r\n\r\n")? + 4;
    let mut lines = bytes[..length].split(|&byte| byte == b'\n');
    let line = lines.next().unwrap_or_default().trim_ascii_end();
    let mut framing = Framing::Length(0);
    for field in lines {
        if let Some(value) = value(field, b"content-length:") {
            let digits = value.iter().filter(|byte| byte.is_ascii_digit());
            framing = Framing::Length(digits.fold(0, |sum, digit| {
                sum * 10 + usize::from(digit.saturating_sub(b'0'))
            }));
        } else if value(field, b"transfer-encoding:").is_some() {
            return Some(Head {
                line,
                length,
                framing: Framing::Chunked,
            });
        }
    }
    Some(Head {
        line,
        length,
        framing,
    })
}

/// The status in the first line of a response; 0 if there is none.
pub(crate) fn status(line: &[u8]) -> u16 {
    let digits = line.get(9..12).unwrap_or_default();
    std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}

/// Joins the chunks of a chunked body; `None` while it is incomplete.
pub(crate) fn unchunk(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = memmem::find(bytes, b"\r\n")?;
        let digits = std::str::from_utf8(&bytes[..line]).ok()?;
        let size = usize::from_str_radix(digits.split(';').next()?.trim(), 16).ok()?;
        let chunk = bytes.get(line + 2..line + 2 + size)?;
        body.extend_from_slice(chunk);
        bytes = bytes.get(line + 2 + size + 2..)?;
        if size == 0 {
            return Some(body);
        }
    }
}

fn value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let start = line.get(..name.len())?;
    start
        .eq_ignore_ascii_case(name)
        .then(|| &line[name.len()..])
}
