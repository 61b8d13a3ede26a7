//! From validated settings to a running gateway, and from one configuration to the next.
//!
//! The only module that knows every other. Binds the listeners, has the parts built, starts the
//! background tasks, and ends them after a stop. `files` and `upkeep` follow what may change
//! meanwhile. Never judges a configuration itself.

use std::{future::Future, io, net::SocketAddr, os::fd::OwnedFd, sync::Arc, time::Duration};

use tokio::time::timeout_at;

pub use self::{followed_config::ConfigFollower, keys_in_use::KeysInUse, status::GatewayStatus};
use self::{followed_config::FollowedConfig, prepare_metrics::prepare_metrics, upkeep::Upkeep};
use crate::{
    config::Settings,
    handover::{InheritedSockets, ListenerLabel},
    limit::clock::Clock,
    relay::{
        gateway::{CurrentGateway, Gateway},
        site::Site,
    },
    rotation::Reloader,
    server::{
        BindError, Server, ServerSettings, ServingTime,
        drain::{DrainOutcome, StopReason},
        rules::ServerRules,
    },
    store::Store,
    telemetry::log::LogWriter,
    verify_once::VerifyOnce,
};

mod build;
mod change;
mod files;
mod followed_config;
mod keys_in_use;
mod prepare_metrics;
mod status;
mod upkeep;

/// Interval at which idle limits, connections and sessions are removed.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// A gateway whose listeners are bound and that does not serve yet.
pub struct BoundGateway {
    server: Server,
    public: Vec<SocketAddr>,
    admin: SocketAddr,
    settings: ServerSettings,
    gateway: Gateway,
    reloader: Reloader,
    /// The pause between two looks at files.
    interval: Duration,
    follower: Option<FollowedConfig>,
    keys_in_use: KeysInUse,
}

impl BoundGateway {
    /// Binds the listeners and builds every part.
    ///
    /// # Errors
    /// An address can't be bound, or the system returns no random bytes.
    pub async fn start(settings: Settings, log: LogWriter) -> Result<Self, BindError> {
        Self::start_with_clock(settings, log, &Clock::default()).await
    }

    /// As [`BoundGateway::start`], with a clock for the quotas. For tests.
    ///
    /// # Errors
    /// As for [`BoundGateway::start`].
    pub async fn start_with_clock(
        settings: Settings,
        log: LogWriter,
        clock: &Clock,
    ) -> Result<Self, BindError> {
        Self::start_on(InheritedSockets::default(), settings, log, clock).await
    }

    /// As [`BoundGateway::start_with_clock`], on these sockets where they have the addresses of the
    /// configuration.
    ///
    /// # Errors
    /// As for [`BoundGateway::start`], and a socket may have an address of its own.
    pub async fn start_on(
        mut inherited: InheritedSockets,
        mut settings: Settings,
        log: LogWriter,
        clock: &Clock,
    ) -> Result<Self, BindError> {
        let known_keys = inherited.take_keys();
        let server = Server::bind(&settings.server, &settings.admin, inherited).await?;
        let gateway = build::first(&mut settings, log, clock)?;
        prepare_metrics(&gateway);
        let metrics = &gateway.telemetry.metrics;
        gateway.authenticator.adopt_keys(&known_keys, metrics);
        let keys = || gateway.authenticator.issuer_keys();
        gateway.readiness.update_keys(keys);
        let tls = settings.server.tls.as_ref();
        let interval = settings.reloadable.poll_interval;
        Ok(Self {
            public: server.public_addresses()?,
            admin: server.admin_address()?,
            server,
            reloader: files::reloader(settings.reloadable, &gateway, tls),
            interval,
            settings: settings.server,
            gateway,
            follower: None,
            keys_in_use: KeysInUse::default(),
        })
    }

    /// Follows this configuration file once it serves. From now on, SIGHUP asks for a reload.
    #[must_use]
    pub fn following(self, follower: ConfigFollower) -> Self {
        Self {
            follower: Some(FollowedConfig::new(follower)),
            ..self
        }
    }

    /// The bound addresses of the public listener.
    pub fn public_addresses(&self) -> Vec<SocketAddr> {
        self.public.clone()
    }

    /// The bound address of the admin listener.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// The listening sockets once more, for another process.
    ///
    /// # Errors
    /// No descriptor is free.
    pub fn duplicate_listeners(&self) -> io::Result<Vec<(ListenerLabel, OwnedFd)>> {
        self.server.duplicates()
    }

    /// What the gateway says of itself to its service manager.
    pub fn status(&self) -> GatewayStatus {
        GatewayStatus {
            public: self.public.clone(),
            readiness: Arc::clone(&self.gateway.readiness),
            metrics: Arc::clone(&self.gateway.telemetry.metrics),
        }
    }

    /// The keys of issuers that it will know once it serves.
    pub fn keys_in_use(&self) -> KeysInUse {
        self.keys_in_use.clone()
    }

    /// Serves this site at all paths that the gateway does not serve itself.
    pub fn add_site(&mut self, site: Site) {
        self.gateway.site = Some(site);
    }

    /// Serves for this time, then drains: requests in flight and calls to Qiniu, also those whose
    /// callers have disconnected, have `drain_timeout` to finish.
    pub async fn serve<B, E>(self, time: ServingTime<B, E>) -> DrainOutcome
    where
        B: Future<Output = ()>,
        E: Future<Output = StopReason>,
    {
        let readiness = Arc::clone(&self.gateway.readiness);
        let calls = Arc::clone(&self.gateway.calls);
        let audit = self.gateway.audit.clone();
        let store = self.gateway.store.clone();
        let verify_once = Arc::clone(&self.gateway.verify_once);
        let rules = ServerRules::new(&self.settings, change::head_responder(&self.gateway));
        let current = CurrentGateway::new(self.gateway);
        self.keys_in_use.are_of(&current);
        fetch_keys(&current, &current.load());
        let upkeep = Upkeep {
            current: Arc::clone(&current),
            rules: Arc::clone(&rules),
            reloader: self.reloader,
            interval: self.interval,
            tls: self.settings.tls,
            follower: self.follower,
        };
        let tasks = [
            tokio::spawn(upkeep.run()),
            tokio::spawn(share(store, verify_once)),
            tokio::spawn(sweep(Arc::clone(&current))),
        ];
        let drained = self
            .server
            .run(rules, Arc::clone(&current), readiness, time)
            .await;
        // Calls whose callers have disconnected share the same time limit.
        let _ = timeout_at(drained.deadline, calls.finished()).await;
        let outcome = DrainOutcome {
            cut: drained.cut,
            lost: calls.count(),
        };
        if let Some(audit) = audit {
            audit.close().await;
        }
        let tracer = current.load().tracer.clone();
        if let Some(tracer) = tracer {
            tracer.close().await;
        }
        tasks.iter().for_each(tokio::task::JoinHandle::abort);
        outcome
    }
}

/// Keeps the keys of the issuers of a gateway fresh, whether it is the current one already or not.
fn fetch_keys(current: &Arc<CurrentGateway>, gateway: &Gateway) {
    // Weak, since the current gateway owns the task that calls this.
    let known = Arc::downgrade(current);
    let changed = move || {
        if let Some(current) = known.upgrade() {
            let readiness = Arc::clone(&current.load().readiness);
            readiness.update_keys(|| current.load().authenticator.issuer_keys());
        }
    };
    let metrics = &gateway.telemetry.metrics;
    gateway.authenticator.start_fetching(metrics, changed);
}

/// Removes what is idle, once a second. Never ends.
async fn sweep(current: Arc<CurrentGateway>) {
    let mut tick = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        tick.tick().await;
        let gateway = current.load();
        gateway.endpoints.sweep();
        if let Some(limit) = &gateway.address_limit {
            limit.sweep();
        }
        gateway.upstream.sweep();
        gateway.verify_once.sweep();
    }
}

/// Keeps the connection to the store and publishes sessions. Never ends if there is a store.
async fn share(store: Option<Arc<Store>>, verify_once: Arc<VerifyOnce>) {
    let Some(store) = store else { return };
    tokio::join!(store.keep(), verify_once.publish_updates());
}
