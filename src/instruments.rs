//! Numbers that many threads change at once: a counter, and a gauge with its guard.
//!
//! Relaxed atomics: a reader sees each number at some recent moment, and nothing else is ordered by
//! them. Nothing here allocates, waits or fails.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

/// A number that only grows. After 2^64 it starts again at 0.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `number`.
    pub fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    /// The current number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that grows and shrinks. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicI64>);

impl Gauge {
    /// Adds one.
    pub fn inc(&self) {
        self.inc_by(1);
    }

    /// Subtracts one.
    pub fn dec(&self) {
        self.dec_by(1);
    }

    /// Adds `number`.
    pub fn inc_by(&self, number: i64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    /// Subtracts `number`.
    pub fn dec_by(&self, number: i64) {
        self.0.fetch_sub(number, Ordering::Relaxed);
    }

    /// Replaces the number.
    pub fn set(&self, number: i64) {
        self.0.store(number, Ordering::Relaxed);
    }

    /// The current number.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts in a gauge until it is dropped, also when a panic or a cancelled future drops it.
pub struct GaugeGuard(Gauge);

impl GaugeGuard {
    /// Increments the gauge.
    pub fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_guard_counts_down_also_after_a_panic() {
        let gauge = Gauge::default();
        let guard = GaugeGuard::new(&gauge);
        let moved = GaugeGuard::new(&gauge);
        assert_eq!(gauge.get(), 2);
        drop(guard);
        drop(std::panic::catch_unwind(std::panic::AssertUnwindSafe(
            || {
                let _held = moved;
                std::panic::resume_unwind(Box::new(()));
            },
        )));
        assert_eq!(gauge.get(), 0);
    }
}
