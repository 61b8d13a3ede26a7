//! The one connection to the store: made and remade in the background, each call within its time, and a breaker that spares
//! requests the wait while the store is away.
//!
//! The breaker opens when the connection breaks, the store refuses or talks nonsense, or lets three calls in a row wait too
//! long. From then on every call is [`Unavailable`] at once, until a probe in the background, under the same time limit, has succeeded. A probe is
//! this replica's sign of life, which it also gives every two seconds while all is well, and which tells whether the store has
//! forgotten everything meanwhile. Each change is a line in the log
//! and a metric. Never makes anybody wait for a connection.

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
    StoreKey, StoreSettings,
    fault::StoreError,
    names,
    naming::Naming,
    script::{Reply, Script, Scripts},
    wire::{Address, Connection},
};
use crate::telemetry::metrics::StoreUpGauge;

/// How long a sign of life is believed.
pub const LIFE: Duration = Duration::from_secs(10);
/// How often it is given.
const BEAT: Duration = Duration::from_secs(2);
/// How long the store's birth is remembered without a beat: longer than any session is.
const BIRTH: Duration = Duration::from_secs(3600);
/// For TCP, TLS and login; nobody waits for it.
const CONNECT: Duration = Duration::from_secs(3);
/// Pauses between probes.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Who was there for so long is probed again without a long pause.
const STEADY: Duration = Duration::from_secs(5);
/// A store that was just lost may be back within.
pub const MOMENT: Duration = Duration::from_secs(3);
/// So many calls in a row without an answer in time.
const SLOW_CALLS: u32 = 3;

/// The store can't be asked, or did not answer in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable;

/// The connection, or its absence.
pub struct Link {
    address: ArcSwap<Address>,
    timeout: Duration,
    /// This replica's sign of life, and the store's birth.
    signs: [StoreKey; 2],
    /// When the store was born, by its own clock.
    born: AtomicI64,
    open: RwLock<Option<Open>>,
    made: AtomicU64,
    slow: AtomicU32,
    shut: Notify,
    /// Since when the store is there.
    up: watch::Sender<Option<Instant>>,
    /// When it was last lost.
    lost: Mutex<Option<Instant>>,
    metric: StoreUpGauge,
}

#[derive(Clone)]
struct Open {
    number: u64,
    connection: Connection,
}

impl Link {
    pub(super) fn new(settings: StoreSettings, replica: StoreKey, metric: StoreUpGauge) -> Self {
        metric.set(false);
        Self {
            address: ArcSwap::from_pointee(settings.address),
            timeout: settings.timeout,
            signs: [replica, names::birth()],
            born: AtomicI64::new(0),
            open: RwLock::default(),
            made: AtomicU64::new(0),
            slow: AtomicU32::new(0),
            shut: Notify::new(),
            up: watch::Sender::new(None),
            lost: Mutex::default(),
            metric,
        }
    }

    /// Whether calls are made.
    pub fn is_up(&self) -> bool {
        self.up.borrow().is_some()
    }

    /// Where the next connection goes. The one that stands stays: its login is good for as long as the store lets it be.
    pub fn connect_to(&self, address: Address) {
        self.address.store(Arc::new(address));
    }

    /// How long the store has been there without a break.
    pub fn up_for(&self) -> Option<Duration> {
        self.up.borrow().map(|since| since.elapsed())
    }

    /// It has been away for a moment only: most that go are back soon, started again or in another place.
    pub fn went_just_now(&self) -> bool {
        let lost = *self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        !self.is_up() && lost.is_some_and(|lost| lost.elapsed() < MOMENT)
    }

    /// Changes whenever the store goes or comes back.
    pub fn changes(&self) -> watch::Receiver<Option<Instant>> {
        self.up.subscribe()
    }

    pub(super) async fn call(
        &self,
        script: &Script,
        keys: &[&StoreKey],
        args: &[&[u8]],
    ) -> Result<Reply, Unavailable> {
        let Open { number, connection } = self.opened().ok_or(Unavailable)?;
        match timeout(self.timeout, connection.run(script, keys, args)).await {
            Ok(Ok(reply)) => {
                self.slow.store(0, Ordering::Relaxed);
                Ok(reply)
            }
            Ok(Err(fault)) => {
                self.close(number, &fault);
                Err(Unavailable)
            }
            Err(_) => {
                let slow = self.slow.fetch_add(1, Ordering::Relaxed).saturating_add(1);
                if slow >= SLOW_CALLS {
                    self.close(number, &StoreError::Slow);
                }
                Err(Unavailable)
            }
        }
    }

    fn opened(&self) -> Option<Open> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.clone()
    }

    /// The answer to a call was not of the script's making.
    pub(super) fn misunderstood(&self) -> Unavailable {
        self.close(self.made.load(Ordering::Relaxed), &StoreError::Garbled);
        Unavailable
    }

    /// Connects and probes for ever.
    pub(super) async fn keep(&self, scripts: &Scripts, naming: &Naming) {
        let mut pause = PAUSE;
        let mut told = false;
        loop {
            match self.connect(scripts, naming).await {
                Ok(connection) => {
                    let since = Instant::now();
                    self.live(connection, scripts, naming).await;
                    if since.elapsed() >= STEADY {
                        pause = PAUSE;
                    }
                }
                Err(fault) if !told => warn(&fault),
                Err(_) => {}
            }
            // Whatever comes next was told when it happened.
            told = true;
            sleep(jittered(pause)).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }

    async fn connect(&self, scripts: &Scripts, naming: &Naming) -> Result<Connection, StoreError> {
        let slow = |_| StoreError::Slow;
        let address = self.address.load_full();
        let connection = timeout(CONNECT, Connection::open(&address))
            .await
            .map_err(slow)??;
        let times = times();
        let args = times.each_ref().map(|time| time.as_bytes());
        let keys = self.signs.each_ref();
        let probe = connection.run(&scripts.beat, &keys, &args);
        match timeout(self.timeout, probe).await.map_err(slow)?? {
            Reply::Number(born) => {
                self.born.store(born, Ordering::Relaxed);
            }
            _ => return Err(StoreError::Garbled),
        }
        naming
            .agree(&connection, &scripts.names, self.timeout)
            .await?;
        Ok(connection)
    }

    /// While the store is there.
    async fn live(&self, connection: Connection, scripts: &Scripts, naming: &Naming) {
        let number = self.made.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let shut = self.shut.notified();
        tokio::pin!(shut);
        shut.as_mut().enable();
        self.slow.store(0, Ordering::Relaxed);
        self.opens(Open {
            number,
            connection: connection.clone(),
        });
        tracing::info!("the store is there: replicas share limits and sessions");
        let closed = async {
            connection.closed().await;
            let kind = std::io::ErrorKind::ConnectionReset;
            self.close(number, &StoreError::Unreachable(kind));
        };
        let beats = async {
            loop {
                sleep(BEAT).await;
                // As often as it takes for the breaker to make up its mind.
                while self.is_up() && self.beat(number, &scripts.beat).await.is_err() {}
                // What goes wrong here goes wrong with the next beat, or is made good by it.
                let agreed = naming.agree(&connection, &scripts.names, self.timeout);
                drop(agreed.await);
            }
        };
        tokio::select! {
            () = shut => {}
            () = closed => {}
            () = beats => {}
        }
    }

    async fn beat(&self, number: u64, beat: &Script) -> Result<(), Unavailable> {
        let times = times();
        let args = times.each_ref().map(|time| time.as_bytes());
        match self.call(beat, &self.signs.each_ref(), &args).await? {
            Reply::Number(born) if self.born.swap(born, Ordering::Relaxed) == born => {}
            // It was emptied while the connection stood: the same as if it had been away.
            Reply::Number(_) => {
                let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
                if open.as_ref().is_some_and(|open| open.number == number) {
                    self.up.send_replace(Some(Instant::now()));
                }
            }
            _ => return Err(self.misunderstood()),
        }
        Ok(())
    }

    /// Calls are made over this connection from now on.
    fn opens(&self, connection: Open) {
        // All under one lock, as in `close`: whoever looks at one of them must not believe what is over.
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        *open = Some(connection);
        self.metric.set(true);
        self.up.send_replace(Some(Instant::now()));
    }

    fn close(&self, number: u64, fault: &StoreError) {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        // News of a connection before this one is old.
        if open.as_ref().is_none_or(|open| open.number != number) {
            return;
        }
        *open = None;
        *self.lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.metric.set(false);
        self.up.send_replace(None);
        drop(open);
        warn(fault);
        self.shut.notify_waiters();
    }
}

/// The arguments of a beat.
fn times() -> [String; 2] {
    [LIFE, BIRTH].map(|time| time.as_millis().to_string())
}

fn warn(fault: &StoreError) {
    tracing::warn!(
        "the store is away: {fault}; limits and sessions are this replica's own until it is back"
    );
}

/// Half of it at least, so that replicas don't come all at once.
pub fn jittered(time: Duration) -> Duration {
    let mut byte = [0];
    // Without randomness there is no jitter, and no harm.
    let _ = aws_lc_rs::rand::fill(&mut byte);
    let [byte] = byte;
    time.mul_f64(0.5 + f64::from(byte) / 512.0)
}
