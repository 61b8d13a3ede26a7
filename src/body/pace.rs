//! How fast a body must arrive: always at the minimum rate, and the faster the fuller the memory.
//!
//! Two rules. The deadline of [`BodyPace`] ends a body that is too slow by itself: one that has
//! not begun in time, or is under the rate on average over a window. The debt ([`owed`]) ranks
//! bodies where a new one finds no room, and knows no grace. Only arithmetic: never waits, and
//! never reads a body.

use std::time::Duration;

use tokio::time::Instant;

/// A body must have begun this long after its admission.
const BEGIN: Duration = Duration::from_secs(5);
/// Time before the first window, in which the rate does not count.
const GRACE: Duration = Duration::from_secs(5);
/// The rate is an average over this time.
const WINDOW: Duration = Duration::from_secs(10);
/// Maximum time for a body. Later its session has expired, and in the end the date of its
/// signature.
const LONGEST: Duration = Duration::from_secs(5 * 60);
/// With no memory left, a body must complete its length in this time.
const FULL_MEMORY: Duration = Duration::from_secs(30);

/// The part of the memory that is reserved, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fill(u64);

impl Fill {
    pub(super) fn new(held: u64, limit: u64) -> Self {
        Self((held.saturating_mul(1000) / limit.max(1)).min(1000))
    }
}

/// The rate that a body of `length` bytes needs, in bytes per second: `min` up to half of the
/// memory, then growing evenly up to what completes it in [`FULL_MEMORY`].
pub(super) fn required_rate(min: u64, length: u64, fill: Fill) -> u64 {
    let full = length / FULL_MEMORY.as_secs();
    let above_half = fill.0.saturating_sub(500);
    let more = full.saturating_sub(min).saturating_mul(above_half) / 500;
    min.saturating_add(more)
}

/// The bytes by which a body is behind the rate that a full memory requires, from its
/// reservation on; 0 if it is not.
pub(super) fn owed(min: u64, length: u64, received: u64, age: Duration) -> u64 {
    let full = u128::from(length) * age.as_micros() / FULL_MEMORY.as_micros();
    let least = u128::from(min) * age.as_micros() / 1_000_000;
    let owed = full.max(least).saturating_sub(u128::from(received));
    u64::try_from(owed).unwrap_or(u64::MAX)
}

/// The deadline for the next bytes of a body.
pub(super) struct BodyPace {
    begin: Instant,
    begun: bool,
    window_ends: Instant,
    end: Instant,
    /// Bytes still missing in this window.
    owed: u64,
}

impl BodyPace {
    /// The pace of a body that is admitted `now`. `rate` in bytes per second.
    pub(super) fn new(rate: u64, now: Instant) -> Self {
        Self {
            begin: now + BEGIN,
            begun: false,
            window_ends: now + GRACE + WINDOW,
            end: now + LONGEST,
            owed: window(rate),
        }
    }

    pub(super) fn deadline(&self) -> Instant {
        match self.begun {
            true => self.window_ends.min(self.end),
            false => self.begin,
        }
    }

    /// Counts received bytes. `rate` and `now` are asked for when a window begins.
    pub(super) fn received(
        &mut self,
        bytes: u64,
        rate: impl FnOnce() -> u64,
        now: impl FnOnce() -> Instant,
    ) {
        self.begun |= bytes > 0;
        self.owed = self.owed.saturating_sub(bytes);
        if self.owed == 0 {
            self.owed = window(rate());
            self.window_ends = self.window_ends.max(now() + WINDOW);
        }
    }
}

/// Bytes of a window. Never 0: a body without a rate needs bytes all the same.
fn window(rate: u64) -> u64 {
    rate.saturating_mul(WINDOW.as_secs()).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;

    #[test]
    fn the_rate_grows_with_the_memory_in_use() {
        let rate = |held| required_rate(16 * KIB, 30 * MIB, Fill::new(held, 512 * MIB));
        assert_eq!(rate(0), 16 * KIB);
        assert_eq!(rate(256 * MIB), 16 * KIB);
        assert_eq!(rate(384 * MIB), (16 * KIB + MIB) / 2);
        assert_eq!(rate(512 * MIB), MIB);
        assert_eq!(rate(u64::MAX), MIB);
        // A body so small that the minimum rate completes it in time needs no more.
        let small = required_rate(16 * KIB, 100 * KIB, Fill::new(1, 1));
        assert_eq!(small, 16 * KIB);
        assert!(required_rate(1, u64::MAX, Fill::new(1, 0)) > 1 << 50);
    }

    #[test]
    fn a_debt_counts_from_the_reservation_on_without_grace() {
        let debt = |received, seconds| {
            let age = Duration::from_secs(seconds);
            owed(16 * KIB, 30 * MIB, received, age)
        };
        assert_eq!(debt(0, 0), 0);
        assert_eq!(debt(0, 1), MIB);
        assert_eq!(debt(MIB, 1), 0);
        assert_eq!(debt(20 * MIB, 30), 10 * MIB);
        // A body that is not complete in time owes ever more.
        assert_eq!(debt(30 * MIB - 1, 60), 30 * MIB + 1);
        let small = owed(16 * KIB, KIB, KIB, Duration::from_secs(1));
        assert_eq!(small, 15 * KIB, "the minimum rate holds for all");
    }

    #[test]
    fn a_body_must_begin_in_time_and_keep_its_rate() {
        let began = Instant::now();
        let after = |seconds| began + Duration::from_secs(seconds);
        let mut pace = BodyPace::new(100, began);
        assert_eq!(pace.deadline(), after(5));
        pace.received(0, || 100, || after(0));
        assert_eq!(pace.deadline(), after(5), "no bytes are no beginning");
        pace.received(1, || 100, || after(4));
        assert_eq!(pace.deadline(), after(15));
        pace.received(999, || 200, || after(14));
        assert_eq!(pace.deadline(), after(24));
        pace.received(1999, || 100, || after(20));
        assert_eq!(pace.deadline(), after(24), "2000 bytes a window now");
        pace.received(1, || 100, || after(294));
        assert_eq!(pace.deadline(), after(300), "the longest time ends it");
    }
}
