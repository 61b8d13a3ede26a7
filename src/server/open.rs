//! From an accepted TCP connection to a stream whose peer and protocol are known: PROXY header,
//! then TLS handshake or protocol detection.
//!
//! Relies on its caller for the deadline, which all of it shares, and for giving up at a stop.
//! Never writes to the peer, except for the TLS handshake.

use std::sync::atomic::Ordering;

use tokio::{net::TcpStream, time::Instant};

use super::{
    peer::PeerRules,
    proxy_protocol::ProxyReadError,
    stream::{DetectedProtocol, ServerTlsStream, detect_protocol, tls_handshake},
    tls::ServerTls,
};
use crate::relay::gateway::Peer;

/// A connection whose protocol is known.
pub(super) enum OpenedStream {
    Tls(Box<ServerTlsStream>),
    Plain(TcpStream, DetectedProtocol),
    /// Plain text from a trusted proxy, without a valid PROXY header.
    NoProxyHeader(TcpStream),
}

/// Opens a connection by `deadline`. Replaces `peer` by the one that a PROXY header names, where
/// one is expected. Returns `None` if there is nothing to respond to.
pub(super) async fn open(
    mut tcp: TcpStream,
    peer: &mut Peer,
    deadline: Instant,
    peers: &PeerRules,
    tls: Option<&ServerTls>,
) -> Option<OpenedStream> {
    if let Err(error) = peers.identify(peer, &mut tcp, deadline).await {
        tracing::debug!(%error, "a trusted proxy sent no valid PROXY header");
        // Under TLS there is no way to respond yet.
        let respond = tls.is_none() && matches!(error, ProxyReadError::Invalid(_));
        return respond.then_some(OpenedStream::NoProxyHeader(tcp));
    }
    if peer.trusted {
        // The operator's own proxy keeps its connections for users to come.
        peer.authenticated.store(true, Ordering::Relaxed);
    }
    match tls {
        Some(tls) => tls_handshake(tls, tcp, deadline)
            .await
            .map(OpenedStream::Tls),
        None => detect_protocol(&mut tcp, deadline)
            .await
            .map(|protocol| OpenedStream::Plain(tcp, protocol)),
    }
}
