//! What one connection is doing: requests in flight, bytes that came, since when nothing happens.
//!
//! The wire reports bytes, a [`RequestGuard`] lives as long as its request, and the connection asks [`ConnectionActivity::next`] when to
//! look again. Relies on tokio's clock. Never acts on the connection itself.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use crate::telemetry::metrics::{GaugeGuard, Metrics};

/// Times of `[server]` that a connection is held to.
#[derive(Clone, Copy)]
pub(super) struct ConnectionTimeouts {
    /// For a head, from its first byte (the first head of a connection: from its accept).
    pub(super) head: Duration,
    /// Between requests, and for an answer that the peer does not read.
    pub(super) idle: Duration,
}

/// How a connection's protocol shows that a head has begun.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum HttpVersion {
    /// Any byte outside a request begins a head.
    Http1,
    /// Bytes come outside of requests too (settings, pings).
    Http2,
}

/// What bytes from the peer belong to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadPhase {
    /// A request under way.
    Request,
    /// A head that begins with them.
    HeadStart,
    /// A head that has begun.
    Head,
}

/// What to do about the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeoutDecision {
    /// A request is in flight: its own time-outs apply.
    Busy,
    /// Nothing before then.
    WaitUntil(Instant),
    /// A head was begun and did not arrive in time.
    HeadTimeout,
    /// Nothing came for too long, or the gateway stops and nothing is under way.
    Close,
}

pub(super) struct ConnectionActivity {
    protocol: HttpVersion,
    timeouts: ConnectionTimeouts,
    state: Mutex<ActivityState>,
}

struct ActivityState {
    accepted: Instant,
    /// The last byte written, or the end of the last request.
    quiet_since: Instant,
    /// When the first byte outside a request came.
    begun: Option<Instant>,
    any_byte: bool,
    any_request: bool,
    in_flight: usize,
    /// From a request's head until its answer is flushed: what is written belongs to it.
    answering: bool,
    write_blocked: bool,
}

impl ConnectionActivity {
    pub(super) fn new(
        protocol: HttpVersion,
        timeouts: ConnectionTimeouts,
        accepted: Instant,
    ) -> Arc<Self> {
        let state = ActivityState {
            accepted,
            quiet_since: accepted,
            begun: None,
            any_byte: false,
            any_request: false,
            in_flight: 0,
            answering: false,
            write_blocked: false,
        };
        Arc::new(Self {
            protocol,
            timeouts,
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> MutexGuard<'_, ActivityState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes came from the peer.
    pub(super) fn read(&self) -> ReadPhase {
        let mut state = self.state();
        state.any_byte = true;
        if state.in_flight > 0 {
            return ReadPhase::Request;
        }
        if state.begun.is_some() {
            return ReadPhase::Head;
        }
        state.begun = Some(if state.any_request {
            Instant::now()
        } else {
            state.accepted
        });
        ReadPhase::HeadStart
    }

    /// Bytes went to the peer at this time, or (`None`) could not because it does not read.
    pub(super) fn wrote(&self, at: Option<Instant>) {
        let mut state = self.state();
        state.write_blocked = at.is_none();
        // HTTP/2 writes pings of its own, which must not keep a connection open.
        if let Some(at) = at.filter(|_| self.protocol == HttpVersion::Http1) {
            state.quiet_since = at;
        }
    }

    /// Everything written so far has left hyper's buffer.
    pub(super) fn flushed(&self) {
        let mut state = self.state();
        state.answering = state.in_flight > 0;
        state.write_blocked = false;
    }

    /// Whether what is written now belongs to a request.
    pub(super) fn answering(&self) -> bool {
        self.state().answering
    }

    /// What to do now; without a time, no deadline counts as passed. `stopping`: the gateway stops, so nothing is waited for
    /// that has not begun.
    pub(super) fn next(&self, now: Option<Instant>, stopping: bool) -> TimeoutDecision {
        let state = self.state();
        let http1 = self.protocol == HttpVersion::Http1;
        let (deadline, verdict) = match state.begun {
            _ if state.in_flight > 0 => return TimeoutDecision::Busy,
            _ if state.write_blocked => (
                state.quiet_since + self.timeouts.idle,
                TimeoutDecision::Close,
            ),
            Some(begun) if http1 => (begun + self.timeouts.head, TimeoutDecision::HeadTimeout),
            _ if stopping => return TimeoutDecision::Close,
            _ if !state.any_byte => (state.accepted + self.timeouts.head, TimeoutDecision::Close),
            _ => (
                state.quiet_since + self.timeouts.idle,
                TimeoutDecision::Close,
            ),
        };
        if now.is_some_and(|now| now >= deadline) {
            verdict
        } else {
            TimeoutDecision::WaitUntil(deadline)
        }
    }
}

/// One request under way, from its head to the last byte of its answer handed to the connection.
pub(super) struct RequestGuard {
    /// `None` once the connection's quiet time runs again.
    activity: Option<Arc<ConnectionActivity>>,
    _counted: GaugeGuard,
}

impl RequestGuard {
    pub(super) fn begin(activity: &Arc<ConnectionActivity>, metrics: &Metrics) -> Self {
        let mut state = activity.state();
        state.in_flight = state.in_flight.saturating_add(1);
        state.any_request = true;
        state.answering = true;
        state.begun = None;
        drop(state);
        Self {
            activity: Some(Arc::clone(activity)),
            _counted: GaugeGuard::new(&metrics.requests_in_flight),
        }
    }

    /// The answer is there. Over HTTP/2 it waits in here for as long as the peer opens no window for it, so from now on
    /// the connection's quiet time runs; over HTTP/1.1 it is taken at once.
    pub(super) fn answered(&mut self) {
        if self
            .activity
            .as_ref()
            .is_some_and(|activity| activity.protocol == HttpVersion::Http2)
        {
            self.land();
        }
    }

    fn land(&mut self) {
        let Some(activity) = self.activity.take() else {
            return;
        };
        let mut state = activity.state();
        state.in_flight = state.in_flight.saturating_sub(1);
        state.begun = None;
        state.quiet_since = Instant::now();
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.land();
    }
}

/// An answer's body, which ends its request when it is dropped.
pub(super) struct TrackedResponseBody {
    pub(super) body: Full<Bytes>,
    pub(super) _guard: RequestGuard,
}

impl Body for TrackedResponseBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
