//! Where the bytes that a cut keeps go, and the values that were captured.

use super::rules::CaptureSlot;

/// A wanted value.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum CapturedValue {
    /// Not in the document.
    #[default]
    Absent,
    /// A string, decoded.
    String(String),
    /// A string that went to the sink as it came, through [`CutSink::text`](super::sink::CutSink::text).
    Streamed,
    /// A number, as written.
    Number(String),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
    /// An object or array.
    Container,
    /// A string or number over 4 KiB.
    TooLong,
}

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

/// A chunk, of which the bytes from `from` on are still to be passed to the sink, or skipped.
pub(super) struct PendingChunk<'a, S> {
    pub(super) chunk: &'a [u8],
    from: usize,
    /// A mark in those bytes, which the sink does not know of yet.
    mark: Option<usize>,
    sink: &'a mut S,
}

impl<'a, S: CutSink> PendingChunk<'a, S> {
    pub(super) fn new(chunk: &'a [u8], sink: &'a mut S) -> Self {
        Self {
            chunk,
            from: 0,
            mark: None,
            sink,
        }
    }

    /// Sets a mark behind the bytes before `to`.
    pub(super) fn mark(&mut self, to: usize) {
        self.mark = Some(to);
    }

    /// Passes on the bytes before `to`, and the mark among them.
    pub(super) fn flush(&mut self, to: usize) -> &mut S {
        self.tell_mark();
        self.keep(to);
        self.sink
    }

    /// Leaves out the bytes before `to` and behind the mark.
    pub(super) fn skip(&mut self, to: usize) {
        self.tell_mark();
        self.from = to;
    }

    /// Takes back what was passed on since the mark, and leaves out the bytes before `to`. What takes their place can be
    /// given to the sink that is returned.
    pub(super) fn take_back(&mut self, to: usize) -> &mut S {
        if self.mark.is_none() {
            self.sink.rollback();
        }
        self.skip(to);
        self.sink
    }

    /// Hands decoded bytes of a streamed string to the sink, which has all before the string already.
    pub(super) fn text(&mut self, bytes: &[u8], letters: bool) {
        self.sink.text(bytes, letters);
    }

    /// Passes on the bytes before the mark, and the mark.
    fn tell_mark(&mut self) {
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
