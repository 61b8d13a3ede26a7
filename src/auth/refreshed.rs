//! The keys of an issuer together with the task that fetches them.
//!
//! Generations of the configuration share it as long as the issuer's keys are fetched from the same
//! place, so that a reload loses no key and disturbs no request that waits for one. The task ends
//! with the last of them. Never fetches anything itself: [`super::refresh`] does.

use std::sync::{Arc, OnceLock};

use tokio::task::AbortHandle;

use super::{
    refresh,
    remote::{KeyServerAccess, RemoteKeySettings, RemoteKeys},
};
use crate::telemetry::metrics::Metrics;

/// The keys of an issuer, kept fresh.
pub(super) struct RefreshedKeys {
    pub(super) keys: Arc<RemoteKeys>,
    task: OnceLock<TaskGuard>,
}

/// How the keys of an issuer are reached by a configuration that shares them with the one before.
pub(super) struct ChangedAccess {
    keys: Arc<RefreshedKeys>,
    access: Arc<KeyServerAccess>,
}

/// Ends a task when it is dropped.
struct TaskGuard(AbortHandle);

impl RefreshedKeys {
    /// Keys that are not fetched yet.
    pub(super) fn new(issuer: Arc<str>, settings: RemoteKeySettings) -> Arc<Self> {
        Arc::new(Self {
            keys: Arc::new(RemoteKeys::new(issuer, settings)),
            task: OnceLock::new(),
        })
    }

    /// The keys for `settings` that follow these: the same ones, if they are fetched from the same
    /// place by the same rules. Otherwise others, which hold what these have fetched, as far as it
    /// is allowed, until their own first fetch. In the first case, also what changes when they come
    /// into use.
    pub(super) fn followed_by(
        self: &Arc<Self>,
        settings: RemoteKeySettings,
    ) -> (Arc<Self>, Option<ChangedAccess>) {
        if self.keys.settings.fetches_alike(&settings) {
            let access = ChangedAccess {
                keys: Arc::clone(self),
                access: Arc::new(KeyServerAccess::of(&settings)),
            };
            return (Arc::clone(self), Some(access));
        }
        let allowed = settings.algorithms.clone();
        let next = Self::new(Arc::clone(&self.keys.issuer), settings);
        if let Some(fetched) = self.keys.fetched() {
            next.keys.set(fetched.copied(allowed.as_deref()));
        }
        (next, None)
    }

    /// Starts to fetch the keys, if that has not begun.
    pub(super) fn start(
        &self,
        metrics: &Arc<Metrics>,
        changed: impl Fn() + Clone + Send + Sync + 'static,
    ) {
        self.task.get_or_init(|| {
            let (keys, metrics) = (Arc::clone(&self.keys), Arc::clone(metrics));
            let task = tokio::spawn(refresh::run(keys, metrics, changed));
            TaskGuard(task.abort_handle())
        });
    }

    /// Waits until the first fetch has succeeded or failed.
    pub(super) async fn first_fetch(&self) {
        let mut progress = self.keys.progress.subscribe();
        // The sender lives as long as the keys.
        let _ = progress.wait_for(|progress| progress.finished > 0).await;
    }
}

impl ChangedAccess {
    /// Fetches the keys that way from now on.
    pub(super) fn apply(&self) {
        self.keys.keys.access.store(Arc::clone(&self.access));
    }
}

impl Drop for TaskGuard {
    fn drop(&mut self) {
        self.0.abort();
    }
}
