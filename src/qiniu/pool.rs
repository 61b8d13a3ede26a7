//! Connections to Qiniu: a cap on how many, kept alive between calls, the last used first.
//!
//! A connection is handed back only by a call that read its answer to the exact end; every other way a call ends, it is
//! dropped with the [`ConnectionLease`].

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::UpstreamSettings;
use crate::outbound::connection::{ClientTls, OutboundConnection};

/// Qiniu, as the gateway reaches it.
pub struct Upstream {
    settings: UpstreamSettings,
    idle: Mutex<Vec<IdleConnection>>,
    places: Arc<Semaphore>,
}

struct IdleConnection {
    connection: OutboundConnection,
    since: Instant,
}

/// A connection for one call.
pub(super) struct ConnectionLease {
    pub(super) connection: OutboundConnection,
    /// It served another call before, so it may turn out to be dead.
    pub(super) reused: bool,
    _place: OwnedSemaphorePermit,
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum LeaseError {
    /// All are taken.
    PoolExhausted,
    /// Qiniu can't be reached.
    Unreachable(io::Error),
}

impl Upstream {
    /// Opens nothing yet.
    pub fn new(settings: UpstreamSettings) -> Self {
        let places = settings.max_connections.min(Semaphore::MAX_PERMITS);
        Self {
            settings,
            idle: Mutex::default(),
            places: Arc::new(Semaphore::new(places)),
        }
    }

    /// Closes connections that were not used for the idle time-out.
    pub fn sweep(&self) {
        let keep = self.settings.idle_timeout;
        self.idle().retain(|idle| idle.since.elapsed() < keep);
    }

    /// A connection: a kept one that is still good, unless `fresh` is asked for, or a new one.
    pub(super) async fn lease(&self, fresh: bool) -> Result<ConnectionLease, LeaseError> {
        let limit = self.settings.connect_timeout;
        let place = match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => place,
            Err(_) => match timeout(limit, Arc::clone(&self.places).acquire_owned()).await {
                Ok(Ok(place)) => place,
                _ => return Err(LeaseError::PoolExhausted),
            },
        };
        if !fresh {
            while let Some(mut idle) = self.pop() {
                if idle.since.elapsed() < self.settings.idle_timeout && idle.connection.is_quiet() {
                    return Ok(ConnectionLease {
                        connection: idle.connection,
                        reused: true,
                        _place: place,
                    });
                }
            }
        }
        // Boxed: it is rare, and would make every call as large as a TLS handshake.
        let tls = self.settings.tls.as_ref().map(ClientTls::current);
        let opening = OutboundConnection::open(&self.settings.endpoint, tls);
        match timeout(limit, Box::pin(opening)).await {
            Ok(Ok(connection)) => Ok(ConnectionLease {
                connection,
                reused: false,
                _place: place,
            }),
            Ok(Err(error)) => Err(LeaseError::Unreachable(error)),
            Err(_) => Err(LeaseError::Unreachable(io::ErrorKind::TimedOut.into())),
        }
    }

    /// Takes a connection back whose last answer was read to its end.
    pub(super) fn keep(&self, lease: ConnectionLease) {
        self.idle().push(IdleConnection {
            connection: lease.connection,
            since: Instant::now(),
        });
    }

    fn pop(&self) -> Option<IdleConnection> {
        self.idle().pop()
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<IdleConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
