//! A future that always runs to its end. The request that started it polls it, which costs
//! no task. If that request goes away, a new task continues the future where it is.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::runtime::Handle;

use crate::future_pool::{FuturePool, PooledFuture};

/// A future that is never cancelled: when dropped, it moves to a task of its own.
pub(super) struct DetachOnDrop<'p, T: Send + 'static> {
    /// `None` once it has ended.
    work: Option<PooledFuture<T>>,
    pool: &'p FuturePool<T>,
}

/// The future panicked, which is a defect. It was dropped.
#[derive(Debug, thiserror::Error)]
#[error("the future panicked")]
pub(super) struct Panicked;

impl<'p, T: Send + 'static> DetachOnDrop<'p, T> {
    pub(super) fn new(
        work: impl Future<Output = T> + Send + 'static,
        pool: &'p FuturePool<T>,
    ) -> Self {
        Self {
            work: Some(pool.store(work)),
            pool,
        }
    }
}

impl<T: Send + 'static> Future for DetachOnDrop<'_, T> {
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

impl<T: Send + 'static> Drop for DetachOnDrop<'_, T> {
    fn drop(&mut self) {
        if let (Some(work), Ok(runtime)) = (self.work.take(), Handle::try_current()) {
            drop(runtime.spawn(work));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_dropped_future_runs_to_its_end_in_a_task() {
        let (go, wait) = oneshot::channel::<()>();
        let (tell, told) = oneshot::channel();
        let pool = FuturePool::default();
        let work = async move {
            wait.await.unwrap();
            tell.send(7).unwrap();
        };
        let mut work = DetachOnDrop::new(work, &pool);
        let begun = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut work).poll(cx))).await;
        assert!(begun.is_pending());
        drop(work);
        go.send(()).unwrap();
        assert_eq!(told.await, Ok(7));
    }

    #[tokio::test]
    async fn the_waiting_request_polls_the_future_and_a_panic_stays_in_it() {
        let pool = FuturePool::default();
        assert_eq!(DetachOnDrop::new(async { 7 }, &pool).await.unwrap(), 7);
        let bad = async {
            assert_eq!(1, 2, "on purpose");
            8
        };
        let mut work = DetachOnDrop::new(bad, &pool);
        assert!((&mut work).await.is_err());
        assert!((&mut work).await.is_err());
        drop(work);
        assert_eq!(DetachOnDrop::new(async { 9 }, &pool).await.unwrap(), 9);
    }
}
