//! A number of places that can change while they are taken: connections of a listener, connections
//! to Qiniu.
//!
//! A [`Place`] is a guard. When there are to be fewer places than are taken, nobody loses one:
//! those beyond the new number vanish as they are given back. Never waits itself, except for a
//! place.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places whose number can change.
#[derive(Debug)]
pub(crate) struct Places {
    permits: Arc<Semaphore>,
    /// How many of the taken places vanish when they are given back.
    surplus: AtomicUsize,
    limit: Mutex<usize>,
}

/// One place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    /// `None` only while it is dropped.
    permit: Option<OwnedSemaphorePermit>,
}

impl Places {
    /// So many places, all free.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Arc::new(Self {
            permits: Arc::new(Semaphore::new(limit)),
            surplus: AtomicUsize::new(0),
            limit: Mutex::new(limit),
        })
    }

    /// A place, if one is free.
    pub(crate) fn try_take(self: &Arc<Self>) -> Option<Place> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        Some(self.place(permit))
    }

    /// Waits for a place, in the order of the calls. Cancel safe.
    pub(crate) async fn take(self: &Arc<Self>) -> Option<Place> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok()?;
        Some(self.place(permit))
    }

    /// How many places are free.
    pub(crate) fn free(&self) -> usize {
        self.permits.available_permits()
    }

    /// How many places are taken.
    pub(crate) fn taken(&self) -> usize {
        let limit = self.limit.lock().unwrap_or_else(PoisonError::into_inner);
        let all = limit.saturating_add(self.surplus());
        all.saturating_sub(self.free())
    }

    /// How many places are taken beyond their number.
    pub(crate) fn surplus(&self) -> usize {
        self.surplus.load(Ordering::Relaxed)
    }

    /// Changes the number of places.
    pub(crate) fn resize(&self, limit: usize) {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        let mut current = self.limit.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fewer @ 1..) = current.checked_sub(limit) {
            let vanished = self.permits.forget_permits(fewer);
            self.surplus
                .fetch_add(fewer.saturating_sub(vanished), Ordering::Relaxed);
        } else {
            let mut more = limit.saturating_sub(*current);
            // Places that were to vanish stay instead.
            while more > 0 && self.take_surplus() {
                more -= 1;
            }
            self.permits.add_permits(more);
        }
        *current = limit;
    }

    fn place(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Place {
        Place {
            places: Arc::clone(self),
            permit: Some(permit),
        }
    }

    /// Takes one of the places that are to vanish, if there is one.
    fn take_surplus(&self) -> bool {
        let one_less = |surplus: usize| surplus.checked_sub(1);
        self.surplus() > 0
            && self
                .surplus
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
                .is_ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take()
            && self.places.take_surplus()
        {
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(places: &Places) -> (usize, usize, usize) {
        (places.taken(), places.free(), places.surplus())
    }

    #[test]
    fn fewer_places_than_taken_take_none_away_and_are_reached_as_they_are_given_back() {
        let places = Places::new(3);
        let mut taken: Vec<_> = (0..3).filter_map(|_| places.try_take()).collect();
        assert_eq!(counts(&places), (3, 0, 0));
        places.resize(1);
        assert_eq!(counts(&places), (3, 0, 2));
        taken.pop();
        taken.pop();
        assert_eq!(counts(&places), (1, 0, 0));
        assert!(places.try_take().is_none());
        taken.pop();
        assert_eq!(counts(&places), (0, 1, 0));
    }

    #[test]
    fn more_places_keep_those_that_were_to_vanish() {
        let places = Places::new(2);
        let taken: Vec<_> = (0..2).filter_map(|_| places.try_take()).collect();
        places.resize(1);
        places.resize(4);
        assert_eq!(counts(&places), (2, 2, 0));
        drop(taken);
        assert_eq!(counts(&places), (0, 4, 0));
        places.resize(2);
        assert_eq!(counts(&places), (0, 2, 0));
    }

    #[tokio::test]
    async fn a_new_place_goes_to_whoever_waits() {
        let places = Places::new(1);
        let first = places.try_take();
        let waiting = places.take();
        tokio::pin!(waiting);
        let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(waiting.as_mut().poll(cx)));
        assert!(polled.await.is_pending());
        places.resize(2);
        assert!(waiting.await.is_some());
        drop(first);
        assert_eq!(counts(&places), (0, 2, 0));
    }
}
