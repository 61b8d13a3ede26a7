//! Boxes of futures that have ended, kept for the next ones: a request needs two of some kilobytes, and blocks of that size are
//! the allocator's slowest.

use std::{
    future::Future,
    sync::{Mutex, PoisonError},
};

use tokio_util::sync::ReusableBoxFuture;

/// A future in its box.
pub(crate) type Boxed<T> = ReusableBoxFuture<'static, T>;

/// Boxes that are kept at the most: more than wait for their next future at any time but after a rush.
const MOST: usize = 128;

/// Empty boxes, the last used first, since that one is in the processor's cache.
pub(crate) struct Spare<T>(Mutex<Vec<Boxed<T>>>);

impl<T> Default for Spare<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Spare<T> {
    /// Puts a future into a box.
    pub(crate) fn hold(&self, future: impl Future<Output = T> + Send + 'static) -> Boxed<T> {
        let empty = self.lock().pop();
        match empty {
            Some(mut boxed) => {
                boxed.set(future);
                boxed
            }
            None => Boxed::new(future),
        }
    }

    /// Takes a box back whose future has ended, and so holds nothing any more.
    pub(crate) fn keep(&self, ended: Boxed<T>) {
        let mut boxes = self.lock();
        if boxes.len() < MOST {
            boxes.push(ended);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Boxed<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{future::ready, sync::Arc};

    use super::*;

    fn place<T>(boxed: &mut Boxed<T>) -> usize {
        std::ptr::from_ref(&*boxed.get_pin()).addr()
    }

    #[tokio::test]
    async fn a_box_is_used_again_and_holds_nothing_meanwhile() {
        let spare = Spare::default();
        let held = Arc::new(7);
        let by = |held: Arc<i32>| async move {
            tokio::task::yield_now().await;
            *held
        };
        let mut first = spare.hold(by(Arc::clone(&held)));
        let at = place(&mut first);
        assert_eq!((&mut first).await, 7);
        spare.keep(first);
        assert_eq!(Arc::strong_count(&held), 1);
        let mut second = spare.hold(by(held));
        assert_eq!(place(&mut second), at);
        assert_eq!(second.await, 7);
    }

    #[tokio::test]
    async fn a_rush_leaves_no_more_than_so_many() {
        let spare = Spare::default();
        let rush: Vec<_> = (0..2 * MOST).map(|_| spare.hold(ready(()))).collect();
        rush.into_iter().for_each(|boxed| spare.keep(boxed));
        assert_eq!(spare.lock().len(), MOST);
    }
}
