//! Keeps the keys of one issuer fresh: fetches them at start, before they expire, on request for an
//! unknown key id, and after a failure with growing delays.
//!
//! Relies on [`super::key_set_fetch`] for one fetch, and on [`super::remote`] for the current keys
//! and the requests that wait. There is one fetch at a time, and a failed one changes nothing but
//! the time of the next. Keys that no fetch has confirmed for `max_stale` are dropped. Nothing of a
//! document is logged but key ids and the issuer's name.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::{
    sync::futures::Notified,
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    key_set::FetchedKeySet,
    key_set_error::KeySetWarning,
    key_set_fetch::{DiscoveredUrl, KeySetFetchError, fetch_key_set},
    remote::{FetchedKeys, RemoteKeys},
};
use crate::{
    closed_set::ClosedSet,
    outbound::server_date::ServerDate,
    telemetry::{metrics::Metrics, peer_clock::PeerClock, repeated::RepeatedLines},
};

/// Fetches and expires the keys until it is dropped. Calls `changed` whenever keys may have become
/// available or expired.
pub(super) async fn run(
    keys: Arc<RemoteKeys>,
    metrics: Arc<Metrics>,
    changed: impl Fn() + Clone + Send + Sync + 'static,
) {
    loop {
        let mut task = JoinSet::new();
        let (keys, metrics) = (Arc::clone(&keys), Arc::clone(&metrics));
        let (issuer, delay) = (
            Arc::clone(&keys.issuer),
            keys.settings.timing.max_retry_delay,
        );
        task.spawn(run_until_panic(keys, metrics, changed.clone()));
        drop(task.join_next().await);
        // Without a restart the keys would silently never change again.
        tracing::error!(
            %issuer,
            "fetching the issuer's keys panicked and is restarted; report this with the lines before"
        );
        sleep(delay).await;
    }
}

async fn run_until_panic(keys: Arc<RemoteKeys>, metrics: Arc<Metrics>, changed: impl Fn()) {
    let fetcher = KeySetFetcher {
        keys: &keys,
        metrics: &metrics,
        clock: PeerClock::new(Arc::clone(&keys.issuer), Arc::clone(&metrics)),
        lines: RepeatedLines::default(),
        discovered: None,
        warnings: Vec::new(),
        failures: 0,
    };
    tokio::join!(fetcher.run(&changed), expire(&keys, &changed));
}

struct KeySetFetcher<'a> {
    keys: &'a RemoteKeys,
    metrics: &'a Metrics,
    clock: PeerClock,
    lines: RepeatedLines,
    discovered: Option<DiscoveredUrl>,
    /// The warnings about the last set, so that each is logged once.
    warnings: Vec<KeySetWarning>,
    /// Number of failures since the last success.
    failures: u32,
}

impl KeySetFetcher<'_> {
    async fn run(mut self, changed: &impl Fn()) {
        loop {
            self.keys
                .progress
                .send_modify(|progress| progress.started = progress.started.saturating_add(1));
            let limit = self.keys.settings.timing.fetch_timeout;
            let result = match timeout(limit, self.fetch()).await {
                Ok(result) => result,
                Err(_) => Err(KeySetFetchError::Timeout(limit)),
            };
            let succeeded = result.is_ok();
            let delay = match result {
                Ok((fetched, lifetime)) => self.succeeded(fetched, lifetime),
                Err(error) => self.failed(&error),
            };
            // Before waiting requests are woken: their outcome may depend on it.
            changed();
            self.keys.progress.send_modify(|progress| {
                progress.finished = progress.started;
                progress.succeeded = succeeded;
            });
            self.wait(delay).await;
        }
    }

    /// Fetches the key set. Returns it with the lifetime that the response headers allow.
    async fn fetch(&mut self) -> Result<(FetchedKeySet, Option<Duration>), KeySetFetchError> {
        let clock = &self.clock;
        let note = |date: ServerDate| {
            if clock.is_due() {
                clock.note(date.skew());
            }
        };
        fetch_key_set(self.keys, &mut self.discovered, note).await
    }

    /// Puts the fetched keys into use. Returns the time until the next fetch.
    fn succeeded(&mut self, fetched: FetchedKeySet, lifetime: Option<Duration>) -> Duration {
        let FetchedKeySet { keys, warnings } = fetched;
        let issuer = &self.keys.issuer;
        let current = self.keys.fetched();
        let same = current.is_some_and(|current| current.keys.is_same(&keys));
        if !same || self.failures > 0 {
            tracing::info!(%issuer, keys = keys.len(), "the issuer's keys were fetched");
        }
        for warning in &warnings {
            if !self.warnings.contains(warning) {
                tracing::warn!(%issuer, "the issuer's key set: {warning}");
            }
        }
        self.warnings = warnings;
        self.keys.set(FetchedKeys {
            keys: Arc::new(keys),
            fetched_at: Instant::now(),
        });
        self.failures = 0;
        self.metrics.key_sets.count_success(issuer);
        self.keys.settings.next_fetch_in(lifetime)
    }

    /// Keeps the current keys. Returns the delay of the retry.
    fn failed(&mut self, error: &KeySetFetchError) -> Duration {
        let delay = self.keys.settings.timing.retry_delay(self.failures);
        self.failures = self.failures.saturating_add(1);
        // The discovered URL may be the cause.
        self.discovered = None;
        let (issuer, outcome) = (&self.keys.issuer, error.outcome());
        self.metrics.key_sets.count_failure(issuer, outcome);
        let outcome = outcome.as_str();
        let retry_s = delay.as_secs_f64();
        let advice = error.advice();
        let current = self.keys.fetched();
        self.lines.log(&error.to_string(), |left_out| match current {
            Some(current) => tracing::warn!(
                %issuer, outcome, age_s = current.fetched_at.elapsed().as_secs(), retry_s, left_out,
                "fetching the issuer's keys failed, the current keys stay in use: {error}; {advice}"
            ),
            None => tracing::error!(
                %issuer, outcome, retry_s, left_out,
                "fetching the issuer's keys failed, its tokens get 503 until it succeeds: {error}; \
                 {advice}"
            ),
        });
        delay
    }

    /// Waits for this time, or until a request asks for a fetch.
    async fn wait(&self, delay: Duration) {
        let mut elapsed = pin!(sleep(delay));
        loop {
            let woken: Notified<'_> = self.keys.wake.notified();
            tokio::select! {
                () = &mut elapsed => return,
                // The wake-up may be for a request that the last fetch has already served.
                () = woken => if self.keys.is_fetch_requested() { return },
            }
        }
    }
}

/// Drops the keys when no fetch has confirmed them for `max_stale`.
async fn expire(keys: &RemoteKeys, changed: &impl Fn()) {
    let mut progress = keys.progress.subscribe();
    loop {
        let Some(FetchedKeys { fetched_at, .. }) = keys.fetched() else {
            drop(progress.changed().await);
            continue;
        };
        tokio::select! {
            () = sleep_until(fetched_at + keys.settings.max_stale) => if keys.expire(fetched_at) {
                tracing::error!(
                    issuer = %keys.issuer,
                    "the issuer's keys are older than max_stale, its tokens get 503 until a fetch \
                     succeeds; the lines on failed fetches say why"
                );
                changed();
            },
            _ = progress.changed() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::{
        auth::remote::{FetchTiming, KeySetLocation, RemoteKeySettings},
        outbound::{
            connection::{ClientTls, client_config},
            dial::Dialer,
            origin::Url,
        },
        telemetry::log::LogWriter,
    };

    #[tokio::test]
    async fn a_panic_does_not_end_the_fetching() {
        let pause = Duration::from_millis(1);
        let unreachable = Url::parse("http://127.0.0.1:1/keys").unwrap();
        let settings = RemoteKeySettings {
            location: KeySetLocation::KeySet(unreachable),
            dialer: Dialer::default(),
            tls: ClientTls::new(client_config(None).unwrap()),
            algorithms: None,
            max_stale: pause,
            timing: FetchTiming {
                initial_retry_delay: pause,
                max_retry_delay: pause,
                ..FetchTiming::default()
            },
        };
        let keys = Arc::new(RemoteKeys::new("i".into(), settings));
        let (calls, mut called) = tokio::sync::mpsc::unbounded_channel();
        let count = Arc::new(AtomicUsize::new(0));
        let changed = move || {
            calls.send(()).unwrap();
            assert!(count.fetch_add(1, Ordering::SeqCst) > 1, "a panic, twice");
        };
        let keeping = tokio::spawn(run(keys, Metrics::new(LogWriter::discard()), changed));
        for _ in 0..5 {
            called.recv().await.unwrap();
        }
        keeping.abort();
    }
}
