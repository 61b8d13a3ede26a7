//! How many calls to Qiniu of one caller may be in progress on a route. A [`ConcurrencyPermit`] is
//! returned when it is dropped, however the call ends; a caller without a call takes no memory.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
};

use super::caller::{ByCaller, CallerKey};

/// The calls in progress on one route.
pub struct Concurrency {
    max: NonZeroU32,
    calls: Mutex<HashMap<CallerKey, u32, ByCaller>>,
}

/// The permit of one call.
pub struct ConcurrencyPermit {
    concurrency: Arc<Concurrency>,
    caller: CallerKey,
}

impl Concurrency {
    /// Allows `max` concurrent calls of each caller.
    pub fn new(max: NonZeroU32) -> Arc<Self> {
        Arc::new(Self {
            max,
            calls: Mutex::default(),
        })
    }

    /// A permit for one call; `None` if the caller holds all of theirs.
    pub fn enter(self: &Arc<Self>, caller: CallerKey) -> Option<ConcurrencyPermit> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let in_progress = calls.entry(caller).or_default();
        if *in_progress >= self.max.get() {
            return None;
        }
        *in_progress = in_progress.saturating_add(1);
        Some(ConcurrencyPermit {
            concurrency: Arc::clone(self),
            caller,
        })
    }
}

impl Drop for ConcurrencyPermit {
    fn drop(&mut self) {
        let calls = self.concurrency.calls.lock();
        let mut calls = calls.unwrap_or_else(PoisonError::into_inner);
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
}
