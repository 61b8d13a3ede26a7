//! What one connection does at a moment: which bytes it waits for, whether a request is in flight,
//! and when a time limit passes.
//!
//! [`ConnectionStream`](super::stream::ConnectionStream) reports bytes, a [`RequestGuard`] exists
//! as long as its request, and [`ConnectionActivity::next`] says when a limit passes. The
//! [table](super::table) evicts a connection through it, but never one with a request in flight.
//! Relies on tokio's clock. Never closes the connection itself.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
    time::Duration,
};

use tokio::time::Instant;

pub(super) use self::request::RequestGuard;
use super::head_budget::HeadBudget;

mod eviction;
mod request;

/// How long an HTTP/1.1 connection is idle before it is parked. Less than what a busy peer lets
/// pass between two requests would make each request pay for it.
const PARK_AFTER: Duration = Duration::from_secs(1);

/// How long a connection stays open at a stop after its last use or its accept: its next request
/// may be on its way (RFC 9112 section 9.5).
pub(super) const NEXT_REQUEST_GRACE: Duration = Duration::from_secs(2);

/// Time limits of a connection, from `[server]`.
#[derive(Clone, Copy)]
pub(super) struct ConnectionTimeouts {
    /// For a head, from its first byte. The first head of a connection counts from the accept.
    pub(super) head: Duration,
    /// Between requests, and for a response that the peer does not read. While no request of the
    /// connection was authenticated, `head` applies if it is shorter.
    pub(super) idle: Duration,
    /// How long a stranger's connection must have been idle to be evicted: a request may be on its
    /// way.
    pub(super) grace: Duration,
}

/// Protocol of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum HttpVersion {
    /// The first byte outside a request starts a head.
    Http1,
    /// Bytes outside a request may also be settings or pings.
    Http2,
}

/// What the bytes of a read belong to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadPhase {
    /// A request in flight.
    Request,
    /// A head that starts with these bytes.
    HeadStart,
    /// A head that started earlier.
    Head,
}

/// Result of a check of the time limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeoutDecision {
    /// A request is in flight, and its own timeouts apply.
    Busy,
    /// No limit passes before this time.
    WaitUntil(Instant),
    /// A head started and did not arrive in time, or was evicted.
    HeadTimeout,
    /// The connection has been idle for a while. This comes once after each request.
    Park,
    /// The connection was idle for too long or is evicted, or the gateway stops and no request is
    /// in flight or to be expected.
    Close,
}

/// The activity of one connection, shared by its stream, its requests, its watchdog and the table.
pub(super) struct ConnectionActivity {
    accepted: Instant,
    /// Known once the connection is open: not during a TLS handshake.
    version: OnceLock<HttpVersion>,
    /// Set by the relay when it has authenticated a request of this connection.
    authenticated: Arc<AtomicBool>,
    heads: Arc<HeadBudget>,
    state: Mutex<ActivityState>,
}

struct ActivityState {
    timeouts: ConnectionTimeouts,
    /// Time of the last write, or of the end of the last request.
    idle_since: Instant,
    /// Time of the first byte outside a request.
    head_started: Option<Instant>,
    /// Begin of an HTTP/2 head that has not ended, also while requests are in flight.
    http2_head_started: Option<Instant>,
    /// Bytes received of a head that is not complete.
    head_bytes: usize,
    /// Those of them that are counted against the budget for heads.
    head_counted: usize,
    any_byte: bool,
    any_request: bool,
    in_flight: usize,
    /// From a request's head until its response is flushed: all writes belong to it.
    responding: bool,
    write_blocked: bool,
    /// Nothing was read since [`TimeoutDecision::Park`].
    parked: bool,
    /// The connection must close, unless a request begins before it notices.
    evicted: bool,
    /// Wakes the task of the connection.
    waker: Waker,
}

impl ConnectionActivity {
    pub(super) fn new(
        timeouts: ConnectionTimeouts,
        accepted: Instant,
        heads: Arc<HeadBudget>,
    ) -> Self {
        let state = ActivityState {
            timeouts,
            idle_since: accepted,
            head_started: None,
            http2_head_started: None,
            head_bytes: 0,
            head_counted: 0,
            any_byte: false,
            any_request: false,
            in_flight: 0,
            responding: false,
            write_blocked: false,
            parked: false,
            evicted: false,
            waker: Waker::noop().clone(),
        };
        Self {
            accepted,
            version: OnceLock::new(),
            authenticated: Arc::default(),
            heads,
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, ActivityState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time of the accept.
    pub(super) fn accepted(&self) -> Instant {
        self.accepted
    }

    /// The longest time between two requests.
    pub(super) fn longest_idle(&self) -> Duration {
        self.state().timeouts.idle
    }

    /// Changes the time limits, also those that run already.
    pub(super) fn change_timeouts(&self, timeouts: ConnectionTimeouts) {
        let mut state = self.state();
        state.timeouts = timeouts;
        let waker = state.waker.clone();
        drop(state);
        waker.wake();
    }

    /// The flag that the relay sets when it has authenticated a request of this connection.
    pub(super) fn authenticated(&self) -> &Arc<AtomicBool> {
        &self.authenticated
    }

    fn is_authenticated(&self) -> bool {
        self.authenticated.load(Ordering::Relaxed)
    }

    /// Reports the protocol, once it is known.
    pub(super) fn opened(&self, version: HttpVersion) {
        // It is known once only.
        let _ = self.version.set(version);
    }

    fn is(&self, version: HttpVersion) -> bool {
        self.version.get() == Some(&version)
    }

    /// Reports bytes from the peer.
    pub(super) fn read(&self) -> ReadPhase {
        let mut state = self.state();
        (state.any_byte, state.parked) = (true, false);
        if state.in_flight > 0 {
            return ReadPhase::Request;
        }
        if state.head_started.is_some() {
            return ReadPhase::Head;
        }
        state.head_started = Some(if state.any_request {
            Instant::now()
        } else {
            self.accepted
        });
        ReadPhase::HeadStart
    }

    /// Reports how many bytes of an unfinished HTTP/1.1 head have been read so far, including one
    /// that was sent behind the request in flight.
    pub(super) fn unfinished_head(&self, bytes: usize) {
        self.state().head_bytes = match bytes {
            0 => 0,
            // hyper's buffer grows by doubling, and may be twice the next power of two.
            _ => bytes.next_power_of_two().saturating_mul(2),
        };
    }

    /// Reports what an unfinished HTTP/2 head takes, in bytes; `None` when it has ended. Until
    /// then, no other frame can arrive.
    pub(super) fn http2_head(&self, bytes: Option<usize>) {
        let mut state = self.state();
        state.head_bytes = bytes.unwrap_or(0);
        let started = state.http2_head_started;
        state.http2_head_started = bytes.map(|_| started.unwrap_or_else(Instant::now));
        let counted = match bytes {
            Some(_) => 0,
            None => std::mem::take(&mut state.head_counted),
        };
        drop(state);
        self.heads.release(counted);
    }

    /// Reports a write at this time, or (`None`) one that blocks because the peer does not read.
    pub(super) fn wrote(&self, at: Option<Instant>) {
        let mut state = self.state();
        state.write_blocked = at.is_none();
        // hyper writes HTTP/2 pings by itself; they must not keep a connection open.
        if let Some(at) = at.filter(|_| self.is(HttpVersion::Http1)) {
            state.idle_since = at;
        }
    }

    /// Reports that hyper's write buffer is empty.
    pub(super) fn flushed(&self) {
        let mut state = self.state();
        state.responding = state.in_flight > 0;
        state.write_blocked = false;
    }

    /// Whether a write now belongs to a request.
    pub(super) fn responding(&self) -> bool {
        self.state().responding
    }

    /// Checks the time limits. Without `now`, none counts as passed. While the gateway is
    /// `stopping`, only started heads, blocked writes and requests that may be on their way are
    /// waited for. Counts an unfinished head
    /// against the budget, so one that arrives whole is never counted.
    pub(super) fn next(&self, now: Option<Instant>, stopping: bool) -> TimeoutDecision {
        use TimeoutDecision::{Busy, Close, HeadTimeout, Park, WaitUntil};
        let mut state = self.state();
        let http2_head = state.http2_head_started;
        if state.in_flight > 0 && http2_head.is_none() {
            return Busy;
        }
        let (timeouts, idle) = (state.timeouts, self.idle_timeout(state.timeouts));
        let http1 = self.is(HttpVersion::Http1);
        let head = http2_head.or(state.head_started.filter(|_| http1));
        if state.evicted {
            return head.map_or(Close, |_| HeadTimeout);
        }
        let (deadline, decision) = match head {
            Some(started) if !http1 => (started + timeouts.head, HeadTimeout),
            _ if state.write_blocked => (state.idle_since + timeouts.idle, Close),
            Some(started) => (started + timeouts.head, HeadTimeout),
            _ if stopping => (state.idle_since + NEXT_REQUEST_GRACE, Close),
            _ if !state.any_byte => (self.accepted + timeouts.head, Close),
            _ if http1 && !state.parked && idle > PARK_AFTER => {
                (state.idle_since + PARK_AFTER, Park)
            }
            _ => (state.idle_since + idle, Close),
        };
        if now.is_some_and(|now| now >= deadline) {
            state.parked |= decision == Park;
            return decision;
        }
        if let Some(more @ 1..) = state.head_bytes.checked_sub(state.head_counted) {
            state.head_counted = state.head_bytes;
            self.heads.count(more);
        }
        WaitUntil(deadline)
    }

    fn idle_timeout(&self, timeouts: ConnectionTimeouts) -> Duration {
        if self.is_authenticated() {
            timeouts.idle
        } else {
            timeouts.idle.min(timeouts.head)
        }
    }
}

impl Drop for ConnectionActivity {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.heads.release(state.head_counted);
    }
}

#[cfg(test)]
mod tests;
