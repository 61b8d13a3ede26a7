//! Watches over the quiet times of one connection while hyper serves it, and over the gateway's stop.
//!
//! Relies on the activity to say what is due. Asks the clock, the alarm and the stop only when they can have something to
//! say: it looks at each step of every request.

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

use super::activity::{ConnectionActivity, TimeoutDecision};
use crate::lifecycle::Readiness;

pub(super) struct ConnectionWatchdog<'a> {
    activity: &'a ConnectionActivity,
    /// Becomes true when the gateway stops.
    stopping: watch::Receiver<bool>,
    readiness: &'a Readiness,
    alarm: Pin<Box<Sleep>>,
    /// While a request is in flight, how often to look whether it ended without a word.
    pace: Duration,
    /// Why the time is up.
    pub(super) due: TimeoutDecision,
}

impl<'a> ConnectionWatchdog<'a> {
    pub(super) fn new(
        activity: &'a ConnectionActivity,
        pace: Duration,
        stopping: &watch::Receiver<bool>,
        readiness: &'a Readiness,
    ) -> Self {
        Self {
            activity,
            stopping: stopping.clone(),
            readiness,
            alarm: Box::pin(sleep(pace)),
            pace,
            due: TimeoutDecision::Busy,
        }
    }

    /// Polls hyper's connection until it is done (`Some`) or the time is up (`None`, and `due` says why). A request is polled
    /// once more when the time for it is over, so that it need not wait for that itself.
    pub(super) async fn until_due<C>(&mut self, connection: &mut C) -> Option<hyper::Result<()>>
    where
        C: Future<Output = hyper::Result<()>> + Unpin,
    {
        let stopping = self.stopping.clone();
        let mut told = self.stopping.clone();
        // Whoever is asked only once must not be put off because the task has had its share of this turn.
        let mut told = pin!(unconstrained(async move {
            told.wait_for(|stop| *stop).await.is_ok()
        }));
        let readiness = self.readiness;
        let mut ended = pin!(readiness.ended());
        let (mut stop, mut over) = (false, false);
        let mut waker = Waker::noop().clone();
        poll_fn(|cx| {
            // What has been asked with this waker need not be asked again before it has something to say.
            let asked = waker.will_wake(cx.waker());
            if !asked {
                waker.clone_from(cx.waker());
            }
            if let Poll::Ready(result) = Pin::new(&mut *connection).poll(cx) {
                return Poll::Ready(Some(result));
            }
            if !stop && (!asked || stopping.has_changed().unwrap_or(true)) {
                stop = told.as_mut().poll(cx).is_ready();
            }
            if stop && !over && ended.as_mut().poll(cx).is_ready() {
                over = true;
                if let Poll::Ready(result) = Pin::new(&mut *connection).poll(cx) {
                    return Poll::Ready(Some(result));
                }
            }
            match self.is_due(cx, asked, stop) {
                true => Poll::Ready(None),
                false => Poll::Pending,
            }
        })
        .await
    }

    /// Whether the time is up; else the alarm is set.
    fn is_due(&mut self, cx: &mut Context<'_>, mut asked: bool, stop: bool) -> bool {
        let alarm = &mut self.alarm;
        loop {
            // No deadline is before the alarm's, so the time need not be asked for at each step of a request.
            let now = alarm.is_elapsed().then(Instant::now);
            self.due = self.activity.next(now, stop);
            let wake = match self.due {
                TimeoutDecision::Busy => now.map_or(alarm.deadline(), |now| now + self.pace),
                TimeoutDecision::WaitUntil(until) => until,
                TimeoutDecision::HeadTimeout | TimeoutDecision::Close => return true,
            };
            // A later deadline is left to the alarm as it is set: it then looks again.
            if wake < alarm.deadline() || now.is_some() {
                alarm.as_mut().reset(wake);
                asked = false;
            }
            if asked
                || Pin::new(&mut unconstrained(alarm.as_mut()))
                    .poll(cx)
                    .is_pending()
            {
                return false;
            }
        }
    }
}
