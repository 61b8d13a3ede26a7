//! The session keys in use, and how they are replaced.
//!
//! A keyring seals with its current key alone and opens with any of its keys. A replaced key goes
//! on opening for as long as a session can be used, so that a change of keys loses no session. A
//! keyring is immutable and a change makes a new one, so a request that holds a keyring sees the
//! same keys throughout. Relies on [`super::seal`] and [`super::fingerprint`].

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use aws_lc_rs::error::Unspecified;

use super::{
    fingerprint::{Fingerprint, FingerprintHasher},
    seal::{DerivedKeys, SealKey},
};

use crate::wipe::WipedVec;

/// How long a session can be used, from the moment it was requested.
pub const LIFETIME: Duration = Duration::from_secs(5 * 60);
/// How much longer than its lifetime a session is remembered, because the clocks of replicas
/// differ.
pub const CLOCK_GRACE: Duration = Duration::from_secs(60);
/// How long after its first upload a session is remembered, at most.
pub const REMEMBERED: Duration = LIFETIME.saturating_add(CLOCK_GRACE);

/// Maximum number of replaced keys that still open: each is tried with a forged id, and each takes
/// part in fingerprints.
const MAX_REPLACED: usize = 8;

/// `[sessions]`, checked, where `bind` is on.
#[derive(Clone)]
pub struct SessionSettings {
    /// Seals and opens session ids. Without it a random key is made at start, which serves one
    /// replica.
    pub seal_key: Option<SealKey>,
    /// Only opens: the key before a change of keys, or the one after it.
    pub previous_seal_key: Option<SealKey>,
}

/// What seals and opens the session ids of one deployment.
pub struct SessionKeys {
    pub(super) current: Arc<ArcSwap<SealKeyring>>,
    /// Qiniu's host and port: the session id of a test system is refused, even under the same key.
    pub(super) deployment: String,
}

impl SessionKeys {
    /// Derives the keys.
    ///
    /// # Errors
    /// The system provides no randomness.
    pub fn new(settings: &SessionSettings, deployment: &str) -> Result<Arc<Self>, Unspecified> {
        Ok(Arc::new(Self {
            current: Arc::new(ArcSwap::from_pointee(SealKeyring::new(settings)?)),
            deployment: deployment.to_owned(),
        }))
    }

    /// The same keys, whatever becomes of them, for another deployment.
    pub fn at(&self, deployment: &str) -> Arc<Self> {
        Arc::new(Self {
            current: Arc::clone(&self.current),
            deployment: deployment.to_owned(),
        })
    }

    /// Seals with another key from now on. Ids sealed so far can be opened for the rest of their
    /// lifetime. Must not run concurrently with itself or with [`SessionKeys::retire`].
    ///
    /// # Errors
    /// No keys can be derived; the keys in use stay.
    pub fn change(&self, settings: &SessionSettings, now: Instant) -> Result<(), Unspecified> {
        let changed = self.current.load().changed(settings, now)?;
        self.current.store(Arc::new(changed));
        Ok(())
    }

    /// Drops replaced keys whose time is over. Call it periodically.
    pub fn retire(&self, now: Instant) {
        if let Some(rest) = self.current.load().without_retired(now) {
            self.current.store(Arc::new(rest));
        }
    }
}

/// The keys in use at one time.
pub(super) struct SealKeyring {
    pub(super) current: Arc<DerivedKeys>,
    others: Vec<OpeningKey>,
}

/// A key that opens and does not seal.
struct OpeningKey {
    keys: Arc<DerivedKeys>,
    /// When it stops opening; `None` as long as it is configured.
    until: Option<Instant>,
}

impl SealKeyring {
    /// The keyring at start. Without a `seal_key` it holds a random key.
    fn new(settings: &SessionSettings) -> Result<Self, Unspecified> {
        let current = match &settings.seal_key {
            Some(key) => DerivedKeys::derive(key)?,
            None => DerivedKeys::derive(&SealKey::random()?)?,
        };
        let previous = settings.previous_seal_key.as_ref();
        let previous = previous.map(DerivedKeys::derive).transpose()?;
        let configured = |keys| OpeningKey {
            keys: Arc::new(keys),
            until: None,
        };
        Ok(Self {
            current: Arc::new(current),
            others: previous.map(configured).into_iter().collect(),
        })
    }

    /// The keyring after a change of keys. Keys that stay are shared with this one.
    fn changed(&self, settings: &SessionSettings, now: Instant) -> Result<Self, Unspecified> {
        let derived = |key: &SealKey| match self.all().find(|known| known.root.is(key)) {
            Some(known) => Ok(Arc::clone(known)),
            None => DerivedKeys::derive(key).map(Arc::new),
        };
        let current = match &settings.seal_key {
            Some(key) => derived(key)?,
            None => Arc::clone(&self.current),
        };
        let previous = settings.previous_seal_key.as_ref();
        let previous = previous.map(derived).transpose()?;
        let stays = |keys: &Arc<DerivedKeys>| {
            Arc::ptr_eq(keys, &current) || previous.as_ref().is_some_and(|it| Arc::ptr_eq(keys, it))
        };
        // Another replica may use a replaced key for a little longer than a session's lifetime.
        let until = now + REMEMBERED;
        let before = std::iter::once((&self.current, None));
        let before = before.chain(self.others.iter().map(|other| (&other.keys, other.until)));
        let replaced = before
            .filter(|(keys, ends)| !stays(keys) && ends.is_none_or(|ends| ends > now))
            .take(MAX_REPLACED)
            .map(|(keys, ends)| OpeningKey {
                keys: Arc::clone(keys),
                until: Some(ends.unwrap_or(until)),
            });
        let previous = previous
            .clone()
            .map(|keys| OpeningKey { keys, until: None });
        Ok(Self {
            others: previous.into_iter().chain(replaced).collect(),
            current: Arc::clone(&current),
        })
    }

    /// The keyring without replaced keys whose time is over; `None` if it has none of them.
    fn without_retired(&self, now: Instant) -> Option<Self> {
        if self.others.iter().all(|other| other.opens(now)) {
            return None;
        }
        let others = self.others.iter().filter(|other| other.opens(now));
        Some(Self {
            current: Arc::clone(&self.current),
            others: others
                .map(|OpeningKey { keys, until }| OpeningKey {
                    keys: Arc::clone(keys),
                    until: *until,
                })
                .collect(),
        })
    }

    /// Opens a session id and returns the keys that opened it; the session belongs to these keys
    /// from then on. `None` if it was sealed with other keys, for another owner, or not at all.
    pub(super) fn open_id(
        &self,
        owner: &[u8],
        sealed: &[u8],
        now: Instant,
    ) -> Option<(Arc<DerivedKeys>, WipedVec)> {
        let others = self.others.iter().filter(|other| other.opens(now));
        let others = others.map(|other| &other.keys);
        std::iter::once(&self.current)
            .chain(others)
            .find_map(|keys| {
                let plain = keys.open_id(owner, sealed)?;
                Some((Arc::clone(keys), plain))
            })
    }

    /// Starts a fingerprint under each of the keys.
    pub(super) fn start_fingerprint(&self) -> UploadFingerprint {
        let start = |keys: &Arc<DerivedKeys>| FingerprintHasher::new(&keys.fingerprints);
        let others = self.others.iter().map(|other| &other.keys);
        UploadFingerprint {
            current: start(&self.current),
            others: others.map(|keys| (Arc::clone(keys), start(keys))).collect(),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Arc<DerivedKeys>> {
        std::iter::once(&self.current).chain(self.others.iter().map(|other| &other.keys))
    }
}

impl OpeningKey {
    fn opens(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

/// The fingerprint of an upload while it arrives, under each key that its session may turn out to
/// belong to: replicas that change keys one after the other must compute the same fingerprint.
pub struct UploadFingerprint {
    current: FingerprintHasher,
    others: Vec<(Arc<DerivedKeys>, FingerprintHasher)>,
}

impl UploadFingerprint {
    /// Feeds the next bytes of the video, in the base64 that Qiniu receives.
    pub fn feed(&mut self, text: &[u8]) {
        self.current.feed(text);
        for (_, other) in &mut self.others {
            other.feed(text);
        }
    }

    /// The fingerprint under `keys`, of the video and of the request's other parameters.
    pub(super) fn finish(&self, keys: &Arc<DerivedKeys>, parameters: &[u8]) -> Fingerprint {
        let mut others = self.others.iter();
        match others.find(|(other, _)| Arc::ptr_eq(other, keys)) {
            Some((_, other)) => other.finish(parameters),
            None => self.current.finish(parameters),
        }
    }

    /// How many keys besides the current one take part.
    #[cfg(test)]
    pub(super) fn other_keys(&self) -> usize {
        self.others.len()
    }
}
