//! Tokens that were verified before, known by their SHA-256: the same token again costs a hash and a look-up.
//!
//! Relies on the caller to put in only tokens that kept every rule. What was put in counts only while the key that
//! vouched for it is still in use, and the token's own times are held against the clock at each hit. It never holds a byte
//! of a token, remembers no refusal, and its memory is bounded: each shard has two generations of fixed size, and when
//! the young one is full it becomes the old one, whose entries go. One that is asked for again moves to the young one, so
//! a flood of new tokens pushes out idle ones and costs no search for a victim.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::SystemTime,
};

use sha2::{Digest as _, Sha256};

use super::{AuthRefusal, Caller, claims::TokenValidity, key::VerificationKey};

/// Each has its own lock.
const SHARDS: usize = 16;
/// Entries of one generation of one shard: 32,768 tokens in all, about 13 MB when it is full.
const GENERATION: usize = 1024;
/// Callers that take more bytes are not remembered: one with thousands of scopes would take the room of hundreds.
const MAX_CALLER: usize = 2048;

/// The SHA-256 of a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// Of the token's bytes as they came.
    pub(super) fn of(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }
}

/// What is known of a token.
struct VerifiedToken {
    caller: Arc<Caller>,
    /// Who vouched for it. Weak, so that a key that is no longer published takes its tokens with it.
    key: Weak<VerificationKey>,
    times: TokenValidity,
}

/// All that is remembered. The maps hash with random keys, so nobody can choose tokens that meet in one bucket.
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
    /// The caller of a token that was verified before, or why it may not be used now; `None`: it has to be verified.
    pub(super) fn find(
        &self,
        digest: &TokenDigest,
        now: SystemTime,
    ) -> Option<Result<Arc<Caller>, AuthRefusal>> {
        let mut shard = self.shard(digest);
        if let Some(verified) = shard.young.get(digest) {
            return verified.answer(now);
        }
        let verified = shard.old.remove(digest)?;
        let answer = verified.answer(now)?;
        let outdated = shard.put(*digest, verified);
        // A thousand entries take their time to go; nobody has to wait for it.
        drop(shard);
        drop(outdated);
        Some(answer)
    }

    /// Remembers a token that has kept every rule.
    pub(super) fn remember(
        &self,
        digest: TokenDigest,
        caller: &Arc<Caller>,
        key: &Arc<VerificationKey>,
        times: TokenValidity,
    ) {
        if caller.bytes() > MAX_CALLER {
            return;
        }
        let verified = VerifiedToken {
            caller: Arc::clone(caller),
            key: Arc::downgrade(key),
            times,
        };
        let mut shard = self.shard(&digest);
        let outdated = shard.put(digest, verified);
        drop(shard);
        drop(outdated);
    }

    fn shard(&self, TokenDigest(bytes): &TokenDigest) -> MutexGuard<'_, TokenCacheShard> {
        let [first, ..] = bytes;
        let at = usize::from(*first) % SHARDS;
        // The index is below the length; the first one is there to have no panic in the code.
        let [shard, ..] = &self.shards;
        let shard = self.shards.get(at).unwrap_or(shard);
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TokenCacheShard {
    /// Puts an entry into the young generation; the generation that had to go for it is handed back.
    fn put(
        &mut self,
        digest: TokenDigest,
        verified: VerifiedToken,
    ) -> Option<HashMap<TokenDigest, VerifiedToken>> {
        let full = self.young.len() >= GENERATION;
        let outdated = full.then(|| {
            let young = std::mem::take(&mut self.young);
            std::mem::replace(&mut self.old, young)
        });
        self.young.insert(digest, verified);
        outdated
    }
}

impl VerifiedToken {
    fn answer(&self, now: SystemTime) -> Option<Result<Arc<Caller>, AuthRefusal>> {
        if self.key.strong_count() == 0 {
            return None;
        }
        Some(self.times.check(now).map(|()| Arc::clone(&self.caller)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn caller(user: &str) -> Arc<Caller> {
        Arc::new(Caller {
            issuer: "i".into(),
            user: user.into(),
            scopes: Vec::new(),
            pseudonym: "0".into(),
        })
    }

    fn key() -> Arc<VerificationKey> {
        Arc::new(VerificationKey::secret(&[7; 32]).ok().unwrap())
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
    fn what_was_remembered_is_found_and_nothing_else() {
        let (cache, key, alice) = (TokenCache::default(), key(), caller("alice"));
        assert!(cache.find(&TokenDigest::of(b"a.b.c"), at(0)).is_none());
        cache.remember(TokenDigest::of(b"a.b.c"), &alice, &key, until(100.0));
        let found = cache.find(&TokenDigest::of(b"a.b.c"), at(0)).unwrap().ok();
        assert!(Arc::ptr_eq(&found.unwrap(), &alice));
        assert!(cache.find(&TokenDigest::of(b"a.b.d"), at(0)).is_none());
    }

    #[test]
    fn a_hit_is_held_against_the_clock_with_the_leeway_of_the_rule() {
        let (cache, key) = (TokenCache::default(), key());
        let token = TokenDigest::of(b"a.b.c");
        let times = TokenValidity::new(100.0, Some(50.0), None, Duration::from_secs(30));
        cache.remember(token, &caller("alice"), &key, times);
        let answer = |seconds| cache.find(&token, at(seconds)).unwrap().map(|_| ());
        assert_eq!(answer(19), Err(AuthRefusal::NotYetValid));
        assert_eq!((answer(20), answer(129)), (Ok(()), Ok(())));
        assert_eq!(answer(130), Err(AuthRefusal::Expired));
    }

    #[test]
    fn a_token_goes_with_its_key() {
        let (cache, first, second) = (TokenCache::default(), key(), key());
        cache.remember(TokenDigest::of(b"1"), &caller("a"), &first, until(100.0));
        cache.remember(TokenDigest::of(b"2"), &caller("b"), &second, until(100.0));
        drop(first);
        assert!(cache.find(&TokenDigest::of(b"1"), at(0)).is_none());
        assert!(cache.find(&TokenDigest::of(b"2"), at(0)).is_some());
    }

    #[test]
    fn a_flood_stays_within_bounds_and_leaves_what_is_in_use() {
        let (cache, key, alice) = (TokenCache::default(), key(), caller("alice"));
        let kept = TokenDigest::of(b"in use");
        cache.remember(kept, &alice, &key, until(100.0));
        for number in 0..3 * SHARDS * GENERATION {
            cache.remember(
                TokenDigest::of(&number.to_be_bytes()),
                &alice,
                &key,
                until(100.0),
            );
            if number % 500 == 0 {
                assert!(cache.find(&kept, at(0)).is_some(), "after {number}");
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
    fn a_caller_that_takes_much_room_is_not_remembered() {
        let (cache, key) = (TokenCache::default(), key());
        let mut many = Caller::clone(&caller("alice"));
        many.scopes = vec!["a".into(); 1000];
        cache.remember(TokenDigest::of(b"1"), &Arc::new(many), &key, until(100.0));
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
                            None => cache.remember(digest, &caller(&name), key, until(100.0)),
                        }
                    }
                });
            }
        });
        assert_eq!(count(&cache), 500);
    }
}
