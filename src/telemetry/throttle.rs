//! Limits a log line that one cause could repeat without end.
//!
//! Relies on its owner to write the line. Never delays a line.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Minimum time between two lines.
const INTERVAL: Duration = Duration::from_secs(10);

/// Lets one line pass in ten seconds.
#[derive(Default)]
pub(crate) struct LogThrottle(Mutex<ThrottleState>);

#[derive(Default)]
struct ThrottleState {
    last: Option<Instant>,
    suppressed: u64,
}

impl LogThrottle {
    /// `Some` if the line may be written: with the number of lines that were suppressed before it.
    pub(crate) fn next(&self) -> Option<u64> {
        self.next_at(Instant::now())
    }

    fn next_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last.is_some_and(|last| now < last + INTERVAL) {
            state.suppressed = state.suppressed.saturating_add(1);
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_passes_in_ten_seconds_and_counts_the_others() {
        let (throttle, start) = (LogThrottle::default(), Instant::now());
        let after = |seconds| throttle.next_at(start + Duration::from_secs(seconds));
        assert_eq!(after(0), Some(0));
        assert_eq!([after(3), after(6), after(9)], [None; 3]);
        assert_eq!(after(10), Some(3));
    }
}
