//! The log lines about the store: that it is available, lost, or refuses a call, and what to do.
//!
//! A cause is what has to be done about it. Each cause of a loss is told once until the store is
//! back, and at most once in ten seconds by a store that flaps. The last line always tells the
//! state, or will within ten seconds: what was left out is tried again with the next failure. No
//! line has an address in it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::error::StoreError;
use crate::telemetry::repeated::{RepeatedLine, RepeatedLines};

/// What was said about the store.
#[derive(Default)]
pub(super) struct StoreLog {
    said: Mutex<SaidState>,
    losses: RepeatedLines,
    successions: RepeatedLine,
    refusals: RepeatedLines,
}

/// The last state that was told.
#[derive(Default, PartialEq, Eq)]
enum SaidState {
    #[default]
    Nothing,
    Available,
    /// For these causes.
    Unavailable(Vec<&'static str>),
}

impl StoreLog {
    /// The store can be used.
    pub(super) fn is_up(&self) {
        let mut said = self.said();
        if *said != SaidState::Available {
            *said = SaidState::Available;
            tracing::info!("the store is available: replicas share limits and sessions");
        }
    }

    /// The store can't be used, or can't yet.
    pub(super) fn is_down(&self, error: &StoreError) {
        let (mut said, advice) = (self.said(), error.advice());
        if matches!(&*said, SaidState::Unavailable(causes) if causes.contains(&advice)) {
            return;
        }
        self.losses.log(advice, |left_out| {
            tracing::warn!(
                left_out,
                "the store is unavailable: {error}; this replica uses its own limits and sessions \
                 meanwhile; {advice}"
            );
            match &mut *said {
                SaidState::Unavailable(causes) => causes.push(advice),
                said => *said = SaidState::Unavailable(vec![advice]),
            }
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
        let advice = error.advice();
        self.refusals.log(advice, |left_out| {
            tracing::warn!(
                left_out,
                "a call to the store failed: {error}; the request uses this replica's own limits \
                 and sessions, and the store stays in use; {advice}"
            );
        });
    }

    fn said(&self) -> MutexGuard<'_, SaidState> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{fmt::Debug, io::ErrorKind, sync::Arc};

    use tracing::{Event, Subscriber, field::Field, subscriber::with_default};
    use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt, registry};

    use super::*;

    /// The beginnings of the lines that were written.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber> Layer<S> for Written {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            event.record(&mut |field: &Field, value: &dyn Debug| {
                if field.name() == "message" {
                    let line = format!("{value:?}");
                    let begin = line.split(';').next().unwrap().to_owned();
                    self.0.lock().unwrap().push(begin);
                }
            });
        }
    }

    fn written(work: impl FnOnce(&StoreLog)) -> Vec<String> {
        let written = Written::default();
        let subscriber = registry().with(written.clone());
        with_default(subscriber, || work(&StoreLog::default()));
        written.0.lock().unwrap().clone()
    }

    const UP: &str = "the store is available: replicas share limits and sessions";
    const LOST: &str = "the store is unavailable: there is no connection (connection reset)";
    const LOGIN: &str = "the store is unavailable: it does not accept the user or the password";

    fn lost() -> StoreError {
        StoreError::Unreachable(ErrorKind::ConnectionReset)
    }

    #[test]
    fn a_store_that_flaps_is_told_of_once_in_ten_seconds() {
        let lines = written(|log| {
            for _ in 0..100 {
                log.is_up();
                log.is_down(&lost());
                // The same has to be done about it.
                log.is_down(&StoreError::Timeout);
            }
            log.is_up();
        });
        assert_eq!(lines, [UP, LOST, UP]);
    }

    #[test]
    fn each_cause_of_a_loss_is_told_once() {
        let lines = written(|log| {
            log.is_up();
            for _ in 0..100 {
                log.is_down(&lost());
                log.is_down(&StoreError::Login);
            }
            log.is_up();
        });
        assert_eq!(lines, [UP, LOST, LOGIN, UP]);
    }

    #[test]
    fn calls_that_fail_alike_are_one_line_in_ten_seconds_and_hide_no_others() {
        let lines = written(|log| {
            for _ in 0..100 {
                log.has_moved();
                for code in ["NOPERM", "WRONGTYPE"] {
                    log.refuses(&StoreError::refused(Some(code)));
                }
            }
        });
        let call = |code| format!("a call to the store failed: it refuses with {code}");
        let moved = "another server of the store has taken over".to_owned();
        assert_eq!(lines, [moved, call("NOPERM"), call("WRONGTYPE")]);
    }
}
