//! The bytes of one chunk on their way to the sink.

use super::sink::Sink;

/// A chunk, of which the bytes from `from` on are still to be passed to the sink, or skipped.
pub(super) struct Run<'a, S> {
    pub(super) chunk: &'a [u8],
    from: usize,
    pub(super) sink: &'a mut S,
}

impl<'a, S: Sink> Run<'a, S> {
    pub(super) fn new(chunk: &'a [u8], sink: &'a mut S) -> Self {
        Self {
            chunk,
            from: 0,
            sink,
        }
    }

    /// Passes on the bytes before `to`.
    pub(super) fn flush(&mut self, to: usize) {
        if let Some(bytes) = self
            .chunk
            .get(self.from..to)
            .filter(|bytes| !bytes.is_empty())
        {
            self.sink.keep(bytes);
        }
        self.from = to;
    }

    /// Passes on the bytes before `to` and sets a mark behind them.
    pub(super) fn mark(&mut self, to: usize) {
        self.flush(to);
        self.sink.mark();
    }

    /// Leaves out the bytes before `to` that were not passed on.
    pub(super) fn skip(&mut self, to: usize) {
        self.from = to;
    }

    /// Takes back what was passed on since the mark, and leaves out the bytes before `to`.
    pub(super) fn take_back(&mut self, to: usize) {
        self.sink.rollback();
        self.skip(to);
    }
}
