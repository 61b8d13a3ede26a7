//! Connects to one of several addresses, as RFC 8305 section 5 says: the next attempt starts when
//! the last one has failed, or has had its time; the first that connects wins; the others are
//! dropped.
//!
//! Remembers for a minute which addresses failed or were overtaken, so that one that is dead does
//! not delay every connection. Never tries more addresses than a bound, and has no timeout of its
//! own.

use std::{
    collections::VecDeque,
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::Duration,
};

use tokio::{
    net::TcpStream,
    time::{Instant, sleep},
};

/// The time that an attempt has before the next one starts beside it.
pub(super) const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// Maximum number of addresses that are tried for one connection.
const MAX_ATTEMPTS: usize = 6;
/// How long a failure counts against its address.
const FAILURE_LIFETIME: Duration = Duration::from_secs(60);
/// Maximum number of addresses whose failures are remembered.
const MAX_FAILED: usize = 64;

/// The addresses that failed lately. They are tried after all others, so that an address that is
/// dead is never the reason why none is tried.
#[derive(Clone, Default)]
pub(super) struct FailedAddresses(Arc<Mutex<Vec<(SocketAddr, Instant)>>>);

/// An address that is being tried. Dropped without an outcome, it counts as failed if it has had
/// its time: it hangs, or was overtaken.
pub(super) struct AddressTrial<'a> {
    address: SocketAddr,
    since: Instant,
    delay: Duration,
    failed: &'a FailedAddresses,
    has_outcome: bool,
}

struct ConnectAttempt<'a> {
    connecting: Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>,
    trial: AddressTrial<'a>,
}

/// Connects to one of `waiting`, and removes those that were tried. `delay` is the time that an
/// attempt has alone.
///
/// # Errors
/// No address is left: the last error.
pub(super) async fn race<'a>(
    waiting: &mut VecDeque<SocketAddr>,
    failed: &'a FailedAddresses,
    delay: Duration,
) -> io::Result<(TcpStream, AddressTrial<'a>)> {
    let mut running: Vec<ConnectAttempt<'a>> = Vec::new();
    let mut error = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        if let Some(address) = waiting.pop_front() {
            running.push(ConnectAttempt {
                connecting: Box::pin(TcpStream::connect(address)),
                trial: failed.trial(address, delay),
            });
        }
        if running.is_empty() {
            return Err(error);
        }
        tokio::select! {
            (outcome, trial) = first_done(&mut running) => match outcome {
                Ok(stream) => return Ok((stream, trial)),
                Err(cause) => {
                    trial.failed();
                    error = cause;
                }
            },
            () = sleep(delay), if !waiting.is_empty() => {}
        }
    }
}

/// The outcome of the first attempt that has one.
async fn first_done<'a>(
    running: &mut Vec<ConnectAttempt<'a>>,
) -> (io::Result<TcpStream>, AddressTrial<'a>) {
    poll_fn(|cx| {
        let done = running.iter_mut().enumerate().find_map(|(at, attempt)| {
            match attempt.connecting.as_mut().poll(cx) {
                Poll::Ready(outcome) => Some((at, outcome)),
                Poll::Pending => None,
            }
        });
        match done {
            Some((at, outcome)) => Poll::Ready((outcome, running.swap_remove(at).trial)),
            None => Poll::Pending,
        }
    })
    .await
}

impl FailedAddresses {
    /// The addresses to try, in order: first those that did not fail lately.
    pub(super) fn order(&self, addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
        self.order_at(addresses, Instant::now())
    }

    /// The same as it is at another time.
    pub(super) fn order_at(
        &self,
        addresses: Vec<SocketAddr>,
        now: Instant,
    ) -> VecDeque<SocketAddr> {
        let failed = self.lock();
        let (last, first): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|address| {
            let mut failures = failed.iter();
            failures.any(|(other, at)| {
                other == address && now.saturating_duration_since(*at) < FAILURE_LIFETIME
            })
        });
        first.into_iter().chain(last).take(MAX_ATTEMPTS).collect()
    }

    pub(super) fn trial(&self, address: SocketAddr, delay: Duration) -> AddressTrial<'_> {
        AddressTrial {
            address,
            since: Instant::now(),
            delay,
            failed: self,
            has_outcome: false,
        }
    }

    /// How many failures are remembered.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    fn note(&self, address: SocketAddr) {
        let mut failed = self.lock();
        failed.retain(|(other, at)| *other != address && at.elapsed() < FAILURE_LIFETIME);
        if failed.len() >= MAX_FAILED {
            failed.remove(0);
        }
        failed.push((address, Instant::now()));
    }

    fn forget(&self, address: SocketAddr) {
        self.lock().retain(|(other, _)| *other != address);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(SocketAddr, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AddressTrial<'_> {
    /// The address can be used.
    pub(super) fn succeeded(mut self) {
        self.has_outcome = true;
        self.failed.forget(self.address);
    }

    /// The address can't be used.
    pub(super) fn failed(mut self) {
        self.has_outcome = true;
        self.failed.note(self.address);
    }
}

impl Drop for AddressTrial<'_> {
    fn drop(&mut self) {
        if !self.has_outcome && self.since.elapsed() >= self.delay {
            self.failed.note(self.address);
        }
    }
}
