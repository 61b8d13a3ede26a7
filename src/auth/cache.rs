//! Tokens that were verified a moment ago: the same token again costs a hash and a look-up instead of a signature check.
//!
//! A token is remembered by its SHA-256 alone, never by its text, for as long as its own times allow and its key is
//! known. The memory is bounded: in each shard newcomers push out, all at once, those that were not asked for lately.
//! Only successes are remembered, so nobody can fill it without a valid token for each entry.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use aws_lc_rs::digest;

use super::{Caller, keys::Key};

/// Shards, so that threads seldom wait for each other.
const SHARDS: usize = 16;
/// Entries of one generation of one shard; there are two, so 65,536 tokens in all, some 20 MB.
const GENERATION: usize = 2048;

/// A token's SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint([u8; 32]);

/// The verified tokens.
#[derive(Default)]
pub(super) struct Cache {
    shards: [Mutex<Shard>; SHARDS],
}

/// What a verified token said.
#[derive(Clone)]
pub(super) struct Verified {
    pub(super) caller: Arc<Caller>,
    /// From when until when, in seconds since 1970, the leeway included.
    pub(super) valid: Range<f64>,
    /// Dead once the key is no longer its issuer's.
    pub(super) key: Weak<Key>,
}

#[derive(Default)]
struct Shard {
    young: HashMap<Fingerprint, Verified>,
    old: HashMap<Fingerprint, Verified>,
}

impl Fingerprint {
    pub(super) fn of(token: &[u8]) -> Self {
        let mut bytes = [0; 32];
        let digest = digest::digest(&digest::SHA256, token);
        // A SHA-256 is 32 bytes.
        if let Some(digest) = digest.as_ref().first_chunk() {
            bytes = *digest;
        }
        Self(bytes)
    }
}

impl Cache {
    /// Whose token it is, if it was verified before and still counts at `now` (seconds since 1970).
    pub(super) fn find(&self, fingerprint: Fingerprint, now: f64) -> Option<Arc<Caller>> {
        let mut shard = self.shard(fingerprint)?;
        let found = match shard.young.get(&fingerprint) {
            Some(found) => found,
            None => {
                let (_, found) = shard.old.remove_entry(&fingerprint)?;
                shard.insert(fingerprint, found)
            }
        };
        let counts = found.valid.contains(&now) && found.key.strong_count() > 0;
        counts.then(|| Arc::clone(&found.caller))
    }

    /// Remembers a token that was verified.
    pub(super) fn insert(&self, fingerprint: Fingerprint, verified: Verified) {
        if let Some(mut shard) = self.shard(fingerprint) {
            shard.insert(fingerprint, verified);
        }
    }

    fn shard(&self, fingerprint: Fingerprint) -> Option<std::sync::MutexGuard<'_, Shard>> {
        let [first, ..] = fingerprint.0;
        let shard = self.shards.get(usize::from(first) % SHARDS)?;
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shard {
    fn insert(&mut self, fingerprint: Fingerprint, verified: Verified) -> &Verified {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young
            .entry(fingerprint)
            .insert_entry(verified)
            .into_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Arc<Key> {
        Arc::new(Key::secret(&[7; 32]).unwrap())
    }

    fn verified(user: &str, key: &Arc<Key>) -> Verified {
        Verified {
            caller: Arc::new(Caller {
                issuer: "i".into(),
                user: user.into(),
                scopes: Vec::new(),
            }),
            valid: 10.0..20.0,
            key: Arc::downgrade(key),
        }
    }

    fn user(cache: &Cache, token: &[u8], now: f64) -> Option<String> {
        cache
            .find(Fingerprint::of(token), now)
            .map(|caller| caller.user.to_string())
    }

    #[test]
    fn a_token_counts_within_its_times_and_while_its_key_lives() {
        let (cache, key) = (Cache::default(), key());
        cache.insert(Fingerprint::of(b"a"), verified("alice", &key));
        assert_eq!(user(&cache, b"a", 10.0).as_deref(), Some("alice"));
        assert_eq!(user(&cache, b"a", 19.9).as_deref(), Some("alice"));
        for (token, now) in [(b"a", 9.9), (b"a", 20.0), (b"b", 15.0)] {
            assert_eq!(user(&cache, token, now), None);
        }
        drop(key);
        assert_eq!(user(&cache, b"a", 15.0), None);
    }

    #[test]
    fn a_flood_of_tokens_takes_bounded_memory_and_spares_who_keeps_coming() {
        let (cache, key) = (Cache::default(), key());
        cache.insert(Fingerprint::of(b"regular"), verified("regular", &key));
        for number in 0..3 * 2 * SHARDS * GENERATION {
            let token = number.to_be_bytes();
            cache.insert(Fingerprint::of(&token), verified("flood", &key));
            if number % 1000 == 0 {
                assert!(user(&cache, b"regular", 15.0).is_some(), "{number}");
            }
        }
        let held: usize = cache
            .shards
            .iter()
            .map(|shard| {
                let shard = shard.lock().unwrap();
                shard.young.len() + shard.old.len()
            })
            .sum();
        assert!(held <= 2 * SHARDS * GENERATION, "{held}");
    }
}
