//! Connections to Qiniu: kept alive between calls, the most recently used first, and never more
//! open than the cap, idle ones included.
//!
//! Each lease holds a permit, and the cap is the number of permits. Idle connections hold none, so
//! a lease opens a connection only if none is idle, or in place of its own. A connection is
//! returned only by a call that read its response to the exact end; however else a call ends, its
//! connection is closed with the [`ConnectionLease`].

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::UpstreamSettings;
use crate::{
    descriptors,
    outbound::connection::{ClientTls, OutboundConnection},
    telemetry::throttle::LogThrottle,
};

/// Qiniu, and the connections to it.
pub struct Upstream {
    settings: UpstreamSettings,
    idle: Mutex<Vec<IdleConnection>>,
    permits: Arc<Semaphore>,
    no_descriptor_log: LogThrottle,
}

struct IdleConnection {
    connection: OutboundConnection,
    since: Instant,
}

/// A connection for one call. Its permit is released after the connection is closed or returned.
pub(super) struct ConnectionLease {
    pub(super) connection: OutboundConnection,
    /// Whether the connection served another call before, so it may turn out to be dead.
    pub(super) reused: bool,
    permit: OwnedSemaphorePermit,
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
        let permits = settings.max_connections.min(Semaphore::MAX_PERMITS);
        Self {
            settings,
            idle: Mutex::default(),
            permits: Arc::new(Semaphore::new(permits)),
            no_descriptor_log: LogThrottle::default(),
        }
    }

    /// Closes the connections that were idle for the idle timeout.
    pub fn sweep(&self) {
        let keep = self.settings.idle_timeout;
        self.idle().retain(|idle| idle.since.elapsed() < keep);
    }

    /// Leases an idle connection that is still good, or opens a new one.
    ///
    /// # Errors
    /// All connections stayed in use for the connect timeout, or Qiniu can't be reached.
    pub(super) async fn lease(&self) -> Result<ConnectionLease, LeaseError> {
        let permit = match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let acquire = Arc::clone(&self.permits).acquire_owned();
                match timeout(self.settings.connect_timeout, acquire).await {
                    Ok(Ok(permit)) => permit,
                    _ => return Err(LeaseError::PoolExhausted),
                }
            }
        };
        while let Some(mut idle) = self.pop() {
            if idle.since.elapsed() < self.settings.idle_timeout && idle.connection.is_quiet() {
                return Ok(ConnectionLease {
                    connection: idle.connection,
                    reused: true,
                    permit,
                });
            }
        }
        self.open(permit).await
    }

    /// Closes the connection of `lease` and opens a new one in its place, with the same permit. So
    /// the number of connections stays the same, whatever other calls wait for one.
    ///
    /// # Errors
    /// Qiniu can't be reached.
    pub(super) async fn reconnect(
        &self,
        lease: ConnectionLease,
    ) -> Result<ConnectionLease, LeaseError> {
        drop(lease.connection);
        self.open(lease.permit).await
    }

    /// Returns a connection whose last response was read to its end.
    pub(super) fn keep(&self, lease: ConnectionLease) {
        self.idle().push(IdleConnection {
            connection: lease.connection,
            since: Instant::now(),
        });
    }

    /// Number of idle connections.
    #[cfg(test)]
    pub(super) fn idle_connections(&self) -> usize {
        self.idle().len()
    }

    async fn open(&self, permit: OwnedSemaphorePermit) -> Result<ConnectionLease, LeaseError> {
        let settings = &self.settings;
        let tls = settings.tls.as_ref().map(ClientTls::current);
        let opening = settings
            .dialer
            .open(&settings.endpoint, tls, settings.connect_timeout);
        match opening.await {
            Ok(connection) => Ok(ConnectionLease {
                connection,
                reused: false,
                permit,
            }),
            Err(error) if descriptors::are_used_up(&error) => {
                if let Some(suppressed) = self.no_descriptor_log.next() {
                    tracing::warn!(%error, suppressed, "no file descriptor is free to call Qiniu");
                }
                Err(LeaseError::NoDescriptor)
            }
            Err(error) => Err(LeaseError::Unreachable(error)),
        }
    }

    fn pop(&self) -> Option<IdleConnection> {
        self.idle().pop()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<IdleConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
