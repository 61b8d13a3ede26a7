//! The stream of one connection as hyper sees it: bytes read while telling the protocols apart are replayed, progress is
//! reported, and closing is left to [`ConnectionStream::close`].
//!
//! Holds back the bare answers that hyper itself writes to a head it can't read, so that the connection can give a
//! proper one. Never copies a body.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::Instant,
};

use super::activity::{ConnectionActivity, ReadPhase};

/// How long, and how much, of what a peer still sends is taken after the last answer, so that its end of the
/// connection is not reset before the answer is read.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 256 * 1024;
/// Bytes of a head that are remembered, for an answer to it that hyper does not give.
const REMEMBERED: usize = 8 * 1024;

pub(super) struct ConnectionStream<S> {
    stream: S,
    /// Read before the protocol was known.
    replay: Bytes,
    activity: Arc<ConnectionActivity>,
    ended: bool,
    /// When something was last written, and how much was read since.
    written: Option<Instant>,
    read_since: usize,
    /// Whether anything was written since the last flush: hyper flushes at each step of a request.
    unflushed: bool,
    /// HTTP/1.1: bytes may be written only for a request; hyper's own answer to an unreadable head is held back.
    guarded: bool,
    held_back: Option<u16>,
    /// What came of the last head.
    head: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> ConnectionStream<S> {
    pub(super) fn new(
        stream: S,
        replay: Bytes,
        activity: Arc<ConnectionActivity>,
        guarded: bool,
    ) -> Self {
        let mut head = Vec::new();
        if !replay.is_empty() {
            activity.read();
            head.extend(replay.iter().take(REMEMBERED).filter(|_| guarded));
        }
        Self {
            stream,
            replay,
            activity,
            ended: false,
            written: None,
            read_since: 0,
            unflushed: false,
            guarded,
            held_back: None,
            head,
        }
    }

    /// What came of the last head (HTTP/1.1), or its beginning.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    /// Remembers bytes that came from the peer, if they are a head's.
    fn remember(&mut self, bytes: &[u8]) {
        match self.activity.read() {
            ReadPhase::Request => return,
            ReadPhase::HeadStart => self.head.clear(),
            ReadPhase::Head => {}
        }
        let room = REMEMBERED.saturating_sub(self.head.len());
        if self.guarded {
            self.head
                .extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        }
    }

    /// The status of the answer that was held back.
    pub(super) fn held_back(&self) -> Option<u16> {
        self.held_back
    }

    /// Writes an answer past hyper, which has let go of the stream.
    pub(super) async fn answer(&mut self, bytes: &[u8]) {
        let writing = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        (self.written, self.read_since) = (Some(Instant::now()), 0);
        if !matches!(tokio::time::timeout(LINGER, writing).await, Ok(Ok(()))) {
            tracing::debug!("a last answer could not be written");
        }
    }

    /// Ends our side and drops the connection.
    pub(super) async fn close(mut self) {
        drop(tokio::time::timeout(LINGER, self.stream.shutdown()).await);
    }

    /// Ends our side, then takes what the peer still sends until 2 s or 256 KiB after the last answer, whatever was taken
    /// by the answer's request itself included. What is beyond stays unread until the 2 s are over, so that a reset does
    /// not overtake the answer.
    pub(super) async fn close_lingering(mut self) {
        let until = self.written.unwrap_or_else(Instant::now) + LINGER;
        let lingering = async {
            self.stream.shutdown().await?;
            let mut scrap = vec![0; 16 * 1024];
            while !self.ended && self.read_since < LINGER_BYTES {
                let read = self.stream.read(&mut scrap).await?;
                self.ended = read == 0;
                self.read_since = self.read_since.saturating_add(read);
            }
            if !self.ended {
                drop(scrap);
                std::future::pending::<()>().await;
            }
            io::Result::Ok(())
        };
        drop(tokio::time::timeout_at(until, lingering).await);
    }

    /// Whether these bytes are hyper's own answer, which is taken and not sent.
    fn hold_back(&mut self, head: &[u8]) -> bool {
        if !self.guarded || self.activity.answering() {
            return false;
        }
        // `HTTP/1.1 431 …`; what follows in further writes belongs to it.
        let status = head
            .get(9..12)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|s| s.parse().ok());
        self.held_back = self.held_back.or(status).or(Some(400));
        true
    }

    fn written(&mut self, result: &Poll<io::Result<usize>>) {
        self.unflushed = true;
        match result {
            Poll::Pending => self.activity.wrote(None),
            Poll::Ready(_) => {
                (self.written, self.read_since) = (Some(Instant::now()), 0);
                self.activity.wrote(self.written);
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for ConnectionStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.replay.is_empty() {
            let bytes = self.replay.len().min(buf.remaining());
            buf.put_slice(self.replay.get(..bytes).unwrap_or_default());
            self.replay.advance(bytes);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            let read = buf.filled().get(before..).unwrap_or_default();
            self.read_since = self.read_since.saturating_add(read.len());
            self.remember(read);
        } else if buf.remaining() > 0 {
            self.ended = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ConnectionStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.hold_back(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(&result);
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
        self.written(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes when its own buffer is empty: from here to the next request, it has nothing of ours to write.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        match &flushed {
            Poll::Ready(_) if std::mem::take(&mut self.unflushed) => self.activity.flushed(),
            Poll::Ready(_) => {}
            Poll::Pending => {
                self.unflushed = true;
                self.activity.wrote(None);
            }
        }
        flushed
    }

    /// Only flushes: the connection may have a last word of its own, and lingers afterwards.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}
