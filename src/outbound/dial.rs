//! Opens connections: resolves the name, tries its addresses, makes TLS, and goes through the proxy
//! where there is one.
//!
//! Relies on [`super::names`] for addresses, on [`super::race`] for the order and pace in which
//! they are tried, and on [`super::tunnel`] for the proxy. RFC 8305 ends at TCP. Here an address
//! whose TLS handshake fails is given up for the next one too: nothing was requested yet, and one
//! machine of several may be broken. A proxy that answers is not asked again at another address.
//!
//! Never sends a byte of a request. Never reads a proxy from the environment.

use std::{fmt, io, sync::Arc, time::Duration};

use rustls::ClientConfig;
use tokio::time::{error::Elapsed, timeout};

use super::{
    connection::{ClientTls, OutboundConnection},
    names::Names,
    origin::Origin,
    proxy::Proxy,
    race::{self, FailedAddresses},
    tunnel::{ConnectRequest, ProxyError, TunnelError},
};

/// Opens the connections of one part of the gateway. Clones share what is remembered of addresses.
#[derive(Clone, Default)]
pub struct Dialer {
    names: Names,
    proxy: Option<Proxy>,
    failed: FailedAddresses,
}

/// What is reached over TCP: the server itself, or the proxy in front of it.
struct DialTarget<'a> {
    to: &'a Origin,
    tls: Option<Arc<ClientConfig>>,
    /// What is asked of a proxy.
    connect: Option<ConnectRequest>,
}

/// How far an opening has come.
struct OpeningProgress {
    leg: OpeningLeg,
    step: OpeningStep,
}

#[derive(Clone, Copy)]
enum OpeningLeg {
    /// To the server itself.
    Direct,
    /// To the proxy.
    Proxy,
    /// Through the proxy to the server.
    Tunnel,
}

#[derive(Clone, Copy, Debug)]
enum OpeningStep {
    Resolve,
    Connect,
    Handshake,
    Answer,
}

/// An opening was not done in time.
#[derive(Debug)]
pub(super) struct OpeningTimeout {
    step: OpeningStep,
    limit: Duration,
}

impl Dialer {
    /// Opens connections through this proxy, or all of them directly.
    pub fn new(proxy: Option<Proxy>) -> Self {
        Self {
            proxy,
            ..Self::default()
        }
    }

    /// The same with other names. For tests.
    pub fn with_names(self, names: Names) -> Self {
        Self { names, ..self }
    }

    /// Opens a connection, with a TLS handshake if `tls` is given, all within `limit`.
    ///
    /// # Errors
    /// The name, the connection, the proxy or the handshake failed, or `limit` is over. If a proxy
    /// is the cause, the error's source is a [`ProxyError`].
    pub async fn open(
        &self,
        origin: &Origin,
        tls: Option<Arc<ClientConfig>>,
        limit: Duration,
    ) -> io::Result<OutboundConnection> {
        let mut progress = OpeningProgress {
            leg: OpeningLeg::Direct,
            step: OpeningStep::Resolve,
        };
        // Boxed: opening is rare, and would make every call as large as a TLS handshake.
        let opening = Box::pin(self.open_without_limit(origin, tls, &mut progress));
        let opened = timeout(limit, opening).await;
        progress.ended(opened, limit)
    }

    /// The proxy, without its login.
    pub fn proxy(&self) -> Option<Origin> {
        let proxy = self.proxy.as_ref()?;
        Some(proxy.current().origin.clone())
    }

    /// Whether connections to this server go through the proxy.
    pub fn is_proxied(&self, origin: &Origin) -> bool {
        self.proxy_for(origin).is_some()
    }

    /// Opens a tunnel to a server through the proxy, without TLS to the server itself. `None`: it
    /// is reached directly.
    pub async fn open_tunnel(
        &self,
        origin: &Origin,
        limit: Duration,
    ) -> Option<io::Result<OutboundConnection>> {
        let proxy = self.proxy_for(origin)?;
        let mut progress = OpeningProgress {
            leg: OpeningLeg::Proxy,
            step: OpeningStep::Resolve,
        };
        let opening = Box::pin(self.tunnel(proxy, origin, &mut progress));
        let opened = timeout(limit, opening).await;
        Some(progress.ended(opened, limit))
    }

    fn proxy_for(&self, origin: &Origin) -> Option<&Proxy> {
        self.proxy.as_ref().filter(|proxy| proxy.is_for(origin))
    }

    async fn open_without_limit(
        &self,
        origin: &Origin,
        tls: Option<Arc<ClientConfig>>,
        progress: &mut OpeningProgress,
    ) -> Result<OutboundConnection, TunnelError> {
        let (Some(proxy), Some(tls)) = (self.proxy_for(origin), &tls) else {
            let target = DialTarget {
                to: origin,
                tls,
                connect: None,
            };
            return self.reach(&target, &mut progress.step).await;
        };
        progress.leg = OpeningLeg::Proxy;
        let tunnel = self.tunnel(proxy, origin, progress).await?;
        progress.leg = OpeningLeg::Tunnel;
        progress.step = OpeningStep::Handshake;
        let secured = tunnel.with_tls(&origin.host, Arc::clone(tls)).await;
        secured.map_err(TunnelError::Broken)
    }

    /// Connects to the proxy and asks it for a tunnel.
    async fn tunnel(
        &self,
        proxy: &Proxy,
        origin: &Origin,
        progress: &mut OpeningProgress,
    ) -> Result<OutboundConnection, TunnelError> {
        let address = proxy.current();
        let target = DialTarget {
            to: &address.origin,
            tls: address.origin.tls.then(|| ClientTls::current(&proxy.tls)),
            connect: Some(ConnectRequest::new(origin, address.authorization.as_ref())),
        };
        self.reach(&target, &mut progress.step).await
    }

    /// Tries the addresses of a target until one can be used.
    async fn reach(
        &self,
        target: &DialTarget<'_>,
        step: &mut OpeningStep,
    ) -> Result<OutboundConnection, TunnelError> {
        *step = OpeningStep::Resolve;
        let addresses = self.names.resolve(&target.to.host, target.to.port).await;
        let addresses = addresses.map_err(TunnelError::Broken)?;
        let mut waiting = self.failed.order(addresses);
        let mut broken = None;
        loop {
            *step = OpeningStep::Connect;
            let raced = race::race(&mut waiting, &self.failed, race::ATTEMPT_DELAY).await;
            let (stream, trial) = match raced {
                Ok(connected) => connected,
                // How far an earlier address got says more than that there is no other.
                Err(error) => return Err(TunnelError::Broken(broken.unwrap_or(error))),
            };
            let used = match OutboundConnection::over(stream) {
                Ok(connection) => target.prepare(connection, step).await,
                Err(error) => Err(TunnelError::Broken(error)),
            };
            match used {
                Err(TunnelError::Broken(error)) => {
                    trial.failed();
                    broken = Some(error);
                }
                used => {
                    trial.succeeded();
                    return used;
                }
            }
        }
    }
}

impl DialTarget<'_> {
    /// Makes TLS and asks for the tunnel, where they belong to the target.
    async fn prepare(
        &self,
        mut connection: OutboundConnection,
        step: &mut OpeningStep,
    ) -> Result<OutboundConnection, TunnelError> {
        if let Some(tls) = &self.tls {
            *step = OpeningStep::Handshake;
            let secured = connection.with_tls(&self.to.host, Arc::clone(tls)).await;
            connection = secured.map_err(TunnelError::Broken)?;
        }
        if let Some(connect) = &self.connect {
            *step = OpeningStep::Answer;
            connect.send(&mut connection).await?;
        }
        Ok(connection)
    }
}

impl OpeningProgress {
    /// The outcome of an opening that came so far.
    fn ended(
        &self,
        opened: Result<Result<OutboundConnection, TunnelError>, Elapsed>,
        limit: Duration,
    ) -> io::Result<OutboundConnection> {
        let error = match opened {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(TunnelError::Broken(error))) => error,
            Ok(Err(TunnelError::Refused(error))) => return Err(io::Error::other(error)),
            Err(_) => {
                let step = self.step;
                io::Error::new(io::ErrorKind::TimedOut, OpeningTimeout { step, limit })
            }
        };
        Err(self.leg.error(error))
    }
}

impl OpeningLeg {
    /// An error of this leg, which names the proxy where that is the cause.
    fn error(self, error: io::Error) -> io::Error {
        let kind = error.kind();
        match self {
            Self::Direct => error,
            Self::Proxy => io::Error::new(kind, ProxyError::Unreachable(error)),
            Self::Tunnel => io::Error::new(kind, ProxyError::Tunnel(error)),
        }
    }
}

impl OpeningTimeout {
    /// One of these, by the step that was not done.
    pub(super) fn choose<T>(&self, name: T, connect: T, handshake: T) -> T {
        match self.step {
            OpeningStep::Resolve => name,
            OpeningStep::Connect => connect,
            OpeningStep::Handshake | OpeningStep::Answer => handshake,
        }
    }
}

impl fmt::Display for OpeningTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.step {
            OpeningStep::Resolve => "its name was not resolved",
            OpeningStep::Connect => "it did not accept a connection",
            OpeningStep::Handshake => "the TLS handshake did not end",
            OpeningStep::Answer => "it did not answer CONNECT",
        };
        write!(f, "{what} within {:?}", self.limit)
    }
}

impl std::error::Error for OpeningTimeout {}

#[cfg(test)]
mod tests;
