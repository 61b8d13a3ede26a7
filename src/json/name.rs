//! The member name that is being read.

use std::hash::{BuildHasher, DefaultHasher, Hasher, RandomState};

use super::value::MAX_CAPTURE;

/// Its first bytes, its length, and, where duplicates are looked for, its hash.
#[derive(Default)]
pub(super) struct Name {
    start: Vec<u8>,
    length: usize,
    hash: Option<DefaultHasher>,
}

impl Name {
    /// Begins another name.
    pub(super) fn begin(&mut self, hashes: Option<&RandomState>) {
        self.start.clear();
        self.length = 0;
        self.hash = hashes.map(BuildHasher::build_hasher);
    }

    /// Takes its next bytes, decoded.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.length = self.length.saturating_add(bytes.len());
        if self.length <= MAX_CAPTURE {
            self.start.extend_from_slice(bytes);
        }
        if let Some(hash) = &mut self.hash {
            hash.write(bytes);
        }
    }

    /// Bytes.
    pub(super) fn len(&self) -> usize {
        self.length
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
    pub(super) fn hash(&mut self) -> Option<u64> {
        self.hash.take().map(|hash| hash.finish())
    }
}
