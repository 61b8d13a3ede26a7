//! Who is at the other end of a connection: the remote address, or the one that a trusted proxy
//! names in its PROXY header, and whether that peer is a trusted proxy.
//!
//! Decided once, before TLS and HTTP. A PROXY header is read from trusted proxies only, and then it
//! must be there: to find out whether one comes would let anybody choose an address.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicBool},
};

use ipnet::IpNet;
use tokio::{net::TcpStream, time::Instant};

use super::{
    ServerSettings,
    proxy_protocol::{ProxyReadError, ProxySource, read_header},
};
use crate::relay::{forwarded::is_trusted, gateway::Peer};

/// What decides about a peer.
pub(super) struct PeerRules {
    trusted: Vec<IpNet>,
    proxy_protocol: bool,
    tls: bool,
}

impl PeerRules {
    pub(super) fn new(settings: &ServerSettings) -> Self {
        Self {
            trusted: settings.trusted_proxies.clone(),
            proxy_protocol: settings.proxy_protocol,
            tls: settings.tls.is_some(),
        }
    }

    /// The peer, as far as its remote address tells.
    pub(super) fn direct(&self, address: SocketAddr, authenticated: Arc<AtomicBool>) -> Peer {
        Peer {
            address,
            trusted: is_trusted(address.ip(), &self.trusted),
            tls: self.tls,
            authenticated,
        }
    }

    /// Replaces a trusted proxy by the peer that its PROXY header names, where one is expected.
    /// Reads not a byte behind the header.
    ///
    /// # Errors
    /// There is no complete header by `deadline`, or an invalid one.
    pub(super) async fn identify(
        &self,
        peer: &mut Peer,
        tcp: &mut TcpStream,
        deadline: Instant,
    ) -> Result<(), ProxyReadError> {
        if !(self.proxy_protocol && peer.trusted) {
            return Ok(());
        }
        // Boxed: without PROXY protocol, no connection pays for the size of this future.
        match Box::pin(read_header(tcp, deadline)).await? {
            ProxySource::Relayed(address) => {
                peer.address = address;
                peer.trusted = is_trusted(address.ip(), &self.trusted);
            }
            ProxySource::Local => {}
            // The proxy's own address, but not its own words.
            ProxySource::Unknown => peer.trusted = false,
        }
        Ok(())
    }
}
