//! The output of a cut: the sink that receives the bytes that stay, and the captured values.
//!
//! Most documents stay unchanged, so a mark is only recorded until something is rolled back or the
//! chunk ends. The sink then receives a few long runs of bytes instead of a short one per member.

use zeroize::Zeroize;

use super::rules::CaptureSlot;
use crate::wipe::{self, WipedVec};

/// A captured value. A string is wiped when it is dropped: it may be a session id.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum CapturedValue {
    /// The document has no such value.
    #[default]
    Absent,
    /// A string, decoded.
    String(String),
    /// A string that was passed to [`CutSink::text`].
    Streamed,
    /// A number, as written.
    Number(String),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
    /// An object or array.
    Container,
    /// A string or number longer than 4 KiB.
    TooLong,
}

impl CapturedValue {
    /// A value that is not there, to refer to.
    pub fn absent() -> &'static Self {
        static ABSENT: CapturedValue = CapturedValue::Absent;
        &ABSENT
    }
}

impl Drop for CapturedValue {
    fn drop(&mut self) {
        if let Self::String(text) = self {
            text.zeroize();
        }
    }
}

/// Receives the bytes that stay. Bytes since the last mark may be rolled back.
pub trait CutSink {
    /// Takes bytes of the document.
    fn keep(&mut self, bytes: &[u8]);
    /// Takes bytes that the document does not have.
    fn insert(&mut self, bytes: &'static [u8]);
    /// Sets the mark: everything before it stays for good.
    fn mark(&mut self);
    /// Removes everything since the mark.
    fn rollback(&mut self);
    /// Takes decoded bytes of a streamed string. With `letters`, all of them are letters of base64.
    fn text(&mut self, bytes: &[u8], letters: bool);
    /// A member is removed although no rule names it as removed: it is not among what is allowed,
    /// or too long. `name` are the first bytes of its name, decoded.
    fn kept_back(&mut self, name: &[u8]) {
        let _ = name;
    }
    /// Writes one JSON value in place of `value`, as
    /// [`CutRules::replace`](super::rules::CutRules::replace) asked. Not called if the rules
    /// replace nothing.
    fn replace(&mut self, slot: CaptureSlot, value: &CapturedValue) {
        let _ = (slot, value);
    }
    /// The closing brace of the root comes next, so more members may be written. With `empty`, no
    /// member stayed.
    fn end(&mut self, empty: bool) {
        let _ = empty;
    }
}

/// A sink that collects the bytes that stay.
#[derive(Default)]
pub struct BufferSink {
    bytes: WipedVec,
    mark: usize,
}

impl BufferSink {
    /// An empty sink with room for `bytes` bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self {
            bytes: WipedVec::new(Vec::with_capacity(bytes)),
            mark: 0,
        }
    }

    /// Number of bytes collected.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether no byte is collected.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The collected bytes.
    pub fn into_bytes(mut self) -> Vec<u8> {
        std::mem::take(&mut *self.bytes)
    }
}

impl CutSink for BufferSink {
    fn keep(&mut self, bytes: &[u8]) {
        wipe::append(&mut self.bytes, bytes);
    }

    fn insert(&mut self, bytes: &'static [u8]) {
        wipe::append(&mut self.bytes, bytes);
    }

    fn mark(&mut self) {
        self.mark = self.bytes.len();
    }

    fn rollback(&mut self) {
        self.bytes.truncate(self.mark);
    }

    fn text(&mut self, _bytes: &[u8], _letters: bool) {}
}

/// A chunk whose bytes from `from` on are not yet passed to the sink or skipped.
pub(super) struct ChunkOutput<'a, S> {
    pub(super) chunk: &'a [u8],
    from: usize,
    /// Offset of a mark among those bytes, not yet passed to the sink.
    mark: Option<usize>,
    sink: &'a mut S,
}

impl<'a, S: CutSink> ChunkOutput<'a, S> {
    pub(super) fn new(chunk: &'a [u8], sink: &'a mut S) -> Self {
        Self {
            chunk,
            from: 0,
            mark: None,
            sink,
        }
    }

    /// Sets the mark at `to`.
    pub(super) fn mark(&mut self, to: usize) {
        self.mark = Some(to);
    }

    /// Passes on the bytes before `to`, and the mark among them.
    pub(super) fn flush(&mut self, to: usize) -> &mut S {
        self.pass_mark();
        self.keep(to);
        self.sink
    }

    /// Skips the bytes between the mark and `to`.
    pub(super) fn skip(&mut self, to: usize) {
        self.pass_mark();
        self.from = to;
    }

    /// Rolls back to the mark, and skips the bytes before `to`. A replacement can be written to the
    /// returned sink.
    pub(super) fn roll_back(&mut self, to: usize) -> &mut S {
        if self.mark.is_none() {
            self.sink.rollback();
        }
        self.skip(to);
        self.sink
    }

    /// Passes decoded bytes of a streamed string to the sink, which already has all bytes before
    /// it.
    pub(super) fn text(&mut self, bytes: &[u8], letters: bool) {
        self.sink.text(bytes, letters);
    }

    /// Passes the name of a member that is kept back to the sink.
    pub(super) fn kept_back(&mut self, name: &[u8]) {
        self.sink.kept_back(name);
    }

    /// Passes on the bytes before the mark, and the mark.
    fn pass_mark(&mut self) {
        if let Some(mark) = self.mark.take() {
            self.keep(mark);
            self.sink.mark();
        }
    }

    fn keep(&mut self, to: usize) {
        if let Some(bytes) = self.chunk.get(self.from..to)
            && !bytes.is_empty()
        {
            self.sink.keep(bytes);
        }
        self.from = to;
    }
}
