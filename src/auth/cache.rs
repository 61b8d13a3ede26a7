//! A cache of verified tokens, by their SHA-256: a repeated token costs one hash and one look-up.
//!
//! Relies on its caller to insert only tokens that passed every check. An entry is valid only while
//! the key that verified it is still in use, and each hit checks the token's times against the
//! clock. The cache never holds a byte of a token and never holds a refusal.
//!
//! Memory is bounded: each shard has two generations of fixed size. When the young generation is
//! full, it replaces the old one. A hit moves an entry from the old generation to the young one, so
//! a flood of new tokens evicts idle entries, without a search for a victim.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::SystemTime,
};

use sha2::{Digest as _, Sha256};

use super::{caller::Caller, claims::TokenValidity, key::VerificationKey, refusal::RejectedToken};

/// Number of shards. Each has its own lock.
const SHARDS: usize = 16;
/// Entries in one generation of one shard. In total 32,768 tokens, about 13 MB.
const GENERATION: usize = 1024;
/// Maximum size of a cached caller, in bytes: one with thousands of scopes would take the room of
/// hundreds.
const MAX_CALLER: usize = 2048;

/// The SHA-256 of a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// Hashes the token's bytes as received.
    pub(super) fn of(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }
}

/// The cache entry of one token.
struct VerifiedToken {
    caller: Arc<Caller>,
    /// The key that verified the token. Weak, so that a removed key invalidates its tokens.
    key: Weak<VerificationKey>,
    validity: TokenValidity,
}

/// The cache. Its maps hash with random keys, so nobody can choose tokens that collide.
#[derive(Default)]
pub(super) struct TokenCache {
    shards: [Mutex<TokenCacheShard>; SHARDS],
}

#[derive(Default)]
struct TokenCacheShard {
    young: HashMap<TokenDigest, VerifiedToken>,
    old: HashMap<TokenDigest, VerifiedToken>,
}

impl TokenCache {
    /// Returns the caller of a verified token, or why the token is not valid now. `None` if the
    /// token must be verified.
    pub(super) fn find(
        &self,
        digest: &TokenDigest,
        now: SystemTime,
    ) -> Option<Result<Arc<Caller>, RejectedToken>> {
        let mut shard = self.shard(digest);
        if let Some(token) = shard.young.get(digest) {
            return token.caller_at(now);
        }
        let token = shard.old.remove(digest)?;
        let found = token.caller_at(now)?;
        let evicted = shard.insert(*digest, token);
        // Dropping a thousand entries takes time, so it happens after the lock is released.
        drop(shard);
        drop(evicted);
        Some(found)
    }

    /// Inserts a token that passed every check.
    pub(super) fn insert(
        &self,
        digest: TokenDigest,
        caller: &Arc<Caller>,
        key: &Arc<VerificationKey>,
        validity: TokenValidity,
    ) {
        if caller.size() > MAX_CALLER {
            return;
        }
        let token = VerifiedToken {
            caller: Arc::clone(caller),
            key: Arc::downgrade(key),
            validity,
        };
        let mut shard = self.shard(&digest);
        let evicted = shard.insert(digest, token);
        drop(shard);
        drop(evicted);
    }

    /// A cache of those tokens for which `key` returns one. It gets the caller and the key that has
    /// verified the token, and returns the equal key with which the token goes: keys of their own
    /// keep two caches apart.
    pub(super) fn with_keys(
        &self,
        key: impl Fn(&Caller, &VerificationKey) -> Option<Arc<VerificationKey>>,
    ) -> Self {
        let kept = |generation: &HashMap<TokenDigest, VerifiedToken>| {
            let tokens = generation.iter().filter_map(|(digest, token)| {
                let key = key(&token.caller, &*token.key.upgrade()?)?;
                let token = VerifiedToken {
                    caller: Arc::clone(&token.caller),
                    key: Arc::downgrade(&key),
                    validity: token.validity,
                };
                Some((*digest, token))
            });
            tokens.collect::<HashMap<_, _>>()
        };
        let shards = self.shards.each_ref().map(|shard| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            Mutex::new(TokenCacheShard {
                young: kept(&shard.young),
                old: kept(&shard.old),
            })
        });
        Self { shards }
    }

    fn shard(&self, TokenDigest(bytes): &TokenDigest) -> MutexGuard<'_, TokenCacheShard> {
        let [first, ..] = bytes;
        let index = usize::from(*first) % SHARDS;
        // The index is always in range; the fallback only avoids a panic in the code.
        let [shard, ..] = &self.shards;
        let shard = self.shards.get(index).unwrap_or(shard);
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TokenCacheShard {
    /// Inserts an entry into the young generation. Returns the generation that was evicted, if any.
    fn insert(
        &mut self,
        digest: TokenDigest,
        token: VerifiedToken,
    ) -> Option<HashMap<TokenDigest, VerifiedToken>> {
        let full = self.young.len() >= GENERATION;
        let evicted = full.then(|| {
            let young = std::mem::take(&mut self.young);
            std::mem::replace(&mut self.old, young)
        });
        self.young.insert(digest, token);
        evicted
    }
}

impl VerifiedToken {
    fn caller_at(&self, now: SystemTime) -> Option<Result<Arc<Caller>, RejectedToken>> {
        if self.key.strong_count() == 0 {
            return None;
        }
        Some(match self.validity.check(now) {
            Ok(()) => Ok(Arc::clone(&self.caller)),
            Err(refusal) => Err(RejectedToken {
                refusal,
                issuer: Some(Arc::clone(&self.caller.issuer)),
                off_by: self.validity.off_by(refusal, now),
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::auth::AuthRefusal;

    fn caller(user: &str) -> Arc<Caller> {
        Arc::new(Caller {
            issuer: "i".into(),
            user: user.into(),
            scopes: Vec::new(),
            copied_claims: None,
            consent: None,
            pseudonym: "0".into(),
        })
    }

    fn key() -> Arc<VerificationKey> {
        Arc::new(VerificationKey::from_secret(&[7; 32]).unwrap())
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn until(expiry: f64) -> TokenValidity {
        TokenValidity::new(expiry, None, None, Duration::from_secs(30))
    }

    fn count(cache: &TokenCache) -> usize {
        let shards = cache.shards.iter().map(|shard| shard.lock().unwrap());
        shards.map(|it| it.young.len() + it.old.len()).sum()
    }

    #[test]
    fn only_inserted_tokens_are_found() {
        let (cache, key, alice) = (TokenCache::default(), key(), caller("alice"));
        assert!(cache.find(&TokenDigest::of(b"a.b.c"), at(0)).is_none());
        cache.insert(TokenDigest::of(b"a.b.c"), &alice, &key, until(100.0));
        let found = cache.find(&TokenDigest::of(b"a.b.c"), at(0)).unwrap().ok();
        assert!(Arc::ptr_eq(&found.unwrap(), &alice));
        assert!(cache.find(&TokenDigest::of(b"a.b.d"), at(0)).is_none());
    }

    #[test]
    fn a_hit_is_checked_against_the_clock_with_the_leeway() {
        let (cache, key) = (TokenCache::default(), key());
        let token = TokenDigest::of(b"a.b.c");
        let validity = TokenValidity::new(100.0, Some(50.0), None, Duration::from_secs(30));
        cache.insert(token, &caller("alice"), &key, validity);
        let caller_at = |seconds| match cache.find(&token, at(seconds)).unwrap() {
            Ok(_) => Ok(()),
            Err(rejected) => {
                assert_eq!(rejected.issuer.as_deref(), Some("i"));
                Err((rejected.refusal, rejected.off_by.unwrap().as_secs()))
            }
        };
        assert_eq!(caller_at(19), Err((AuthRefusal::NotYetValid, 31)));
        assert_eq!((caller_at(20), caller_at(129)), (Ok(()), Ok(())));
        assert_eq!(caller_at(130), Err((AuthRefusal::Expired, 30)));
    }

    #[test]
    fn a_token_is_dropped_with_its_key() {
        let (cache, first, second) = (TokenCache::default(), key(), key());
        cache.insert(TokenDigest::of(b"1"), &caller("a"), &first, until(100.0));
        cache.insert(TokenDigest::of(b"2"), &caller("b"), &second, until(100.0));
        drop(first);
        assert!(cache.find(&TokenDigest::of(b"1"), at(0)).is_none());
        assert!(cache.find(&TokenDigest::of(b"2"), at(0)).is_some());
    }

    #[test]
    fn a_flood_stays_within_bounds_and_keeps_tokens_in_use() {
        let (cache, key, alice) = (TokenCache::default(), key(), caller("alice"));
        let in_use = TokenDigest::of(b"in use");
        cache.insert(in_use, &alice, &key, until(100.0));
        for number in 0..3 * SHARDS * GENERATION {
            cache.insert(
                TokenDigest::of(&number.to_be_bytes()),
                &alice,
                &key,
                until(100.0),
            );
            if number % 500 == 0 {
                assert!(cache.find(&in_use, at(0)).is_some(), "after {number}");
            }
        }
        assert!(count(&cache) <= 2 * SHARDS * GENERATION);
        assert!(count(&cache) > SHARDS * GENERATION);
        assert!(
            cache
                .find(&TokenDigest::of(&0_usize.to_be_bytes()), at(0))
                .is_none()
        );
    }

    #[test]
    fn a_large_caller_is_not_cached() {
        let (cache, key) = (TokenCache::default(), key());
        let mut many = Caller::clone(&caller("alice"));
        many.scopes = vec!["a".into(); 1000];
        cache.insert(TokenDigest::of(b"1"), &Arc::new(many), &key, until(100.0));
        assert_eq!(count(&cache), 0);
    }

    #[test]
    fn many_threads_see_their_own_callers() {
        let (cache, key) = (TokenCache::default(), key());
        std::thread::scope(|scope| {
            for thread in 0..8_u32 {
                let (cache, key) = (&cache, &key);
                scope.spawn(move || {
                    for number in 0..2000_u32 {
                        let digest = TokenDigest::of(&(number % 500).to_be_bytes());
                        let name = (number % 500).to_string();
                        match cache.find(&digest, at(0)) {
                            Some(found) => assert_eq!(*found.ok().unwrap().user, *name, "{thread}"),
                            None => cache.insert(digest, &caller(&name), key, until(100.0)),
                        }
                    }
                });
            }
        });
        assert_eq!(count(&cache), 500);
    }
}
