//! Where the bytes that a cut keeps go.

use super::{rules::CaptureSlot, value::CapturedValue};

/// Where the bytes that stay go.
pub trait CutSink {
    /// Bytes that stay unless a [`CutSink::rollback`] comes before the next mark or commit.
    fn keep(&mut self, bytes: &[u8]);
    /// Bytes that the document did not have.
    fn insert(&mut self, bytes: &'static [u8]);
    /// All before this point stays for good; what follows may be taken back to here.
    fn mark(&mut self);
    /// Takes back all since the mark.
    fn rollback(&mut self);
    /// Decoded bytes of a streamed string; `letters`: all of them are known to be letters of base64.
    fn text(&mut self, bytes: &[u8], letters: bool);
    /// Puts something in the place of this value, which [`CutRules::replace`](super::rules::CutRules::replace) asked for; it must be
    /// one JSON value. A sink whose rules replace nothing is never asked.
    fn replace(&mut self, slot: CaptureSlot, value: &CapturedValue) {
        let _ = (slot, value);
    }
    /// The root's closing brace comes next; `empty`: no member stayed. More members may be put here.
    fn end(&mut self, empty: bool) {
        let _ = empty;
    }
}

/// A sink that collects what stays.
#[derive(Default)]
pub struct BufferSink {
    bytes: Vec<u8>,
    mark: usize,
}

impl BufferSink {
    /// With room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            mark: 0,
        }
    }

    /// How much is held.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What stayed.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl CutSink for BufferSink {
    fn keep(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn insert(&mut self, bytes: &'static [u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn mark(&mut self) {
        self.mark = self.bytes.len();
    }

    fn rollback(&mut self) {
        self.bytes.truncate(self.mark);
    }

    fn text(&mut self, _bytes: &[u8], _letters: bool) {}
}
