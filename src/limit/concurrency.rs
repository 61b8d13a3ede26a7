//! How many calls to Qiniu of one caller may be in progress on a route. A [`ConcurrencyPermit`] is
//! returned when it is dropped, however the call ends; a caller without a call takes no memory.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
};

use super::caller::{ByCaller, CallerKey};

/// The limit of concurrent calls on one route.
pub struct Concurrency {
    max: NonZeroU32,
    calls: Arc<Calls>,
}

/// The calls in progress on one route.
type Calls = Mutex<HashMap<CallerKey, u32, ByCaller>>;

/// The permit of one call.
pub struct ConcurrencyPermit {
    calls: Arc<Calls>,
    caller: CallerKey,
}

impl Concurrency {
    /// Allows `max` concurrent calls of each caller.
    pub fn new(max: NonZeroU32) -> Arc<Self> {
        let calls = Arc::default();
        Arc::new(Self { max, calls })
    }

    /// Another limit of the same calls: those in progress count in it.
    pub fn with_max(&self, max: NonZeroU32) -> Arc<Self> {
        let calls = Arc::clone(&self.calls);
        Arc::new(Self { max, calls })
    }

    /// A permit for one call; `None` if the caller holds all of theirs.
    pub fn enter(&self, caller: CallerKey) -> Option<ConcurrencyPermit> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let in_progress = calls.entry(caller).or_default();
        if *in_progress >= self.max.get() {
            return None;
        }
        *in_progress = in_progress.saturating_add(1);
        Some(ConcurrencyPermit {
            calls: Arc::clone(&self.calls),
            caller,
        })
    }
}

impl Drop for ConcurrencyPermit {
    fn drop(&mut self) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(in_progress) = calls.get_mut(&self.caller) {
            *in_progress = in_progress.saturating_sub(1);
            if *in_progress == 0 {
                calls.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_are_counted_for_each_caller_and_returned() {
        let concurrency = Concurrency::new(NonZeroU32::new(2).unwrap());
        let (first, second) = (
            concurrency.enter(CallerKey(1)),
            concurrency.enter(CallerKey(1)),
        );
        assert!(first.is_some() && second.is_some());
        assert!(concurrency.enter(CallerKey(1)).is_none());
        assert!(concurrency.enter(CallerKey(2)).is_some());
        drop(first);
        assert!(concurrency.enter(CallerKey(1)).is_some());
        drop(second);
        assert!(concurrency.calls.lock().unwrap().is_empty());
    }

    #[test]
    fn calls_in_progress_count_in_the_limit_that_follows() {
        let wide = Concurrency::new(NonZeroU32::new(2).unwrap());
        let calls = [wide.enter(CallerKey(1)), wide.enter(CallerKey(1))];
        let narrow = wide.with_max(NonZeroU32::MIN);
        assert!(narrow.enter(CallerKey(1)).is_none());
        drop(calls);
        assert!(narrow.enter(CallerKey(1)).is_some());
    }
}
