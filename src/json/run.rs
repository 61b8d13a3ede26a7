//! The bytes of one chunk on their way to the sink.
//!
//! Most documents stay as they are, so a mark is only remembered until something has to be taken back, or the chunk ends:
//! the sink gets few long runs of bytes, not a short one for each member.

use super::sink::CutSink;

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
