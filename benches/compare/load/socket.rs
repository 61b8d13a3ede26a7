//! A non-blocking [`Stream`] as the `h2` crate wants it. The event loop says when it is readable.
//!
//! Relies on being polled after each event, so it never wakes anybody.

use std::{
    cell::Cell,
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::stream::{ReadOutcome, Stream};

/// Bytes read by one system call.
const PORTION: usize = 64 * 1024;

/// Whether the socket may have something to read.
#[derive(Clone, Default)]
pub(super) struct Readiness(Rc<Cell<bool>>);

impl Readiness {
    pub(super) fn set(&self) {
        self.0.set(true);
    }
}

pub(super) struct Http2Socket {
    stream: Stream,
    readiness: Readiness,
    scratch: Vec<u8>,
    received: Vec<u8>,
    /// The part of `received` that was handed on, in bytes.
    taken: usize,
    ended: bool,
}

impl Http2Socket {
    pub(super) fn new(stream: Stream) -> (Self, Readiness) {
        let readiness = Readiness::default();
        let socket = Self {
            stream,
            readiness: readiness.clone(),
            scratch: vec![0; PORTION],
            received: Vec::new(),
            taken: 0,
            ended: false,
        };
        (socket, readiness)
    }

    /// Reads the socket once.
    fn fill(&mut self) -> io::Result<()> {
        if self.taken == self.received.len() {
            self.received.clear();
            self.taken = 0;
        }
        let received = &mut self.received;
        let sink = |bytes: &[u8]| received.extend_from_slice(bytes);
        match self.stream.read(&mut self.scratch, sink)? {
            ReadOutcome::More => {}
            ReadOutcome::WouldBlock => self.readiness.0.set(false),
            ReadOutcome::End => {
                self.ended = true;
                self.readiness.0.set(false);
            }
        }
        Ok(())
    }
}

impl AsyncRead for Http2Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.taken == this.received.len() {
            if this.ended {
                return Poll::Ready(Ok(()));
            }
            if !this.readiness.0.get() {
                return Poll::Pending;
            }
            this.fill()?;
        }
        let piece = &this.received[this.taken..];
        let piece = &piece[..piece.len().min(into.remaining())];
        into.put_slice(piece);
        this.taken += piece.len();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Http2Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.stream.is_handshaking() {
            // The handshake goes on when its next message is read.
            while this.stream.is_handshaking() && this.readiness.0.get() {
                this.fill()?;
            }
            if this.ended {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        match this.stream.write(slices) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            result => Poll::Ready(result),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What the socket does not take now is written after the next event.
        Poll::Ready(self.get_mut().stream.flush())
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(context)
    }
}
