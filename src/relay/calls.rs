//! Calls to Qiniu under way, counted. The callers of some may have left, so that no connection stands for them any more; who stops
//! the gateway waits for them all the same, for what they bring was billed.

use tokio::sync::watch;

/// How many there are.
#[derive(Default)]
pub struct Calls(watch::Sender<usize>);

/// One of them, until it is dropped.
pub(super) struct UnderWay(watch::Sender<usize>);

impl Calls {
    /// Counts one.
    pub(super) fn begin(&self) -> UnderWay {
        self.0.send_modify(|count| *count = count.saturating_add(1));
        UnderWay(self.0.clone())
    }

    /// Resolves when none is under way.
    pub async fn over(&self) {
        // It can't fail: the sender is here.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }

    /// How many are under way.
    pub fn count(&self) -> usize {
        *self.0.borrow()
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}
