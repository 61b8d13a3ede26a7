//! Counts the statuses of HTTP/1.1 responses in what a connection reads.
//!
//! Looks for the status lines only; a body that held one would be counted too, and no body of the
//! gateway does. Never keeps more than the start of one line.

use memchr::memmem;

use super::wire::Tally;

const START: &[u8] = b"HTTP/1.1 ";
/// A status line up to the end of its status, in bytes.
const WHOLE: usize = START.len() + 3;

/// What may be the start of a status line, from the read before.
#[derive(Default)]
pub(crate) struct StatusCounter {
    rest: Vec<u8>,
}

impl StatusCounter {
    /// Counts the statuses in these bytes. Returns whether there was one.
    pub(crate) fn read(&mut self, bytes: &[u8], tally: &Tally) -> bool {
        self.rest.extend_from_slice(bytes);
        let mut from = 0;
        while let Some(found) = memmem::find(&self.rest[from..], START) {
            let Some(line) = self.rest.get(from + found..from + found + WHOLE) else {
                break;
            };
            let digits = std::str::from_utf8(&line[START.len()..]);
            let status = digits.ok().and_then(|digits| digits.parse().ok());
            tally.answered(status.unwrap_or(0), 1);
            from += found + WHOLE;
        }
        // An unfinished line stays.
        let kept = self.rest.len().saturating_sub(WHOLE - 1).max(from);
        self.rest.drain(..kept);
        from > 0
    }
}
