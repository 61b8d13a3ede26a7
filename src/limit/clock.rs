//! The clock of the quotas. Tests set it; otherwise it is the system's.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// The time by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Time since 1970, UTC, which divides time into windows. It may jump either way.
    pub utc: Duration,
    /// Monotonic time, which ages are measured by.
    pub steady: Instant,
}

/// Tells the time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Moment + Send + Sync>);

impl Moment {
    /// The system's time. A clock before 1970 counts as 1970.
    pub fn now() -> Self {
        Self {
            utc: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
            steady: Instant::now(),
        }
    }
}

impl Clock {
    /// A clock that reads `now`, for tests.
    pub fn new(now: impl Fn() -> Moment + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub(super) fn now(&self) -> Moment {
        (self.0)()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(Moment::now)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
