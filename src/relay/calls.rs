//! Calls to Qiniu under way, counted. The callers of some may have left, so that no connection stands for them any more; who stops
//! the gateway waits for them all the same, for what they bring was billed.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use tokio::sync::Notify;

use super::{record::UpstreamFacts, refusal::Refusal};
use crate::spare::Spare;

/// What a call comes to: what the record keeps of it, and the body that its caller gets.
pub(super) type Called = (Option<UpstreamFacts>, Result<Bytes, Refusal>);

/// How many there are, and what they are driven in.
#[derive(Default)]
pub struct Calls {
    count: Arc<Count>,
    pub(super) boxes: Spare<Called>,
}

#[derive(Default)]
struct Count {
    under_way: AtomicUsize,
    /// The last one has ended.
    none: Notify,
}

/// One of them, until it is dropped.
pub(super) struct UnderWay(Arc<Count>);

impl Calls {
    /// Counts one.
    pub(super) fn begin(&self) -> UnderWay {
        self.count.under_way.fetch_add(1, Ordering::SeqCst);
        UnderWay(Arc::clone(&self.count))
    }

    /// Resolves when none is under way.
    pub async fn over(&self) {
        loop {
            let none = self.count.none.notified();
            // Whoever ends after this look wakes us.
            if self.count() == 0 {
                return;
            }
            none.await;
        }
    }

    /// How many are under way.
    pub fn count(&self) -> usize {
        self.count.under_way.load(Ordering::SeqCst)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.0.under_way.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.none.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_over_when_the_last_one_ends() {
        let calls = Calls::default();
        calls.over().await;
        let (one, other) = (calls.begin(), calls.begin());
        drop(one);
        assert_eq!(calls.count(), 1);
        tokio::join!(calls.over(), async { drop(other) });
        assert_eq!(calls.count(), 0);
    }
}
