//! The eviction of a connection that has no request in flight.
//!
//! The [table](crate::server::table) decides which one. Its task is woken, and notices between two
//! polls of the connection; a request that begins before then is served. Never closes anything
//! itself.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::{Context, Poll},
};

use tokio::time::Instant;

use super::{ActivityState, ConnectionActivity};

impl ConnectionActivity {
    /// Since when the connection is idle: it has no request in flight and is not evicted yet.
    /// Those that were never authenticated come first.
    pub(in crate::server) fn idle_rank(&self) -> Option<(bool, Instant)> {
        let state = self.state();
        let idle = state.in_flight == 0 && !state.evicted;
        idle.then(|| (self.is_authenticated(), state.idle_since))
    }

    /// Since when the connection has an unfinished head that is counted.
    pub(in crate::server) fn head_since(&self) -> Option<Instant> {
        let state = self.state();
        let unfinished = state.in_flight == 0 && state.head_counted > 0;
        unfinished.then(|| state.head_started.unwrap_or(state.idle_since))
    }

    /// Evicts the connection, if its [rank](Self::idle_rank) is still this one.
    pub(in crate::server) fn evict_idle(&self, rank: (bool, Instant)) -> bool {
        self.evict(|state| {
            let idle = state.in_flight == 0 && state.idle_since == rank.1;
            idle && self.is_authenticated() == rank.0
        })
    }

    /// Evicts the connection, if it still has the unfinished head that began then.
    pub(in crate::server) fn evict_head(&self, since: Instant) -> bool {
        self.evict(|state| {
            let unfinished = state.in_flight == 0 && state.head_counted > 0;
            unfinished && state.head_started.unwrap_or(state.idle_since) == since
        })
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

    /// Polls a future to its end, or drops it (`None`) when the connection is evicted.
    pub(in crate::server) async fn unless_evicted<F: Future>(
        &self,
        future: F,
    ) -> Option<F::Output> {
        let mut future = pin!(future);
        poll_fn(|cx| match self.poll_evicted(cx) {
            true => Poll::Ready(None),
            false => future.as_mut().poll(cx).map(Some),
        })
        .await
    }
}
