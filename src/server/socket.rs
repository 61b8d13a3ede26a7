//! The socket below TLS, with a read buffer that exists only while there is much to read.
//!
//! rustls reads at most 4 KiB at a time, so an upload needs a larger buffer below it. A handshake,
//! a small request and a waiting connection do not: the buffer is allocated after a read that
//! filled all that rustls offered, and freed after one that came out short, or by
//! [`PeerStream::release`]. Relies on its owner to release it while no request is in flight. Never
//! buffers a write.

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

/// Size of the buffer, in bytes. rustls alone reads one record (16 KiB) in several system calls;
/// this buffer saves two thirds of an upload's system calls.
const BUFFER: usize = 64 * 1024;
/// Smallest read that keeps the buffer, in bytes: as much as rustls reads at a time.
const FULL_READ: usize = 4 * 1024;

/// The byte stream of a peer, plain or TLS.
pub(super) trait PeerStream: AsyncRead + AsyncWrite + Unpin {
    /// Whether a read buffer is allocated.
    fn is_buffered(&self) -> bool;

    /// Frees the read buffer if no byte is in it. It is allocated again when much is read.
    fn release(&mut self);
}

impl PeerStream for TcpStream {
    fn is_buffered(&self) -> bool {
        false
    }

    fn release(&mut self) {}
}

impl PeerStream for Box<TlsStream<BufferedSocket>> {
    fn is_buffered(&self) -> bool {
        self.get_ref().0.buffered
    }

    fn release(&mut self) {
        self.get_mut().0.release();
    }
}

/// A TCP stream with a read buffer that comes and goes.
pub(super) struct BufferedSocket {
    tcp: TcpStream,
    /// Without capacity while it is not used.
    buffer: Vec<u8>,
    /// Bytes of the buffer that were taken.
    taken: usize,
    /// Whether the next read goes to the buffer.
    buffered: bool,
    /// Whether a handshake is under way, which never needs the buffer.
    handshake: bool,
    /// The first byte of the handshake.
    first: Option<u8>,
}

impl BufferedSocket {
    /// A socket that reads without a buffer until [`Self::handshake_done`].
    pub(super) fn new(tcp: TcpStream) -> Self {
        Self {
            tcp,
            buffer: Vec::new(),
            taken: 0,
            buffered: false,
            handshake: true,
            first: None,
        }
    }

    pub(super) fn handshake_done(&mut self) {
        self.handshake = false;
    }

    /// The first byte that the peer sent, if it has sent any.
    pub(super) fn first_byte(&self) -> Option<u8> {
        self.first
    }

    fn release(&mut self) {
        if self.taken == self.buffer.len() {
            self.buffered = false;
            self.buffer = Vec::new();
            self.taken = 0;
        }
    }

    /// Reads into the empty buffer.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Before the allocation: a connection often waits here.
        ready!(self.tcp.poll_read_ready(cx))?;
        self.buffer.clear();
        self.taken = 0;
        self.buffer.reserve_exact(BUFFER);
        // A future without a state of its own, so it may be polled once and dropped.
        let read = ready!(pin!(self.tcp.read_buf(&mut self.buffer)).poll(cx))?;
        self.buffered = read >= FULL_READ;
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for BufferedSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.taken == this.buffer.len() {
            if !this.buffered {
                ready!(Pin::new(&mut this.tcp).poll_read(cx, buf))?;
                if this.handshake {
                    this.first = this.first.or_else(|| buf.filled().first().copied());
                }
                this.buffered = buf.remaining() == 0 && !this.handshake;
                return Poll::Ready(Ok(()));
            }
            ready!(this.poll_fill(cx))?;
        }
        let rest = this.buffer.get(this.taken..).unwrap_or_default();
        let bytes = rest.len().min(buf.remaining());
        buf.put_slice(rest.get(..bytes).unwrap_or_default());
        this.taken += bytes;
        if !this.buffered {
            this.release();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for BufferedSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt, net::TcpListener};

    use super::*;

    /// Sends so many bytes, and reads them in pieces as rustls does.
    async fn pass(peer: &mut TcpStream, socket: &mut BufferedSocket, bytes: usize) {
        peer.write_all(&vec![7; bytes]).await.unwrap();
        let mut left = bytes;
        while left > 0 {
            let read = socket.read(&mut [0; FULL_READ]).await.unwrap();
            assert!(read > 0);
            left -= read;
        }
    }

    #[tokio::test]
    async fn the_buffer_exists_only_while_much_is_read() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (peer, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (mut peer, mut socket) = (peer.unwrap(), BufferedSocket::new(accepted.unwrap().0));
        pass(&mut peer, &mut socket, 100_000).await;
        assert_eq!(socket.buffer.capacity(), 0, "in a handshake");
        socket.handshake_done();
        pass(&mut peer, &mut socket, 1_000).await;
        assert_eq!(socket.buffer.capacity(), 0, "after a small request");
        let body = vec![7; 1_000_000];
        let mut most = 0;
        let reading = async {
            let mut left = body.len();
            while left > 0 {
                left -= socket.read(&mut [0; FULL_READ]).await.unwrap();
                most = most.max(socket.buffer.capacity());
            }
        };
        let (sent, ()) = tokio::join!(peer.write_all(&body), reading);
        sent.unwrap();
        assert_eq!(most, BUFFER, "during an upload");
        socket.release();
        assert_eq!(socket.buffer.capacity(), 0, "while it waits");
        pass(&mut peer, &mut socket, 5).await;
    }
}
