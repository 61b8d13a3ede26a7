//! Calls to Qiniu that have not ended. Some callers may have disconnected, so that no
//! connection represents their calls any more. A stop waits for them all the same, because
//! they are billed.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

use super::forward::Forwarded;
use crate::future_pool::FuturePool;

/// Counts calls in flight, and pools the memory of their futures.
#[derive(Default)]
pub struct InFlightCalls {
    count: Arc<Count>,
    pub(super) pool: FuturePool<Forwarded>,
}

#[derive(Default)]
struct Count {
    calls: AtomicUsize,
    /// Notified when the last call ends.
    none: Notify,
}

/// One call in flight, until it is dropped.
pub(super) struct InFlightCall(Arc<Count>);

impl InFlightCalls {
    /// Counts one more call.
    pub(super) fn begin(&self) -> InFlightCall {
        self.count.calls.fetch_add(1, Ordering::SeqCst);
        InFlightCall(Arc::clone(&self.count))
    }

    /// Resolves when no call is in flight.
    pub async fn finished(&self) {
        loop {
            let none = self.count.none.notified();
            // A call that ends after this check wakes us.
            if self.count() == 0 {
                return;
            }
            none.await;
        }
    }

    /// Number of calls in flight.
    pub fn count(&self) -> usize {
        self.count.calls.load(Ordering::SeqCst)
    }
}

impl Drop for InFlightCall {
    fn drop(&mut self) {
        if self.0.calls.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.none.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn finished_resolves_when_the_last_call_ends() {
        let calls = InFlightCalls::default();
        calls.finished().await;
        let (one, other) = (calls.begin(), calls.begin());
        drop(one);
        assert_eq!(calls.count(), 1);
        tokio::join!(calls.finished(), async { drop(other) });
        assert_eq!(calls.count(), 0);
    }
}
