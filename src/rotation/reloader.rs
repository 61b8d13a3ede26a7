//! Polls the files of all reloadable values and applies the values that new contents make.
//!
//! A content is used once two polls in a row have read the same, so a half-written file is never
//! used. When only some of the files that belong together have changed, the others get ten polls
//! to follow. An invalid content is logged once, and the value in use stays.

use std::{
    error::Error,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use super::{
    input::InputVersion,
    loader::{LoadError, Reloadable},
};
use crate::telemetry::metrics::{
    Metrics, ReloadReport,
    labels::{ReloadOutcome, ReloadedPart},
};

/// The pause between two polls.
pub const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// How many polls in a row must read the same content.
const STABLE_POLLS: u32 = 2;
/// The same while a file that belongs to the changed one is unchanged. Some tools write the files
/// one by one and need seconds for it.
const STABLE_POLLS_IN_PART: u32 = 10;

/// Why a new value can't be applied.
pub type ApplyError = Box<dyn Error + Send + Sync>;

/// Polls all reloadable values.
pub struct Reloader {
    metrics: Arc<Metrics>,
    polls: Vec<PollFn>,
}

/// Returns whether a change was seen that is not evaluated yet.
type PollFn = Box<dyn FnMut() -> bool + Send>;

/// One reloadable value, and the progress of a change.
struct Poller<T, A> {
    reloadable: Reloadable<T>,
    apply: A,
    report: ReloadReport,
    /// The versions that were last evaluated, whether they were applied or rejected.
    evaluated: Vec<InputVersion>,
    /// The versions that are new, and the number of polls in a row that read them.
    pending: Option<(Vec<InputVersion>, u32)>,
}

impl Reloader {
    /// A reloader without values. `metrics` count what it reloads.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            polls: Vec::new(),
        }
    }

    /// Adds a value of `what`, if there is one. `apply` puts a new value into use.
    pub fn add<T: 'static>(
        &mut self,
        what: ReloadedPart,
        reloadable: Option<Reloadable<T>>,
        apply: impl FnMut(T) -> Result<(), ApplyError> + Send + 'static,
    ) {
        let Some(reloadable) = reloadable else { return };
        let report = self.metrics.reload_report(what);
        let mut poller = Poller::new(reloadable, apply, report);
        self.polls.push(Box::new(move || {
            poller.poll();
            poller.pending.is_some()
        }));
    }

    /// Adds work that is done at each poll.
    pub fn at_each_poll(&mut self, mut work: impl FnMut() + Send + 'static) {
        self.polls.push(Box::new(move || {
            work();
            false
        }));
    }

    /// Polls once, which blocks. Returns whether a change was seen that is not evaluated yet.
    pub fn poll(&mut self) -> bool {
        let mut waits = false;
        for poll in &mut self.polls {
            // After a panic the poller has recorded the versions, and continues with the next.
            match catch_unwind(AssertUnwindSafe(poll)) {
                Ok(pending) => waits |= pending,
                Err(_) => {
                    tracing::error!(
                        "reloading a changed file panicked, the old value stays in use; report \
                         this with the lines before"
                    );
                }
            }
        }
        waits
    }
}

impl<T, A: FnMut(T) -> Result<(), ApplyError>> Poller<T, A> {
    fn new(reloadable: Reloadable<T>, apply: A, report: ReloadReport) -> Self {
        Self {
            evaluated: reloadable.versions.clone(),
            reloadable,
            apply,
            report,
            pending: None,
        }
    }

    fn poll(&mut self) {
        let snapshot = self.reloadable.loader.read();
        if snapshot.versions == self.evaluated {
            self.pending = None;
            return;
        }
        let polls = match self.pending.take() {
            Some((versions, polls)) if versions == snapshot.versions => polls.saturating_add(1),
            _ => 1,
        };
        if polls < self.polls_needed(&snapshot.versions) {
            self.pending = Some((snapshot.versions, polls));
            return;
        }
        let before = std::mem::replace(&mut self.evaluated, snapshot.versions.clone());
        let key = self.reloadable.loader.file_keys();
        if snapshot.versions == self.reloadable.versions {
            tracing::info!(key, "the content is the one in use again");
            self.report.restored();
            return;
        }
        let mut errors = snapshot.errors();
        if !errors.is_empty() {
            // An input that is unchanged since the last rejection was logged then.
            errors.retain(|error| before.get(error.input) != self.evaluated.get(error.input));
            return self.reject(&errors);
        }
        let warnings: Vec<_> = self.reloadable.loader.warnings(&snapshot).collect();
        let built = self.reloadable.loader.build(snapshot);
        let applied = built.and_then(|value| {
            (self.apply)(value)
                .map_err(|error| vec![LoadError::of(0, error.to_string(), "retry, or restart")])
        });
        match applied {
            Ok(()) => {
                self.reloadable.versions.clone_from(&self.evaluated);
                tracing::info!(key, "the new content is in use");
                self.report.count(ReloadOutcome::Success);
                // An input that has not changed was warned of before.
                let is_new = |input: usize| before.get(input) != self.evaluated.get(input);
                for (_, warning) in warnings.iter().filter(|(input, _)| is_new(*input)) {
                    tracing::warn!("{warning}");
                }
            }
            Err(errors) => self.reject(&errors),
        }
    }

    /// How many polls in a row must read these versions.
    fn polls_needed(&self, versions: &[InputVersion]) -> u32 {
        if versions == self.reloadable.versions {
            return STABLE_POLLS;
        }
        let are_files = self.reloadable.loader.are_files();
        let pairs = versions.iter().zip(&self.reloadable.versions);
        let unchanged = |((new, used), is_file)| is_file && new == used;
        match pairs.zip(are_files).any(unchanged) {
            true => STABLE_POLLS_IN_PART,
            false => STABLE_POLLS,
        }
    }

    fn reject(&mut self, errors: &[LoadError]) {
        self.report.count(ReloadOutcome::Refused);
        for LoadError { input, error } in errors {
            let (key, file) = self.reloadable.loader.key_and_file(*input);
            tracing::warn!(
                key,
                file,
                "the new content can't be used, the old one stays in use: {}; {}",
                error.message,
                error.help
            );
        }
    }
}

#[cfg(test)]
mod tests;
