//! From checked settings to a running gateway: the only file that knows every module.

use std::{
    collections::HashMap,
    future::Future,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::timeout;

use crate::{
    auth::{Authenticator, IdentitySettings, Pseudonymizer},
    body::incoming::BodyAdmission,
    config::Settings,
    lifecycle::Readiness,
    limit::{CallerKeys, clock::Clock},
    memory::BodyMemory,
    qiniu::{UpstreamSettings, pool::Upstream},
    relay::{
        cors::Cors, endpoint::Endpoints, finalize::ResponseFinalizer, gateway::Gateway,
        in_flight::InFlightCalls, request_id::RequestIds, respond::Page,
    },
    rotation::Reloader,
    server::{Server, ServerSettings, drain::DrainOutcome},
    session::{SessionSettings, Sessions},
    store::{NamesSeal, Store, StoreSettings},
    telemetry::{LogFormat, Telemetry, log::LogWriter, metrics::Metrics},
    verdict::sign::VerdictSigner,
};

mod reload;

/// How often limits and connections that nobody uses are looked for.
const SWEEP: Duration = Duration::from_secs(1);

/// Where the public keys of verdicts are.
const KEY_SET: &str = "/.well-known/jwks.json";

/// A gateway that listens and does not serve yet.
pub struct Running {
    server: Server,
    public: Vec<SocketAddr>,
    admin: SocketAddr,
    settings: ServerSettings,
    gateway: Gateway,
    readiness: Arc<Readiness>,
    reloader: Reloader,
}

impl Running {
    /// Binds the listeners and makes every step ready.
    ///
    /// # Errors
    /// An address can't be listened on.
    pub async fn start(settings: Settings, lines: LogWriter) -> io::Result<Self> {
        Self::start_at(settings, lines, &Clock::default()).await
    }

    /// The same, with quotas that go by this clock: for tests.
    ///
    /// # Errors
    /// An address can't be listened on.
    pub async fn start_at(settings: Settings, lines: LogWriter, clock: &Clock) -> io::Result<Self> {
        let Settings {
            server,
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
        let telemetry = telemetry(lines, log.format);
        let listening = Server::bind(&server, &admin).await?;
        let readiness = Arc::<Readiness>::default();
        let store = shared(store, sessions.as_ref(), &qiniu, &telemetry.metrics)?;
        let sessions = bound(sessions.as_ref(), &qiniu, store.clone())?;
        let memory = body_memory(server.body_memory, &telemetry.metrics);
        let authenticator = authenticator(identities, &qiniu);
        readiness.set_keys_known(authenticator.has_all_keys());
        let finalizer = ResponseFinalizer::new(verdict, evidence);
        let needs = finalizer.needs(&memory, sessions.is_some());
        let endpoints = Endpoints::new(routes, &qiniu, &needs, clock);
        telemetry.metrics.prepare_routes(endpoints.paths());
        let gateway = Gateway {
            request_ids: RequestIds::default(),
            endpoints: Arc::new(endpoints),
            authenticator,
            sessions,
            store,
            callers: CallerKeys::default(),
            cors: Cors::new(&cors),
            admission: BodyAdmission {
                memory,
                min_rate: server.min_body_rate,
            },
            upstream: Arc::new(Upstream::new(qiniu)),
            calls: InFlightCalls::default(),
            pages: key_set(&finalizer),
            finalizer: Arc::new(finalizer),
            telemetry,
            readiness: Arc::clone(&readiness),
            trusted_proxies: server.trusted_proxies.clone(),
            max_head_bytes: server.max_head_bytes,
        };
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

    /// Where requests are taken, as bound.
    pub fn public_addresses(&self) -> Vec<SocketAddr> {
        self.public.clone()
    }

    /// Where the admin listener is, as bound.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// Shows these too to anybody who asks.
    pub fn show_pages(&mut self, pages: HashMap<&'static str, Page>) {
        self.gateway.pages.extend(pages);
    }

    /// Serves until `stop`, then lets what is under way finish, calls to Qiniu whose callers have left included.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> DrainOutcome {
        let gateway = Arc::new(self.gateway);
        let metrics = Arc::clone(&gateway.telemetry.metrics);
        let ready = Arc::clone(&self.readiness);
        let keys = Arc::clone(&gateway.authenticator);
        let keys = tokio::spawn(keys.refresh_keys(metrics, move |known| {
            ready.set_keys_known(known);
        }));
        let reloader = tokio::spawn(self.reloader.run());
        let sharing = tokio::spawn(share(gateway.store.clone(), gateway.sessions.clone()));
        let swept = Arc::clone(&gateway);
        let sweep = tokio::spawn(async move {
            let mut tick = tokio::time::interval(SWEEP);
            loop {
                tick.tick().await;
                swept.endpoints.sweep();
                swept.upstream.sweep();
                if let Some(sessions) = &swept.sessions {
                    sessions.ledger.sweep();
                }
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
        // The same time is theirs whose callers have left.
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

fn telemetry(lines: LogWriter, format: LogFormat) -> Arc<Telemetry> {
    Arc::new(Telemetry {
        metrics: Metrics::new(lines.clone()),
        log: lines,
        format,
    })
}

/// The public keys of verdicts, for everybody to read.
fn key_set(finalizer: &ResponseFinalizer) -> HashMap<&'static str, Page> {
    let page = |verdicts: &VerdictSigner| Page {
        content_type: "application/json",
        body: Arc::clone(verdicts.published()),
    };
    let page = finalizer.verdicts().map(page);
    page.map(|page| (KEY_SET, page)).into_iter().collect()
}

fn body_memory(bytes: u64, metrics: &Metrics) -> Arc<BodyMemory> {
    let shown = i64::try_from(bytes).unwrap_or(i64::MAX);
    metrics.body_memory_limit.set(shown);
    BodyMemory::new(bytes, metrics.body_memory.clone())
}

fn authenticator(
    identities: Vec<IdentitySettings>,
    qiniu: &UpstreamSettings,
) -> Arc<Authenticator> {
    let pseudonyms = Pseudonymizer::new(&qiniu.credentials.secret_key);
    Arc::new(Authenticator::new(identities, pseudonyms))
}

fn shared(
    settings: Option<StoreSettings>,
    sessions: Option<&SessionSettings>,
    qiniu: &UpstreamSettings,
    metrics: &Metrics,
) -> io::Result<Option<Arc<Store>>> {
    let Some(settings) = settings else {
        return Ok(None);
    };
    let seals = match sessions {
        Some(sessions) => sessions.names_in_store(),
        None => NamesSeal::of(qiniu.credentials.secret_key.reveal()).map(|seal| vec![seal]),
    };
    let seals = seals.map_err(no_randomness)?;
    let store = Store::new(settings, seals, metrics).map_err(no_randomness)?;
    Ok(Some(store))
}

/// What goes on between replicas, as long as it is polled.
async fn share(store: Option<Arc<Store>>, sessions: Option<Arc<Sessions>>) {
    let Some(store) = store else { return };
    let tell = async {
        if let Some(sessions) = sessions {
            sessions.keep_telling().await;
        }
    };
    tokio::join!(store.keep(), tell);
}

fn bound(
    settings: Option<&SessionSettings>,
    qiniu: &UpstreamSettings,
    store: Option<Arc<Store>>,
) -> io::Result<Option<Arc<Sessions>>> {
    let Some(settings) = settings else {
        return Ok(None);
    };
    if settings.seal_key.is_none() {
        tracing::info!(
            "sessions.seal_key is not set: sessions are good for this process alone, not for replicas of it"
        );
    }
    let sessions = Sessions::over(settings, &qiniu.endpoint.authority, store);
    Ok(Some(sessions.map_err(no_randomness)?))
}

fn no_randomness(_: aws_lc_rs::error::Unspecified) -> io::Error {
    io::Error::other("the system gives no random bytes")
}
