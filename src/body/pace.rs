//! Until when the next bytes of a body must come: no body may be slower, on average, than the minimum rate.

use std::time::Duration;

use tokio::time::Instant;

/// Time in which a body need not keep up any rate.
const GRACE: Duration = Duration::from_secs(5);
/// The rate is an average over this time.
const WINDOW: Duration = Duration::from_secs(10);
/// A body that takes longer outlives its session, and in the end its signature's date.
const LONGEST: Duration = Duration::from_secs(5 * 60);

pub(super) struct BodyPace {
    window_ends: Instant,
    end: Instant,
    owed: u64,
    window: u64,
}

impl BodyPace {
    /// `rate` in bytes per second; 0: only the longest time counts.
    pub(super) fn new(rate: u64) -> Self {
        let now = Instant::now();
        let window = rate.saturating_mul(WINDOW.as_secs());
        Self {
            window_ends: now + GRACE + WINDOW,
            end: now + LONGEST,
            owed: window,
            window,
        }
    }

    pub(super) fn deadline(&self) -> Instant {
        if self.window == 0 {
            self.end
        } else {
            self.window_ends.min(self.end)
        }
    }

    pub(super) fn arrived(&mut self, bytes: u64) {
        self.owed = self.owed.saturating_sub(bytes);
        if self.owed == 0 {
            self.owed = self.window;
            self.window_ends = self.window_ends.max(Instant::now() + WINDOW);
        }
    }
}
