//! The member name that is being read.

use super::value::MAX_CAPTURE;

/// FNV-1a's factor: spreads the few bytes of a name over 64 bits.
const FACTOR: u64 = 0x0000_0100_0000_01b3;

/// Its first bytes, its length (decoded, and in the document) and its hash.
///
/// The hash tells two names of one object apart. It is cheap and not a strong one: who finds two names of one hash has
/// made a document that is refused, and nothing else. It is seeded, so that nobody meets such names by accident twice.
pub(super) struct Name {
    start: Vec<u8>,
    length: usize,
    raw_length: usize,
    seed: u64,
    hash: u64,
}

impl Name {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            start: Vec::with_capacity(32),
            length: 0,
            raw_length: 0,
            seed,
            hash: 0,
        }
    }

    /// Begins another name.
    pub(super) fn begin(&mut self) {
        self.start.clear();
        self.length = 0;
        self.raw_length = 0;
        self.hash = self.seed;
    }

    /// Takes its next bytes, decoded; in the document they are `raw` bytes.
    pub(super) fn take(&mut self, bytes: &[u8], raw: usize) {
        self.raw_length = self.raw_length.saturating_add(raw);
        self.length = self.length.saturating_add(bytes.len());
        if self.length <= MAX_CAPTURE {
            self.start.extend_from_slice(bytes);
        }
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(FACTOR);
        }
    }

    /// The first bytes of an escape, whose character comes with the rest.
    pub(super) fn part_of_escape(&mut self, raw: usize) {
        self.raw_length = self.raw_length.saturating_add(raw);
    }

    /// Bytes in the document.
    pub(super) fn raw_len(&self) -> usize {
        self.raw_length
    }

    /// The whole name; empty for one that is too long to be any that we know.
    pub(super) fn known(&self) -> &[u8] {
        if self.length == self.start.len() {
            &self.start
        } else {
            &[]
        }
    }

    /// The same for equal names, however they were written or split.
    pub(super) fn hash(&self) -> u64 {
        self.hash ^ (self.hash >> 32)
    }
}
