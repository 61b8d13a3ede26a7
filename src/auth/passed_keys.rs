//! The fetched key sets of all issuers as bytes, for the process that takes over from this one: an
//! issuer that is down then costs nobody the keys that were known.
//!
//! One line of JSON for each issuer: its name, the age of its keys in milliseconds, and the
//! document as it was fetched. Relies on [`key_set`](super::key_set) to read a document, whoever it
//! is from, and on nothing that the lines say: keys are used for the issuers of the configuration
//! alone, and no longer than `max_stale` allows. Never passes a key of the configuration, which may
//! be a secret.

use std::{borrow::Cow, time::Duration};

use tokio::time::Instant;

use super::{
    Authenticator,
    key_set::VerificationKeys,
    key_set_error::KeySetError,
    remote::{FetchedKeys, RemoteKeys},
};
use crate::telemetry::metrics::Metrics;

/// Issuer, age in milliseconds, document.
type PassedKeySet<'a> = (Cow<'a, str>, u64, Cow<'a, str>);

/// Why a passed key set is not used.
#[derive(Debug, thiserror::Error)]
enum PassedKeysError {
    #[error("they are older than max_stale")]
    Stale,
    #[error(transparent)]
    KeySet(#[from] KeySetError),
}

impl Authenticator {
    /// The fetched key sets, as far as `most` bytes hold them.
    pub fn passed_keys(&self, most: usize) -> Vec<u8> {
        let mut lines = Vec::new();
        for issuer in self.remote_keys() {
            let Some(mut line) = line(&issuer.keys) else {
                continue;
            };
            line.push(b'\n');
            if lines.len().saturating_add(line.len()) <= most {
                lines.append(&mut line);
            }
        }
        lines
    }

    /// Uses the key sets that another process had fetched, until they are fetched here. To be
    /// called before that begins.
    pub fn adopt_keys(&self, passed: &[u8], metrics: &Metrics) {
        let lines = passed.split(|byte| *byte == b'\n');
        for line in lines.filter(|line| !line.is_empty()) {
            let Ok((issuer, age, document)) = serde_json::from_slice::<PassedKeySet<'_>>(line)
            else {
                tracing::warn!("the earlier process passed keys that this version does not read");
                continue;
            };
            let mut known = self.remote_keys();
            let Some(keys) = known.find(|known| *known.keys.issuer == *issuer) else {
                continue;
            };
            let (issuer, age) = (&keys.keys.issuer, Duration::from_millis(age));
            match adopt(&keys.keys, age, document.as_bytes()) {
                Ok(count) => {
                    metrics.key_sets.set_age(issuer, age);
                    tracing::info!(
                        %issuer, keys = count, age_s = age.as_secs(),
                        "the issuer's keys are those that the earlier process had fetched"
                    );
                }
                Err(error) => tracing::warn!(
                    %issuer,
                    "the keys that the earlier process had fetched can't be used, and are fetched \
                     anew: {error}"
                ),
            }
        }
    }
}

fn line(keys: &RemoteKeys) -> Option<Vec<u8>> {
    let fetched = keys.fetched()?;
    let document = String::from_utf8_lossy(fetched.keys.document()?);
    let age = fetched.fetched_at.elapsed().as_millis();
    let age = u64::try_from(age).unwrap_or(u64::MAX);
    let set: PassedKeySet<'_> = (Cow::Borrowed(&*keys.issuer), age, document);
    serde_json::to_vec(&set).ok()
}

/// Returns how many keys there are.
fn adopt(keys: &RemoteKeys, age: Duration, document: &[u8]) -> Result<usize, PassedKeysError> {
    let fetched_at = Instant::now().checked_sub(age);
    let fetched_at = fetched_at.filter(|_| age < keys.settings.max_stale);
    let fetched_at = fetched_at.ok_or(PassedKeysError::Stale)?;
    let allowed = keys.settings.algorithms.as_deref();
    let set = VerificationKeys::from_fetched(document, allowed, None)?;
    let count = set.keys.len();
    keys.set(FetchedKeys {
        keys: set.keys.into(),
        fetched_at,
    });
    Ok(count)
}
