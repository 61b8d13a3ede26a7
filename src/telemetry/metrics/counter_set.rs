//! A counter for each value of a closed set.
//!
//! Counting is one addition at the value's index: nothing is hashed, locked or allocated. All
//! values are exposed from the start, so that a scraper sees the first increase of each.

use std::{
    marker::PhantomData,
    sync::atomic::{AtomicBool, Ordering},
};

use crate::{closed_set::ClosedSet, instruments::Counter};

/// Counters by label value.
pub(super) struct CounterSet<L> {
    counters: Box<[Counter]>,
    labels: PhantomData<fn(L)>,
}

impl<L: ClosedSet> Default for CounterSet<L> {
    fn default() -> Self {
        Self {
            counters: L::ALL.iter().map(|_| Counter::default()).collect(),
            labels: PhantomData,
        }
    }
}

impl<L: ClosedSet> CounterSet<L> {
    /// Adds one to the counter of `label`.
    pub(super) fn count(&self, label: L) {
        self.add(label, 1);
    }

    /// Adds `number` to the counter of `label`.
    pub(super) fn add(&self, label: L, number: u64) {
        if let Some(counter) = self.counters.get(label.index()) {
            counter.add(number);
        }
    }

    /// Each value with its number.
    pub(super) fn numbers(&self) -> impl Iterator<Item = (L, u64)> {
        let labels = L::ALL.iter().copied();
        labels.zip(self.counters.iter().map(Counter::get))
    }
}

/// Counters that are exposed once the part that they belong to is configured.
pub(super) struct OptionalCounterSet<L> {
    counters: CounterSet<L>,
    configured: AtomicBool,
}

impl<L: ClosedSet> Default for OptionalCounterSet<L> {
    fn default() -> Self {
        Self {
            counters: CounterSet::default(),
            configured: AtomicBool::new(false),
        }
    }
}

impl<L: ClosedSet> OptionalCounterSet<L> {
    /// Exposes the counters from now on.
    pub(super) fn prepare(&self) {
        self.configured.store(true, Ordering::Relaxed);
    }

    /// Adds one to the counter of `label`.
    pub(super) fn count(&self, label: L) {
        self.prepare();
        self.counters.count(label);
    }

    /// Adds `number` to the counter of `label`.
    pub(super) fn add(&self, label: L, number: u64) {
        self.prepare();
        self.counters.add(label, number);
    }

    /// The counters, if they are exposed.
    pub(super) fn exposed(&self) -> Option<&CounterSet<L>> {
        let configured = self.configured.load(Ordering::Relaxed);
        configured.then_some(&self.counters)
    }
}
