//! The time, as the limits see it. Tests set it; everywhere else it is the system's.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// One look at both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Since 1970, UTC: what windows are cut by. May jump either way.
    pub utc: Duration,
    /// Never goes back: what ages are measured by.
    pub steady: Instant,
}

/// Tells the time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Moment + Send + Sync>);

impl Moment {
    /// As the system has it. A clock before 1970 counts as 1970.
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
    /// One that a test sets.
    pub fn new(tell: impl Fn() -> Moment + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    pub(super) fn look(&self) -> Moment {
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
