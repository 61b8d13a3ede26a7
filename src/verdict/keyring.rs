//! The key that signs verdicts and the published key set, while keys are replaced.
//!
//! Relies on its callers for the time. A key that has signed stays published as long as its
//! verdicts may be checked, whatever the configuration lists by then.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use arc_swap::{ArcSwap, Guard};
use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;

use super::key::{PublicJwk, VerdictPublicKey, VerdictSigningKey};

/// How long backends may cache a fetched key set.
const CACHE_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// The configured keys of verdicts.
pub struct VerdictKeys {
    /// The key that signs.
    pub signing_key: VerdictSigningKey,
    /// Further published keys, which signed before or will sign next.
    pub previous_keys: Vec<VerdictPublicKey>,
}

/// The keys in use.
pub(super) struct VerdictKeyring {
    active: ArcSwap<ActiveKey>,
    published: Arc<ArcSwap<Bytes>>,
    others: Mutex<OtherKeys>,
    /// How long a replaced key stays published.
    retention: Duration,
}

/// The key that signs, with the JWS header of its verdicts.
pub(super) struct ActiveKey {
    pub(super) key: VerdictSigningKey,
    /// The protected header, encoded.
    pub(super) header: String,
}

/// The published keys besides the active one.
struct OtherKeys {
    /// Listed in the configuration.
    configured: Vec<VerdictPublicKey>,
    /// Replaced here, and until when each stays published.
    retired: Vec<(VerdictPublicKey, Instant)>,
}

#[derive(Serialize)]
struct JwsHeader<'a> {
    typ: &'static str,
    alg: &'static str,
    kid: &'a str,
}

#[derive(Serialize)]
struct PublishedKeySet<'a> {
    keys: Vec<PublicJwk<'a>>,
}

impl VerdictKeyring {
    /// `lifetime` is the lifetime of a verdict.
    pub(super) fn new(keys: VerdictKeys, lifetime: Duration) -> Self {
        let others = OtherKeys {
            configured: keys.previous_keys,
            retired: Vec::new(),
        };
        let published = others.key_set(keys.signing_key.public());
        Self {
            active: ArcSwap::from_pointee(ActiveKey::new(keys.signing_key)),
            published: Arc::new(ArcSwap::from_pointee(published)),
            others: Mutex::new(others),
            retention: lifetime.saturating_add(CACHE_LIFETIME),
        }
    }

    /// The key that signs now.
    pub(super) fn active(&self) -> Guard<Arc<ActiveKey>> {
        self.active.load()
    }

    /// The published key set, as JSON. It is replaced when the keys change.
    pub(super) fn published(&self) -> &Arc<ArcSwap<Bytes>> {
        &self.published
    }

    /// Replaces the keys. The previous active key stays published for the retention time.
    pub(super) fn replace(&self, keys: VerdictKeys, now: Instant) {
        let mut others = self.others();
        let previous = self.active.load_full();
        let (previous, next) = (previous.key.public(), keys.signing_key.public());
        others.configured = keys.previous_keys;
        others
            .retired
            .retain(|(key, _)| key != previous && key != next);
        if previous != next {
            let until = now + self.retention;
            others.retired.push((previous.clone(), until));
        }
        // Published before its first verdict is sent.
        self.published.store(Arc::new(others.key_set(next)));
        self.active
            .store(Arc::new(ActiveKey::new(keys.signing_key)));
    }

    /// Takes over what `previous` publishes: a key that has signed there stays published.
    pub(super) fn follow(&self, previous: &Self, now: Instant) {
        let before = previous.active.load_full();
        let until = now + previous.retention.max(self.retention);
        let signed = (before.key.public().clone(), until);
        let retired = previous.others().retired.clone();
        let mut others = self.others();
        let active = self.active.load_full();
        let active = active.key.public();
        let signed = retired.into_iter().chain([signed]);
        others
            .retired
            .extend(signed.filter(|(key, _)| key != active));
        self.published.store(Arc::new(others.key_set(active)));
    }

    /// Unpublishes replaced keys whose retention time is over.
    pub(super) fn retire(&self, now: Instant) {
        let mut others = self.others();
        let before = others.retired.len();
        others.retired.retain(|(_, until)| *until > now);
        if others.retired.len() < before {
            let key_set = others.key_set(self.active().key.public());
            self.published.store(Arc::new(key_set));
        }
    }

    fn others(&self) -> MutexGuard<'_, OtherKeys> {
        // A panic leaves nothing half done, so poisoning does not matter.
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ActiveKey {
    fn new(key: VerdictSigningKey) -> Self {
        let header = jws_header("liveness-verdict+jwt", &key);
        Self { key, header }
    }
}

/// The protected header of what `key` signs as this type, encoded.
pub(super) fn jws_header(typ: &'static str, key: &VerdictSigningKey) -> String {
    let header = JwsHeader {
        typ,
        alg: key.public().algorithm(),
        kid: key.public().id(),
    };
    BASE64URL_NOPAD.encode(&serde_json::to_vec(&header).unwrap_or_default())
}

impl OtherKeys {
    /// The key set with the active key first and each key once.
    fn key_set(&self, active: &VerdictPublicKey) -> Bytes {
        let mut keys = vec![active];
        let retired = self.retired.iter().map(|(key, _)| key);
        for key in self.configured.iter().chain(retired) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        let set = PublishedKeySet {
            keys: keys.iter().map(|key| key.jwk()).collect(),
        };
        serde_json::to_vec(&set).unwrap_or_default().into()
    }
}
