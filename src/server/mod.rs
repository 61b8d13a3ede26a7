//! Listeners, connections, TLS, graceful stop and the admin listener.
//!
//! [`Server::bind`] takes every address first; [`Server::run`] serves until told to stop, then lets what is under way
//! finish. Relies on the relay for every answer but those to a head that never became a request. Never reads a body.

mod accept;
mod activity;
pub mod admin;
mod connection;
pub mod drain;
mod head_refusal;
mod opening;
pub mod tls;
mod watchdog;
mod wire;

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

use crate::lifecycle::Readiness;
pub use accept::bind;
use activity::ConnectionTimeouts;
use connection::ServerContext;
use drain::DrainOutcome;
pub use head_refusal::HeadResponder;

use crate::{
    relay::handle::{Gateway, Peer},
    spare::Spare,
};

/// `[server]`, checked.
pub struct ServerSettings {
    /// Addresses to listen on; port 0 picks a free one.
    pub listen: Vec<SocketAddr>,
    /// Peers whose `X-Forwarded-For` and `X-Request-Id` are believed.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// Connections held at once.
    pub max_connections: usize,
    /// Bytes of a request's head: method, target and header fields together.
    pub max_head_bytes: usize,
    /// Bytes of bodies held at once, all connections together.
    pub body_memory: u64,
    /// Bytes per second that a body must keep up.
    pub min_body_rate: u64,
    /// Time for a head to arrive, from its first byte (a new connection: from its accept).
    pub head_timeout: Duration,
    /// Time a kept-alive connection may stay without a request.
    pub idle_timeout: Duration,
    /// Time given to the requests under way when the gateway stops.
    pub drain_timeout: Duration,
    /// Absent: plain HTTP.
    pub tls: Option<tls::ServerTls>,
}

/// `[admin]`, checked.
pub struct AdminSettings {
    /// Where `/livez`, `/readyz` and `/metrics` are served.
    pub listen: SocketAddr,
}

/// Both listeners, bound and not serving yet.
pub struct Server {
    public: Vec<TcpListener>,
    admin: TcpListener,
}

impl Server {
    /// Binds every address.
    ///
    /// # Errors
    /// The first address that could not be bound, named in the message.
    pub async fn bind(settings: &ServerSettings, admin: &AdminSettings) -> io::Result<Self> {
        let public = bind(&settings.listen).await?;
        let admin = bind(&[admin.listen])
            .await?
            .pop()
            .ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { public, admin })
    }

    /// The public addresses as bound.
    ///
    /// # Errors
    /// What the system says of a socket it does not know any more.
    pub fn public_addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.public.iter().map(TcpListener::local_addr).collect()
    }

    /// The admin address as bound.
    ///
    /// # Errors
    /// As for [`Server::public_addresses`].
    pub fn admin_address(&self) -> io::Result<SocketAddr> {
        self.admin.local_addr()
    }

    /// Serves the gateway until `stop`, then drains.
    pub async fn run(
        self,
        settings: &ServerSettings,
        gateway: Arc<Gateway>,
        readiness: Arc<Readiness>,
        stop: impl Future<Output = ()>,
    ) -> DrainOutcome {
        let head_responder =
            HeadResponder::new(Arc::clone(&gateway.telemetry), gateway.cors.clone());
        let handle = move |request, peer| Arc::clone(&gateway).handle(request, peer);
        self.run_with(settings, handle, head_responder, readiness, stop)
            .await
    }

    /// As [`Server::run`], with any function that answers requests.
    ///
    /// From `stop` on, `/readyz` says 503, no connection is accepted, and requests under way have `drain_timeout` to
    /// finish. The admin listener serves until the end.
    pub async fn run_with<H, F>(
        self,
        settings: &ServerSettings,
        handle: H,
        head_responder: HeadResponder,
        readiness: Arc<Readiness>,
        stop: impl Future<Output = ()>,
    ) -> DrainOutcome
    where
        H: Fn(Request<Incoming>, Peer) -> F + Send + Sync + 'static,
        F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
    {
        let metrics = Arc::clone(&head_responder.telemetry.metrics);
        // A set, because it ends the task when it is dropped.
        let mut admin = JoinSet::new();
        admin.spawn(admin::serve(
            self.admin,
            Arc::clone(&metrics),
            Arc::clone(&readiness),
        ));
        let (stopping, told) = watch::channel(false);
        let shared = Arc::new(ServerContext {
            handle,
            boxes: Spare::default(),
            tls: settings.tls.clone(),
            timeouts: ConnectionTimeouts {
                head: settings.head_timeout,
                idle: settings.idle_timeout,
            },
            max_head_bytes: settings.max_head_bytes,
            metrics,
            head_responder,
            stopping: told,
            readiness: Arc::clone(&readiness),
        });
        let stop = async {
            stop.await;
            readiness.start_draining();
        };
        let connections =
            accept::accept_until(self.public, settings.max_connections, stop, |accepted| {
                let shared = Arc::clone(&shared);
                async move {
                    let _permit = accepted.permit;
                    connection::serve(accepted.tcp, accepted.address, shared).await;
                }
            })
            .await;
        stopping.send_replace(true);
        drain::wait_for(connections, settings.drain_timeout, &readiness).await
    }
}
