//! Calls that were made and whose end is not recorded yet.
//!
//! Each has a record ready that says that its outcome is unknown. It is written if the call never
//! ends: by a panic, or since a stop gives it no more time. Relies on the lock that is held while a
//! call ends, so that each call leaves one record and no more. Never waits.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The calls of a log.
#[derive(Default)]
pub(super) struct OpenCalls(Mutex<OpenCallRecords>);

#[derive(Default)]
struct OpenCallRecords {
    next: u64,
    records: BTreeMap<u64, String>,
}

impl OpenCalls {
    /// Keeps the record of a call that is about to be made. Returns its number.
    pub(super) fn begin(&self, record: String) -> u64 {
        let mut calls = self.lock();
        let number = calls.next;
        calls.next = number.wrapping_add(1);
        calls.records.insert(number, record);
        number
    }

    /// Ends a call: passes its record to `write`, unless that was done before.
    pub(super) fn end<T>(&self, number: u64, write: impl FnOnce(String) -> T) -> Option<T> {
        let mut calls = self.lock();
        let record = calls.records.remove(&number)?;
        Some(write(record))
    }

    /// Passes the records of all calls to `write`. None of them ends any more.
    pub(super) fn abandon(&self, mut write: impl FnMut(String)) {
        let mut calls = self.lock();
        while let Some((_, record)) = calls.records.pop_first() {
            write(record);
        }
    }

    fn lock(&self) -> MutexGuard<'_, OpenCallRecords> {
        // Each change is complete before anything can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_leaves_one_record_however_it_ends() {
        let calls = OpenCalls::default();
        let [ended, panicked, stopped] = ["a", "b", "c"].map(|it| calls.begin(it.to_owned()));
        assert_eq!(calls.end(ended, |_| "end"), Some("end"));
        // Its guard is dropped afterwards.
        assert_eq!(calls.end(ended, |unknown| unknown), None);
        assert_eq!(calls.end(panicked, |unknown| unknown), Some("b".to_owned()));
        let mut abandoned = Vec::new();
        calls.abandon(|record| abandoned.push(record));
        assert_eq!(abandoned, ["c"]);
        assert_eq!(calls.end(stopped, |_| ()), None, "it ends too late");
    }
}
