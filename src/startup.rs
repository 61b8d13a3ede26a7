//! From validated settings to a running gateway.
//!
//! The only module that knows every other. Binds the listeners, builds the parts, starts the
//! background tasks, and ends them after a stop. Never reads the configuration file.

use std::{
    collections::HashMap,
    future::Future,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use aws_lc_rs::error::Unspecified;
use tokio::time::timeout;

use crate::{
    auth::{Authenticator, IdentitySettings, Pseudonymizer},
    body::memory::{BodyLimits, BodyMemory},
    config::Settings,
    descriptors::allowed_connections,
    lifecycle::Readiness,
    limit::{CallerKeys, address::AddressLimit, clock::Clock},
    qiniu::{UpstreamSettings, pool::Upstream, retained},
    relay::{
        access_record::RequestIds,
        cors::Cors,
        endpoint::Endpoints,
        finalize::ResponseFinalizer,
        gateway::{Gateway, Page},
        in_flight::InFlightCalls,
        site::Site,
        unread::UnreadUploads,
    },
    rotation::Reloader,
    secret::Secret,
    server::{ADMIN_DESCRIPTORS, Server, ServerSettings, drain::DrainOutcome},
    session::{SessionKeys, SessionSettings, seal::SealKey},
    store::{NamingKey, Store, StoreSettings},
    telemetry::{LogFormat, Telemetry, log::LogWriter, metrics::Metrics},
    verdict::sign::VerdictSigner,
    verify_once::VerifyOnce,
};

mod prepare_metrics;
mod reload;

/// Interval at which idle limits, connections and sessions are removed.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// File descriptors kept for the store, files that are read again, the log and the runtime.
const OTHER_DESCRIPTORS: usize = 32;

/// Path of the verdicts' public keys.
const KEY_SET_PATH: &str = "/.well-known/jwks.json";

/// A gateway whose listeners are bound and that does not serve yet.
pub struct BoundGateway {
    server: Server,
    public: Vec<SocketAddr>,
    admin: SocketAddr,
    settings: ServerSettings,
    gateway: Gateway,
    readiness: Arc<Readiness>,
    reloader: Reloader,
}

impl BoundGateway {
    /// Binds the listeners and builds every part.
    ///
    /// # Errors
    /// An address can't be bound, or the system returns no random bytes.
    pub async fn start(settings: Settings, log: LogWriter) -> io::Result<Self> {
        Self::start_with_clock(settings, log, &Clock::default()).await
    }

    /// As [`BoundGateway::start`], with a clock for the quotas. For tests.
    ///
    /// # Errors
    /// As for [`BoundGateway::start`].
    pub async fn start_with_clock(
        settings: Settings,
        log_writer: LogWriter,
        clock: &Clock,
    ) -> io::Result<Self> {
        let Settings {
            mut server,
            admin,
            cors,
            qiniu,
            identities,
            sessions,
            routes,
            verdict,
            evidence,
            store,
            log,
            reloadable,
        } = settings;
        let telemetry = telemetry(log_writer, log.format);
        limit_connections(&mut server, &qiniu, &identities, evidence.is_some());
        let listening = Server::bind(&server, &admin).await?;
        let readiness = Arc::<Readiness>::default();
        let store = open_store(store, sessions.as_ref(), &qiniu, &telemetry.metrics)?;
        let sessions = session_keys(sessions.as_ref(), &qiniu)?;
        let copied_claims = verdict.as_ref().map(|verdict| verdict.copy_claims.clone());
        let authenticator = authenticator(identities, copied_claims, &qiniu, &readiness);
        let finalizer = ResponseFinalizer::new(verdict, evidence);
        let evidence_room = retained::room(qiniu.max_connections, server.body_memory);
        let needs = finalizer.needs(evidence_room, sessions.is_some());
        let endpoints = Endpoints::new(routes, &qiniu, &needs, clock);
        let gateway = Gateway {
            request_ids: RequestIds::default(),
            endpoints: Arc::new(endpoints),
            authenticator,
            verify_once: VerifyOnce::new(store.clone().filter(|_| sessions.is_some())),
            sessions,
            store,
            callers: CallerKeys::default(),
            cors: Cors::new(&cors),
            body_memory: body_memory(&server, &telemetry.metrics),
            unread: UnreadUploads::default(),
            upstream: Arc::new(Upstream::new(qiniu)),
            calls: InFlightCalls::default(),
            pages: key_set(&finalizer),
            site: None,
            finalizer: Arc::new(finalizer),
            telemetry,
            readiness: Arc::clone(&readiness),
            address_limit: server.rate_per_address.and_then(AddressLimit::new),
            trusted_proxies: server.trusted_proxies.clone(),
            max_head_bytes: server.max_head_bytes,
        };
        prepare_metrics::prepare_metrics(&gateway);
        Ok(Self {
            public: listening.public_addresses()?,
            admin: listening.admin_address()?,
            server: listening,
            reloader: reload::reloader(reloadable, &gateway, server.tls.as_ref()),
            settings: server,
            gateway,
            readiness,
        })
    }

    /// The bound addresses of the public listener.
    pub fn public_addresses(&self) -> Vec<SocketAddr> {
        self.public.clone()
    }

    /// The bound address of the admin listener.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// Serves this site at all paths that the gateway does not serve itself.
    pub fn add_site(&mut self, site: Site) {
        self.gateway.site = Some(site);
    }

    /// Serves until `stop` resolves, then drains: requests in flight and calls to Qiniu, also
    /// those whose callers have disconnected, have `drain_timeout` to finish.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> DrainOutcome {
        let gateway = Arc::new(self.gateway);
        let metrics = Arc::clone(&gateway.telemetry.metrics);
        let ready = Arc::clone(&self.readiness);
        let keys = Arc::clone(&gateway.authenticator);
        let known = Arc::clone(&keys);
        let keys = tokio::spawn(keys.refresh_keys(metrics, move || {
            ready.update_keys(|| known.issuer_keys());
        }));
        let reloader = tokio::spawn(self.reloader.run());
        let sharing = tokio::spawn(share(
            gateway.store.clone(),
            Arc::clone(&gateway.verify_once),
        ));
        let swept = Arc::clone(&gateway);
        let sweep = tokio::spawn(async move {
            let mut tick = tokio::time::interval(SWEEP_INTERVAL);
            loop {
                tick.tick().await;
                swept.endpoints.sweep();
                if let Some(limit) = &swept.address_limit {
                    limit.sweep();
                }
                swept.upstream.sweep();
                swept.verify_once.sweep();
            }
        });
        let mut stopped = Instant::now();
        let stop = async {
            stop.await;
            stopped = Instant::now();
        };
        let (serving, limit) = (Arc::clone(&gateway), self.settings.drain_timeout);
        let mut outcome = self
            .server
            .run(&self.settings, serving, self.readiness, stop)
            .await;
        // Calls whose callers have disconnected share the same time limit.
        let left = limit.saturating_sub(stopped.elapsed());
        let _ = timeout(left, gateway.calls.finished()).await;
        outcome.lost = gateway.calls.count();
        sweep.abort();
        keys.abort();
        reloader.abort();
        sharing.abort();
        outcome
    }
}

/// Limits the connections of the public listener to the file descriptors that are left when those
/// for everything else are kept.
fn limit_connections(
    server: &mut ServerSettings,
    qiniu: &UpstreamSettings,
    identities: &[IdentitySettings],
    evidence: bool,
) {
    let calls = qiniu.max_connections;
    let deliveries = if evidence { calls } else { 0 };
    let fetches = identities.len();
    let reserved = [
        calls,
        deliveries,
        fetches,
        server.listen.len(),
        ADMIN_DESCRIPTORS,
        OTHER_DESCRIPTORS,
    ]
    .into_iter()
    .fold(0, usize::saturating_add);
    server.max_connections = allowed_connections(server.max_connections, reserved);
}

fn telemetry(log: LogWriter, format: LogFormat) -> Arc<Telemetry> {
    Arc::new(Telemetry {
        metrics: Metrics::new(log.clone()),
        log,
        format,
    })
}

/// The document with the verdicts' public keys, with `[verdict]`.
fn key_set(finalizer: &ResponseFinalizer) -> HashMap<&'static str, Page> {
    let page = |verdicts: &VerdictSigner| Page {
        content_type: "application/json",
        body: Arc::clone(verdicts.published()),
    };
    let page = finalizer.verdicts().map(page);
    page.map(|page| (KEY_SET_PATH, page)).into_iter().collect()
}

fn body_memory(server: &ServerSettings, metrics: &Metrics) -> Arc<BodyMemory> {
    let limits = BodyLimits {
        memory: server.body_memory,
        per_user: server.body_memory_per_user,
        min_rate: server.min_body_rate,
    };
    let shown = i64::try_from(limits.memory).unwrap_or(i64::MAX);
    metrics.body_memory_limit.set(shown);
    BodyMemory::new(limits, metrics.body_memory.clone())
}

fn authenticator(
    identities: Vec<IdentitySettings>,
    copied_claims: Option<Vec<String>>,
    qiniu: &UpstreamSettings,
    readiness: &Readiness,
) -> Arc<Authenticator> {
    let pseudonyms = Pseudonymizer::new(&qiniu.credentials.secret_key);
    let authenticator = Authenticator::new(identities, pseudonyms)
        .copying_claims(copied_claims.unwrap_or_default());
    readiness.update_keys(|| authenticator.issuer_keys());
    Arc::new(authenticator)
}

fn open_store(
    settings: Option<StoreSettings>,
    sessions: Option<&SessionSettings>,
    qiniu: &UpstreamSettings,
    metrics: &Metrics,
) -> io::Result<Option<Arc<Store>>> {
    let Some(settings) = settings else {
        return Ok(None);
    };
    let naming = naming_key(sessions, &qiniu.credentials.secret_key).map_err(no_random_bytes)?;
    let store = Store::new(settings, naming, metrics).map_err(no_random_bytes)?;
    Ok(Some(store))
}

/// The key that names callers in the store. All replicas derive the same one: from the seal key,
/// or from Qiniu's secret key where sessions are not bound.
fn naming_key(
    sessions: Option<&SessionSettings>,
    qiniu_secret: &Secret,
) -> Result<NamingKey, Unspecified> {
    match sessions.map(|sessions| &sessions.seal_key) {
        Some(Some(key)) => NamingKey::derive(key.reveal()),
        // The configuration requires a seal key beside a store; without one a replica counts alone.
        Some(None) => NamingKey::derive(SealKey::random()?.reveal()),
        None => NamingKey::derive(qiniu_secret.reveal()),
    }
}

/// Keeps the connection to the store and publishes sessions. Never ends if there is a store.
async fn share(store: Option<Arc<Store>>, verify_once: Arc<VerifyOnce>) {
    let Some(store) = store else { return };
    tokio::join!(store.keep(), verify_once.publish_updates());
}

fn session_keys(
    settings: Option<&SessionSettings>,
    qiniu: &UpstreamSettings,
) -> io::Result<Option<Arc<SessionKeys>>> {
    let Some(settings) = settings else {
        return Ok(None);
    };
    if settings.seal_key.is_none() {
        tracing::info!(
            "sessions.seal_key is not set: sessions are valid in this process only, not in its replicas"
        );
    }
    let sessions = SessionKeys::new(settings, &qiniu.endpoint.authority);
    Ok(Some(sessions.map_err(no_random_bytes)?))
}

fn no_random_bytes(_: Unspecified) -> io::Error {
    io::Error::other("the system returns no random bytes")
}
