//! The watchdog of one connection: it polls hyper's connection, or the wait of a parked one, until
//! a time limit has passed.
//!
//! Relies on [`ConnectionActivity`] to say when that is, and on tokio's clock. hyper's own header
//! timeout is not used, since it closes without a response. Never closes the connection itself.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{
    sync::watch,
    task::unconstrained,
    time::{Instant, Sleep, sleep},
};

use super::{
    activity::{ConnectionActivity, TimeoutDecision},
    table::{ConnectionPlace, ConnectionTable},
};
use crate::lifecycle::Readiness;

/// Polls a connection, and checks its time limits and the gateway's stop. It runs at each
/// step of every request, so it polls the timer and the stop only when they may have changed.
pub(super) struct ConnectionWatchdog<'a> {
    activity: &'a ConnectionActivity,
    table: &'a ConnectionTable,
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
        place: &'a ConnectionPlace,
        stopping: &watch::Receiver<bool>,
        readiness: &'a Readiness,
    ) -> Self {
        let interval = place.activity.longest_idle();
        Self {
            activity: &place.activity,
            table: &place.table,
            stopping: stopping.clone(),
            readiness,
            timer: Box::pin(sleep(interval)),
            interval,
            due: TimeoutDecision::Busy,
        }
    }

    /// Polls the connection until it ends (`Some`) or a time limit has passed (`None`; `due` says
    /// which). When `drain_timeout` has passed, polls it once more, so that its request can end.
    pub(super) async fn until_due<C>(&mut self, connection: &mut C) -> Option<C::Output>
    where
        C: Future + Unpin,
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
                // Whether it is evicted is checked below, with its time limits.
                self.activity.poll_evicted(cx);
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
                TimeoutDecision::WaitUntil(until) => {
                    // The head of this connection may have exceeded it.
                    self.table.keep_head_budget();
                    until
                }
                TimeoutDecision::HeadTimeout | TimeoutDecision::Park | TimeoutDecision::Close => {
                    return true;
                }
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
