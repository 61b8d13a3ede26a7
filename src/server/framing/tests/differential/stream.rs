//! A connection in memory, which brings given pieces and takes every response. The fuzz target of
//! the framing includes this file too, so it relies on hyper alone.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use hyper::rt::{Read, ReadBufCursor, Write};

/// A connection that brings these pieces.
pub(super) struct PiecedStream<'b> {
    pieces: VecDeque<&'b [u8]>,
    /// Whether the connection ends behind them.
    ends: bool,
}

#[allow(
    dead_code,
    reason = "each program that includes this file uses one of them"
)]
impl<'b> PiecedStream<'b> {
    /// One that stays open.
    pub(super) fn open(pieces: VecDeque<&'b [u8]>) -> Self {
        let ends = false;
        Self { pieces, ends }
    }

    /// One that ends behind these bytes.
    pub(super) fn ending(bytes: &'b [u8]) -> Self {
        Self {
            pieces: [bytes].into(),
            ends: true,
        }
    }
}

impl Read for PiecedStream<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.pieces.retain(|piece| !piece.is_empty());
        let ends = self.ends;
        let Some(piece) = self.pieces.front_mut() else {
            return if ends {
                Poll::Ready(Ok(()))
            } else {
                Poll::Pending
            };
        };
        let (now, later) = piece.split_at(piece.len().min(buffer.remaining()));
        buffer.put_slice(now);
        *piece = later;
        Poll::Ready(Ok(()))
    }
}

impl Write for PiecedStream<'_> {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
