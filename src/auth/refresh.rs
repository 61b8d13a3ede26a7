//! Keeps the keys of one issuer fresh: fetched at start, before they grow old, when an unknown id asks for it, and again
//! after a failure, ever more slowly.
//!
//! Relies on [`super::remote`] for what is known and who waits. One fetch at a time; a failed one changes nothing but the
//! time of the next. Keys that were not confirmed for too long are dropped. Nothing of a document gets into the log but key
//! ids and the issuer's name.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::{
    sync::futures::Notified,
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    discovery,
    key_set::{ParsedKeySet, VerificationKeys},
    remote::{FetchedKeys, KeySetLocation, RemoteKeys},
};
use crate::{
    outbound::{
        fetch::{FetchError, FetchedDocument, fetch},
        origin::Url,
    },
    telemetry::metrics::Metrics,
};

/// Bytes of a document at the most.
const MAX_DOCUMENT: usize = 1 << 20;

/// Fetches and drops until it is dropped itself; `changed` is called when keys may have come or gone.
pub(super) async fn keep(
    keys: Arc<RemoteKeys>,
    metrics: Arc<Metrics>,
    changed: impl Fn() + Clone + Send + Sync + 'static,
) {
    loop {
        let mut task = JoinSet::new();
        let (keys, metrics) = (Arc::clone(&keys), Arc::clone(&metrics));
        let (issuer, pause) = (
            Arc::clone(&keys.issuer),
            keys.settings.timing.max_retry_delay,
        );
        task.spawn(keep_until_a_bug(keys, metrics, changed.clone()));
        drop(task.join_next().await);
        // Without this the keys would quietly stay as they are for ever.
        tracing::error!(%issuer, "fetching the issuer's keys ended in a bug; it begins anew");
        sleep(pause).await;
    }
}

async fn keep_until_a_bug(keys: Arc<RemoteKeys>, metrics: Arc<Metrics>, changed: impl Fn()) {
    let refresher = KeySetFetcher {
        keys: &keys,
        metrics: &metrics,
        address: None,
        remarks: Vec::new(),
        failures: 0,
    };
    tokio::join!(refresher.run(&changed), expire(&keys, &changed));
}

struct KeySetFetcher<'a> {
    keys: &'a RemoteKeys,
    metrics: &'a Metrics,
    /// Where discovery said the keys are, and until when that may be believed.
    address: Option<(Url, Instant)>,
    /// What was said of the last set, so that it is said once.
    remarks: Vec<String>,
    failures: u32,
}

/// Why a fetch brought no keys.
struct KeySetFetchError {
    /// Its label.
    outcome: &'static str,
    /// A clause for a person.
    why: String,
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
                Err(_) => Err(KeySetFetchError {
                    outcome: "timeout",
                    why: format!("it took longer than {limit:?}"),
                }),
            };
            let succeeded = result.is_ok();
            let pause = match result {
                Ok((published, fresh)) => self.succeeded(published, fresh),
                Err(failure) => self.failed(&failure),
            };
            // Before those who wait are told: they look at what is known.
            changed();
            self.keys.progress.send_modify(|progress| {
                progress.finished = progress.started;
                progress.succeeded = succeeded;
            });
            self.rest(pause).await;
        }
    }

    async fn fetch(&mut self) -> Result<(ParsedKeySet, Option<Duration>), KeySetFetchError> {
        let settings = &self.keys.settings;
        let now = Instant::now();
        let url = match (&settings.location, &self.address) {
            (KeySetLocation::KeySet(url), _) => url.clone(),
            (KeySetLocation::Discovery(_), Some((url, until))) if *until > now => url.clone(),
            (KeySetLocation::Discovery(place), _) => {
                let document = self.document(place).await?;
                let url = discovery::keys_of(&document.body, &self.keys.issuer).map_err(|why| {
                    KeySetFetchError::invalid(format!(
                        "the discovery document at {} {why}",
                        shown(place)
                    ))
                })?;
                self.address = Some((url.clone(), now + settings.timing.lifetime(document.fresh)));
                url
            }
        };
        let document = self.document(&url).await?;
        let previous = self.keys.fetched();
        let previous = previous.as_ref().map(|fetched| &*fetched.keys);
        VerificationKeys::from_published(&document.body, settings.algorithms.as_deref(), previous)
            .map(|published| (published, document.fresh))
            .map_err(|why| {
                KeySetFetchError::invalid(format!("the key set at {} {why}", shown(&url)))
            })
    }

    async fn document(&self, url: &Url) -> Result<FetchedDocument, KeySetFetchError> {
        fetch(url, &self.keys.settings.tls, MAX_DOCUMENT)
            .await
            .map_err(|error| KeySetFetchError {
                outcome: match error {
                    FetchError::Unreachable(_) => "unreachable",
                    FetchError::Broken(_) => "invalid",
                    FetchError::Status(_) => "status",
                    FetchError::TooLarge => "too_large",
                },
                why: format!("{}: {error}", shown(url)),
            })
    }

    /// Puts the keys to use; how long they may rest.
    fn succeeded(&mut self, published: ParsedKeySet, fresh: Option<Duration>) -> Duration {
        let ParsedKeySet { keys, remarks } = published;
        let issuer = &self.keys.issuer;
        let known = self.keys.fetched();
        let same = known.is_some_and(|known| known.keys.is(&keys));
        if !same || self.failures > 0 {
            tracing::info!(%issuer, keys = keys.len(), "the issuer's keys are known");
        }
        if self.remarks != remarks {
            for remark in &remarks {
                tracing::warn!(%issuer, "the issuer's key set: {remark}");
            }
            self.remarks = remarks;
        }
        self.keys.set(Some(FetchedKeys {
            keys: Arc::new(keys),
            at: Instant::now(),
        }));
        self.failures = 0;
        self.metrics.key_sets.count_success(issuer);
        let settings = &self.keys.settings;
        // Not so long that one failure would make them too old.
        let most = settings.max_stale / 2;
        settings.timing.lifetime(fresh).min(most)
    }

    /// Keeps what is known; how long to wait with the next try.
    fn failed(&mut self, failure: &KeySetFetchError) -> Duration {
        let pause = self.keys.settings.timing.pause(self.failures);
        self.failures = self.failures.saturating_add(1);
        // What was discovered may be what is wrong.
        self.address = None;
        let issuer = &self.keys.issuer;
        self.metrics.key_sets.count_failure(issuer, failure.outcome);
        let seconds = pause.as_secs_f64();
        match self.keys.fetched() {
            Some(known) => tracing::warn!(
                %issuer, outcome = failure.outcome, age_s = known.at.elapsed().as_secs(), retry_s = seconds,
                "the issuer's keys can't be fetched, the known ones stay in use: {}", failure.why
            ),
            None => tracing::error!(
                %issuer, outcome = failure.outcome, retry_s = seconds,
                "the issuer's keys can't be fetched, and its tokens get 503 until they are: {}", failure.why
            ),
        }
        pause
    }

    /// Waits, or until somebody asks.
    async fn rest(&self, pause: Duration) {
        let mut over = pin!(sleep(pause));
        loop {
            let woken: Notified<'_> = self.keys.wake.notified();
            tokio::select! {
                () = &mut over => return,
                // A wish that the last fetch has fulfilled already may still be noted.
                () = woken => if self.keys.is_asked() { return },
            }
        }
    }
}

/// Drops the keys when no fetch has confirmed them for too long.
async fn expire(keys: &RemoteKeys, changed: &impl Fn()) {
    let mut progress = keys.progress.subscribe();
    loop {
        let Some(FetchedKeys { at, .. }) = keys.fetched() else {
            drop(progress.changed().await);
            continue;
        };
        tokio::select! {
            () = sleep_until(at + keys.settings.max_stale) => if keys.forget(at) {
                tracing::error!(issuer = %keys.issuer, "the issuer's keys are older than max_stale: its tokens get 503 until they can be fetched");
                changed();
            },
            _ = progress.changed() => {}
        }
    }
}

impl KeySetFetchError {
    fn invalid(why: String) -> Self {
        Self {
            outcome: "invalid",
            why,
        }
    }
}

fn shown(url: &Url) -> String {
    let scheme = if url.origin.tls { "https" } else { "http" };
    format!("{scheme}://{}{}", url.origin.authority, url.target)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::{
        auth::remote::{FetchTiming, RemoteKeySettings},
        outbound::connection::{ClientTls, client_config},
        telemetry::log::LogWriter,
    };

    #[tokio::test]
    async fn a_bug_does_not_end_the_fetching() {
        let pause = Duration::from_millis(1);
        let nobody = Url::parse("http://127.0.0.1:1/keys").unwrap();
        let settings = RemoteKeySettings {
            location: KeySetLocation::KeySet(nobody),
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
            assert!(count.fetch_add(1, Ordering::SeqCst) > 1, "a bug, twice");
        };
        let keeping = tokio::spawn(keep(keys, Metrics::new(LogWriter::discard()), changed));
        for _ in 0..5 {
            called.recv().await.unwrap();
        }
        keeping.abort();
    }
}
