//! A histogram of durations, with an exemplar for each bucket.
//!
//! An observation is a search among the bounds and two additions, without a lock. Only one that
//! belongs to a trace also tries the lock of its bucket's exemplar, and goes on without it if a
//! scraper holds it. The count is the sum of the buckets, so the two never contradict each other.

use std::{
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{instruments::Counter, telemetry::trace_context::TraceId};

/// Bounds of the buckets: in milliseconds, and as a label in seconds. They reach from a refusal to
/// half an hour: an upload of 28 MiB at the slowest default rate. They are the same for all routes
/// and replicas, and never change, since histograms with different bounds can't be added.
const BOUNDS: [(u64, &str); 18] = [
    (1, "0.001"),
    (5, "0.005"),
    (10, "0.01"),
    (25, "0.025"),
    (50, "0.05"),
    (100, "0.1"),
    (250, "0.25"),
    (500, "0.5"),
    (1_000, "1.0"),
    (2_500, "2.5"),
    (5_000, "5.0"),
    (10_000, "10.0"),
    (30_000, "30.0"),
    (60_000, "60.0"),
    (120_000, "120.0"),
    (300_000, "300.0"),
    (600_000, "600.0"),
    (1_800_000, "1800.0"),
];

/// Label of the bucket above all bounds.
const ABOVE: &str = "+Inf";

/// Units of the sum in a second, and in a millisecond. In nanoseconds, the sum of 10,000 requests
/// at a time would start again after three weeks; in these, after 5 years.
const TICKS_PER_SECOND: u64 = 10_000_000;
const TICKS_PER_MILLISECOND: u64 = 10_000;
const NANOSECONDS_PER_TICK: u32 = 100;

/// Durations by size.
pub(super) struct Histogram {
    buckets: [StoredBucket; BOUNDS.len() + 1],
    /// In ticks.
    sum: Counter,
}

#[derive(Default)]
struct StoredBucket {
    number: AtomicU64,
    exemplar: Mutex<Option<Exemplar>>,
}

/// An observation that belongs to a trace.
#[derive(Clone, Copy)]
pub(super) struct Exemplar {
    trace_id: TraceId,
    duration: Duration,
    time: SystemTime,
}

/// A bucket, as it is exposed.
pub(super) struct Bucket<'a> {
    /// Label of the upper bound.
    pub(super) bound: &'static str,
    /// Observations in this bucket alone.
    pub(super) number: u64,
    exemplar: &'a Mutex<Option<Exemplar>>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: std::array::from_fn(|_| StoredBucket::default()),
            sum: Counter::default(),
        }
    }
}

impl Histogram {
    /// Adds a duration.
    pub(super) fn observe(&self, duration: Duration, trace_id: Option<TraceId>) {
        let ticks = ticks(duration);
        let index = BOUNDS.partition_point(|(bound, _)| bound * TICKS_PER_MILLISECOND < ticks);
        self.sum.add(ticks);
        let Some(bucket) = self.buckets.get(index) else {
            return;
        };
        bucket.number.fetch_add(1, Ordering::Relaxed);
        if let Some(trace_id) = trace_id
            && let Ok(mut exemplar) = bucket.exemplar.try_lock()
        {
            *exemplar = Some(Exemplar {
                trace_id,
                duration,
                time: SystemTime::now(),
            });
        }
    }

    /// The buckets, from the lowest.
    pub(super) fn buckets(&self) -> impl Iterator<Item = Bucket<'_>> {
        let bounds = BOUNDS.iter().map(|(_, label)| *label).chain([ABOVE]);
        bounds.zip(&self.buckets).map(|(bound, stored)| Bucket {
            bound,
            number: stored.number.load(Ordering::Relaxed),
            exemplar: &stored.exemplar,
        })
    }

    /// The sum of all durations, in seconds.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a sum needs no more than 53 bits"
    )]
    pub(super) fn sum_seconds(&self) -> f64 {
        self.sum.get() as f64 / TICKS_PER_SECOND as f64
    }
}

impl Bucket<'_> {
    /// The bucket's last observation that belongs to a trace.
    pub(super) fn exemplar(&self) -> Option<Exemplar> {
        *self.exemplar.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Exemplar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.time.duration_since(UNIX_EPOCH).unwrap_or_default();
        write!(
            f,
            "{{trace_id=\"{}\"}} {} {}.{:03}",
            self.trace_id,
            self.duration.as_secs_f64(),
            time.as_secs(),
            time.subsec_millis()
        )
    }
}

/// A duration in ticks, rounded up so that one over a bound is counted above it.
fn ticks(duration: Duration) -> u64 {
    let seconds = duration.as_secs().saturating_mul(TICKS_PER_SECOND);
    seconds.saturating_add(
        duration
            .subsec_nanos()
            .div_ceil(NANOSECONDS_PER_TICK)
            .into(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(histogram: &Histogram) -> Vec<(&'static str, u64)> {
        let buckets = histogram.buckets().map(|it| (it.bound, it.number));
        buckets.filter(|(_, number)| *number > 0).collect()
    }

    #[test]
    fn a_duration_counts_below_the_first_bound_that_it_does_not_exceed() {
        let histogram = Histogram::default();
        for (duration, bound) in [
            (Duration::ZERO, "0.001"),
            (Duration::from_millis(1), "0.001"),
            (Duration::from_nanos(1_000_001), "0.005"),
            (Duration::from_secs(60), "60.0"),
            (Duration::from_millis(60_001), "120.0"),
            (Duration::from_secs(1_800), "1800.0"),
            (Duration::from_secs(1_801), ABOVE),
            (Duration::MAX, ABOVE),
        ] {
            let before = numbers(&histogram);
            histogram.observe(duration, None);
            let after = numbers(&histogram);
            let changed: Vec<_> = after.iter().filter(|it| !before.contains(it)).collect();
            assert!(
                matches!(changed[..], [(label, _)] if *label == bound),
                "{duration:?}: {changed:?}"
            );
        }
    }

    #[test]
    fn the_sum_is_in_seconds_and_labels_are_the_bounds() {
        let histogram = Histogram::default();
        histogram.observe(Duration::from_millis(1_500), None);
        histogram.observe(Duration::from_micros(250), None);
        assert!((histogram.sum_seconds() - 1.50025).abs() < 1e-9);
        for (milliseconds, label) in BOUNDS {
            let seconds = Duration::from_millis(milliseconds).as_secs_f64();
            assert_eq!(format!("{seconds:?}"), label);
        }
        assert!(BOUNDS.is_sorted());
    }
}
