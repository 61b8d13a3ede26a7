//! Follows the files while the gateway runs: keys and certificates once a second, and the
//! configuration when its file changes or SIGHUP asks for it.
//!
//! One task does both in turn, so no change meets another. A new configuration is read twice with
//! the same result before it is judged, together with all files that it names. It comes into use as
//! a whole, or not at all: then all its errors are logged. Never logs a value.

use std::{sync::Arc, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::spawn_blocking,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use super::{
    build,
    change::{self, SharedChanges},
    fetch_keys, files,
    prepare_metrics::prepare_metrics,
};
use crate::{
    config::{
        ChangedKeys, ConfigErrors, ConfigSource, ConfigValues, FileVersion, LoadedConfig, Settings,
    },
    relay::gateway::CurrentGateway,
    rotation::Reloader,
    server::{rules::ServerRules, tls::ServerTls},
    service_manager::Notifier,
    telemetry::{
        log::LogControl,
        metrics::{
            ReloadReport,
            labels::{ReloadOutcome, ReloadedPart},
        },
    },
};

/// How long a new configuration waits for the keys of issuers that it changes. A change is in use
/// within five seconds: two polls, this, and the work.
const KEYS_WAIT: Duration = Duration::from_secs(2);
/// The pause between two reads that SIGHUP asks for.
const HANGUP_PAUSE: Duration = Duration::from_millis(100);
/// How often a file that goes on changing is read for one SIGHUP.
const HANGUP_READS: u32 = 30;

/// The configuration file that a gateway follows.
pub struct ConfigFollower {
    /// The file.
    pub source: ConfigSource,
    /// The configuration that the gateway started with.
    pub values: ConfigValues,
    /// The log of the process, if it is to follow too.
    pub log: Option<LogControl>,
    /// Tells the service manager of each reload.
    pub notifier: Notifier,
}

/// Why a valid configuration can't come into use.
#[derive(Debug, thiserror::Error)]
enum ReloadError {
    /// Nobody could call any more.
    #[error(
        "the keys of none of its issuers could be fetched: nobody could call; correct the issuers, or \
         send SIGHUP when they can be reached"
    )]
    NoKeys,
    /// No keys can be derived.
    #[error("no keys can be derived; try again with SIGHUP")]
    Derivation,
}

/// The task that follows files.
pub(super) struct Upkeep {
    pub(super) current: Arc<CurrentGateway>,
    pub(super) rules: Arc<ServerRules>,
    pub(super) reloader: Reloader,
    pub(super) interval: Duration,
    pub(super) tls: Option<ServerTls>,
    pub(super) follower: Option<FollowedConfig>,
}

/// A configuration file, and how far it has been followed.
pub(super) struct FollowedConfig {
    source: Arc<ConfigSource>,
    /// The configuration in use.
    running: Arc<ConfigValues>,
    log: Option<LogControl>,
    notifier: Notifier,
    /// Counts the reloads; there is one once the gateway serves.
    report: Option<ReloadReport>,
    hangup: Option<Signal>,
    /// The text that was judged last, whether it was taken or refused.
    judged: FileVersion,
    /// A new text, and what was read of it; it is judged when the next read is the same.
    pending: Option<ConfigReading>,
}

/// What one read of the file has led to.
struct ConfigReading(Box<Result<LoadedConfig, ConfigErrors>>);

impl Upkeep {
    /// Follows the files until it is dropped.
    pub(super) async fn run(mut self) {
        if let Some(follower) = &mut self.follower {
            let metrics = &self.current.load().telemetry.metrics;
            follower.report = Some(metrics.reload_report(ReloadedPart::Configuration));
        }
        let mut tick = interval(self.interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                _ = tick.tick() => false,
                () = hangup(self.follower.as_mut()) => true,
            };
            // Reading blocks when a disk is slow or gone, and no request may wait for that.
            let polled = spawn_blocking(move || {
                let waits = self.reloader.poll();
                (self, waits)
            });
            let Ok((upkeep, waits)) = polled.await else {
                // The runtime shuts down.
                return;
            };
            self = upkeep;
            let Some(mut follower) = self.follower.take() else {
                continue;
            };
            if asked {
                follower.notifier.reloading();
            }
            let read = match (asked, waits) {
                (true, _) => follower.read_at_once().await,
                // Files that belong together are changing: the configuration would read half of
                // them.
                (false, true) => None,
                (false, false) => follower.poll().await,
            };
            if let Some(reading) = read {
                self.judge(&mut follower, reading, asked).await;
            }
            if asked {
                follower.notifier.ready();
            }
            self.follower = Some(follower);
        }
    }

    /// Puts a configuration into use, or says why not.
    async fn judge(
        &mut self,
        follower: &mut FollowedConfig,
        ConfigReading(read): ConfigReading,
        asked: bool,
    ) {
        let loaded = match *read {
            Ok(loaded) => loaded,
            Err(errors) => return follower.refuse(errors.lines()),
        };
        let changed = loaded.values.changed_from(&follower.running);
        if changed.is_empty() {
            return follower.confirm(asked);
        }
        let LoadedConfig {
            settings,
            warnings,
            values,
            ..
        } = loaded;
        let log = settings.log;
        if let Err(error) = self.replace(settings, &changed, asked).await {
            let error = format!("{}: {error}", follower.source.name());
            return follower.refuse(std::iter::once(error));
        }
        follower.running = Arc::new(values);
        if let Some(control) = &follower.log {
            control.change(log);
        }
        tracing::info!(changed = changed.shown(), "the new configuration is in use");
        follower.count(ReloadOutcome::Success);
        follower.notifier.status("the new configuration is in use");
        for warning in warnings {
            tracing::warn!("{warning}");
        }
    }

    async fn replace(
        &mut self,
        mut settings: Settings,
        changed: &ChangedKeys,
        asked: bool,
    ) -> Result<(), ReloadError> {
        let previous = self.current.load();
        // At once, its files may be newer than what the reloader has put into use.
        if !asked && !changed.has("server.tls") {
            // With its session keys, so that clients go on resuming their sessions.
            settings.server.tls.clone_from(&self.tls);
        }
        let underived = |_| ReloadError::Derivation;
        let shared = SharedChanges::of(&mut settings).map_err(underived)?;
        let gateway = Arc::new(build::following(&previous, &mut settings, changed));
        fetch_keys(&self.current, &gateway);
        let _ = timeout(KEYS_WAIT, gateway.authenticator.first_fetches()).await;
        let keys = gateway.authenticator.issuer_keys();
        if previous.readiness.is_ready() && !keys.suffice() {
            return Err(ReloadError::NoKeys);
        }
        shared.apply(&gateway).map_err(underived)?;
        // Not earlier: a configuration that is refused must not end the series of the one in use.
        prepare_metrics(&gateway);
        change::swap(
            &self.current,
            &self.rules,
            Arc::clone(&gateway),
            &settings.server,
        );
        self.tls = settings.server.tls.take();
        self.reloader = files::reloader(settings.reloadable, &gateway, self.tls.as_ref());
        Ok(())
    }
}

impl FollowedConfig {
    /// Begins to follow the file. SIGHUP no longer ends the process.
    pub(super) fn new(follower: ConfigFollower) -> Self {
        let ConfigFollower {
            source,
            values,
            log,
            notifier,
        } = follower;
        let hangup = signal(SignalKind::hangup());
        let hangup = hangup.inspect_err(|error| {
            tracing::error!(%error, "can't install a handler for SIGHUP: it will end the process");
        });
        Self {
            judged: source.version(),
            source: Arc::new(source),
            running: Arc::new(values),
            log,
            notifier,
            report: None,
            hangup: hangup.ok(),
            pending: None,
        }
    }

    /// Looks at the file, and returns what is to be judged: a change that was read twice.
    async fn poll(&mut self) -> Option<ConfigReading> {
        let source = Arc::clone(&self.source);
        let version = spawn_blocking(move || source.is_file().then(|| source.version()));
        // A file that is gone for a moment is about to be replaced.
        let version = version.await.ok().flatten();
        match version {
            Some(version) if version != self.judged => {}
            _ => {
                self.pending = None;
                return None;
            }
        }
        let reading = self.read().await?;
        let before = self.pending.take();
        if before.is_some_and(|before| before.is_same(&reading)) {
            self.judged = version?;
            return Some(reading);
        }
        self.pending = Some(reading);
        None
    }

    /// Reads the file until two reads in a row are the same, without a longer wait.
    async fn read_at_once(&mut self) -> Option<ConfigReading> {
        self.pending = None;
        let mut reading = self.read().await?;
        for _ in 0..HANGUP_READS {
            sleep(HANGUP_PAUSE).await;
            let next = self.read().await?;
            if next.is_same(&reading) {
                self.judged = self.source.version();
                return Some(next);
            }
            reading = next;
        }
        tracing::warn!(
            "the configuration changes all the time; send SIGHUP again when it is complete"
        );
        None
    }

    /// The configuration is the one in use.
    fn confirm(&mut self, asked: bool) {
        tracing::info!("the configuration was read again: nothing has changed");
        match &mut self.report {
            Some(report) if !asked => report.restored(),
            _ => self.count(ReloadOutcome::Success),
        }
    }

    /// Says what is wrong with a configuration.
    fn refuse(&mut self, errors: impl Iterator<Item = String>) {
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

    fn count(&mut self, outcome: ReloadOutcome) {
        if let Some(report) = &mut self.report {
            report.count(outcome);
        }
    }

    async fn read(&self) -> Option<ConfigReading> {
        let (source, running) = (Arc::clone(&self.source), Arc::clone(&self.running));
        let loaded = spawn_blocking(move || source.load_beside(&running));
        // The runtime shuts down otherwise.
        loaded.await.ok().map(|read| ConfigReading(Box::new(read)))
    }
}

impl ConfigReading {
    fn is_same(&self, other: &Self) -> bool {
        match (&*self.0, &*other.0) {
            (Ok(one), Ok(other)) => one.values == other.values,
            (Err(one), Err(other)) => one == other,
            _ => false,
        }
    }
}

/// Resolves at the next SIGHUP.
async fn hangup(follower: Option<&mut FollowedConfig>) {
    match follower.and_then(|follower| follower.hangup.as_mut()) {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
