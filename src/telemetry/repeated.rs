//! Limits log lines that a peer or a broken dependency could repeat without end.
//!
//! The first line of a cause is written at once and in full. Further ones are counted, and at most
//! one in ten seconds is written, which says how many were left out. Relies on its owner to write
//! the line, and to name causes by words from closed sets: what a peer sends is never a cause, so
//! the memory is bounded. Never delays a line, and holds no lock while one is written.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Minimum time between two lines of one cause.
const INTERVAL: Duration = Duration::from_secs(10);

/// The log line of one cause.
///
/// `line.log(|left_out| tracing::warn!(left_out, "…"))` writes at most one line in ten seconds.
/// `left_out` is the number of lines that were not written since the last one; without any, the
/// field is absent.
#[derive(Default)]
pub struct RepeatedLine(Mutex<LineHistory>);

/// The log lines of a closed set of causes, each limited by itself.
#[derive(Default)]
pub struct RepeatedLines(Mutex<HashMap<&'static str, LineHistory>>);

#[derive(Default)]
struct LineHistory {
    last: Option<Instant>,
    left_out: u64,
}

impl RepeatedLine {
    /// Calls `write`, unless a line was written less than ten seconds ago.
    pub fn log(&self, write: impl FnOnce(Option<u64>)) {
        self.log_at(Instant::now(), write);
    }

    fn log_at(&self, now: Instant, write: impl FnOnce(Option<u64>)) {
        let next = {
            let mut history = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            history.next(now)
        };
        if let Some(left_out) = next {
            write(Some(left_out).filter(|left_out| *left_out > 0));
        }
    }
}

impl RepeatedLines {
    /// Calls `write`, unless a line of this cause was written less than ten seconds ago.
    pub fn log(&self, cause: &'static str, write: impl FnOnce(Option<u64>)) {
        self.log_at(Instant::now(), cause, write);
    }

    fn log_at(&self, now: Instant, cause: &'static str, write: impl FnOnce(Option<u64>)) {
        let next = {
            let mut causes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            causes.entry(cause).or_default().next(now)
        };
        if let Some(left_out) = next {
            write(Some(left_out).filter(|left_out| *left_out > 0));
        }
    }
}

impl LineHistory {
    /// `Some` if the line may be written: with the number of lines that were left out before it.
    fn next(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now < last + INTERVAL) {
            self.left_out = self.left_out.saturating_add(1);
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is passed to the line that is written after this many seconds, if one is.
    fn after(
        seconds: u64,
        log: impl FnOnce(Instant, &mut dyn FnMut(Option<u64>)),
        start: Instant,
    ) -> Option<Option<u64>> {
        let mut written = None;
        log(start + Duration::from_secs(seconds), &mut |left_out| {
            written = Some(left_out);
        });
        written
    }

    #[test]
    fn the_first_line_is_written_at_once_and_then_one_in_ten_seconds() {
        let (line, start) = (RepeatedLine::default(), Instant::now());
        let after = |seconds| after(seconds, |now, write| line.log_at(now, write), start);
        assert_eq!(after(0), Some(None));
        assert_eq!([after(3), after(6), after(9)], [None; 3]);
        assert_eq!(after(10), Some(Some(3)));
        assert_eq!(after(30), Some(None), "none was left out since");
    }

    #[test]
    fn each_cause_is_limited_by_itself() {
        let (lines, start) = (RepeatedLines::default(), Instant::now());
        let after = |seconds, cause| {
            let log = |now, write: &mut dyn FnMut(Option<u64>)| lines.log_at(now, cause, write);
            after(seconds, log, start)
        };
        assert_eq!((after(0, "a"), after(1, "a")), (Some(None), None));
        assert_eq!((after(2, "b"), after(3, "b")), (Some(None), None));
        assert_eq!(after(10, "a"), Some(Some(1)));
        assert_eq!((after(11, "b"), after(12, "b")), (None, Some(Some(2))));
    }
}
