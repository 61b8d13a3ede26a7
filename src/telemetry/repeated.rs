//! Limits log lines that a peer or a broken dependency could repeat without end.
//!
//! The first line of a cause is written at once and in full. Further ones are counted, and at most
//! one in ten seconds is written, which says how many were left out. Relies on its owner to write
//! the line, and to tell causes by texts of ours: what a peer sends is never part of one. Never
//! delays a line, holds no lock while one is written, and remembers no more than [`MAX_CAUSES`].

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Maximum number of causes with a limit of their own.
const MAX_CAUSES: usize = 64;
/// Minimum time between two lines of one cause.
const INTERVAL: Duration = Duration::from_secs(10);

/// The log line of one cause.
///
/// `line.log(|left_out| tracing::warn!(left_out, "…"))` writes at most one line in ten seconds.
/// `left_out` is the number of lines that were not written since the last one; without any, the
/// field is absent.
#[derive(Default)]
pub struct RepeatedLine(Mutex<LineHistory>);

/// The log lines of several causes, each limited by itself. A cause is told by a text: a word, or
/// the line itself, where it says what is wrong in different ways.
#[derive(Default)]
pub struct RepeatedLines(Mutex<LineHistories>);

#[derive(Default)]
struct LineHistories {
    causes: HashMap<Box<str>, LineHistory>,
    /// All causes for which there is no room.
    others: LineHistory,
}

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
    pub fn log(&self, cause: &str, write: impl FnOnce(Option<u64>)) {
        self.log_at(Instant::now(), cause, write);
    }

    fn log_at(&self, now: Instant, cause: &str, write: impl FnOnce(Option<u64>)) {
        let next = {
            let mut histories = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            histories.of(cause, now).next(now)
        };
        if let Some(left_out) = next {
            write(Some(left_out).filter(|left_out| *left_out > 0));
        }
    }
}

impl LineHistories {
    fn of(&mut self, cause: &str, now: Instant) -> &mut LineHistory {
        if !self.causes.contains_key(cause) {
            if self.causes.len() >= MAX_CAUSES {
                self.causes.retain(|_, history| history.is_recent(now));
            }
            if self.causes.len() >= MAX_CAUSES {
                return &mut self.others;
            }
            self.causes.insert(cause.into(), LineHistory::default());
        }
        self.causes.get_mut(cause).unwrap_or(&mut self.others)
    }
}

impl LineHistory {
    fn is_recent(&self, now: Instant) -> bool {
        self.last.is_some_and(|last| now < last + INTERVAL)
    }

    /// `Some` if the line may be written: with the number of lines that were left out before it.
    fn next(&mut self, now: Instant) -> Option<u64> {
        if self.is_recent(now) {
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

    #[test]
    fn causes_beyond_the_bound_share_one_limit_until_others_have_rested() {
        let (lines, start) = (RepeatedLines::default(), Instant::now());
        let written = |seconds, causes: std::ops::Range<usize>| {
            let log = |cause: usize| {
                let cause = cause.to_string();
                let log = |now, write: &mut dyn FnMut(Option<u64>)| {
                    lines.log_at(now, &cause, write);
                };
                after(seconds, log, start).is_some()
            };
            causes.filter(|cause| log(*cause)).count()
        };
        assert_eq!(written(0, 0..MAX_CAUSES + 100), MAX_CAUSES + 1);
        assert_eq!(lines.0.lock().unwrap().causes.len(), MAX_CAUSES);
        assert_eq!(written(10, 1000..1010), 10, "the first ones have rested");
        assert_eq!(lines.0.lock().unwrap().causes.len(), 10);
    }
}
