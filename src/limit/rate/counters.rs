//! The counters of a rate: what `governor` keeps of each caller, readable, so that another rate can
//! follow. Relies on its owner to know what the times are relative to. Never decides anything.

use std::{sync::Arc, time::Duration};

use governor::{
    nanos::Nanos,
    state::{
        StateStore,
        keyed::{DashMapStateStore, ShrinkableKeyedStateStore},
    },
};

use crate::limit::caller::ByCaller;

/// For each caller the time at which the whole burst will be back, in nanoseconds after the start.
/// Clones share it.
#[derive(Clone, Default)]
pub(super) struct RateCounters(Arc<DashMapStateStore<u64, ByCaller>>);

impl RateCounters {
    /// Each caller, and its time.
    pub(super) fn all(&self) -> impl Iterator<Item = (u64, Duration)> {
        let time = |key: u64| {
            // A refused change only reads.
            let read = |time: Option<Nanos>| Err::<((), Nanos), _>(time);
            let time = self.0.measure_and_replace(&key, read).err().flatten();
            (key, Duration::from_nanos(time.map_or(0, Nanos::as_u64)))
        };
        // Collected first: the map is not to be read while it is iterated over.
        let keys: Vec<_> = self.0.iter().map(|entry| *entry.key()).collect();
        keys.into_iter().map(time)
    }

    /// Sets the time of a caller.
    pub(super) fn set(&self, key: u64, time: Duration) {
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let set = |_: Option<Nanos>| Ok::<_, ()>(((), Nanos::new(time)));
        // The change is never refused.
        let _ = self.0.measure_and_replace(&key, set);
    }
}

impl StateStore for RateCounters {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, change: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.0.measure_and_replace(key, change)
    }
}

impl ShrinkableKeyedStateStore<u64> for RateCounters {
    fn retain_recent(&self, drop_below: Nanos) {
        self.0.retain_recent(drop_below);
    }

    fn shrink_to_fit(&self) {
        ShrinkableKeyedStateStore::shrink_to_fit(&*self.0);
    }

    fn len(&self) -> usize {
        ShrinkableKeyedStateStore::len(&*self.0)
    }

    fn is_empty(&self) -> bool {
        ShrinkableKeyedStateStore::is_empty(&*self.0)
    }
}
