//! The eviction of a connection that has no request in flight.
//!
//! The [table](crate::server::table) decides which one. Its task is woken, and notices between two
//! polls of the connection; a request that begins before then is served. Never closes anything
//! itself.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Instant;

use super::{ActivityState, ConnectionActivity};

/// A connection that was authenticated belongs to a user, or to a proxy with many of them. It is
/// evicted only if it has been idle for so long.
const AUTHENTICATED_IDLE: Duration = Duration::from_secs(1);
/// How much longer than a stranger's such a connection may be idle. If it never went before a
/// stranger's, newcomers would replace each other before they could become users.
const AUTHENTICATED_LEAD: Duration = Duration::from_secs(5);

impl ConnectionActivity {
    /// The connection's rank among those that may be evicted now; the lowest one goes. It is the
    /// time since when it is idle, and later if a request was authenticated on it.
    pub(in crate::server) fn idle_rank(&self, now: Instant) -> Option<Instant> {
        let authenticated = self.is_authenticated();
        let state = self.state();
        let needed = match authenticated {
            true => AUTHENTICATED_IDLE,
            false => state.timeouts.grace,
        };
        let idle = now.saturating_duration_since(state.idle_since);
        let evictable = state.in_flight == 0 && !state.evicted && idle >= needed;
        evictable.then(|| state.rank(authenticated))
    }

    /// Since when the connection has an unfinished head that is counted.
    pub(in crate::server) fn head_since(&self) -> Option<Instant> {
        self.state().unfinished_since()
    }

    /// Evicts the connection, if its [rank](Self::idle_rank) is still this one.
    pub(in crate::server) fn evict_idle(&self, rank: Instant) -> bool {
        let authenticated = self.is_authenticated();
        self.evict(|state| state.in_flight == 0 && state.rank(authenticated) == rank)
    }

    /// Evicts the connection, if it still has the unfinished head that began then.
    pub(in crate::server) fn evict_head(&self, since: Instant) -> bool {
        self.evict(|state| state.unfinished_since() == Some(since))
    }

    /// Its head no longer counts: the task of the connection frees it at once.
    fn evict(&self, condition: impl FnOnce(&ActivityState) -> bool) -> bool {
        let mut state = self.state();
        if state.evicted || !condition(&state) {
            return false;
        }
        state.evicted = true;
        let counted = std::mem::take(&mut state.head_counted);
        let waker = state.waker.clone();
        drop(state);
        self.heads.release(counted);
        waker.wake();
        true
    }

    /// Whether the connection is evicted. If not, the task of `cx` is woken when it is.
    pub(in crate::server) fn poll_evicted(&self, cx: &Context<'_>) -> bool {
        let mut state = self.state();
        if !state.waker.will_wake(cx.waker()) {
            state.waker.clone_from(cx.waker());
        }
        state.evicted && state.in_flight == 0
    }

    /// Whether the connection is evicted.
    pub(in crate::server) fn is_evicted(&self) -> bool {
        self.state().evicted
    }

    /// Polls a future to its end, or drops it (`None`) when the connection is evicted. It is polled
    /// first, so that a request that has arrived is served.
    pub(in crate::server) async fn unless_evicted<F: Future>(
        &self,
        future: F,
    ) -> Option<F::Output> {
        let mut future = pin!(future);
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if self.poll_evicted(cx) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }
}

impl ActivityState {
    fn rank(&self, authenticated: bool) -> Instant {
        match authenticated {
            true => self.idle_since + AUTHENTICATED_LEAD,
            false => self.idle_since,
        }
    }

    /// Over HTTP/2, an unfinished head blocks the connection also while requests are in flight.
    fn unfinished_since(&self) -> Option<Instant> {
        let since = match self.http2_head_started {
            None if self.in_flight > 0 => return None,
            None => self.head_started.unwrap_or(self.idle_since),
            Some(started) => started,
        };
        (self.head_counted > 0).then_some(since)
    }
}
