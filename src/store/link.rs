//! The one connection to the store: made and remade in the background, each call within its
//! timeout, and a circuit breaker that spares requests the wait while the store is unavailable.
//!
//! The breaker opens when the connection breaks, when the store replies with an error that concerns
//! every call, or when three calls in a row get no reply in time. From then on every call fails
//! with [`Unavailable`] at once, until a probe in the background has succeeded within the same
//! timeout. The probe goes over a new connection, to whatever the store's name leads to by then. It
//! is this replica's heartbeat. While the store is available, a heartbeat is sent every two
//! seconds; any error in reply to it opens the breaker, and its reply also tells whether the store
//! has lost its data since. Each change of state is one log line and a metric. No request ever
//! waits for a connection, and an error that concerns one call fails that call alone.

use std::{
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};

use super::{
    error::{StoreError, Unavailable},
    keys::{self, StoreKey},
    script::{Script, ScriptReply, Scripts},
    wire::{StoreAddress, StoreConnection},
};
use crate::{
    outbound::dial::Dialer,
    telemetry::{metrics::StoreUpGauge, repeated::RepeatedLine},
};

/// How long a replica without a new heartbeat counts as alive.
pub const HEARTBEAT_LIFETIME: Duration = Duration::from_secs(10);
/// A store that was lost this recently may be back within a moment.
pub const RECENT: Duration = Duration::from_secs(3);
/// Between two heartbeats.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(2);
/// How long the store's epoch is remembered without a heartbeat: longer than any session.
const EPOCH_LIFETIME: Duration = Duration::from_secs(3600);
/// Timeout for TCP, TLS and login; no request waits for it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Until the first probe of a lost store; the pauses then grow.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(2);
/// A connection that stood this long is probed again after the first pause.
const STEADY: Duration = Duration::from_secs(5);
/// The breaker opens after this many calls in a row without a reply in time.
const MAX_SLOW_CALLS: u32 = 3;

/// `[store]`, checked.
#[derive(Clone)]
pub struct StoreSettings {
    /// Where the store is, and how to log in.
    pub address: StoreAddress,
    /// Opens connections to the store.
    pub dialer: Dialer,
    /// Timeout of each call.
    pub timeout: Duration,
}

/// The connection, or its absence.
pub struct Link {
    address: ArcSwap<StoreAddress>,
    dialer: Dialer,
    timeout: Duration,
    /// This replica's heartbeat, and the store's epoch.
    heartbeat_keys: [StoreKey; 2],
    /// When the store was last without data, in milliseconds of its own clock.
    epoch: AtomicI64,
    open: RwLock<Option<OpenConnection>>,
    /// How many connections were opened.
    opened: AtomicU64,
    /// Calls in a row without a reply in time.
    slow: AtomicU32,
    closed: Notify,
    /// Since when the store is available.
    up: watch::Sender<Option<Instant>>,
    /// When it was last lost.
    lost: Mutex<Option<Instant>>,
    refusals: RepeatedLine,
    metric: StoreUpGauge,
}

#[derive(Clone)]
struct OpenConnection {
    number: u64,
    connection: StoreConnection,
}

impl Link {
    pub(super) fn new(settings: StoreSettings, heartbeat: StoreKey, metric: StoreUpGauge) -> Self {
        metric.set(false);
        Self {
            address: ArcSwap::from_pointee(settings.address),
            dialer: settings.dialer,
            timeout: settings.timeout,
            heartbeat_keys: [heartbeat, keys::epoch()],
            epoch: AtomicI64::new(0),
            open: RwLock::default(),
            opened: AtomicU64::new(0),
            slow: AtomicU32::new(0),
            closed: Notify::new(),
            up: watch::Sender::new(None),
            lost: Mutex::default(),
            refusals: RepeatedLine::default(),
            metric,
        }
    }

    /// Whether the store is available.
    pub fn is_up(&self) -> bool {
        self.up.borrow().is_some()
    }

    /// How long the store has been available without interruption.
    pub fn up_for(&self) -> Option<Duration> {
        self.up.borrow().map(|since| since.elapsed())
    }

    /// Whether the store is unavailable, and has been for less than [`RECENT`]. Most stores that
    /// are lost are back soon, restarted or moved.
    pub fn was_lost_recently(&self) -> bool {
        let lost = *self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        !self.is_up() && lost.is_some_and(|lost| lost.elapsed() < RECENT)
    }

    /// Changes whenever the store becomes available, loses its data, or is lost.
    pub fn changes(&self) -> watch::Receiver<Option<Instant>> {
        self.up.subscribe()
    }

    /// Sets the address of the next connection. The open connection stays: its login is good for as
    /// long as the store accepts it.
    pub fn connect_to(&self, address: StoreAddress) {
        self.address.store(Arc::new(address));
    }

    pub(super) async fn call(
        &self,
        script: &Script,
        keys: &[&StoreKey],
        args: &[&[u8]],
    ) -> Result<ScriptReply, Unavailable> {
        self.run(script, keys, args, StoreError::concerns_all).await
    }

    /// Fails the call whose reply was none of its script's: something is wrong with its key.
    pub(super) fn invalid_reply(&self) -> Unavailable {
        self.log_refusal(&StoreError::Invalid);
        Unavailable
    }

    /// Runs a script. An error of which `opens` returns true opens the breaker.
    async fn run(
        &self,
        script: &Script,
        keys: &[&StoreKey],
        args: &[&[u8]],
        opens: impl FnOnce(&StoreError) -> bool,
    ) -> Result<ScriptReply, Unavailable> {
        let OpenConnection { number, connection } = self.current().ok_or(Unavailable)?;
        match timeout(self.timeout, connection.run(script, keys, args)).await {
            Ok(reply) => {
                self.slow.store(0, Ordering::Relaxed);
                reply.map_err(|error| {
                    match opens(&error) {
                        true => self.close(number, &error),
                        false => self.log_refusal(&error),
                    }
                    Unavailable
                })
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

    fn log_refusal(&self, error: &StoreError) {
        self.refusals.log(|left_out| {
            tracing::warn!(
                left_out,
                "a call to the store failed: {error}; the request uses this replica's own limits \
                 and sessions, and the store stays in use"
            );
        });
    }

    /// Connects and probes, again and again. Never ends.
    pub(super) async fn keep(&self, scripts: &Scripts) {
        let mut pause = FIRST_PAUSE;
        let mut logged = false;
        loop {
            match self.connect(scripts).await {
                Ok(connection) => {
                    let since = Instant::now();
                    self.serve(connection, scripts).await;
                    if since.elapsed() >= STEADY {
                        pause = FIRST_PAUSE;
                    }
                }
                Err(error) if !logged => warn(&error),
                Err(_) => {}
            }
            // From now on, each loss is logged when the connection is closed.
            logged = true;
            sleep(jittered(pause)).await;
            pause = pause.saturating_mul(2).min(MAX_PAUSE);
        }
    }

    async fn connect(&self, scripts: &Scripts) -> Result<StoreConnection, StoreError> {
        let late = |_| StoreError::Timeout;
        let address = self.address.load_full();
        let opening = StoreConnection::open(&address, &self.dialer, CONNECT_TIMEOUT);
        let connection = timeout(CONNECT_TIMEOUT, opening).await.map_err(late)??;
        let args = heartbeat_args();
        let args = args.each_ref().map(|arg| arg.as_bytes());
        let keys = self.heartbeat_keys.each_ref();
        let probe = connection.run(&scripts.heartbeat, &keys, &args);
        match timeout(self.timeout, probe).await.map_err(late)?? {
            ScriptReply::Number(epoch) => {
                self.epoch.store(epoch, Ordering::Relaxed);
                Ok(connection)
            }
            _ => Err(StoreError::Invalid),
        }
    }

    /// Makes calls over this connection until it is closed.
    async fn serve(&self, connection: StoreConnection, scripts: &Scripts) {
        let number = self.opened.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let closed = self.closed.notified();
        tokio::pin!(closed);
        closed.as_mut().enable();
        self.slow.store(0, Ordering::Relaxed);
        self.open(OpenConnection {
            number,
            connection: connection.clone(),
        });
        tracing::info!("the store is available: replicas share limits and sessions");
        let broken = async {
            connection.closed().await;
            let kind = std::io::ErrorKind::ConnectionReset;
            self.close(number, &StoreError::Unreachable(kind));
        };
        let heartbeats = async {
            loop {
                sleep(HEARTBEAT_INTERVAL).await;
                // Repeated until it succeeds or the breaker opens.
                while self.is_up() && self.heartbeat(number, scripts).await.is_err() {}
            }
        };
        tokio::select! {
            () = closed => {}
            () = broken => {}
            () = heartbeats => {}
        }
    }

    async fn heartbeat(&self, number: u64, scripts: &Scripts) -> Result<(), Unavailable> {
        let args = heartbeat_args();
        let args = args.each_ref().map(|arg| arg.as_bytes());
        let keys = self.heartbeat_keys.each_ref();
        match self.run(&scripts.heartbeat, &keys, &args, |_| true).await? {
            ScriptReply::Number(epoch) if self.epoch.swap(epoch, Ordering::Relaxed) == epoch => {}
            // It lost its data while the connection stood: the same as if it had been unavailable.
            ScriptReply::Number(_) => {
                let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
                if open.as_ref().is_some_and(|open| open.number == number) {
                    self.up.send_replace(Some(Instant::now()));
                }
            }
            _ => {
                self.close(number, &StoreError::Invalid);
                return Err(Unavailable);
            }
        }
        Ok(())
    }

    fn current(&self) -> Option<OpenConnection> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.clone()
    }

    /// Makes calls over this connection from now on.
    fn open(&self, connection: OpenConnection) {
        // All under one lock, as in `close`, so that the parts of the state never contradict.
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        *open = Some(connection);
        self.metric.set(true);
        self.up.send_replace(Some(Instant::now()));
    }

    fn close(&self, number: u64, error: &StoreError) {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        // An error of an earlier connection says nothing about the current one.
        if open.as_ref().is_none_or(|open| open.number != number) {
            return;
        }
        *open = None;
        *self.lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.metric.set(false);
        self.up.send_replace(None);
        drop(open);
        warn(error);
        self.closed.notify_waiters();
    }
}

/// Between half of `time` and all of it, so that replicas do not all act at once.
pub fn jittered(time: Duration) -> Duration {
    let mut byte = [0];
    // Without randomness there is no jitter, which does no harm.
    let _ = aws_lc_rs::rand::fill(&mut byte);
    let [byte] = byte;
    time.mul_f64(0.5 + f64::from(byte) / 512.0)
}

fn heartbeat_args() -> [String; 2] {
    [HEARTBEAT_LIFETIME, EPOCH_LIFETIME].map(|time| time.as_millis().to_string())
}

fn warn(error: &StoreError) {
    tracing::warn!(
        "the store is unavailable: {error}; this replica uses its own limits and sessions meanwhile"
    );
}
