//! Calls to Qiniu in flight. A call always runs to its end, because it is billed.
//!
//! The request that started a call polls it, which costs no task. If that request goes away, a
//! new task continues the call where it is, and passes its result to whatever the request has left
//! behind. [`InFlightCalls`] counts them all, so that a stop can wait for calls that no connection
//! represents any more.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::{runtime::Handle, sync::Notify};

use super::{access_record::UpstreamFacts, refusal::Refusal};
use crate::future_pool::{FuturePool, PooledFuture};

/// The result of a call.
pub(super) struct Forwarded {
    /// The response's body, or why there is none.
    pub(super) body: Result<Bytes, Refusal>,
    /// What the access record keeps of the call; `None` if there was no call.
    pub(super) facts: Option<UpstreamFacts>,
    /// The call counts as in flight until its facts are in a record.
    pub(super) in_flight: InFlightCall,
}

impl Forwarded {
    /// There was no call, for this reason.
    pub(super) fn refused(refusal: Refusal, in_flight: InFlightCall) -> Self {
        Self {
            body: Err(refusal),
            facts: None,
            in_flight,
        }
    }
}

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

/// A future that is never cancelled: when dropped, it moves to a task of its own.
///
/// `leave` is called at that moment. What it returns gets the future's output.
pub(super) struct DetachOnDrop<'p, T, L, E>
where
    T: Send + 'static,
    L: FnOnce() -> E + Unpin,
    E: FnOnce(T) + Send + 'static,
{
    /// `None` once it has ended.
    work: Option<PooledFuture<T>>,
    pool: &'p FuturePool<T>,
    leave: Option<L>,
}

/// The future panicked, which is a defect. It was dropped.
#[derive(Debug, thiserror::Error)]
#[error("the future panicked")]
pub(super) struct Panicked;

impl<'p, T, L, E> DetachOnDrop<'p, T, L, E>
where
    T: Send + 'static,
    L: FnOnce() -> E + Unpin,
    E: FnOnce(T) + Send + 'static,
{
    pub(super) fn new(
        work: impl Future<Output = T> + Send + 'static,
        pool: &'p FuturePool<T>,
        leave: L,
    ) -> Self {
        Self {
            work: Some(pool.store(work)),
            pool,
            leave: Some(leave),
        }
    }
}

impl<T, L, E> Future for DetachOnDrop<'_, T, L, E>
where
    T: Send + 'static,
    L: FnOnce() -> E + Unpin,
    E: FnOnce(T) + Send + 'static,
{
    type Output = Result<T, Panicked>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(work) = &mut self.work else {
            return Poll::Ready(Err(Panicked));
        };
        // Unwind safe: after a panic the future is only dropped.
        let step = catch_unwind(AssertUnwindSafe(|| work.poll(cx)));
        let ended = match step {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(_) => Err(Panicked),
        };
        if let (Some(work), Ok(_)) = (self.work.take(), &ended) {
            self.pool.recycle(work);
        }
        Poll::Ready(ended)
    }
}

impl<T, L, E> Drop for DetachOnDrop<'_, T, L, E>
where
    T: Send + 'static,
    L: FnOnce() -> E + Unpin,
    E: FnOnce(T) + Send + 'static,
{
    fn drop(&mut self) {
        if let (Some(work), Some(leave), Ok(runtime)) =
            (self.work.take(), self.leave.take(), Handle::try_current())
        {
            let ended = leave();
            drop(runtime.spawn(async move { ended(work.await) }));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

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

    #[tokio::test]
    async fn a_dropped_future_runs_to_its_end_in_a_task() {
        let (go, wait) = oneshot::channel::<()>();
        let (tell, told) = oneshot::channel();
        let pool = FuturePool::default();
        let work = async move {
            wait.await.unwrap();
            7
        };
        let leave = || move |output| tell.send(output).unwrap();
        let mut work = DetachOnDrop::new(work, &pool, leave);
        let begun = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut work).poll(cx))).await;
        assert!(begun.is_pending());
        drop(work);
        go.send(()).unwrap();
        assert_eq!(told.await, Ok(7));
    }

    #[tokio::test]
    async fn the_waiting_request_polls_the_future_and_a_panic_stays_in_it() {
        let pool = FuturePool::default();
        let never = || |output: i32| panic!("{output} was left behind");
        let work = DetachOnDrop::new(async { 7 }, &pool, never);
        assert_eq!(work.await.unwrap(), 7);
        let bad = async {
            assert_eq!(1, 2, "on purpose");
            8
        };
        let mut work = DetachOnDrop::new(bad, &pool, never);
        assert!((&mut work).await.is_err());
        assert!((&mut work).await.is_err());
        drop(work);
        let work = DetachOnDrop::new(async { 9 }, &pool, never);
        assert_eq!(work.await.unwrap(), 9);
    }
}
