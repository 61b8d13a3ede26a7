//! What a large body and the memory share: the body's progress, and the signal that ends it.
//!
//! Relies on the receiver to count its bytes here. Never waits for a lock that is held across a
//! wait.

use std::{
    future::poll_fn,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

/// A body of a considerable size.
#[derive(Debug, Default)]
pub(super) struct LargeBody {
    received: AtomicU64,
    signal: Mutex<EndSignal>,
}

#[derive(Debug, Default)]
struct EndSignal {
    ended: bool,
    waker: Option<Waker>,
}

impl LargeBody {
    /// Bytes received.
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Sets the number of bytes received.
    pub(super) fn set_received(&self, bytes: u64) {
        self.received.store(bytes, Ordering::Relaxed);
    }

    /// Ends the body, and wakes the task that receives it.
    pub(super) fn end(&self) {
        let mut signal = self.lock();
        signal.ended = true;
        if let Some(waker) = signal.waker.take() {
            waker.wake();
        }
    }

    /// Resolves when the body has been ended.
    pub(super) async fn ended(&self) {
        poll_fn(|context| self.poll_ended(context)).await;
    }

    /// The same, polled. One task at a time is woken.
    pub(super) fn poll_ended(&self, context: &Context<'_>) -> Poll<()> {
        let mut signal = self.lock();
        if signal.ended {
            return Poll::Ready(());
        }
        let waker = context.waker();
        if !signal.waker.as_ref().is_some_and(|it| it.will_wake(waker)) {
            signal.waker = Some(waker.clone());
        }
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, EndSignal> {
        // Each change is complete before anything can panic.
        self.signal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
