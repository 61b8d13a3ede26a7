//! From checked settings to a running gateway: the only file that knows every module.

use std::{collections::HashMap, future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use crate::{
    auth::{Authenticator, Pseudonyms},
    body::{memory::BodyMemory, receive::Admission},
    config::Settings,
    limit::CallerKeys,
    qiniu::pool::Upstream,
    relay::{cors::Cors, endpoint::Endpoints, handle::Gateway, reply::Page},
    server::{Server, ServerSettings, admin::Readiness, drain::DrainOutcome},
    telemetry::{Observer, log::Lines, metrics::Metrics},
};

/// How often limits and connections that nobody uses are looked for.
const SWEEP: Duration = Duration::from_secs(1);

/// A gateway that listens and does not serve yet.
pub struct Running {
    server: Server,
    public: Vec<SocketAddr>,
    admin: SocketAddr,
    settings: ServerSettings,
    gateway: Gateway,
    observer: Arc<Observer>,
    readiness: Arc<Readiness>,
}

impl Running {
    /// Binds the listeners and makes every step ready.
    ///
    /// # Errors
    /// An address can't be listened on.
    pub async fn start(settings: Settings, lines: Lines) -> io::Result<Self> {
        let Settings {
            server,
            admin,
            cors,
            qiniu,
            identities,
            routes,
            log,
        } = settings;
        let observer = Arc::new(Observer {
            metrics: Metrics::new(lines.clone()),
            lines,
            format: log.format,
        });
        let listening = Server::bind(&server, &admin).await?;
        let metrics = &observer.metrics;
        metrics
            .body_memory_limit
            .set(i64::try_from(server.body_memory).unwrap_or(i64::MAX));
        let memory = BodyMemory::new(server.body_memory, metrics.body_memory.clone());
        let authenticator = Arc::new(Authenticator::new(
            identities,
            Pseudonyms::new(&qiniu.credentials.secret_key),
        ));
        let readiness = Readiness::new();
        readiness.set_keys_known(authenticator.knows_keys());
        let gateway = Gateway {
            endpoints: Endpoints::new(routes),
            authenticator,
            callers: CallerKeys::default(),
            cors: Cors::new(&cors),
            admission: Admission {
                memory,
                min_rate: server.min_body_rate,
            },
            upstream: Arc::new(Upstream::new(qiniu)),
            pages: HashMap::new(),
            observer: Arc::clone(&observer),
            trusted_proxies: server.trusted_proxies.clone(),
            max_head_bytes: server.max_head_bytes,
        };
        Ok(Self {
            public: listening.public_addresses()?,
            admin: listening.admin_address()?,
            server: listening,
            settings: server,
            gateway,
            observer,
            readiness: Arc::new(readiness),
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

    /// Shows these to anybody who asks.
    pub fn show_pages(&mut self, pages: HashMap<&'static str, Page>) {
        self.gateway.pages = pages;
    }

    /// Serves until `stop`, then lets what is under way finish.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> DrainOutcome {
        let gateway = Arc::new(self.gateway);
        let metrics = Arc::clone(&self.observer.metrics);
        let ready = Arc::clone(&self.readiness);
        let keys = Arc::clone(&gateway.authenticator);
        let keys = tokio::spawn(keys.keep_keys(Arc::clone(&metrics), move |known| {
            ready.set_keys_known(known);
        }));
        let swept = Arc::clone(&gateway);
        let sweep = tokio::spawn(async move {
            let mut tick = tokio::time::interval(SWEEP);
            loop {
                tick.tick().await;
                swept.endpoints.sweep();
                swept.upstream.sweep();
            }
        });
        let outcome = self
            .server
            .run(&self.settings, gateway, metrics, self.readiness, stop)
            .await;
        sweep.abort();
        keys.abort();
        outcome
    }
}
