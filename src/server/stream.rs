//! The stream that hyper reads and writes.
//!
//! [`ConnectionStream`] replays the bytes read for detection, reports progress to
//! [`ConnectionActivity`], and holds back the bare responses that hyper writes to a head it can't
//! parse, so that the connection can send a complete one. Relies on its owner to close it. Never
//! copies a body.

use std::{
    future::{Future, poll_fn},
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};
use zeroize::Zeroize;

use super::{
    activity::{ConnectionActivity, ReadPhase},
    framing::{FramingError, MessageFraming},
    replay::ReplayedBytes,
    socket::PeerStream,
};
use crate::wipe::{self, WipedVec};

mod closing;

/// Bytes of a head that are kept for [`ConnectionStream::head`].
const KEPT_HEAD: usize = 8 * 1024;
/// Most bytes that the first read of a parked connection takes. Most heads are smaller.
const FIRST_READ: usize = 4096;

/// The stream that hyper reads and writes.
pub(super) struct ConnectionStream<S> {
    stream: S,
    /// Bytes that were read and checked before the present reader existed.
    replay: ReplayedBytes,
    activity: Arc<ConnectionActivity>,
    read_ended: bool,
    /// Time of the last write.
    last_write: Option<Instant>,
    /// Bytes read since the last write.
    read_since_write: usize,
    /// Whether anything was written since the last flush. hyper flushes at each step of a request.
    unflushed: bool,
    /// Set for HTTP/1.1: hyper may write only for a request. Its own response to an unreadable head
    /// is held back.
    guarded: bool,
    held_back: Option<u16>,
    /// Checks the framing of HTTP/1.1 before hyper reads it, if `guarded`.
    framing: MessageFraming,
    framing_error: Option<FramingError>,
    /// Woken when the response is written that an error waits for.
    refused: Option<Waker>,
    /// Start of a head that has not become a request, if `guarded`.
    head: WipedVec,
}

impl<S: PeerStream> ConnectionStream<S> {
    pub(super) fn new(
        stream: S,
        mut replay: WipedVec,
        activity: Arc<ConnectionActivity>,
        guarded: bool,
    ) -> Self {
        let mut this = Self {
            stream,
            replay: ReplayedBytes::default(),
            activity,
            read_ended: false,
            last_write: None,
            read_since_write: 0,
            unflushed: false,
            guarded,
            held_back: None,
            framing: MessageFraming::new(),
            framing_error: None,
            refused: None,
            head: WipedVec::default(),
        };
        if !replay.is_empty() {
            this.record_read(&replay);
            let valid = this.check_framing(&replay);
            replay.truncate(valid);
            this.replay = ReplayedBytes::new(replay);
        }
        this
    }

    /// Frees what is needed only between the first byte of a head and the end of its request.
    /// Returns `false`, and frees nothing, in the middle of a message.
    pub(super) fn park(&mut self) -> bool {
        let between = self.framing.is_between_messages() && self.is_drained();
        if between {
            self.head = WipedVec::default();
        }
        between
    }

    /// Whether no bytes wait for the next reader.
    pub(super) fn is_drained(&self) -> bool {
        self.replay.len() == 0
    }

    /// Waits for the next bytes without memory for them, and reads some for the next reader. The
    /// output is their number, 0 at the end of the stream.
    pub(super) fn next_bytes(&mut self) -> impl Future<Output = io::Result<usize>> + Unpin {
        poll_fn(|cx| {
            let mut bytes = [0; FIRST_READ];
            let mut bytes = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut *self).poll_read(cx, &mut bytes))?;
            self.replay = ReplayedBytes::new(WipedVec::new(bytes.filled().to_vec()));
            bytes.filled_mut().zeroize();
            Poll::Ready(Ok(self.replay.len()))
        })
    }

    /// The received part of an HTTP/1.1 head that has not become a request, at most
    /// [`KEPT_HEAD`] bytes.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    /// Status of the response that was held back.
    pub(super) fn held_back(&self) -> Option<u16> {
        self.held_back
    }

    /// How the peer's head broke the grammar of HTTP/1.1. A body that does so fails its request.
    pub(super) fn framing_error(&self) -> Option<FramingError> {
        self.framing_error.filter(|_| self.framing.in_head())
    }

    /// Reports bytes from the peer, and keeps them if they belong to a head.
    fn record_read(&mut self, bytes: &[u8]) {
        match self.activity.read() {
            ReadPhase::Request => return,
            ReadPhase::HeadStart => self.head.clear(),
            ReadPhase::Head => {}
        }
        let room = KEPT_HEAD.saturating_sub(self.head.len());
        if self.guarded {
            wipe::append(&mut self.head, bytes.get(..room).unwrap_or(bytes));
        }
    }

    /// Wipes the kept head once it has become a request.
    fn wipe_head(&mut self) {
        if !self.head.is_empty() && self.activity.responding() {
            self.head.wipe();
        }
    }

    /// Checks the next bytes of the stream. Returns how many of them hyper may read; further ones
    /// break the framing.
    fn check_framing(&mut self, bytes: &[u8]) -> usize {
        if !self.guarded {
            return bytes.len();
        }
        let head_bytes = self.framing.head_bytes();
        let framed = self.framing.read(bytes);
        if self.framing.head_bytes() != head_bytes {
            self.activity.unfinished_head(self.framing.head_bytes());
        }
        let Err((valid, error)) = framed else {
            return bytes.len();
        };
        tracing::debug!(%error, "a peer broke the framing of HTTP/1.1");
        self.framing_error = Some(error);
        valid
    }

    /// Whether these bytes are hyper's own response, which is not sent.
    fn hold_back(&mut self, bytes: &[u8]) -> bool {
        if !self.guarded || self.activity.responding() {
            return false;
        }
        // `HTTP/1.1 431 …`. Further writes belong to the same response.
        let digits = bytes.get(9..12);
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let status = digits.and_then(|digits| digits.parse().ok());
        self.held_back = self.held_back.or(status).or(Some(400));
        true
    }

    /// What hyper reads in place of bytes that break the grammar: an error, but not before the
    /// response to an earlier request is written.
    fn poll_refused(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        if self.framing.in_head() && self.activity.responding() {
            self.refused = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Err(io::ErrorKind::InvalidData.into()))
    }

    fn record_write(&mut self, result: &Poll<io::Result<usize>>) {
        self.unflushed = true;
        self.wipe_head();
        match result {
            Poll::Pending => self.activity.wrote(None),
            Poll::Ready(_) => {
                (self.last_write, self.read_since_write) = (Some(Instant::now()), 0);
                self.activity.wrote(self.last_write);
            }
        }
    }
}

impl<S: PeerStream> AsyncRead for ConnectionStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.wipe_head();
        if !self.is_drained() {
            self.replay.pass_on(buf);
            return Poll::Ready(Ok(()));
        }
        if self.framing_error.is_some() {
            return self.poll_refused(cx);
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_pending() && self.stream.is_buffered() && !self.activity.responding() {
            self.stream.release();
        }
        ready!(read)?;
        let read = buf.filled().get(before..).unwrap_or_default();
        if read.is_empty() {
            self.read_ended |= buf.remaining() > 0;
            return Poll::Ready(Ok(()));
        }
        self.read_since_write = self.read_since_write.saturating_add(read.len());
        self.record_read(read);
        let valid = self.check_framing(read);
        if self.framing_error.is_some() {
            // hyper gets what came before, so that an earlier request is not lost.
            let refused = buf.filled_mut().get_mut(before + valid..);
            refused.unwrap_or_default().zeroize();
            buf.set_filled(before + valid);
            if valid == 0 {
                return self.poll_refused(cx);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: PeerStream> AsyncWrite for ConnectionStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.hold_back(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.record_write(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.hold_back(slices.first().map_or(&[], |first| first)) {
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.record_write(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes when its buffer is empty. From then until the next request, it has nothing to
    /// write for a request.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        match &flushed {
            Poll::Ready(_) if std::mem::take(&mut self.unflushed) => {
                self.activity.flushed();
                self.refused.take().into_iter().for_each(Waker::wake);
            }
            Poll::Ready(_) => {}
            Poll::Pending => {
                self.unflushed = true;
                self.activity.wrote(None);
            }
        }
        flushed
    }

    /// Only flushes: the connection may still write a response of its own, and lingers afterwards.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}
