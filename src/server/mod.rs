//! The listeners and their connections: accept, TLS, time limits, graceful stop, and the admin
//! listener.
//!
//! [`Server::bind`] binds every address before any is served. [`Server::run`] serves until its stop
//! future resolves, then drains. [`rules`] are what a reload changes of it. Relies on the relay for
//! every response except those to a head that never became a request. Never reads a body.

mod accept;
mod activity;
mod admin;
mod connection;
pub mod drain;
pub mod framing;
mod head_budget;
mod head_refusal;
mod http1;
pub mod http2;
mod metrics_format;
mod open;
mod opening_log;
mod peer;
pub mod proxy_protocol;
mod replay;
pub mod rules;
mod socket;
mod stream;
mod table;
mod timeouts;
pub mod tls;

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

pub use self::{accept::bind, head_refusal::HeadResponder};
use self::{
    accept::{Acceptor, Scarcity},
    connection::ServerContext,
    drain::DrainOutcome,
    opening_log::OpeningLog,
    rules::ServerRules,
};
use crate::{
    descriptors::DescriptorReserve,
    future_pool::FuturePool,
    lifecycle::Readiness,
    relay::gateway::{CurrentGateway, Peer},
    route::Rate,
    telemetry::metrics::Metrics,
};

/// Interval and timeout of HTTP/2 pings. A dead peer is noticed within twice this time.
pub const HTTP2_PING: Duration = Duration::from_secs(20);

/// How long a stranger's connection to the public listener is kept in any case.
const STRANGER_GRACE: Duration = Duration::from_millis(100);

/// File descriptors held back for the admin listener, so that probes are answered when no other
/// descriptor is free.
const ADMIN_RESERVE: usize = 8;

/// File descriptors that the admin listener takes at most.
pub(crate) const ADMIN_DESCRIPTORS: usize = 1 + admin::MAX_CONNECTIONS + ADMIN_RESERVE;

/// The checked `[server]` section.
pub struct ServerSettings {
    /// Addresses to listen on. Port 0 picks a free port.
    pub listen: Vec<SocketAddr>,
    /// Peers whose `X-Forwarded-For`, `Forwarded` and `X-Request-Id` are trusted.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// Whether connections of trusted proxies begin with a PROXY header.
    pub proxy_protocol: bool,
    /// Requests from one client's address; `None`: unlimited.
    pub rate_per_address: Option<Rate>,
    /// Maximum number of open connections.
    pub max_connections: usize,
    /// Maximum size of a request head, in bytes: method, target and header fields together.
    pub max_head_bytes: usize,
    /// Memory for the bodies of all connections, in bytes.
    pub body_memory: u64,
    /// Of it, what bodies of one user may hold, in bytes.
    pub body_memory_per_user: u64,
    /// Minimum transfer rate of a body, in bytes per second.
    pub min_body_rate: u64,
    /// Time limit of a head, from its first byte, or from the accept on a new connection.
    pub head_timeout: Duration,
    /// How long a kept-alive connection may stay without a request.
    pub idle_timeout: Duration,
    /// Time that requests in flight have to finish when the gateway stops.
    pub drain_timeout: Duration,
    /// Interval and timeout of HTTP/2 pings: [`HTTP2_PING`] in a gateway; tests use a shorter one.
    pub http2_ping: Duration,
    /// TLS of the public listener, or `None` for plain HTTP.
    pub tls: Option<tls::ServerTls>,
}

/// The checked `[admin]` section.
pub struct AdminSettings {
    /// Address of `/livez`, `/readyz` and `/metrics`.
    pub listen: SocketAddr,
}

/// Both listeners, bound but not served yet.
pub struct Server {
    public: Vec<TcpListener>,
    admin: TcpListener,
}

impl Server {
    /// Binds every address.
    ///
    /// # Errors
    /// Fails at the first address that can't be bound; the message names it.
    pub async fn bind(settings: &ServerSettings, admin: &AdminSettings) -> io::Result<Self> {
        let public = bind(&settings.listen).await?;
        let admin = bind(&[admin.listen])
            .await?
            .pop()
            .ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { public, admin })
    }

    /// The bound public addresses.
    ///
    /// # Errors
    /// Fails if the system does not return the address of a socket.
    pub fn public_addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.public.iter().map(TcpListener::local_addr).collect()
    }

    /// The bound admin address.
    ///
    /// # Errors
    /// As [`Server::public_addresses`].
    pub fn admin_address(&self) -> io::Result<SocketAddr> {
        self.admin.local_addr()
    }

    /// Serves until `stop` resolves, then drains. Each request is handled by the gateway that is
    /// the current one when it arrives.
    ///
    /// Once `stop` resolves, `/readyz` responds with 503, no connection is accepted, and requests
    /// in flight have `drain_timeout` to finish. The admin listener serves until the end.
    pub async fn run(
        self,
        rules: Arc<ServerRules>,
        gateway: Arc<CurrentGateway>,
        readiness: Arc<Readiness>,
        stop: impl Future<Output = ()>,
    ) -> DrainOutcome {
        let metrics = Arc::clone(&gateway.load().telemetry.metrics);
        let handle = move |request, peer| gateway.load().handle(request, peer);
        self.serve(rules, handle, metrics, readiness, stop).await
    }

    /// As [`Server::run`], with any function as the request handler, and rules that never change.
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
        let rules = ServerRules::new(settings, head_responder);
        self.serve(rules, handle, metrics, readiness, stop).await
    }

    async fn serve<H, F>(
        self,
        rules: Arc<ServerRules>,
        handle: H,
        metrics: Arc<Metrics>,
        readiness: Arc<Readiness>,
        stop: impl Future<Output = ()>,
    ) -> DrainOutcome
    where
        H: Fn(Request<Incoming>, Peer) -> F + Send + Sync + 'static,
        F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
    {
        let table = Arc::clone(&rules.table);
        let reserve = DescriptorReserve::new(ADMIN_RESERVE);
        let scarcity = Arc::new(Scarcity::new(reserve, Arc::clone(&table)));
        // A set, since it aborts its task when it is dropped.
        let mut admin = JoinSet::new();
        admin.spawn(admin::serve(
            self.admin,
            Arc::clone(&scarcity),
            Arc::clone(&metrics),
            Arc::clone(&readiness),
        ));
        let (stop_sender, stopping) = watch::channel(false);
        let context = Arc::new(ServerContext {
            handle,
            futures: FuturePool::default(),
            rules: Arc::clone(&rules),
            log: OpeningLog::new(Arc::clone(&metrics)),
            metrics,
            stopping,
            readiness: Arc::clone(&readiness),
        });
        let stop = async {
            stop.await;
            readiness.start_draining();
        };
        let acceptor = Acceptor {
            listeners: self.public,
            table,
            scarcity,
            uses_reserve: false,
        };
        let connections = acceptor
            .accept_until(stop, |accepted| {
                connection::serve(accepted, Arc::clone(&context))
            })
            .await;
        stop_sender.send_replace(true);
        drain::wait_for(connections, rules.drain_timeout(), &readiness).await
    }
}
