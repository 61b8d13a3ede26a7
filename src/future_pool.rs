//! A pool of reusable future allocations. A request needs two of several kilobytes, and the
//! allocator serves blocks of that size by its slowest path.

use std::{
    future::Future,
    sync::{Mutex, PoisonError},
};

use tokio_util::sync::ReusableBoxFuture;

/// A future in an allocation of the pool.
pub(crate) type PooledFuture<T> = ReusableBoxFuture<'static, T>;

/// Maximum number of unused allocations. After a burst, the rest is freed.
const MAX_UNUSED: usize = 128;

/// Unused allocations. The last one used is the first one reused, because the processor's
/// cache still holds it.
pub(crate) struct FuturePool<T>(Mutex<Vec<PooledFuture<T>>>);

impl<T> Default for FuturePool<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> FuturePool<T> {
    /// Moves a future into an allocation of the pool.
    pub(crate) fn store(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> PooledFuture<T> {
        let unused = self.lock().pop();
        match unused {
            Some(mut pooled) => {
                pooled.set(future);
                pooled
            }
            None => PooledFuture::new(future),
        }
    }

    /// Takes the allocation of a finished future back. A finished future holds nothing.
    pub(crate) fn recycle(&self, finished: PooledFuture<T>) {
        let mut unused = self.lock();
        if unused.len() < MAX_UNUSED {
            unused.push(finished);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<PooledFuture<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{future::ready, sync::Arc};

    use super::*;

    fn address<T>(boxed: &mut PooledFuture<T>) -> usize {
        std::ptr::from_ref(&*boxed.get_pin()).addr()
    }

    #[tokio::test]
    async fn an_allocation_is_reused_and_holds_nothing_meanwhile() {
        let pool = FuturePool::default();
        let held = Arc::new(7);
        let by = |held: Arc<i32>| async move {
            tokio::task::yield_now().await;
            *held
        };
        let mut first = pool.store(by(Arc::clone(&held)));
        let at = address(&mut first);
        assert_eq!((&mut first).await, 7);
        pool.recycle(first);
        assert_eq!(Arc::strong_count(&held), 1);
        let mut second = pool.store(by(held));
        assert_eq!(address(&mut second), at);
        assert_eq!(second.await, 7);
    }

    #[tokio::test]
    async fn a_burst_leaves_a_bounded_number_of_allocations() {
        let pool = FuturePool::default();
        let burst: Vec<_> = (0..2 * MAX_UNUSED).map(|_| pool.store(ready(()))).collect();
        burst.into_iter().for_each(|boxed| pool.recycle(boxed));
        assert_eq!(pool.lock().len(), MAX_UNUSED);
    }
}
