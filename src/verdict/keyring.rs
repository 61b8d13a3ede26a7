//! The key that signs verdicts, and all that are published, while keys are changed.
//!
//! Relies on being told the time. A key that has signed here stays published for as long as a verdict of its may be checked,
//! whatever the configuration lists by then.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use arc_swap::{ArcSwap, Guard};
use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;

use super::{
    VerdictKeys,
    key::{PublicJwk, VerdictPublicKey, VerdictSigningKey},
};

/// For how long backends may keep a key set that they fetched.
const CACHED: Duration = Duration::from_secs(60 * 60);

/// All keys.
pub(super) struct VerdictKeyring {
    signer: ArcSwap<ActiveKey>,
    published: Arc<ArcSwap<Bytes>>,
    others: Mutex<OtherKeys>,
    /// How long a key stays published that signs no more.
    keep: Duration,
}

/// The key that signs, and what names it.
pub(super) struct ActiveKey {
    pub(super) key: VerdictSigningKey,
    /// The protected header, ready.
    pub(super) header: String,
}

/// What is published beside the signing key.
struct OtherKeys {
    listed: Vec<VerdictPublicKey>,
    /// Signed before, until when.
    retired: Vec<(VerdictPublicKey, Instant)>,
}

#[derive(Serialize)]
struct VerdictHeader<'a> {
    typ: &'static str,
    alg: &'static str,
    kid: &'a str,
}

impl VerdictKeyring {
    /// For verdicts that live so long.
    pub(super) fn new(keys: VerdictKeys, lifetime: Duration) -> Self {
        let others = OtherKeys {
            listed: keys.previous_keys,
            retired: Vec::new(),
        };
        let published = others.with(keys.signing_key.public());
        Self {
            signer: ArcSwap::from_pointee(ActiveKey::new(keys.signing_key)),
            published: Arc::new(ArcSwap::from_pointee(published)),
            others: Mutex::new(others),
            keep: lifetime.saturating_add(CACHED),
        }
    }

    /// What signs now.
    pub(super) fn signer(&self) -> Guard<Arc<ActiveKey>> {
        self.signer.load()
    }

    /// The key set, whatever it is at the time.
    pub(super) fn published(&self) -> &Arc<ArcSwap<Bytes>> {
        &self.published
    }

    /// Signs with another key from now on.
    pub(super) fn replace(&self, keys: VerdictKeys, now: Instant) {
        let mut others = self.others();
        let before = self.signer.load_full();
        let (before, after) = (before.key.public(), keys.signing_key.public());
        others.listed = keys.previous_keys;
        others
            .retired
            .retain(|(key, _)| key != before && key != after);
        if before != after {
            others.retired.push((before.clone(), now + self.keep));
        }
        // Before the first verdict of its is out.
        self.published.store(Arc::new(others.with(after)));
        self.signer
            .store(Arc::new(ActiveKey::new(keys.signing_key)));
    }

    /// Withdraws keys that signed long ago.
    pub(super) fn retire(&self, now: Instant) {
        let mut others = self.others();
        let before = others.retired.len();
        others.retired.retain(|(_, until)| *until > now);
        if others.retired.len() < before {
            let published = others.with(self.signer().key.public());
            self.published.store(Arc::new(published));
        }
    }

    fn others(&self) -> MutexGuard<'_, OtherKeys> {
        // What is in it is complete at any time.
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ActiveKey {
    fn new(key: VerdictSigningKey) -> Self {
        let header = VerdictHeader {
            typ: "liveness-verdict+jwt",
            alg: "EdDSA",
            kid: key.public().id(),
        };
        let header = BASE64URL_NOPAD.encode(&serde_json::to_vec(&header).unwrap_or_default());
        Self { key, header }
    }
}

impl OtherKeys {
    /// The key set: the signing key first; a key that is listed twice stands there once.
    fn with(&self, signing: &VerdictPublicKey) -> Bytes {
        #[derive(Serialize)]
        struct PublishedKeySet<'a> {
            keys: Vec<PublicJwk<'a>>,
        }
        let mut keys = vec![signing];
        for key in self
            .listed
            .iter()
            .chain(self.retired.iter().map(|(key, _)| key))
        {
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
