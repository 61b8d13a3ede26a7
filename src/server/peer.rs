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

/// A peer, and how it is known.
pub(super) struct IdentifiedPeer {
    pub(super) peer: Peer,
    /// A trusted proxy has said that it does not know its client: then nobody is believed.
    is_unknown: bool,
}

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
    pub(super) fn direct(
        &self,
        address: SocketAddr,
        authenticated: Arc<AtomicBool>,
    ) -> IdentifiedPeer {
        let peer = Peer {
            address,
            trusted: is_trusted(address.ip(), &self.trusted),
            tls: self.tls,
            authenticated,
        };
        IdentifiedPeer {
            peer,
            is_unknown: false,
        }
    }

    /// The same peer, by these rules: whom to trust may have changed since its connection was
    /// opened.
    pub(super) fn again(&self, known: &IdentifiedPeer) -> Peer {
        let address = known.peer.address.ip();
        Peer {
            trusted: !known.is_unknown && is_trusted(address, &self.trusted),
            ..known.peer.clone()
        }
    }

    /// Replaces a trusted proxy by the peer that its PROXY header names, where one is expected.
    /// Reads not a byte behind the header.
    ///
    /// # Errors
    /// There is no complete header by `deadline`, or an invalid one.
    pub(super) async fn identify(
        &self,
        known: &mut IdentifiedPeer,
        tcp: &mut TcpStream,
        deadline: Instant,
    ) -> Result<(), ProxyReadError> {
        let IdentifiedPeer { peer, is_unknown } = known;
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
            ProxySource::Unknown => (peer.trusted, *is_unknown) = (false, true),
        }
        Ok(())
    }
}
