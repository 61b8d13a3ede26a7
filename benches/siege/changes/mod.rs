//! Changes everything that an operator may change, under constant load, and counts what that costs:
//! the configuration, the certificate and the seal key, a restart, another binary, the store.
//!
//! Plays systemd for the gateway. No change may cost a request, and no video may be billed twice.
//! Never judges a latency: it is reported beside that of a time without changes.

mod files;
mod service;
mod store;
pub(crate) mod upstream;

use std::{cell::RefCell, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use self::{files::Files, service::Service, store::ReplicatedStore, upstream::CountingUpstream};
use super::{
    clients::Site,
    load::{Load, User},
    probe::ask,
    process::free_address,
    samples::{Kind, Samples},
};

/// Small requests a second: far from the capacity, since the harness shares the machine.
const RATE: f64 = 200.0;
/// Users who take five seconds for each video.
const SLOW_USERS: usize = 8;
const USERS: usize = 200;
/// The load before a change, and after its end.
const BEFORE: Duration = Duration::from_secs(2);
const AFTER: Duration = Duration::from_secs(7);
/// A change takes no longer.
const CHANGE: Duration = Duration::from_secs(90);
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// How it is run.
pub(crate) struct ChangesPlan {
    pub(crate) gateway: PathBuf,
    /// The binary that takes over at an upgrade.
    pub(crate) other: PathBuf,
    /// The cores of the gateway and of everything else.
    pub(crate) cores: Option<(usize, usize)>,
    /// How often each change is made.
    pub(crate) times: usize,
    /// Base64.
    pub(crate) video: Bytes,
}

/// What is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Nothing,
    Configuration,
    Signal,
    CertificateAndKey,
    Restart,
    Upgrade,
    StoreFailover,
}

const CHANGES: [Change; 7] = [
    Change::Nothing,
    Change::Configuration,
    Change::Signal,
    Change::CertificateAndKey,
    Change::Restart,
    Change::Upgrade,
    Change::StoreFailover,
];

impl Change {
    /// What is done, for a table.
    pub(crate) fn description(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Configuration => "another `gateway.toml`",
            Self::Signal => "another `gateway.toml`, and SIGHUP",
            Self::CertificateAndKey => "another certificate and seal key",
            Self::Restart => "restart, sockets kept by the service manager",
            Self::Upgrade => "another binary, by SIGUSR2",
            Self::StoreFailover => "the store's primary killed",
        }
    }
}

/// What one kind of change cost.
pub(crate) struct ChangeResult {
    pub(crate) change: Change,
    pub(crate) times: usize,
    pub(crate) samples: Samples,
    /// Calls that the upstream billed.
    pub(crate) billed: u64,
    /// The longest time until a change was in use.
    pub(crate) longest: Duration,
    /// Why it was not made, if so.
    pub(crate) skipped: Option<&'static str>,
}

impl ChangeResult {
    /// Whether nothing was lost or wrong, and each video billed once.
    pub(crate) fn is_clean(&self) -> bool {
        let is_made = self.skipped.is_none();
        is_made && self.lost() == 0 && self.samples.wrong == 0 && self.billed == self.videos()
    }

    /// Requests without a right response.
    pub(crate) fn lost(&self) -> u64 {
        let kinds = [
            Kind::Small,
            Kind::Verify,
            Kind::SlowUser,
            Kind::Newcomer,
            Kind::Foreign,
        ];
        kinds.iter().map(|kind| self.samples.lost(*kind)).sum()
    }

    /// Videos that were answered with a result.
    pub(crate) fn videos(&self) -> u64 {
        let served = |kind| self.samples.served(kind) as u64;
        served(Kind::Verify) + served(Kind::SlowUser)
    }
}

/// Everything that runs.
struct Changes {
    plan: ChangesPlan,
    files: Files,
    service: Service,
    store: Option<ReplicatedStore>,
    upstream: RefCell<CountingUpstream>,
    admin: SocketAddr,
    load: Arc<Load>,
}

/// Makes all changes, one kind after the other.
pub(crate) async fn run(plan: ChangesPlan) -> io::Result<Vec<ChangeResult>> {
    let mut changes = Changes::start(plan).await?;
    let mut results = Vec::new();
    for change in CHANGES {
        eprintln!("changes: {}", change.description());
        results.push(changes.kind(change).await?);
    }
    Ok(results)
}

impl Changes {
    async fn start(plan: ChangesPlan) -> io::Result<Self> {
        let rest = plan.cores.map(|(_, rest)| rest);
        let (public, admin) = (free_address()?, free_address()?);
        let upstream = CountingUpstream::start(rest)?;
        let store = ReplicatedStore::start(rest)?;
        let url = store.as_ref().map(ReplicatedStore::url);
        let addresses = [public, admin, upstream.address];
        let files = Files::create(addresses, &plan.gateway, store.is_some())?;
        let cores = plan.cores.map(|(gateway, _)| gateway);
        let store_url = url.map(|url| ("STORE".to_owned(), url));
        let environment = store_url.into_iter().collect();
        let mut service = Service::create(&files, public, cores, environment)?;
        service.start().await?;
        let site = Site {
            address: public,
            tls: Some(files.tls_client()?),
            patient: true,
        };
        let users = Arc::new(User::of_the_harness("user", USERS)?);
        let load = Load::new(site, users, plan.video.clone());
        load.rush(8, Instant::now() + BEFORE).await;
        let warm = load.take_samples();
        if warm.wrong > 0 || warm.served(Kind::Verify) == 0 {
            let why = format!("{:?}, lost: {}", warm.described, warm.reasons());
            return Err(io::Error::other(format!("the load does not work: {why}")));
        }
        let mut upstream = upstream;
        upstream.billed()?;
        Ok(Self {
            plan,
            files,
            service,
            store,
            upstream: RefCell::new(upstream),
            admin,
            load,
        })
    }

    /// Makes one kind of change several times, under load from before the first to after the last.
    async fn kind(&mut self, change: Change) -> io::Result<ChangeResult> {
        let mut result = ChangeResult {
            change,
            times: self.plan.times,
            samples: Samples::default(),
            billed: 0,
            longest: Duration::ZERO,
            skipped: None,
        };
        if change == Change::StoreFailover && self.store.is_none() {
            result.skipped = Some("there is no redis-server");
            return Ok(result);
        }
        for _ in 0..self.plan.times {
            let took = self.once(change).await?;
            result.longest = result.longest.max(took);
        }
        result.samples = self.load.take_samples();
        result.billed = self.upstream.borrow_mut().billed()?;
        Ok(result)
    }

    /// One change under load. Returns how long it took until it was in use.
    async fn once(&mut self, change: Change) -> io::Result<Duration> {
        let load = Arc::clone(&self.load);
        let (end, ends) = watch::channel(Instant::now() + BEFORE + CHANGE + AFTER);
        let users = tokio::spawn(async move { load.until(ends, RATE, SLOW_USERS).await });
        sleep(BEFORE).await;
        let begun = Instant::now();
        let made = timeout(CHANGE, self.make(change)).await;
        let took = begun.elapsed();
        end.send_replace(Instant::now() + AFTER);
        users.await?;
        made.map_err(|_| io::Error::other(format!("{change:?} takes too long")))??;
        if change == Change::StoreFailover
            && let Some(store) = &mut self.store
        {
            store.repair()?;
        }
        Ok(took)
    }

    async fn make(&mut self, change: Change) -> io::Result<()> {
        match change {
            Change::Nothing => sleep(Duration::from_secs(5)).await,
            Change::Configuration => {
                let before = self.reloads("configuration").await;
                self.files.change_configuration()?;
                self.reloaded("configuration", before).await;
            }
            Change::Signal => {
                let before = self.reloads("configuration").await;
                self.files.change_configuration()?;
                self.service.hang_up()?;
                self.reloaded("configuration", before).await;
            }
            Change::CertificateAndKey => {
                let before = (self.reloads("tls").await, self.reloads("seal_keys").await);
                self.files.change_certificate()?;
                self.files.change_seal_key()?;
                self.reloaded("tls", before.0).await;
                self.reloaded("seal_keys", before.1).await;
            }
            Change::Restart => self.service.restart().await?,
            Change::Upgrade => {
                self.files.install(&self.plan.other)?;
                self.service.upgrade().await?;
                std::mem::swap(&mut self.plan.gateway, &mut self.plan.other);
            }
            Change::StoreFailover => {
                if let Some(store) = &mut self.store {
                    store.kill_primary()?;
                }
                self.metric("liveness_gateway_store_up", |value| value == 0.0)
                    .await;
                self.metric("liveness_gateway_store_up", |value| value == 1.0)
                    .await;
            }
        }
        Ok(())
    }

    /// How often this was reloaded with success since the gateway's start.
    async fn reloads(&self, what: &str) -> f64 {
        self.metric(&reloads(what), |_| true).await
    }

    async fn reloaded(&self, what: &str, before: f64) {
        self.metric(&reloads(what), |value| value > before).await;
    }

    /// Waits until a series has such a value, and returns it.
    async fn metric(&self, series: &str, wanted: impl Fn(f64) -> bool) -> f64 {
        loop {
            let exposed = ask(self.admin, "/metrics").await.unwrap_or_default();
            let line = exposed.lines().find_map(|line| line.strip_prefix(series));
            let value = line.and_then(|value| value.trim().parse().ok());
            if let Some(value) = value.filter(|value| wanted(*value)) {
                return value;
            }
            sleep(ASK_AGAIN).await;
        }
    }
}

fn reloads(what: &str) -> String {
    format!("liveness_gateway_reloads_total{{what=\"{what}\",outcome=\"success\"}}")
}
