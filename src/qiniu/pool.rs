//! Connections to Qiniu: kept alive between calls, the most recently used first, and never more
//! open than the cap, idle ones included.
//!
//! Each lease holds a place, and the cap is the number of places. Idle connections hold none, so
//! a lease that opens one first closes the oldest idle one, if leases and idle connections together
//! exceed the cap. A connection is returned only by a call that read its response to the exact end;
//! however else a call ends, its connection is closed with the [`ConnectionLease`].
//!
//! A server closes connections that have been idle for its own timeout. A request that can't be
//! sent twice is lost if it meets that moment, so it gets a fresh connection: see
//! [`Upstream::lease_fresh`].

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use arc_swap::{ArcSwap, Guard};
use tokio::{sync::oneshot, time::timeout};

use super::UpstreamSettings;
use crate::{
    descriptors,
    outbound::connection::{ClientTls, OutboundConnection},
    places::{Place, Places},
    telemetry::{peer_clock::PeerClock, repeated::RepeatedLine},
};

/// A connection is fresh for so long after it was opened or last used. Shorter than any server's
/// timeout of a second or more by a margin for the way there and back.
const FRESH: Duration = Duration::from_millis(750);

/// Qiniu, and the connections to it.
pub struct Upstream {
    settings: ArcSwap<UpstreamSettings>,
    connections: Mutex<Connections>,
    places: Arc<Places>,
    no_descriptor_log: RepeatedLine,
    pub(super) clock: Option<PeerClock>,
}

/// The connections that no call has.
#[derive(Default)]
struct Connections {
    /// The most recently used last.
    idle: Vec<IdleConnection>,
    /// Connections that are being opened for calls to come.
    opening: usize,
    /// Calls to come that will each need a fresh connection soon.
    expected: usize,
}

struct IdleConnection {
    connection: OutboundConnection,
    since: Instant,
}

impl IdleConnection {
    fn is_younger_than(&self, age: Duration) -> bool {
        self.since.elapsed() < age
    }
}

/// A connection for one call. Its place is free again after the connection is closed or returned.
pub(super) struct ConnectionLease {
    pub(super) connection: OutboundConnection,
    /// Whether the connection served another call before, so it may turn out to be dead.
    pub(super) reused: bool,
    /// When the connection was opened or last used.
    since: Instant,
    place: Place,
}

/// Why no connection could be leased.
#[derive(Debug, thiserror::Error)]
pub(super) enum LeaseError {
    /// All connections are in use.
    #[error("all connections are in use")]
    PoolExhausted,
    /// Qiniu can't be reached.
    #[error("the upstream can't be reached")]
    Unreachable(#[source] io::Error),
    /// The process or the system has no file descriptor left for a connection.
    #[error("no file descriptor is free")]
    NoDescriptor,
}

impl Upstream {
    /// Creates the pool without opening a connection.
    pub fn new(settings: UpstreamSettings) -> Self {
        Self {
            places: Places::new(settings.max_connections),
            settings: ArcSwap::from_pointee(settings),
            connections: Mutex::default(),
            no_descriptor_log: RepeatedLine::default(),
            clock: None,
        }
    }

    /// Uses other settings for what begins from now on. The endpoint must be the same. Connections
    /// that are kept stay, as far as there may be so many.
    pub fn change(&self, settings: UpstreamSettings) {
        self.places.resize(settings.max_connections);
        self.settings.store(Arc::new(settings));
        while self.make_room() {}
    }

    /// The settings of this moment.
    fn settings(&self) -> Guard<Arc<UpstreamSettings>> {
        self.settings.load()
    }

    /// Closes the connections that were idle for the idle timeout.
    pub fn sweep(&self) {
        let keep = self.settings().idle_timeout;
        self.lock().idle.retain(|idle| idle.is_younger_than(keep));
        while self.make_room() {}
    }

    /// Leases an idle connection that is still good, or opens a new one.
    ///
    /// # Errors
    /// All connections stayed in use for the connect timeout, or Qiniu can't be reached.
    pub(super) async fn lease(&self) -> Result<ConnectionLease, LeaseError> {
        let (idle_timeout, connect_timeout) = {
            let settings = self.settings();
            (settings.idle_timeout, settings.connect_timeout)
        };
        self.lease_younger_than(idle_timeout, connect_timeout).await
    }

    /// Leases a connection that was opened or last used a moment ago, so that Qiniu does not close
    /// it as idle now. Opens one if there is none. If one is being opened already, `opening` is
    /// closed when it is there or has failed.
    ///
    /// # Errors
    /// All connections stayed in use for the connect timeout, or Qiniu can't be reached.
    pub(super) async fn lease_fresh(
        &self,
        opening: Option<oneshot::Receiver<()>>,
    ) -> Result<ConnectionLease, LeaseError> {
        let begun = Instant::now();
        let (fresh, limit) = (self.freshness(), self.settings().connect_timeout);
        let none_fresh = self.lock().younger_than(fresh) == 0;
        if let Some(opening) = opening.filter(|_| none_fresh) {
            // Holds no permit meanwhile: the connection that is being opened has one.
            let _ = Box::pin(timeout(limit, opening)).await;
        }
        let limit = limit.saturating_sub(begun.elapsed());
        self.lease_younger_than(fresh, limit).await
    }

    /// Notes that a call will need a fresh connection soon. Opens one if there are not enough for
    /// all such calls, and adds it to the pool, where anybody may take it. A failure is left to the
    /// call, which tries again.
    ///
    /// Returns what is closed when that connection is there, or has failed; `None` if none is
    /// opened.
    pub(super) fn expect_call(self: &Arc<Self>) -> Option<oneshot::Receiver<()>> {
        let place = {
            let mut connections = self.lock();
            connections.expected += 1;
            // No more than could be in use at once: else one would close the other.
            let free = self.places.free() + connections.opening;
            let soon = connections.younger_than(self.freshness()) + connections.opening;
            if soon >= connections.expected.min(free) {
                return None;
            }
            let place = self.places.try_take()?;
            connections.opening += 1;
            place
        };
        self.make_room();
        let (opened, opening) = oneshot::channel();
        let upstream = Arc::clone(self);
        tokio::spawn(async move {
            let lease = upstream.open(place).await;
            let mut connections = upstream.lock();
            connections.opening = connections.opening.saturating_sub(1);
            drop(connections);
            if let Ok(lease) = lease {
                upstream.return_unused(lease);
            }
            drop(opened);
        });
        Some(opening)
    }

    /// An expected call has its connection, or will not be made.
    pub(super) fn forget_call(&self) {
        let mut connections = self.lock();
        connections.expected = connections.expected.saturating_sub(1);
    }

    /// Closes the connection of `lease` and opens a new one in its place, in the same place. So
    /// the number of connections stays the same, whatever other calls wait for one.
    ///
    /// # Errors
    /// Qiniu can't be reached.
    pub(super) async fn reconnect(
        &self,
        lease: ConnectionLease,
    ) -> Result<ConnectionLease, LeaseError> {
        drop(lease.connection);
        self.open(lease.place).await
    }

    /// Returns a connection whose last response was read to its end just now.
    pub(super) fn keep(&self, lease: ConnectionLease) {
        let since = Instant::now();
        self.return_unused(ConnectionLease { since, ..lease });
    }

    /// Returns a connection over which nothing was sent. It gets no fresher by that.
    pub(super) fn return_unused(&self, lease: ConnectionLease) {
        let ConnectionLease {
            connection, since, ..
        } = lease;
        let mut connections = self.lock();
        let older = |idle: &IdleConnection| idle.since <= since;
        let at = connections.idle.partition_point(older);
        connections
            .idle
            .insert(at, IdleConnection { connection, since });
    }

    /// Number of idle connections.
    #[cfg(test)]
    pub(super) fn idle_connections(&self) -> usize {
        self.lock().idle.len()
    }

    /// How long a connection is fresh: not longer than it is kept.
    fn freshness(&self) -> Duration {
        FRESH.min(self.settings().idle_timeout)
    }

    /// Leases an idle connection of less than this age, or opens one within `limit`.
    async fn lease_younger_than(
        &self,
        age: Duration,
        limit: Duration,
    ) -> Result<ConnectionLease, LeaseError> {
        let place = self.place().await?;
        if let Some(IdleConnection { connection, since }) = self.pop(age) {
            return Ok(ConnectionLease {
                connection,
                reused: true,
                since,
                place,
            });
        }
        self.make_room();
        self.open_within(place, limit).await
    }

    async fn place(&self) -> Result<Place, LeaseError> {
        if let Some(place) = self.places.try_take() {
            return Ok(place);
        }
        let limit = self.settings().connect_timeout;
        match timeout(limit, self.places.take()).await {
            Ok(Some(place)) => Ok(place),
            _ => Err(LeaseError::PoolExhausted),
        }
    }

    async fn open(&self, place: Place) -> Result<ConnectionLease, LeaseError> {
        let limit = self.settings().connect_timeout;
        self.open_within(place, limit).await
    }

    async fn open_within(
        &self,
        place: Place,
        limit: Duration,
    ) -> Result<ConnectionLease, LeaseError> {
        let settings = self.settings.load_full();
        let tls = settings.tls.as_ref().map(ClientTls::current);
        let opening = settings.dialer.open(&settings.endpoint, tls, limit);
        match opening.await {
            Ok(connection) => Ok(ConnectionLease {
                connection,
                reused: false,
                since: Instant::now(),
                place,
            }),
            Err(error) if descriptors::are_used_up(&error) => {
                self.no_descriptor_log.log(|left_out| {
                    tracing::warn!(
                        %error, left_out,
                        "no file descriptor is free to call Qiniu; raise the limit of open files \
                         (`ulimit -n`, LimitNOFILE=), or lower server.max_connections"
                    );
                });
                Err(LeaseError::NoDescriptor)
            }
            Err(error) => Err(LeaseError::Unreachable(error)),
        }
    }

    /// Takes the most recently used connection, if it is younger than `age` and still good. Closes
    /// those that are not good.
    fn pop(&self, age: Duration) -> Option<IdleConnection> {
        loop {
            let mut idle = {
                let mut connections = self.lock();
                if !connections.idle.last()?.is_younger_than(age) {
                    return None;
                }
                connections.idle.pop()?
            };
            if idle.connection.is_quiet() {
                return Some(idle);
            }
        }
    }

    /// Closes the oldest idle connection if idle ones and places in use together exceed the cap.
    /// Returns whether it closed one.
    fn make_room(&self) -> bool {
        let max = self.settings().max_connections;
        let oldest = {
            let mut connections = self.lock();
            let full = self.places.taken() + connections.idle.len() > max;
            (full && !connections.idle.is_empty()).then(|| connections.idle.remove(0))
        };
        // Closed outside of the lock.
        oldest.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        let connections = self.connections.lock();
        connections.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connections {
    /// Number of idle connections younger than `age`.
    fn younger_than(&self, age: Duration) -> usize {
        let newest_first = self.idle.iter().rev();
        newest_first
            .take_while(|idle| idle.is_younger_than(age))
            .count()
    }
}

#[cfg(test)]
mod tests;
