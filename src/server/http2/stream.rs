//! The stream that hyper reads and writes for HTTP/2: it guards the frames of both directions, and
//! yields after a fair share of work.
//!
//! h2 reads until the socket is empty, and answers some frames in a fraction of a microsecond, so a
//! peer that sends them without pause would keep its core for milliseconds. A [`GuardedStream`]
//! pauses after each share, and ends the stream of a flood. Relies on [`Turns`] to learn when a
//! turn begins. Never copies or changes a byte.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    frames::{FrameReader, FrameStep, kind},
    guard::{FrameFlood, FrameGuard},
};
use crate::server::activity::ConnectionActivity;

/// ENHANCE_YOUR_CALM (RFC 9113 section 7).
const ENHANCE_YOUR_CALM: u32 = 11;

/// What a connection has done so far, shared by its stream, its task and its requests.
#[derive(Default)]
pub(super) struct ConnectionProgress {
    turns: AtomicU64,
    requests: AtomicU64,
    responses: AtomicU64,
}

impl ConnectionProgress {
    /// Counts a head that became a request.
    pub(super) fn request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    /// Counts a request that has its response.
    pub(super) fn response(&self) {
        self.responses.fetch_add(1, Relaxed);
    }
}

/// Polls a connection, each time as a turn of its own.
pub(super) struct Turns<C> {
    pub(super) connection: C,
    pub(super) progress: Arc<ConnectionProgress>,
}

impl<C: Future + Unpin> Future for Turns<C> {
    type Output = C::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<C::Output> {
        self.progress.turns.fetch_add(1, Relaxed);
        Pin::new(&mut self.connection).poll(cx)
    }
}

/// A stream with a guard before its frames.
pub(super) struct GuardedStream<S> {
    stream: S,
    activity: Arc<ConnectionActivity>,
    progress: Arc<ConnectionProgress>,
    /// The turn of the last read.
    turn: u64,
    guard: FrameGuard,
    flood: Option<FrameFlood>,
    /// What an unfinished head takes, as reported.
    head: Option<usize>,
    written: FrameReader,
}

impl<S: AsyncRead + AsyncWrite + Unpin> GuardedStream<S> {
    pub(super) fn new(
        stream: S,
        activity: Arc<ConnectionActivity>,
        progress: Arc<ConnectionProgress>,
    ) -> Self {
        Self {
            stream,
            activity,
            progress,
            turn: 0,
            guard: FrameGuard::begin(),
            flood: None,
            head: None,
            written: FrameReader::default(),
        }
    }

    /// Whether the peer sent too much that is no request.
    pub(super) fn flood(&self) -> Option<FrameFlood> {
        self.flood
    }

    /// A GOAWAY frame with ENHANCE_YOUR_CALM. `None` if it would fall into another frame, which the
    /// peer did not read.
    pub(super) fn goaway(&self) -> Option<[u8; 17]> {
        if !self.written.at_boundary() {
            return None;
        }
        let [a, b, c, d] = self.guard.newest_stream().to_be_bytes();
        let [e, f, g, h] = ENHANCE_YOUR_CALM.to_be_bytes();
        Some([0, 0, 8, kind::GOAWAY, 0, 0, 0, 0, 0, a, b, c, d, e, f, g, h])
    }

    fn begin_turn(&mut self) {
        let turn = self.progress.turns.load(Relaxed);
        if turn == self.turn {
            return;
        }
        self.turn = turn;
        let requests = self.progress.requests.load(Relaxed);
        let responses = self.progress.responses.load(Relaxed);
        let begun = self.guard.begin_turn(requests, responses);
        self.flood = self.flood.or(begun.err());
    }

    fn read(&mut self, bytes: &[u8]) {
        let read = self.guard.read(bytes);
        self.flood = self.flood.or(read.err());
        let head = self.guard.unfinished_head();
        if head != self.head {
            self.head = head;
            self.activity.http2_head(head);
        }
    }

    /// Looks for the streams that the gateway resets.
    fn wrote(&mut self, mut bytes: &[u8]) {
        while let Some((step, rest)) = self.written.step(bytes) {
            if let FrameStep::Header(header) = step
                && header.kind == kind::RST_STREAM
            {
                self.flood = self.flood.or(self.guard.reset_by_us().err());
            }
            bytes = rest;
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for GuardedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.begin_turn();
        if self.flood.is_none() {
            if self.guard.turn_is_over() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let before = buf.filled().len();
            ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
            self.read(buf.filled().get(before..).unwrap_or_default());
        }
        Poll::Ready(match self.flood {
            Some(flood) => Err(io::Error::other(flood)),
            None => Ok(()),
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for GuardedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.wrote(bytes.get(..written).unwrap_or(bytes));
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, slices))?;
        let mut left = written;
        for slice in slices {
            let part = slice.get(..left).unwrap_or(slice);
            self.wrote(part);
            left -= part.len();
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
