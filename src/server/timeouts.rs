//! The time limits of one connection: its activity, and the watchdog that polls hyper's connection
//! until a limit has passed.
//!
//! [`ConnectionStream`](super::stream::ConnectionStream) reports bytes, a [`RequestGuard`] exists
//! as long as its request, and [`ConnectionActivity::next`] says when a limit passes. Relies on
//! tokio's clock. hyper's own header timeout is not used, since it closes without a response. Never
//! closes the connection itself.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{
    sync::watch,
    task::unconstrained,
    time::{Instant, Sleep, sleep},
};

use crate::{
    lifecycle::Readiness,
    telemetry::metrics::{GaugeGuard, Metrics},
};

/// Time limits of a connection, from `[server]`.
#[derive(Clone, Copy)]
pub(super) struct ConnectionTimeouts {
    /// For a head, from its first byte. The first head of a connection counts from the accept.
    pub(super) head: Duration,
    /// Between requests, and for a response that the peer does not read.
    pub(super) idle: Duration,
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
    /// A head started and did not arrive in time.
    HeadTimeout,
    /// The connection was idle for too long, or the gateway stops and no request is in flight.
    Close,
}

/// The activity of one connection, shared by its stream, its requests and its watchdog.
pub(super) struct ConnectionActivity {
    version: HttpVersion,
    timeouts: ConnectionTimeouts,
    state: Mutex<ActivityState>,
}

struct ActivityState {
    accepted: Instant,
    /// Time of the last write, or of the end of the last request.
    idle_since: Instant,
    /// Time of the first byte outside a request.
    head_started: Option<Instant>,
    any_byte: bool,
    any_request: bool,
    in_flight: usize,
    /// From a request's head until its response is flushed: all writes belong to it.
    responding: bool,
    write_blocked: bool,
}

impl ConnectionActivity {
    pub(super) fn new(
        version: HttpVersion,
        timeouts: ConnectionTimeouts,
        accepted: Instant,
    ) -> Arc<Self> {
        let state = ActivityState {
            accepted,
            idle_since: accepted,
            head_started: None,
            any_byte: false,
            any_request: false,
            in_flight: 0,
            responding: false,
            write_blocked: false,
        };
        Arc::new(Self {
            version,
            timeouts,
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> MutexGuard<'_, ActivityState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports bytes from the peer.
    pub(super) fn read(&self) -> ReadPhase {
        let mut state = self.state();
        state.any_byte = true;
        if state.in_flight > 0 {
            return ReadPhase::Request;
        }
        if state.head_started.is_some() {
            return ReadPhase::Head;
        }
        state.head_started = Some(if state.any_request {
            Instant::now()
        } else {
            state.accepted
        });
        ReadPhase::HeadStart
    }

    /// Reports a write at this time, or (`None`) one that blocks because the peer does not read.
    pub(super) fn wrote(&self, at: Option<Instant>) {
        let mut state = self.state();
        state.write_blocked = at.is_none();
        // hyper writes HTTP/2 pings by itself; they must not keep a connection open.
        if let Some(at) = at.filter(|_| self.version == HttpVersion::Http1) {
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
    /// `stopping`, only started heads and blocked writes are waited for.
    pub(super) fn next(&self, now: Option<Instant>, stopping: bool) -> TimeoutDecision {
        use TimeoutDecision::{Busy, Close, HeadTimeout, WaitUntil};
        let state = self.state();
        let http1 = self.version == HttpVersion::Http1;
        let (deadline, decision) = match state.head_started {
            _ if state.in_flight > 0 => return Busy,
            _ if state.write_blocked => (state.idle_since + self.timeouts.idle, Close),
            Some(started) if http1 => (started + self.timeouts.head, HeadTimeout),
            _ if stopping => return Close,
            _ if !state.any_byte => (state.accepted + self.timeouts.head, Close),
            _ => (state.idle_since + self.timeouts.idle, Close),
        };
        if now.is_some_and(|now| now >= deadline) {
            decision
        } else {
            WaitUntil(deadline)
        }
    }
}

/// A request in flight, from its head until hyper has taken the last byte of its response.
pub(super) struct RequestGuard {
    /// `None` once the idle timeout of the connection runs again.
    activity: Option<Arc<ConnectionActivity>>,
    _counted: GaugeGuard,
}

impl RequestGuard {
    pub(super) fn new(activity: &Arc<ConnectionActivity>, metrics: &Metrics) -> Self {
        let mut state = activity.state();
        state.in_flight = state.in_flight.saturating_add(1);
        state.any_request = true;
        state.responding = true;
        state.head_started = None;
        drop(state);
        Self {
            activity: Some(Arc::clone(activity)),
            _counted: GaugeGuard::new(&metrics.requests_in_flight),
        }
    }

    /// Reports that the response is ready. hyper takes an HTTP/1.1 response at once. Over HTTP/2 it
    /// may wait for the peer's flow-control window, so the idle timeout runs from now on.
    pub(super) fn response_ready(&mut self) {
        if self
            .activity
            .as_ref()
            .is_some_and(|activity| activity.version == HttpVersion::Http2)
        {
            self.finish();
        }
    }

    fn finish(&mut self) {
        let Some(activity) = self.activity.take() else {
            return;
        };
        let mut state = activity.state();
        state.in_flight = state.in_flight.saturating_sub(1);
        state.head_started = None;
        state.idle_since = Instant::now();
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Polls hyper's connection, and checks its time limits and the gateway's stop. It runs at each
/// step of every request, so it polls the timer and the stop only when they may have changed.
pub(super) struct ConnectionWatchdog<'a> {
    activity: &'a ConnectionActivity,
    /// Becomes true when the gateway stops.
    stopping: watch::Receiver<bool>,
    readiness: &'a Readiness,
    timer: Pin<Box<Sleep>>,
    /// How often to check, while a request is in flight, whether it ended without a wake.
    interval: Duration,
    /// The decision that ended [`Self::until_due`].
    pub(super) due: TimeoutDecision,
}

impl<'a> ConnectionWatchdog<'a> {
    pub(super) fn new(
        activity: &'a ConnectionActivity,
        stopping: &watch::Receiver<bool>,
        readiness: &'a Readiness,
    ) -> Self {
        let interval = activity.timeouts.idle;
        Self {
            activity,
            stopping: stopping.clone(),
            readiness,
            timer: Box::pin(sleep(interval)),
            interval,
            due: TimeoutDecision::Busy,
        }
    }

    /// Polls the connection until it ends (`Some`) or a time limit has passed (`None`; `due` says
    /// which). When `drain_timeout` has passed, polls it once more, so that its request can end.
    pub(super) async fn until_due<C>(&mut self, connection: &mut C) -> Option<hyper::Result<()>>
    where
        C: Future<Output = hyper::Result<()>> + Unpin,
    {
        let stopping = self.stopping.clone();
        let mut stop_receiver = self.stopping.clone();
        // Unconstrained: it is polled once per change, which must not fall to tokio's task budget.
        let mut stop_signal = pin!(unconstrained(async move {
            stop_receiver.wait_for(|stop| *stop).await.is_ok()
        }));
        let readiness = self.readiness;
        let mut drain_over = pin!(readiness.grace_period_over());
        let (mut stop, mut over) = (false, false);
        let mut waker = Waker::noop().clone();
        poll_fn(|cx| {
            // A future polled with this waker before will wake it, and need not be polled again.
            let registered = waker.will_wake(cx.waker());
            if !registered {
                waker.clone_from(cx.waker());
            }
            if let Poll::Ready(result) = Pin::new(&mut *connection).poll(cx) {
                return Poll::Ready(Some(result));
            }
            if !stop && (!registered || stopping.has_changed().unwrap_or(true)) {
                stop = stop_signal.as_mut().poll(cx).is_ready();
            }
            if stop && !over && drain_over.as_mut().poll(cx).is_ready() {
                over = true;
                if let Poll::Ready(result) = Pin::new(&mut *connection).poll(cx) {
                    return Poll::Ready(Some(result));
                }
            }
            match self.is_due(cx, registered, stop) {
                true => Poll::Ready(None),
                false => Poll::Pending,
            }
        })
        .await
    }

    /// Whether a time limit has passed. Otherwise the timer is set.
    fn is_due(&mut self, cx: &mut Context<'_>, mut registered: bool, stop: bool) -> bool {
        let timer = &mut self.timer;
        loop {
            // No deadline is before the timer's, so the clock is read only after the timer elapsed.
            let now = timer.is_elapsed().then(Instant::now);
            self.due = self.activity.next(now, stop);
            let wake = match self.due {
                TimeoutDecision::Busy => now.map_or(timer.deadline(), |now| now + self.interval),
                TimeoutDecision::WaitUntil(until) => until,
                TimeoutDecision::HeadTimeout | TimeoutDecision::Close => return true,
            };
            // For a later deadline the timer stays as it is: when it elapses, it is set again.
            if wake < timer.deadline() || now.is_some() {
                timer.as_mut().reset(wake);
                registered = false;
            }
            if registered
                || Pin::new(&mut unconstrained(timer.as_mut()))
                    .poll(cx)
                    .is_pending()
            {
                return false;
            }
        }
    }
}
