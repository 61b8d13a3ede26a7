//! The keys that seal and open at one time, and what becomes of them when they are changed.
//!
//! A sealed text is opened by any key of the ring and sealed by the current one alone. A key that was replaced goes on opening
//! for the life of a session, so no session is lost with it. A ring never changes: a change makes another, so whoever holds
//! one sees the same keys throughout.

use std::{sync::Arc, time::Instant};

use aws_lc_rs::error::Unspecified;

use super::{
    SessionSettings, UploadFingerprint,
    fingerprint::Running,
    ledger::REMEMBERED,
    seal::{Keys, SealKey},
};

/// Replaced keys that still open, at the most: each is tried with a forged id, and each takes part in fingerprints.
const MOST_REPLACED: usize = 8;

/// The keys in use.
pub(super) struct Keyring {
    pub(super) current: Arc<Keys>,
    others: Vec<Other>,
}

/// A key that only opens.
struct Other {
    keys: Arc<Keys>,
    /// None: for as long as it is configured.
    until: Option<Instant>,
}

impl Keyring {
    /// Without a `seal_key`, of one that nobody else has.
    pub(super) fn new(settings: &SessionSettings) -> Result<Self, Unspecified> {
        let current = match &settings.seal_key {
            Some(key) => Keys::derive(key)?,
            None => Keys::derive(&SealKey::random()?)?,
        };
        let previous = settings.previous_seal_key.as_ref().map(Keys::derive);
        Ok(Self {
            current: Arc::new(current),
            others: previous
                .transpose()?
                .map(Other::configured)
                .into_iter()
                .collect(),
        })
    }

    /// The ring after a change of keys; those that are in both stay the same ones.
    pub(super) fn changed(
        &self,
        settings: &SessionSettings,
        now: Instant,
    ) -> Result<Self, Unspecified> {
        let made = |key: &SealKey| match self.all().find(|known| known.root.is(key)) {
            Some(known) => Ok(Arc::clone(known)),
            None => Keys::derive(key).map(Arc::new),
        };
        let current = match &settings.seal_key {
            Some(key) => made(key)?,
            None => Arc::clone(&self.current),
        };
        let previous = settings.previous_seal_key.as_ref().map(made).transpose()?;
        let stays = |keys: &Arc<Keys>| {
            Arc::ptr_eq(keys, &current) || previous.as_ref().is_some_and(|it| Arc::ptr_eq(keys, it))
        };
        // Another replica may use it for a little longer than a session lives.
        let until = now + REMEMBERED;
        let before = std::iter::once((&self.current, None));
        let before = before.chain(self.others.iter().map(|other| (&other.keys, other.until)));
        let replaced = before
            .filter(|(keys, ends)| !stays(keys) && ends.is_none_or(|ends| ends > now))
            .take(MOST_REPLACED)
            .map(|(keys, ends)| Other {
                keys: Arc::clone(keys),
                until: Some(ends.unwrap_or(until)),
            });
        let previous = previous.clone().map(|keys| Other { keys, until: None });
        Ok(Self {
            others: previous.into_iter().chain(replaced).collect(),
            current: Arc::clone(&current),
        })
    }

    /// The ring without replaced keys whose time is over; `None`: there are none.
    pub(super) fn without_old(&self, now: Instant) -> Option<Self> {
        if self.others.iter().all(|other| other.opens(now)) {
            return None;
        }
        let others = self.others.iter().filter(|other| other.opens(now));
        Some(Self {
            current: Arc::clone(&self.current),
            others: others
                .map(|Other { keys, until }| Other {
                    keys: Arc::clone(keys),
                    until: *until,
                })
                .collect(),
        })
    }

    /// Opens an id, with the keys that its session belongs to from then on; `None`: it was sealed with other keys, for another
    /// owner, or not at all.
    pub(super) fn open_id(
        &self,
        owner: &[u8],
        sealed: &[u8],
        now: Instant,
    ) -> Option<(Arc<Keys>, Vec<u8>)> {
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
    pub(super) fn fingerprint(&self) -> UploadFingerprint {
        let start = |keys: &Arc<Keys>| Running::new(&keys.fingerprints);
        let others = self.others.iter().map(|other| &other.keys);
        UploadFingerprint {
            current: start(&self.current),
            others: others.map(|keys| (Arc::clone(keys), start(keys))).collect(),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Keys>> {
        std::iter::once(&self.current).chain(self.others.iter().map(|other| &other.keys))
    }
}

impl Other {
    fn configured(keys: Keys) -> Self {
        Self {
            keys: Arc::new(keys),
            until: None,
        }
    }

    fn opens(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}
