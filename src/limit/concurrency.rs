//! How many calls to Qiniu a caller may have under way on a route. A [`ConcurrencyPermit`] is given back when it is dropped, however
//! the call ends; a caller without a call takes no memory.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
};

use super::{ByCaller, CallerKey};

/// The calls under way on one route.
pub struct Concurrency {
    most: NonZeroU32,
    calls: Mutex<HashMap<CallerKey, u32, ByCaller>>,
}

/// One call under way.
pub struct ConcurrencyPermit {
    of: Arc<Concurrency>,
    caller: CallerKey,
}

impl Concurrency {
    /// At most so many for each caller.
    pub fn new(most: NonZeroU32) -> Arc<Self> {
        Arc::new(Self {
            most,
            calls: Mutex::default(),
        })
    }

    /// A place for one call; `None` when the caller has all of theirs taken.
    pub fn enter(self: &Arc<Self>, caller: CallerKey) -> Option<ConcurrencyPermit> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let under_way = calls.entry(caller).or_default();
        if *under_way >= self.most.get() {
            return None;
        }
        *under_way = under_way.saturating_add(1);
        Some(ConcurrencyPermit {
            of: Arc::clone(self),
            caller,
        })
    }
}

impl Drop for ConcurrencyPermit {
    fn drop(&mut self) {
        let mut calls = self.of.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(under_way) = calls.get_mut(&self.caller) {
            *under_way = under_way.saturating_sub(1);
            if *under_way == 0 {
                calls.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_for_each_caller_and_given_back() {
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
