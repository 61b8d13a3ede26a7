//! Changes everything that an operator may change, under constant load, and counts what that costs:
//! the configuration, the certificate and each key, a restart, another binary, the store.
//!
//! Plays systemd for the gateway. No change may cost a request, and no video may be billed twice.
//! Never judges a latency: it is reported beside that of a time without changes.

mod change;
mod cluster;
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

pub(crate) use self::change::ChangeResult;
use self::{
    change::{CHANGES, Change},
    cluster::Cluster,
    files::Files,
    service::Service,
    store::ReplicatedStore,
    upstream::CountingUpstream,
};
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
#[derive(Clone)]
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

/// What the replicas of a gateway share.
enum Store {
    Sentinel(ReplicatedStore),
    Cluster(Cluster),
}

/// Everything that runs.
struct Changes {
    plan: ChangesPlan,
    files: Files,
    service: Service,
    store: Option<Store>,
    upstream: RefCell<CountingUpstream>,
    admin: SocketAddr,
    load: Arc<Load>,
}

/// Makes all changes, one kind after the other.
pub(crate) async fn run(plan: ChangesPlan) -> io::Result<Vec<ChangeResult>> {
    let core = plan.cores.map(|(_, rest)| rest);
    let store = ReplicatedStore::start(core)?.map(Store::Sentinel);
    let mut changes = Changes::start(plan.clone(), store).await?;
    let mut results = Vec::new();
    for change in CHANGES {
        results.push(changes.kind(change).await?);
    }
    drop(changes);
    let store = Cluster::start(core)?.map(Store::Cluster);
    let mut changes = Changes::start(plan, store).await?;
    results.push(changes.kind(Change::ClusterFailover).await?);
    Ok(results)
}

impl Store {
    fn url(&self) -> String {
        match self {
            Self::Sentinel(store) => store.url(),
            Self::Cluster(cluster) => cluster.url(),
        }
    }

    fn kill_primary(&mut self) -> io::Result<()> {
        match self {
            Self::Sentinel(store) => store.kill_primary(),
            Self::Cluster(cluster) => {
                cluster.kill_primary();
                Ok(())
            }
        }
    }

    fn repair(&mut self) -> io::Result<()> {
        match self {
            Self::Sentinel(store) => store.repair(),
            Self::Cluster(cluster) => cluster.repair(),
        }
    }
}

impl Changes {
    async fn start(plan: ChangesPlan, store: Option<Store>) -> io::Result<Self> {
        let rest = plan.cores.map(|(_, rest)| rest);
        let (public, admin) = (free_address()?, free_address()?);
        let upstream = CountingUpstream::start(rest)?;
        let url = store.as_ref().map(Store::url);
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
        eprintln!("changes: {}", change.description());
        let mut result = ChangeResult {
            change,
            times: self.plan.times,
            samples: Samples::default(),
            billed: 0,
            longest: Duration::ZERO,
            skipped: None,
        };
        if change.is_of_the_store() && self.store.is_none() {
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
        if change.is_of_the_store()
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
                self.change("configuration", Files::change_configuration)
                    .await?;
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
            Change::QiniuKeys => self.change("credentials", Files::change_qiniu_keys).await?,
            Change::VerdictKey => {
                self.change("verdict_keys", Files::change_verdict_key)
                    .await?;
            }
            Change::Restart => self.service.restart().await?,
            Change::Upgrade => {
                self.files.install(&self.plan.other)?;
                self.service.upgrade().await?;
                std::mem::swap(&mut self.plan.gateway, &mut self.plan.other);
            }
            Change::StoreFailover | Change::ClusterFailover => {
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

    /// Changes a file, and waits until that is in use.
    async fn change(
        &mut self,
        what: &str,
        change: impl FnOnce(&mut Files) -> io::Result<()>,
    ) -> io::Result<()> {
        let before = self.reloads(what).await;
        change(&mut self.files)?;
        self.reloaded(what, before).await;
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
