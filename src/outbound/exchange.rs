//! One exchange: the request is written in as few system calls as possible, and the body of the
//! response is passed on as it arrives.
//!
//! A response that arrives before the whole request is written (a 413, say) is read nevertheless.
//! The rest of the request then stays unsent, and the connection is not reused. Sends a request at
//! most once.

use std::{future::poll_fn, io, pin::Pin, task::Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use zeroize::Zeroize;

use super::{
    MalformedResponse,
    connection::OutboundConnection,
    framing::FramedPiece,
    head::{self, ResponseHead},
    request::{OutboundRequest, UnsentRequest},
};
use crate::wipe::{self, WipedVec};

/// Maximum size of a response's head, in bytes.
const MAX_HEAD: usize = 32 * 1024;
/// Maximum number of interim (1xx) responses before the final one.
const MAX_INTERIM: usize = 8;
/// Size of the first read, in bytes: most heads and many whole responses are smaller.
const FIRST_READ: usize = 1024;
/// Size of further reads of the head, in bytes.
const HEAD_READ: usize = 4 * 1024;
/// Size of reads of the body, in bytes.
const BODY_READ: usize = 64 * 1024;

/// Why no response could be read.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The connection ended before the first byte of a response.
    #[error("the connection ended without a response")]
    NoResponse(#[source] io::Error),
    /// A response began, but is malformed or truncated.
    #[error(transparent)]
    Malformed(#[from] MalformedResponse),
}

/// A response whose head was read and whose body is being read.
pub struct ResponseReader {
    head: ResponseHead,
    /// Whether the whole request was written before the response arrived.
    sent: bool,
    buffer: WipedVec,
    /// Offset of the first unread byte in `buffer`.
    at: usize,
}

/// Sends a request and reads the head of its response.
///
/// # Errors
/// The connection ended without a response, or the head is malformed.
pub async fn exchange(
    connection: &mut OutboundConnection,
    request: OutboundRequest<'_>,
) -> Result<ResponseReader, ExchangeError> {
    let mut buffer = connection.take_buffer();
    let mut unsent = UnsentRequest::new(request);
    let mut sent = write_until_answered(connection, &mut unsent, &mut buffer).await?;
    for _ in 0..=MAX_INTERIM {
        let (mut head, length) = read_head(connection, &mut buffer).await?;
        if matches!(head.status, 100 | 102..=199) {
            buffer.drain(..length);
            // The final response is still to come, and the server still reads.
            if !sent && buffer.is_empty() {
                sent = write_until_answered(connection, &mut unsent, &mut buffer).await?;
            }
            continue;
        }
        head.keep_alive &= sent;
        return Ok(ResponseReader {
            head,
            sent,
            buffer,
            at: length,
        });
    }
    Err(MalformedResponse::TooManyInterim.into())
}

/// Writes the rest of the request. Returns `false` if a response, now in `buffer`, came first.
async fn write_until_answered(
    connection: &mut OutboundConnection,
    unsent: &mut UnsentRequest<'_>,
    buffer: &mut WipedVec,
) -> Result<bool, ExchangeError> {
    let result = poll_fn(|cx| {
        while !unsent.is_empty() {
            match unsent.poll_write(connection, cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return poll_answer(connection, cx, buffer).map_ok(|()| false),
            }
        }
        Pin::new(&mut *connection).poll_flush(cx).map_ok(|()| true)
    })
    .await;
    match result {
        Ok(sent) => Ok(sent),
        // A server that rejects the request may close its side early; its response may have
        // arrived.
        Err(error) => match read_some(connection, buffer, HEAD_READ).await {
            Ok(1..) => Ok(false),
            _ => Err(ExchangeError::NoResponse(error)),
        },
    }
}

/// Resolves when the server has sent something, or can send nothing more.
fn poll_answer(
    connection: &mut OutboundConnection,
    cx: &mut std::task::Context<'_>,
    buffer: &mut WipedVec,
) -> Poll<io::Result<()>> {
    let mut space = [0; HEAD_READ];
    let mut read = ReadBuf::new(&mut space);
    match Pin::new(connection).poll_read(cx, &mut read) {
        Poll::Ready(Ok(())) if read.filled().is_empty() => {
            Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()))
        }
        Poll::Ready(Ok(())) => {
            wipe::append(buffer, read.filled());
            read.filled_mut().zeroize();
            Poll::Ready(Ok(()))
        }
        other => other,
    }
}

async fn read_head(
    connection: &mut OutboundConnection,
    buffer: &mut WipedVec,
) -> Result<(ResponseHead, usize), ExchangeError> {
    loop {
        if let Some(found) = head::parse(buffer)? {
            return Ok(found);
        }
        if buffer.len() >= MAX_HEAD {
            return Err(MalformedResponse::HeadTooLarge.into());
        }
        let most = if buffer.is_empty() {
            FIRST_READ
        } else {
            HEAD_READ
        };
        match read_some(connection, buffer, most).await {
            Ok(1..) => {}
            Ok(0) if buffer.is_empty() => {
                return Err(ExchangeError::NoResponse(
                    io::ErrorKind::UnexpectedEof.into(),
                ));
            }
            Err(error) if buffer.is_empty() => return Err(ExchangeError::NoResponse(error)),
            Ok(0) | Err(_) => return Err(MalformedResponse::HeadTruncated.into()),
        }
    }
}

async fn read_some(
    connection: &mut OutboundConnection,
    buffer: &mut WipedVec,
    most: usize,
) -> io::Result<usize> {
    let needed = buffer.len().saturating_add(most);
    if needed > buffer.capacity() {
        wipe::grow(buffer, needed);
    }
    connection.read_buf(&mut **buffer).await
}

impl ResponseReader {
    /// HTTP status code.
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// Whether the response came before the whole request was written, so that it can't be a
    /// response to all of it.
    pub fn is_early(&self) -> bool {
        !self.sent
    }

    /// Whether the body has a `Content-Encoding` other than `identity`.
    pub fn is_encoded(&self) -> bool {
        self.head.encoded
    }

    /// Takes the upstream's request id, `X-Reqid`: short and without blanks.
    pub fn take_reqid(&mut self) -> Option<String> {
        self.head.reqid.take()
    }

    /// The value of a header field; several fields of one name are joined by commas. Must be called
    /// before the body is read, which overwrites the head.
    pub fn field(&self, name: &str) -> Option<String> {
        head::field(self.buffer.get(..self.at)?, name)
    }

    /// Passes the body to `take`, piece by piece, to its exact end.
    ///
    /// # Errors
    /// The error of `take`, or the body is malformed or truncated.
    pub async fn body<E: From<MalformedResponse>>(
        &mut self,
        connection: &mut OutboundConnection,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        loop {
            while let Some(bytes) = self.buffer.get(self.at..).filter(|bytes| !bytes.is_empty()) {
                match self.head.framing.next(bytes)? {
                    FramedPiece::Body(length) => {
                        take(bytes.get(..length).unwrap_or_default())?;
                        self.at += length;
                    }
                    FramedPiece::Skip(length) => self.at += length,
                    FramedPiece::End => break,
                }
            }
            if self.head.framing.is_done() {
                return Ok(());
            }
            self.buffer.clear();
            self.at = 0;
            match read_some(connection, &mut self.buffer, BODY_READ).await {
                Ok(1..) => {}
                Ok(0) if self.head.framing.may_close() => {
                    self.head.keep_alive = false;
                    return Ok(());
                }
                Ok(0) | Err(_) => return Err(MalformedResponse::BodyTruncated.into()),
            }
        }
    }

    /// Whether the connection is exactly at the end of the response and may serve another request.
    /// Returns the buffer to the connection.
    pub fn finish(self, connection: &mut OutboundConnection) -> bool {
        let at_end = self.head.framing.is_done() && self.at == self.buffer.len();
        connection.keep_buffer(self.buffer);
        self.head.keep_alive && at_end
    }
}
