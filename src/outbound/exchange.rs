//! One call: the request goes out in as few writes as the kernel takes, and the answer is handed on as it comes in.
//!
//! An answer that comes before the request is out (a 413, say) is read all the same; the rest of the request then stays
//! unsent and the connection is closed.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    task::Poll,
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::{
    connection::OutboundConnection,
    framing::FramedPiece,
    head::{self, ResponseHead},
};

/// Bytes of an answer's head at the most.
const MAX_HEAD: usize = 32 * 1024;
/// Interim (1xx) answers in front of the real one at the most.
const MAX_INTERIM: usize = 8;
/// Bytes asked for at first, of which most heads and many whole answers take less; in further reads of a head; and of a body.
const FIRST_READ: usize = 1024;
const HEAD_READ: usize = 4 * 1024;
const BODY_READ: usize = 64 * 1024;
/// Pieces handed to the kernel in one write.
const MAX_SLICES: usize = 64;

/// Why no answer could be read.
#[derive(Debug)]
pub enum ExchangeError {
    /// The connection ended before the answer's first byte.
    NoResponse(io::Error),
    /// It ended, or turned to nonsense, later.
    Response(&'static str),
}

/// A request as it is written: the head to its empty line, then the pieces of the body.
#[derive(Clone, Copy)]
pub struct OutboundRequest<'a> {
    /// Request line and fields; `Content-Length` must be that of the body.
    pub head: &'a [u8],
    /// Sent as they are, in this order.
    pub body: &'a [Bytes],
}

impl<'a> OutboundRequest<'a> {
    /// What is to be written, from the piece of this number on.
    fn pieces(&self, first: usize) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let body = self.body.iter().map(Bytes::as_ref);
        std::iter::once(self.head).chain(body).skip(first)
    }
}

/// An answer being read.
pub struct ResponseReader {
    head: ResponseHead,
    /// The request was out before the answer came.
    sent: bool,
    buffer: Vec<u8>,
    at: usize,
}

/// Sends a request and reads the head of its answer.
///
/// # Errors
/// There is no answer, or what came is none.
pub async fn exchange(
    connection: &mut OutboundConnection,
    request: &OutboundRequest<'_>,
) -> Result<ResponseReader, ExchangeError> {
    let mut buffer = connection.take_buffer();
    let mut unsent = UnsentRequest {
        request: *request,
        first: 0,
        offset: 0,
    };
    let mut sent = write_until_answered(connection, &mut unsent, &mut buffer).await?;
    for _ in 0..=MAX_INTERIM {
        let (mut head, length) = read_head(connection, &mut buffer).await?;
        if matches!(head.status, 100 | 102..=199) {
            buffer.drain(..length);
            // The answer is yet to come, and the server still reads.
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
    Err(ExchangeError::Response("too many interim answers"))
}

/// Writes the rest of the request; `false` when an answer, now in `buffer`, came first.
async fn write_until_answered(
    connection: &mut OutboundConnection,
    unsent: &mut UnsentRequest<'_>,
    buffer: &mut Vec<u8>,
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
        // A peer that refuses may close its side before we are done; its answer may be there.
        Err(error) => match read_some(connection, buffer, HEAD_READ).await {
            Ok(1..) => Ok(false),
            _ => Err(ExchangeError::NoResponse(error)),
        },
    }
}

/// Resolves when the peer has sent something, or nothing more can come.
fn poll_answer(
    connection: &mut OutboundConnection,
    cx: &mut std::task::Context<'_>,
    buffer: &mut Vec<u8>,
) -> Poll<io::Result<()>> {
    let mut space = [0; HEAD_READ];
    let mut read = ReadBuf::new(&mut space);
    match Pin::new(connection).poll_read(cx, &mut read) {
        Poll::Ready(Ok(())) if read.filled().is_empty() => {
            Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()))
        }
        Poll::Ready(Ok(())) => {
            buffer.extend_from_slice(read.filled());
            Poll::Ready(Ok(()))
        }
        other => other,
    }
}

async fn read_head(
    connection: &mut OutboundConnection,
    buffer: &mut Vec<u8>,
) -> Result<(ResponseHead, usize), ExchangeError> {
    loop {
        if let Some(found) = head::parse(buffer).map_err(ExchangeError::Response)? {
            return Ok(found);
        }
        if buffer.len() >= MAX_HEAD {
            return Err(ExchangeError::Response(
                "the head of the answer is too large",
            ));
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
            Ok(0) | Err(_) => return Err(ExchangeError::Response("the answer ended in its head")),
        }
    }
}

async fn read_some(
    connection: &mut OutboundConnection,
    buffer: &mut Vec<u8>,
    most: usize,
) -> io::Result<usize> {
    buffer.reserve(most);
    connection.read_buf(buffer).await
}

impl ResponseReader {
    /// HTTP status.
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// The answer came before the request was out, so it can't be one to the whole of it.
    pub fn is_early(&self) -> bool {
        !self.sent
    }

    /// The body is compressed or otherwise coded.
    pub fn is_encoded(&self) -> bool {
        self.head.encoded
    }

    /// The server's name for the request, `X-Reqid`, to be taken once; short and without blanks.
    pub fn take_reqid(&mut self) -> Option<String> {
        self.head.reqid.take()
    }

    /// A field of the head by its name, several of one name joined by commas (RFC 9110 section 5.3). To be asked for
    /// before the body is read, which takes the head's place.
    pub fn field(&self, name: &str) -> Option<String> {
        head::field(self.buffer.get(..self.at)?, name)
    }

    /// Hands the body on, piece by piece, to its exact end.
    ///
    /// # Errors
    /// What `take` says, or that the body is broken or ended too early.
    pub async fn body<E: From<&'static str>>(
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
                Ok(0) | Err(_) => return Err("the answer ended too early".into()),
            }
        }
    }

    /// Whether the connection stands exactly at the end of the answer and may serve another call. It gets its buffer back.
    pub fn finish(self, connection: &mut OutboundConnection) -> bool {
        let at_end = self.head.framing.is_done() && self.at == self.buffer.len();
        connection.keep_buffer(self.buffer);
        self.head.keep_alive && at_end
    }
}

/// The part of a request that the kernel has not taken yet.
struct UnsentRequest<'a> {
    request: OutboundRequest<'a>,
    first: usize,
    offset: usize,
}

impl UnsentRequest<'_> {
    fn is_empty(&self) -> bool {
        self.first > self.request.body.len()
    }

    fn poll_write(
        &mut self,
        connection: &mut OutboundConnection,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut skip = self.offset;
        let mut pieces = self.request.pieces(self.first);
        if self.first == self.request.body.len()
            && let Some(last) = pieces.next()
        {
            // One plain `send` costs the kernel less than a vectored write.
            let rest = last.get(skip..).unwrap_or_default();
            let written = Pin::new(connection).poll_write(cx, rest);
            return self.written(written);
        }
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let mut used = 0;
        for (slice, piece) in slices.iter_mut().zip(pieces) {
            *slice = IoSlice::new(piece.get(skip..).unwrap_or_default());
            skip = 0;
            used += 1;
        }
        let slices = slices.get(..used).unwrap_or_default();
        let written = Pin::new(connection).poll_write_vectored(cx, slices);
        self.written(written)
    }

    fn written(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<()>> {
        match written {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(written)) => {
                self.advance(written);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    fn advance(&mut self, written: usize) {
        self.offset += written;
        while let Some(piece) = self.request.pieces(self.first).next() {
            if self.offset < piece.len() {
                return;
            }
            self.offset -= piece.len();
            self.first += 1;
        }
    }
}
