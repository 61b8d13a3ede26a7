//! The configuration file of a running gateway: how its changes are noticed, and when one is to be
//! judged.
//!
//! A new text is read twice with the same result, together with all files that it names, so that
//! nothing half-written is judged. A text is judged once. One that was refused is judged again when
//! it has other errors or none, and any text when SIGHUP asks. Never puts a configuration into use:
//! [`super::upkeep`] does.

use std::{sync::Arc, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::spawn_blocking,
    time::{Instant, sleep},
};

use crate::{
    config::{ConfigErrors, ConfigSource, ConfigValues, FileVersion, LoadedConfig},
    service_manager::Notifier,
    telemetry::{
        log::LogControl,
        metrics::{ReloadReport, labels::ReloadOutcome},
    },
};

/// The pause between two reads that SIGHUP asks for.
const HANGUP_PAUSE: Duration = Duration::from_millis(100);
/// How long a file may be gone until that is an error: a tool that replaces it takes a moment.
const ABSENCE: Duration = Duration::from_secs(10);
/// How often a file that goes on changing is read for one SIGHUP.
const HANGUP_READS: u32 = 30;

/// The configuration file that a gateway follows.
pub struct ConfigFollower {
    /// The file.
    pub source: ConfigSource,
    /// The configuration that the gateway started with.
    pub values: ConfigValues,
    /// The text of that configuration.
    pub version: FileVersion,
    /// The log of the process, if it is to follow too.
    pub log: Option<LogControl>,
    /// Tells the service manager of each reload.
    pub notifier: Notifier,
}

/// A configuration file, and how far it has been followed.
pub(super) struct FollowedConfig {
    pub(super) source: Arc<ConfigSource>,
    /// The configuration in use.
    pub(super) running: Arc<ConfigValues>,
    pub(super) log: Option<LogControl>,
    pub(super) notifier: Notifier,
    /// Counts the reloads; there is one once the gateway serves.
    pub(super) report: Option<ReloadReport>,
    hangup: Option<Signal>,
    /// The text that was judged last, whether it was taken or refused.
    judged: FileVersion,
    /// The errors of that text, if it was refused. They may be those of a file that it names, which
    /// comes or changes without it.
    pub(super) refused: Option<ConfigErrors>,
    /// Since when the file is gone.
    gone: Option<Instant>,
    /// A new text, and what was read of it; it is judged when the next read is the same.
    pending: Option<ConfigReading>,
}

/// What one read of the file has led to.
pub(super) struct ConfigReading {
    /// Not newer than what was read: a change in between is seen as one later.
    version: FileVersion,
    pub(super) loaded: Box<Result<LoadedConfig, ConfigErrors>>,
}

impl FollowedConfig {
    /// Begins to follow the file. SIGHUP no longer ends the process.
    pub(super) fn new(follower: ConfigFollower) -> Self {
        let ConfigFollower {
            source,
            values,
            version,
            log,
            notifier,
        } = follower;
        let hangup = signal(SignalKind::hangup());
        let hangup = hangup.inspect_err(|error| {
            tracing::error!(%error, "can't install a handler for SIGHUP: it will end the process");
        });
        Self {
            judged: version,
            source: Arc::new(source),
            running: Arc::new(values),
            log,
            notifier,
            report: None,
            hangup: hangup.ok(),
            refused: None,
            gone: None,
            pending: None,
        }
    }

    /// Looks at the file, and returns what is to be judged: a change that was read twice.
    pub(super) async fn poll(&mut self) -> Option<ConfigReading> {
        let source = Arc::clone(&self.source);
        let version = spawn_blocking(move || source.is_file().then(|| source.version()));
        let version = version.await.ok().flatten();
        self.note_absence(version.is_none());
        let is_judged = version == Some(self.judged);
        if version.is_none() || is_judged && self.refused.is_none() {
            self.pending = None;
            return None;
        }
        let reading = self.read().await?;
        if is_judged && reading.loaded.as_ref().as_ref().err() == self.refused.as_ref() {
            self.pending = None;
            return None;
        }
        let before = self.pending.take();
        if before.is_some_and(|before| before.is_same(&reading)) {
            self.judged = reading.version;
            return Some(reading);
        }
        self.pending = Some(reading);
        None
    }

    /// Reads the file until two reads in a row are the same, without a longer wait.
    pub(super) async fn read_at_once(&mut self) -> Option<ConfigReading> {
        self.pending = None;
        let mut reading = self.read().await?;
        for _ in 0..HANGUP_READS {
            sleep(HANGUP_PAUSE).await;
            let next = self.read().await?;
            if next.is_same(&reading) {
                self.judged = next.version;
                return Some(next);
            }
            reading = next;
        }
        tracing::warn!(
            "the configuration changes all the time; send SIGHUP again when it is complete"
        );
        None
    }

    /// A file that is gone for a moment is about to be replaced. Later, that is refused once, until
    /// the file is there again.
    fn note_absence(&mut self, is_gone: bool) {
        if !is_gone {
            self.gone = None;
            return;
        }
        let since = *self.gone.get_or_insert_with(Instant::now);
        if since.elapsed() >= ABSENCE && self.judged != FileVersion::default() {
            self.judged = FileVersion::default();
            let name = self.source.name();
            let seconds = ABSENCE.as_secs();
            let error = format!("{name}: the file has been gone for {seconds} s; put it back");
            self.refuse(std::iter::once(error));
        }
    }

    /// The configuration is the one in use.
    pub(super) fn confirm(&mut self, asked: bool) {
        tracing::info!("the configuration was read again: nothing has changed");
        match &mut self.report {
            Some(report) if !asked => report.restored(),
            _ => self.count(ReloadOutcome::Success),
        }
    }

    /// Says what is wrong with a configuration that can't be read. It is judged again when it has
    /// other errors, or none.
    pub(super) fn refuse_errors(&mut self, errors: ConfigErrors) {
        self.refuse(errors.lines());
        self.refused = Some(errors);
    }

    /// Says what is wrong with a configuration.
    pub(super) fn refuse(&mut self, errors: impl Iterator<Item = String>) {
        let mut count = 0_usize;
        for error in errors {
            tracing::warn!("the new configuration has an error: {error}");
            count = count.saturating_add(1);
        }
        tracing::error!(
            errors = count,
            "the new configuration is refused, the old one stays in use: correct the file before \
             the next restart, which reads it too"
        );
        self.count(ReloadOutcome::Refused);
        let status = "the new configuration is refused, the old one stays in use: see the log";
        self.notifier.status(status);
    }

    /// Resolves at the next SIGHUP.
    pub(super) async fn hangup(followed: Option<&mut Self>) {
        match followed.and_then(|followed| followed.hangup.as_mut()) {
            Some(signal) => drop(signal.recv().await),
            None => std::future::pending().await,
        }
    }

    pub(super) fn count(&mut self, outcome: ReloadOutcome) {
        if let Some(report) = &mut self.report {
            report.count(outcome);
        }
    }

    async fn read(&self) -> Option<ConfigReading> {
        let (source, running) = (Arc::clone(&self.source), Arc::clone(&self.running));
        let reading = spawn_blocking(move || ConfigReading {
            version: source.version(),
            loaded: Box::new(source.load_beside(&running)),
        });
        // The runtime shuts down otherwise.
        reading.await.ok()
    }
}

impl ConfigReading {
    fn is_same(&self, other: &Self) -> bool {
        match (&*self.loaded, &*other.loaded) {
            (Ok(one), Ok(other)) => one.values == other.values,
            (Err(one), Err(other)) => one == other,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
