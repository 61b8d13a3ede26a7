//! Bytes of a connection that were read before their reader existed, and wait for it.
//!
//! They are the begin of a head, and are wiped when the reader has them. Relies on
//! [`super::stream`] to have checked them.

use tokio::io::ReadBuf;

use crate::wipe::WipedVec;

/// Bytes that are read once more.
#[derive(Default)]
pub(super) struct ReplayedBytes {
    bytes: WipedVec,
    /// How many of them the reader has.
    taken: usize,
}

impl ReplayedBytes {
    pub(super) fn new(bytes: WipedVec) -> Self {
        Self { bytes, taken: 0 }
    }

    /// How many bytes wait.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.taken
    }

    /// Passes on as many bytes as fit, and wipes all of them after the last one.
    pub(super) fn pass_on(&mut self, buf: &mut ReadBuf<'_>) {
        let rest = self.bytes.get(self.taken..).unwrap_or_default();
        let bytes = rest.get(..buf.remaining()).unwrap_or(rest);
        buf.put_slice(bytes);
        self.taken += bytes.len();
        if self.len() == 0 {
            *self = Self::default();
        }
    }
}
