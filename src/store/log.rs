//! The log lines about the store: that it is available, lost, or refuses a call, and what to do.
//!
//! A store that flaps writes a pair of lines in ten seconds at most, and the last line always tells
//! the state, or will within ten seconds: what was left out is tried again with the next failure.
//! No line has an address in it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::error::StoreError;
use crate::telemetry::repeated::RepeatedLine;

/// What was said about the store.
#[derive(Default)]
pub(super) struct StoreLog {
    /// Whether the last line said that it is available.
    said: Mutex<Option<bool>>,
    losses: RepeatedLine,
    successions: RepeatedLine,
    refusals: RepeatedLine,
}

impl StoreLog {
    /// The store can be used.
    pub(super) fn is_up(&self) {
        let mut said = self.said();
        if *said != Some(true) {
            *said = Some(true);
            tracing::info!("the store is available: replicas share limits and sessions");
        }
    }

    /// The store can't be used, or can't yet.
    pub(super) fn is_down(&self, error: &StoreError) {
        let mut said = self.said();
        if *said == Some(false) {
            return;
        }
        self.losses.log(|left_out| {
            *said = Some(false);
            tracing::warn!(
                left_out,
                "the store is unavailable: {error}; this replica uses its own limits and sessions \
                 meanwhile; {}",
                error.advice()
            );
        });
    }

    /// Another server has taken over while the store stayed available.
    pub(super) fn has_moved(&self) {
        self.successions.log(|left_out| {
            tracing::info!(left_out, "another server of the store has taken over");
        });
    }

    /// One call failed.
    pub(super) fn refuses(&self, error: &StoreError) {
        self.refusals.log(|left_out| {
            tracing::warn!(
                left_out,
                "a call to the store failed: {error}; the request uses this replica's own limits \
                 and sessions, and the store stays in use; {}",
                error.advice()
            );
        });
    }

    fn said(&self) -> MutexGuard<'_, Option<bool>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
