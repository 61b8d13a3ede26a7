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
    dispatch!(Level::new(), simd => head(simd, bytes))
}

/// Inlined into the code that is compiled for each kind of processor, as all below.
#[inline(always)]
fn head<S: Simd>(simd: S, bytes: &[u8]) -> Option<(usize, MessageHead)> {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let (first, blocks) = blocks.split_first()?;
    let block = u8x64::simd_from(simd, *first);
    let feeds = block.simd_eq(b'\n').to_bitmask();
    let strange = block.simd_eq(b'#').to_bitmask() | block.simd_ge(0x80).to_bitmask();
    let begin = feeds.trailing_zeros() as usize + 1;
    // The first line break is among these bytes, and nothing strange before it.
    if strange & (feeds ^ feeds.wrapping_sub(1)) != 0 || !is_request_line(bytes.get(..begin)?) {
        return None;
    }
    let mut lines = FieldLines {
        bytes,
        begin,
        head: MessageHead::default(),
    };
    let mut ended = lines.read(0, feeds & feeds.wrapping_sub(1))?;
    let mut at = 0;
    for block in blocks {
        if ended {
            break;
        }
        at += BLOCK;
        let block = u8x64::simd_from(simd, *block);
        ended = lines.read(at, block.simd_eq(b'\n').to_bitmask())?;
    }
    if !ended && !rest.is_empty() {
        // The last block overlaps the one before it.
        let block = u8x64::simd_from(simd, *bytes.last_chunk()?);
        let feeds = block.simd_eq(b'\n').to_bitmask() & (u64::MAX << (BLOCK - rest.len()));
        ended = lines.read(bytes.len() - BLOCK, feeds)?;
    }
    ended.then_some((lines.begin, lines.head))
}

/// The field lines of a head, the next of which begins at `begin`.
struct FieldLines<'b> {
    bytes: &'b [u8],
    begin: usize,
    head: MessageHead,
}

impl FieldLines<'_> {
    /// Reads the lines that end in a block. Returns whether the head does.
    #[inline(always)]
    fn read(&mut self, block: usize, mut feeds: u64) -> Option<bool> {
        while feeds != 0 {
            let end = block + feeds.trailing_zeros() as usize;
            feeds &= feeds - 1;
            let line = self.bytes.get(self.begin..end)?.strip_suffix(b"\r")?;
            self.begin = end + 1;
            if line.is_empty() {
                return Some(true);
            }
            if !MessageHead::ignores(line) {
                self.head.field(line).ok()?;
            }
        }
        Some(false)
    }
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
                    whole_head(&head.as_bytes()[..end]).is_none(),
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
