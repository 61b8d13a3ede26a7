//! A connection to a server of the store, between the network and the `redis` crate: it passes on
//! what answers a request, and ends the connection at anything else.
//!
//! The crate gives each reply to the oldest request without one. So a server, or something in
//! front of it, that sends a reply too many would from then on have each call get the reply of
//! another. Here requests and replies are counted. An error without a request is what a server says
//! before it closes a connection that it does not accept (`max number of clients reached`), so it
//! is passed on as the last one. Relies on [`super::frames`] for where a reply ends, and that it is
//! of a size that can be kept in memory.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::{InvalidFrame, RespFrames};

/// A stream whose replies are checked.
pub(super) struct CheckedStream<S> {
    stream: S,
    check: ReplyCheck,
    /// Something was refused.
    has_refused: Arc<AtomicBool>,
}

/// Requests and replies, counted.
#[derive(Default)]
struct ReplyCheck {
    requests: RespFrames,
    replies: RespFrames,
    /// Requests without a reply.
    open: usize,
    /// An error came without a request: nothing may follow.
    is_over: bool,
}

impl<S> CheckedStream<S> {
    /// Returns the stream, and whether it has refused what the server sent.
    pub(super) fn new(stream: S) -> (Self, Arc<AtomicBool>) {
        let has_refused = Arc::<AtomicBool>::default();
        let guarded = Self {
            stream,
            check: ReplyCheck::default(),
            has_refused: Arc::clone(&has_refused),
        };
        (guarded, has_refused)
    }
}

impl ReplyCheck {
    fn sent(&mut self, mut bytes: &[u8]) -> Result<(), InvalidFrame> {
        while !bytes.is_empty() {
            let (taken, ended) = self.requests.take(bytes)?;
            self.open = self.open.saturating_add(usize::from(ended.is_some()));
            bytes = bytes.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    fn received(&mut self, mut bytes: &[u8]) -> Result<(), InvalidFrame> {
        while !bytes.is_empty() {
            if self.is_over {
                return Err(InvalidFrame);
            }
            let (taken, ended) = self.replies.take(bytes)?;
            bytes = bytes.get(taken..).unwrap_or_default();
            match (ended, self.open.checked_sub(1)) {
                (None, _) => {}
                (Some(_), Some(open)) => self.open = open,
                (Some(reply), None) if reply.is_error => self.is_over = true,
                (Some(_), None) => return Err(InvalidFrame),
            }
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for CheckedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        let received = buffer.filled().get(before..).unwrap_or_default();
        if let Err(invalid) = this.check.received(received) {
            this.has_refused.store(true, Ordering::Relaxed);
            buffer.set_filled(before);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, invalid)));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for CheckedStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.stream).poll_write(cx, bytes))?;
        let sent = bytes.get(..written).unwrap_or_default();
        let checked = this.check.sent(sent).map(|()| written);
        Poll::Ready(checked.map_err(|invalid| io::Error::new(io::ErrorKind::InvalidInput, invalid)))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &[u8] = b"*1\r\n$4\r\nPING\r\n";

    fn after(requests: usize, replies: &str) -> Result<(), InvalidFrame> {
        let mut check = ReplyCheck::default();
        for _ in 0..requests {
            check.sent(REQUEST).unwrap();
        }
        check.received(replies.as_bytes())
    }

    #[test]
    fn each_request_has_one_reply() {
        assert_eq!(after(2, "+A\r\n-ERR\r\n"), Ok(()));
        assert_eq!(after(1, "+A\r\n+B\r\n"), Err(InvalidFrame));
        assert_eq!(after(0, "+A\r\n"), Err(InvalidFrame));
        let mut check = ReplyCheck::default();
        for _ in 0..3 {
            let (one, other) = REQUEST.split_at(5);
            check.sent(one).unwrap();
            check.sent(other).unwrap();
            check.received(b"*1\r\n").unwrap();
            check.received(b":1\r\n").unwrap();
        }
        assert_eq!(check.open, 0);
    }

    #[test]
    fn an_error_without_a_request_is_the_last_reply() {
        assert_eq!(after(0, "-ERR max number of clients reached\r\n"), Ok(()));
        assert_eq!(after(0, "-ERR\r\n+A\r\n"), Err(InvalidFrame));
        assert_eq!(after(1, "+A\r\n-ERR\r\n-ERR\r\n"), Err(InvalidFrame));
    }
}
