//! A request on its way to a connection: its pieces are written in as few system calls as possible.
//!
//! Never copies a piece. A body that is sent once is wiped while it is sent.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::io::AsyncWrite;

use super::connection::OutboundConnection;
use crate::wipe;

/// Maximum number of pieces in one vectored write.
const MAX_SLICES: usize = 64;
/// The same for pieces that are wiped once they are written: 1 MiB of blocks of 64 KiB. So they
/// are still in the processor's cache.
const MAX_WIPED_SLICES: usize = 16;

/// A request as it is written to the connection.
pub struct OutboundRequest<'a> {
    /// Request line and header fields, including the empty line. `Content-Length` must match
    /// `body`.
    pub head: &'a [u8],
    /// The pieces of the body, sent unchanged and in this order.
    pub body: OutboundBody<'a>,
}

/// The pieces of a request's body.
pub enum OutboundBody<'a> {
    /// They stay, so the request can be sent again.
    Kept(&'a [Bytes]),
    /// They are sent once. Each is wiped and removed as soon as it is written.
    Wiped(&'a mut [Bytes]),
}

impl OutboundBody<'_> {
    fn pieces(&self) -> &[Bytes] {
        match self {
            Self::Kept(pieces) => pieces,
            Self::Wiped(pieces) => pieces,
        }
    }

    /// The piece of this number was written.
    fn written(&mut self, number: usize) {
        if let Self::Wiped(pieces) = self
            && let Some(piece) = pieces.get_mut(number)
        {
            wipe::wipe_piece(std::mem::take(piece));
        }
    }

    /// How many pieces are written at once.
    fn most_slices(&self) -> usize {
        match self {
            Self::Kept(_) => MAX_SLICES,
            Self::Wiped(_) => MAX_WIPED_SLICES,
        }
    }
}

impl OutboundRequest<'_> {
    /// Number of the last piece. The head is number 0.
    fn last(&self) -> usize {
        self.body.pieces().len()
    }

    fn piece(&self, number: usize) -> Option<&[u8]> {
        match number.checked_sub(1) {
            None => Some(self.head),
            Some(number) => self.body.pieces().get(number).map(Bytes::as_ref),
        }
    }
}

/// The part of a request that is not written yet.
pub(super) struct UnsentRequest<'a> {
    request: OutboundRequest<'a>,
    /// Number of the first piece that is not completely written.
    first: usize,
    /// Bytes of that piece that are written.
    offset: usize,
}

impl<'a> UnsentRequest<'a> {
    /// All of `request`.
    pub(super) fn new(request: OutboundRequest<'a>) -> Self {
        Self {
            request,
            first: 0,
            offset: 0,
        }
    }

    /// Whether all of it is written.
    pub(super) fn is_empty(&self) -> bool {
        self.first > self.request.last()
    }

    /// Writes as much as the connection takes at once.
    ///
    /// # Errors
    /// The connection is broken.
    pub(super) fn poll_write(
        &mut self,
        connection: &mut OutboundConnection,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let written = if self.first == self.request.last() {
            // A plain `send` costs the kernel less than a vectored write.
            let last = self.request.piece(self.first).unwrap_or_default();
            let rest = last.get(self.offset..).unwrap_or_default();
            Pin::new(connection).poll_write(cx, rest)
        } else {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let mut used = 0;
            let mut skip = self.offset;
            let pieces = (self.first..).map_while(|number| self.request.piece(number));
            let most = self.request.body.most_slices();
            for (slice, piece) in slices.iter_mut().zip(pieces).take(most) {
                *slice = IoSlice::new(piece.get(skip..).unwrap_or_default());
                skip = 0;
                used += 1;
            }
            let slices = slices.get(..used).unwrap_or_default();
            Pin::new(connection).poll_write_vectored(cx, slices)
        };
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
        while let Some(piece) = self.request.piece(self.first) {
            if self.offset < piece.len() {
                return;
            }
            self.offset -= piece.len();
            // Number 0 is the head.
            if let Some(number) = self.first.checked_sub(1) {
                self.request.body.written(number);
            }
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_is_sent_once_goes_piece_by_piece() {
        let whole = ["one", "", "three"].map(Bytes::from);
        // After so many bytes of the head and the body, so many bytes of the body are still there.
        for (written, left) in [(0, 8), (4, 8), (6, 8), (7, 5), (11, 5), (12, 0)] {
            let mut once = whole.clone();
            let mut unsent = UnsentRequest::new(OutboundRequest {
                head: b"head",
                body: OutboundBody::Wiped(&mut once),
            });
            unsent.advance(written);
            assert_eq!(unsent.is_empty(), written == 12);
            assert_eq!(
                once.iter().map(Bytes::len).sum::<usize>(),
                left,
                "{written}"
            );
        }
    }

    #[test]
    fn a_body_that_may_be_sent_again_stays() {
        let body = ["one", "two"].map(Bytes::from);
        let mut unsent = UnsentRequest::new(OutboundRequest {
            head: b"head",
            body: OutboundBody::Kept(&body),
        });
        unsent.advance(10);
        assert!(unsent.is_empty());
        assert_eq!(body.concat(), b"onetwo");
    }
}
