//! Follows the files while the gateway runs: keys and certificates once a second, and the
//! configuration when its file changes or SIGHUP asks for it.
//!
//! One task does both in turn, so no change meets another. Relies on [`super::followed_config`] to
//! say when a new configuration is to be judged. It comes into use as a whole, or not at all: then
//! all its errors are logged. Never logs a value.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::spawn_blocking,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{
    build,
    change::{self, SharedChanges},
    fetch_keys, files,
    followed_config::{ConfigReading, FollowedConfig},
    prepare_metrics::prepare_metrics,
};
use crate::{
    config::{ChangedKeys, LoadedConfig, Settings},
    relay::gateway::CurrentGateway,
    rotation::Reloader,
    server::{rules::ServerRules, tls::ServerTls},
    telemetry::metrics::labels::{ReloadOutcome, ReloadedPart},
};

/// How long a new configuration waits for the keys of issuers that it changes. A change is in use
/// within five seconds: two polls, this, and the work.
const KEYS_WAIT: Duration = Duration::from_secs(2);

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
                () = FollowedConfig::hangup(self.follower.as_mut()) => true,
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
    async fn judge(&mut self, follower: &mut FollowedConfig, reading: ConfigReading, asked: bool) {
        follower.refused = None;
        let loaded = match *reading.loaded {
            Ok(loaded) => loaded,
            Err(errors) => return follower.refuse_errors(errors),
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
