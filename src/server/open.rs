//! From an accepted TCP connection to a stream whose peer and protocol are known: PROXY header,
//! then TLS handshake or protocol detection.
//!
//! Relies on its caller for the deadline, which all of it shares, and for giving up at a stop.
//! Never writes to the peer, except for the TLS handshake.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::atomic::Ordering,
    task::{Poll, ready},
};

use tokio::{
    io::{AsyncRead, ReadBuf},
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use zeroize::Zeroize;

use super::{
    opening_log::{HandshakeFailure, OpeningLog},
    peer::IdentifiedPeer,
    proxy_protocol::ProxyReadError,
    rules::ConnectionRules,
    socket::BufferedSocket,
    tls::ServerTls,
};
use crate::wipe::{self, WipedVec};

const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Most bytes that one read takes to detect a protocol. Most heads are smaller.
const FIRST_READ: usize = 4096;

/// A TLS stream of the public listener.
pub(super) type ServerTlsStream = TlsStream<BufferedSocket>;

/// A connection whose protocol is known.
pub(super) enum OpenedStream {
    Tls(Box<ServerTlsStream>),
    Plain(TcpStream, DetectedProtocol),
    /// Plain text from a trusted proxy, without a valid PROXY header.
    NoProxyHeader(TcpStream),
}

/// Protocol of a plain-text connection, with the bytes read to detect it.
pub(super) enum DetectedProtocol {
    Http1(WipedVec),
    Http2(WipedVec),
}

/// Opens a connection by `deadline`. Replaces `peer` by the one that a PROXY header names, where
/// one is expected. Returns `None` if there is nothing to respond to.
pub(super) async fn open(
    mut tcp: TcpStream,
    known: &mut IdentifiedPeer,
    deadline: Instant,
    rules: &ConnectionRules,
    log: &OpeningLog,
) -> Option<OpenedStream> {
    let tls = rules.tls.as_ref();
    if let Err(error) = rules.peers.identify(known, &mut tcp, deadline).await {
        log.no_proxy_header(known.peer.address, &error);
        // Under TLS there is no way to respond yet.
        let respond = tls.is_none() && matches!(error, ProxyReadError::Invalid(_));
        return respond.then_some(OpenedStream::NoProxyHeader(tcp));
    }
    if known.peer.trusted {
        // The operator's own proxy keeps its connections for users to come.
        known.peer.authenticated.store(true, Ordering::Relaxed);
    }
    match tls {
        Some(tls) => match tls_handshake(tls, tcp, deadline).await {
            Ok(tls) => {
                log.handshake_done();
                Some(OpenedStream::Tls(tls))
            }
            Err(failure) => {
                log.handshake_failed(known.peer.address, &failure);
                None
            }
        },
        None => detect_protocol(&mut tcp, deadline)
            .await
            .map(|protocol| OpenedStream::Plain(tcp, protocol)),
    }
}

/// Makes the TLS handshake, which must be done by `deadline`.
async fn tls_handshake(
    tls: &ServerTls,
    tcp: TcpStream,
    deadline: Instant,
) -> Result<Box<ServerTlsStream>, HandshakeFailure> {
    let handshake = TlsAcceptor::from(tls.current()).accept(BufferedSocket::new(tcp));
    match timeout_at(deadline, handshake.into_fallible()).await {
        Ok(Ok(mut tls)) => {
            tls.get_mut().0.handshake_done();
            Ok(Box::new(tls))
        }
        Ok(Err((error, socket))) => Err(HandshakeFailure::Error {
            error,
            first: socket.first_byte(),
        }),
        Err(_) => Err(HandshakeFailure::Timeout),
    }
}

/// Reads until the bytes are, or can't become, the HTTP/2 preface. Returns `None` if the peer
/// closed the connection, or sent nothing by `deadline`. Bytes that are still ambiguous then are
/// treated as HTTP/1.1, whose head timeout has passed as well.
async fn detect_protocol(tcp: &mut TcpStream, deadline: Instant) -> Option<DetectedProtocol> {
    let mut read = WipedVec::new(Vec::new());
    loop {
        let common = HTTP2_PREFACE.len().min(read.len());
        if read.get(..common) != HTTP2_PREFACE.get(..common) {
            return Some(DetectedProtocol::Http1(read));
        }
        if common == HTTP2_PREFACE.len() {
            return Some(DetectedProtocol::Http2(read));
        }
        match timeout_at(deadline, read_some(tcp, &mut read)).await {
            Ok(Ok(0) | Err(_)) => return None,
            Ok(Ok(_)) => {}
            Err(_) if read.is_empty() => return None,
            Err(_) => return Some(DetectedProtocol::Http1(read)),
        }
    }
}

/// Reads once. Holds no memory while it waits.
fn read_some(tcp: &mut TcpStream, read: &mut WipedVec) -> impl Future<Output = io::Result<usize>> {
    poll_fn(|cx| {
        let mut bytes = [0; FIRST_READ];
        let mut bytes = ReadBuf::new(&mut bytes);
        ready!(Pin::new(&mut *tcp).poll_read(cx, &mut bytes))?;
        wipe::append(read, bytes.filled());
        let length = bytes.filled().len();
        bytes.filled_mut().zeroize();
        Poll::Ready(Ok(length))
    })
}
