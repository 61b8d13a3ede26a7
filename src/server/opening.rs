//! The first moments of a connection: the TLS handshake, or the bytes that tell HTTP/1.1 from HTTP/2 in plain text.
//!
//! Relies on the caller for the deadline, and ends at it. Never answers anything.

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, BufReader},
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_rustls::TlsAcceptor;

use super::tls::ServerTls;

const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Beneath TLS, which by itself reads a record (16 KiB) at a time: a third of the system calls of an upload.
const TLS_READ_BUFFER: usize = 64 * 1024;

pub(super) type Stream = tokio_rustls::server::TlsStream<BufReader<TcpStream>>;

pub(super) enum OpenedStream {
    Tls(Box<Stream>),
    Plain((TcpStream, DetectedProtocol)),
}

/// `None`: no TLS came of it, in time or at all.
pub(super) async fn tls_handshake(
    tls: &ServerTls,
    tcp: TcpStream,
    late: Instant,
) -> Option<Box<Stream>> {
    let tcp = BufReader::with_capacity(TLS_READ_BUFFER, tcp);
    match timeout_at(late, TlsAcceptor::from(tls.current()).accept(tcp)).await {
        Ok(Ok(tls)) => Some(Box::new(tls)),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake failed");
            None
        }
        Err(_) => None,
    }
}

/// The bytes that told the protocol.
pub(super) enum DetectedProtocol {
    Http1(Bytes),
    Http2(Bytes),
}

/// Reads until the bytes can or can't be the preface of HTTP/2. `None`: the peer went away, or sent nothing in time.
/// A beginning that stays ambiguous is taken as HTTP/1.1, whose own time-out has then passed too.
pub(super) async fn detect_protocol(
    mut tcp: TcpStream,
    late: Instant,
) -> Option<(TcpStream, DetectedProtocol)> {
    let mut read = BytesMut::with_capacity(4096);
    loop {
        let common = HTTP2_PREFACE.len().min(read.len());
        if read.get(..common) != HTTP2_PREFACE.get(..common) {
            return Some((tcp, DetectedProtocol::Http1(read.freeze())));
        }
        if common == HTTP2_PREFACE.len() {
            return Some((tcp, DetectedProtocol::Http2(read.freeze())));
        }
        match timeout_at(late, tcp.read_buf(&mut read)).await {
            Ok(Ok(0) | Err(_)) => return None,
            Ok(Ok(_)) => {}
            Err(_) if read.is_empty() => return None,
            Err(_) => return Some((tcp, DetectedProtocol::Http1(read.freeze()))),
        }
    }
}
