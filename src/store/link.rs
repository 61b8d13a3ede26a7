//! The one connection to the store, as calls see it: each within its timeout, and a circuit breaker
//! that spares requests the wait while the store is unavailable. [`super::keep`] makes and remakes
//! the connection.
//!
//! The breaker opens when the connection breaks, when the store replies with an error that concerns
//! every call, or when three calls in a row get no reply in time. From then on every call fails
//! with [`Unavailable`] at once. Each change of state is one log line and a metric. An error that
//! concerns one call fails that call alone. No request ever waits for a connection, with one
//! exception: a call that a cluster sends to another node waits for that node, within its timeout.

use std::{
    io::ErrorKind,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};

use super::{
    address::StoreAddress,
    cluster::{MAX_REDIRECTS, Redirect},
    error::{StoreError, Unavailable},
    heartbeat::Heartbeat,
    keys::{StoreKey, StoreNames},
    log::StoreLog,
    pace::StorePace,
    route::StoreRoute,
    script::{Script, ScriptReply},
    wire::StoreConnection,
};
use crate::{outbound::dial::Dialer, telemetry::metrics::StoreUpGauge};

/// The breaker opens after this many calls in a row without a reply in time.
const MAX_SLOW_CALLS: u32 = 3;

/// `[store]`, checked.
#[derive(Clone)]
pub struct StoreSettings {
    /// Where the store is, and how to log in.
    pub address: StoreAddress,
    /// The names of everything in the store.
    pub names: StoreNames,
    /// Opens connections to the store.
    pub dialer: Dialer,
    /// Timeout of each call.
    pub timeout: Duration,
    /// The times that replicas agree on.
    pub pace: StorePace,
}

/// The connection, or its absence.
pub struct Link {
    pub(super) address: ArcSwap<StoreAddress>,
    pub(super) dialer: Dialer,
    /// The slot of all keys, if the store is a cluster.
    pub(super) slot: u16,
    pub(super) timeout: Duration,
    pub(super) pace: StorePace,
    pub(super) heartbeat: Heartbeat,
    /// Since when the store has been remembering, in milliseconds of its own clock.
    pub(super) epoch: AtomicI64,
    open: watch::Sender<Option<Arc<OpenRoute>>>,
    /// How many routes were opened.
    opened: AtomicU64,
    /// Calls in a row without a reply in time.
    slow: AtomicU32,
    pub(super) closed: Notify,
    /// The address has changed.
    pub(super) readdressed: Notify,
    /// Where the last call was sent to that could not be made where the keys were thought to be.
    pub(super) redirects: watch::Sender<Option<Redirect>>,
    /// Since when the store is available.
    up: watch::Sender<Option<Instant>>,
    /// When it was last lost.
    lost: Mutex<Option<Instant>>,
    pub(super) log: StoreLog,
    metric: StoreUpGauge,
}

/// The route that calls take.
pub(super) struct OpenRoute {
    /// Another one for each primary.
    pub(super) number: u64,
    pub(super) route: StoreRoute,
    /// Whether redirects are followed.
    pub(super) follows_redirects: bool,
}

/// The route of a call, as the call begins.
struct RouteInUse {
    /// Since when the store has been available without a sign that it lost data.
    since: Option<Instant>,
    open: Arc<OpenRoute>,
}

/// Why a call failed, and on which route.
struct FailedCall {
    number: u64,
    error: StoreError,
}

impl Link {
    pub(super) fn new(settings: StoreSettings, replica: &str, metric: StoreUpGauge) -> Self {
        metric.set(false);
        Self {
            address: ArcSwap::from_pointee(settings.address),
            dialer: settings.dialer,
            slot: settings.names.slot(),
            timeout: settings.timeout,
            pace: settings.pace,
            heartbeat: Heartbeat::new(&settings.names, replica, settings.pace.lifetime),
            epoch: AtomicI64::new(0),
            open: watch::Sender::new(None),
            opened: AtomicU64::new(0),
            slow: AtomicU32::new(0),
            closed: Notify::new(),
            readdressed: Notify::new(),
            redirects: watch::Sender::new(None),
            up: watch::Sender::new(None),
            lost: Mutex::default(),
            log: StoreLog::default(),
            metric,
        }
    }

    /// Whether the store is available.
    pub fn is_up(&self) -> bool {
        self.up_since().is_some()
    }

    /// Since when the store has been available without interruption, and without a sign that it
    /// lost data.
    pub fn up_since(&self) -> Option<Instant> {
        *self.up.borrow()
    }

    /// How soon a store that was lost is usually back: restarted, or moved to another server.
    pub fn recovery(&self) -> Duration {
        match self.address.load().fails_over() {
            true => self.pace.failover,
            false => self.pace.recovery,
        }
    }

    /// Whether the store is unavailable, and has been for less than [`Link::recovery`].
    pub fn was_lost_recently(&self) -> bool {
        let lost = *self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        !self.is_up() && lost.is_some_and(|lost| lost.elapsed() < self.recovery())
    }

    /// Changes whenever the store becomes available, may have lost data, or is lost.
    pub fn changes(&self) -> watch::Receiver<Option<Instant>> {
        self.up.subscribe()
    }

    /// Sets the address by which the primary is looked for from now on. The open connection stays:
    /// its login is good for as long as the store accepts it.
    pub fn connect_to(&self, address: StoreAddress) {
        self.address.store(Arc::new(address));
        self.readdressed.notify_waiters();
    }

    pub(super) async fn call(
        &self,
        script: &Script,
        keys: &[&StoreKey],
        args: &[&[u8]],
    ) -> Result<ScriptReply, Unavailable> {
        let reply = self.call_split(script, keys, args).await?;
        reply.ok_or(Unavailable)
    }

    /// The same; `None` if no node of a cluster has all keys at the moment.
    pub(super) async fn call_split(
        &self,
        script: &Script,
        keys: &[&StoreKey],
        args: &[&[u8]],
    ) -> Result<Option<ScriptReply>, Unavailable> {
        self.run(script, keys, args, StoreError::concerns_all).await
    }

    /// Fails the call whose reply was none of its script's: something is wrong with its key.
    pub(super) fn invalid_reply(&self) -> Unavailable {
        self.log.refuses(&StoreError::Invalid);
        Unavailable
    }

    /// Runs a script. An error of which `opens` returns true opens the breaker.
    pub(super) async fn run(
        &self,
        script: &Script,
        keys: &[&StoreKey],
        args: &[&[u8]],
        opens: impl FnOnce(&StoreError) -> bool,
    ) -> Result<Option<ScriptReply>, Unavailable> {
        let used = self.in_use().ok_or(Unavailable)?;
        let number = used.open.number;
        match timeout(self.timeout, self.follow(used, script, keys, args)).await {
            Ok(reply) => {
                self.slow.store(0, Ordering::Relaxed);
                match reply {
                    // Another primary has taken over meanwhile, and may not know of this.
                    Ok((_, since)) if self.up_since() != since => Err(Unavailable),
                    Ok((reply, _)) => Ok(Some(reply)),
                    Err(failed) if failed.error == StoreError::Split => Ok(None),
                    Err(failed) => {
                        match opens(&failed.error) {
                            true => self.close(failed.number, &failed.error),
                            false => self.log.refuses(&failed.error),
                        }
                        Err(Unavailable)
                    }
                }
            }
            Err(_) => {
                let slow = self.slow.fetch_add(1, Ordering::Relaxed).saturating_add(1);
                if slow >= MAX_SLOW_CALLS {
                    self.close(number, &StoreError::Timeout);
                }
                Err(Unavailable)
            }
        }
    }

    /// Runs a script where its keys are, wherever a cluster has them. Returns the reply, and since
    /// when the primary that gave it had been in use.
    async fn follow(
        &self,
        mut used: RouteInUse,
        script: &Script,
        keys: &[&StoreKey],
        args: &[&[u8]],
    ) -> Result<(ScriptReply, Option<Instant>), FailedCall> {
        let mut redirects: usize = 0;
        loop {
            let RouteInUse { since, open } = &used;
            let number = open.number;
            let failed = |error| FailedCall { number, error };
            let redirect = match open.route.run(script, keys, args).await {
                Err(error) if !open.follows_redirects || redirects >= MAX_REDIRECTS => {
                    return Err(failed(error));
                }
                Err(StoreError::Moved(node)) => Redirect::Moved(node),
                Err(StoreError::Ask(node)) => Redirect::Ask(node),
                reply => return reply.map(|reply| (reply, *since)).map_err(failed),
            };
            redirects = redirects.saturating_add(1);
            let broken = || failed(StoreError::Unreachable(ErrorKind::NotConnected));
            used = self.redirected(open, redirect).await.ok_or_else(broken)?;
        }
    }

    /// Waits until the route leads elsewhere; `None` when there is none any more.
    async fn redirected(&self, from: &Arc<OpenRoute>, to: Redirect) -> Option<RouteInUse> {
        // Before the look, so that no change is missed.
        let mut changes = self.open.subscribe();
        let current = self.in_use()?;
        if !Arc::ptr_eq(&current.open, from) {
            return Some(current);
        }
        self.redirects.send_replace(Some(to));
        changes.changed().await.ok()?;
        self.in_use()
    }

    /// The route, and since when its primary has been in use.
    fn in_use(&self) -> Option<RouteInUse> {
        // In this order: if another primary takes over in between, its replies do not count yet.
        // The other way round, a reply of the one before would count.
        let since = self.up_since();
        let open = self.current()?;
        Some(RouteInUse { since, open })
    }

    pub(super) fn current(&self) -> Option<Arc<OpenRoute>> {
        self.open.borrow().clone()
    }

    /// Makes calls over this route from now on. Returns its number.
    pub(super) fn open(&self, route: StoreRoute, follows_redirects: bool) -> u64 {
        let number = self.opened.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        self.slow.store(0, Ordering::Relaxed);
        // All under one lock, as in `close`, so that the parts of the state never contradict.
        self.open.send_modify(|open| {
            *open = Some(Arc::new(OpenRoute {
                number,
                route,
                follows_redirects,
            }));
            self.metric.set(true);
            self.up.send_replace(Some(Instant::now()));
        });
        number
    }

    /// Adds the node that is being given the keys to the route of this number.
    pub(super) fn add_successor(&self, number: u64, successor: StoreConnection) {
        self.open.send_modify(|open| {
            let Some(current) = open.as_ref().filter(|open| open.number == number) else {
                return;
            };
            *open = Some(Arc::new(OpenRoute {
                number,
                route: StoreRoute {
                    primary: current.route.primary.clone(),
                    successor: Some(successor),
                },
                follows_redirects: current.follows_redirects,
            }));
        });
    }

    /// Notes that the store may have lost data while this route stood: the same as if it had been
    /// unavailable.
    pub(super) fn has_lost_data(&self, number: u64) {
        let open = self.open.borrow();
        if open.as_ref().is_some_and(|open| open.number == number) {
            self.up.send_replace(Some(Instant::now()));
        }
    }

    pub(super) fn close(&self, number: u64, error: &StoreError) {
        let closed = self.open.send_if_modified(|open| {
            // An error of an earlier route says nothing about the current one.
            if open.as_ref().is_none_or(|open| open.number != number) {
                return false;
            }
            *open = None;
            *self.lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            self.metric.set(false);
            self.up.send_replace(None);
            true
        });
        if closed {
            self.log.is_down(error);
            self.closed.notify_waiters();
        }
    }
}
