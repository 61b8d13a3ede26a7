//! The listeners and their connections: accept, TLS, time limits, graceful stop, and the admin
//! listener.
//!
//! [`Server::bind`] binds every address, or takes its socket from another process, before any is
//! served. [`Server::run`] serves for a [`ServingTime`], then drains. [`rules`] are what a reload
//! changes of it. Relies on the relay for every response except those to a head that never became a
//! request. Never reads a body.

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
mod listeners;
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

use std::{
    future::{Future, Ready, ready},
    io,
    net::SocketAddr,
    os::fd::OwnedFd,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming};
use tokio::{
    sync::{oneshot, watch},
    task::JoinSet,
    time::{Instant, sleep, timeout_at},
};

use self::{
    accept::{Acceptor, Scarcity},
    connection::ServerContext,
    drain::{Drained, StopReason},
    listeners::BoundListener,
    opening_log::OpeningLog,
    rules::ServerRules,
};
pub use self::{
    head_refusal::HeadResponder,
    listeners::{BindError, bind},
};
use crate::{
    descriptors::DescriptorReserve,
    future_pool::FuturePool,
    handover::{InheritedSockets, ListenKey, ListenerLabel},
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
    /// How long connections are still accepted after a signal to stop.
    pub lame_duck: Duration,
    /// Time that requests in flight have to finish when the gateway stops, after that.
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

/// When a server accepts connections.
pub struct ServingTime<B, E> {
    /// Resolves when the public listener shall accept. The admin listener does from the start,
    /// unless an earlier process still answers its probes.
    pub begin: B,
    /// Resolves when it shall stop, with the reason.
    pub end: E,
}

impl<E> ServingTime<Ready<()>, E> {
    /// From now on.
    pub fn until(end: E) -> Self {
        let begin = ready(());
        Self { begin, end }
    }
}

/// Both listeners, bound but not served yet.
pub struct Server {
    public: Vec<BoundListener>,
    admin: BoundListener,
}

impl Server {
    /// Binds every address that no inherited socket has.
    ///
    /// # Errors
    /// An inherited socket has an address that is not configured, or an address can't be bound.
    pub async fn bind(
        settings: &ServerSettings,
        admin: &AdminSettings,
        inherited: InheritedSockets,
    ) -> Result<Self, BindError> {
        let public = settings.listen.iter();
        let mut wanted: Vec<_> = public.map(|it| (ListenKey::Public, *it)).collect();
        wanted.push((ListenKey::Admin, admin.listen));
        let mut public = bind(&wanted, inherited).await?;
        let admin = public.pop().ok_or(io::ErrorKind::AddrNotAvailable);
        let admin = admin.map_err(io::Error::from)?;
        Ok(Self { public, admin })
    }

    /// The listening sockets once more, for another process.
    ///
    /// # Errors
    /// No descriptor is free.
    pub fn duplicates(&self) -> io::Result<Vec<(ListenerLabel, OwnedFd)>> {
        let listeners = self.public.iter().chain([&self.admin]);
        listeners.map(BoundListener::duplicate).collect()
    }

    /// The bound public addresses.
    ///
    /// # Errors
    /// Fails if the system does not return the address of a socket.
    pub fn public_addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.public.iter().map(BoundListener::address).collect()
    }

    /// The bound admin address.
    ///
    /// # Errors
    /// As [`Server::public_addresses`].
    pub fn admin_address(&self) -> io::Result<SocketAddr> {
        self.admin.address()
    }

    /// Serves for this time, then drains. Each request is handled by the gateway that is the
    /// current one when it arrives.
    ///
    /// At a signal, `/readyz` responds with 503 at once. When `lame_duck` has passed too, what
    /// waits in the listeners' queues is accepted, and nothing more; requests in flight have
    /// `drain_timeout` to finish. The admin listener serves until the end. After a handover, both
    /// listeners close at once: their queues are the other process's.
    pub async fn run<B, E>(
        self,
        rules: Arc<ServerRules>,
        gateway: Arc<CurrentGateway>,
        readiness: Arc<Readiness>,
        time: ServingTime<B, E>,
    ) -> Drained
    where
        B: Future<Output = ()>,
        E: Future<Output = StopReason>,
    {
        let metrics = Arc::clone(&gateway.load().telemetry.metrics);
        let handle = move |request, peer| gateway.load().handle(request, peer);
        self.serve(rules, handle, metrics, readiness, time).await
    }

    /// As [`Server::run`], with any function as the request handler, and rules that never change.
    pub async fn run_with<H, F, B, E>(
        self,
        settings: &ServerSettings,
        handle: H,
        head_responder: HeadResponder,
        readiness: Arc<Readiness>,
        time: ServingTime<B, E>,
    ) -> Drained
    where
        H: Fn(Request<Incoming>, Peer) -> F + Send + Sync + 'static,
        F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
        B: Future<Output = ()>,
        E: Future<Output = StopReason>,
    {
        let metrics = Arc::clone(&head_responder.telemetry.metrics);
        let rules = ServerRules::new(settings, head_responder);
        self.serve(rules, handle, metrics, readiness, time).await
    }

    async fn serve<H, F, B, E>(
        self,
        rules: Arc<ServerRules>,
        handle: H,
        metrics: Arc<Metrics>,
        readiness: Arc<Readiness>,
        time: ServingTime<B, E>,
    ) -> Drained
    where
        H: Fn(Request<Incoming>, Peer) -> F + Send + Sync + 'static,
        F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
        B: Future<Output = ()>,
        E: Future<Output = StopReason>,
    {
        let table = Arc::clone(&rules.table);
        let reserve = DescriptorReserve::new(ADMIN_RESERVE);
        let scarcity = Arc::new(Scarcity::new(reserve, Arc::clone(&table)));
        let (begins, begun) = oneshot::channel();
        let (hand_over, handed_over) = oneshot::channel();
        // A set, since it aborts its task when it is dropped.
        let mut admin = JoinSet::new();
        admin.spawn(admin::serve(
            self.admin,
            Arc::clone(&scarcity),
            Arc::clone(&metrics),
            Arc::clone(&readiness),
            ServingTime {
                begin: begun,
                end: handed_over,
            },
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
        let begin = async {
            time.begin.await;
            let _ = begins.send(());
        };
        let end = async {
            let reason = time.end.await;
            if reason == StopReason::Signal {
                readiness.start_draining();
                let lame_duck = rules.current().lame_duck;
                sleep(lame_duck).await;
            }
            reason
        };
        let mut tasks = JoinSet::new();
        let mut acceptor = Acceptor::new(self.public, table, scarcity, false);
        let serve = |accepted| connection::serve(accepted, Arc::clone(&context));
        let reason = acceptor.accept_during(begin, end, &mut tasks, &serve).await;
        stop_sender.send_replace(true);
        let is_handed_over = reason == StopReason::HandedOver;
        if is_handed_over {
            let _ = hand_over.send(());
        }
        let deadline = Instant::now() + rules.current().drain_timeout;
        let closing = acceptor.close(is_handed_over, &mut tasks, &serve);
        drop(timeout_at(deadline, closing).await);
        drain::wait_for(tasks, deadline, &readiness).await
    }
}
