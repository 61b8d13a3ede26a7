//! Heads that are whole and plain, read in one pass: nearly all of them.
//!
//! Relies on the reader of lines for every other head: what is unusual here, valid or not, is left
//! to it from the first byte on. Accepts nothing that it would refuse; tests compare the two.

use fearless_simd::{Level, Simd, dispatch, prelude::*, u8x64};

use super::head::MessageHead;

/// Bytes that are searched at once.
const BLOCK: usize = 64;
/// What the first lines of good requests begin with.
const BEGINS: [&[u8]; 3] = [b"POST /", b"GET /", b"OPTIONS /"];

/// Reads the head at the start of `bytes`. Returns its length in bytes and what it says, or `None`
/// if it is not whole, not plain, or not valid.
pub(super) fn whole_head(bytes: &[u8]) -> Option<(usize, MessageHead)> {
    dispatch!(Level::new(), simd => lines(simd, bytes))
}

/// Inlined into the code that is compiled for each kind of processor.
#[inline(always)]
fn lines<S: Simd>(simd: S, bytes: &[u8]) -> Option<(usize, MessageHead)> {
    let last = bytes.len().checked_sub(BLOCK)?;
    let (mut head, mut begin) = (MessageHead::default(), 0);
    for wanted in (0..bytes.len()).step_by(BLOCK) {
        // The last block overlaps the one before it.
        let at = wanted.min(last);
        let block = u8x64::simd_from(simd, *bytes.get(at..)?.first_chunk()?);
        let mut feeds = block.simd_eq(b'\n').to_bitmask() & (u64::MAX << (wanted - at));
        if begin == 0 {
            let strange = block.simd_eq(b'#').to_bitmask() | block.simd_ge(0x80).to_bitmask();
            begin = feeds.trailing_zeros() as usize + 1;
            let line = bytes.get(..begin)?;
            // No line break is among the first bytes, or a strange byte before it.
            if strange & (feeds ^ feeds.wrapping_sub(1)) != 0 || !is_request_line(line) {
                return None;
            }
            feeds &= feeds.wrapping_sub(1);
        }
        while feeds != 0 {
            let end = at + feeds.trailing_zeros() as usize;
            feeds &= feeds - 1;
            let line = bytes.get(begin..end)?.strip_suffix(b"\r")?;
            begin = end + 1;
            if line.is_empty() {
                return Some((begin, head));
            }
            if !MessageHead::ignores(line) {
                head.field(line).ok()?;
            }
        }
    }
    None
}

/// Whether a line with its line break asks for a path by HTTP/1.1.
#[inline(always)]
fn is_request_line(line: &[u8]) -> bool {
    line.ends_with(b" HTTP/1.1\r\n") && BEGINS.iter().any(|begin| line.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::framing::MessageFraming;

    /// The line reader's verdict, for a head that does not arrive at once.
    fn by_lines(bytes: &[u8]) -> (bool, MessageFraming) {
        let mut framing = MessageFraming::new();
        let (first, rest) = bytes.split_at(1);
        let valid = framing.read(first).is_ok() && framing.read(rest).is_ok();
        (valid, framing)
    }

    #[test]
    fn a_plain_head_is_read_at_once_and_as_line_by_line() {
        for length in 0..300 {
            let fill = "a".repeat(length);
            let lines = format!("Host: g\r\nX: {fill}\r\nConnection: close\r\nContent-Length: 3");
            let head = format!("POST /v2 HTTP/1.1\r\n{lines}\r\n\r\n");
            let (read, said) = whole_head(format!("{head}abcdef").as_bytes()).unwrap();
            assert_eq!((read, said.length()), (head.len(), Some(3)), "{length}");
            let (valid, mut framing) = by_lines(head.as_bytes());
            assert!(valid && !framing.in_head());
            framing.read(b"abc").unwrap();
            assert!(framing.in_head());
            // Cut off or changed at any place, it is read by lines.
            for end in 0..head.len() {
                assert!(
                    whole_head(head[..end].as_bytes()).is_none(),
                    "{length}, {end}"
                );
            }
        }
    }

    #[test]
    fn what_the_line_reader_refuses_is_never_read_at_once() {
        let good = "POST /v2/a HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n";
        assert!(whole_head(good.as_bytes()).is_some());
        for at in 0..good.len() {
            for byte in 0..=u8::MAX {
                let mut bytes = good.as_bytes().to_vec();
                bytes[at] = byte;
                let whole = whole_head(&bytes).is_some();
                assert!(!whole || by_lines(&bytes).0, "{at}, {byte}");
            }
        }
    }
}
