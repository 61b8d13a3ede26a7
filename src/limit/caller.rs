//! A caller, as the limits know it: a keyed hash of issuer and user. No personal data is held,
//! every entry is small, and nobody can choose a user id whose hash meets another's.

use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use crate::auth::Caller;

/// Identifies a caller for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallerKey(pub(super) u64);

#[cfg(test)]
impl CallerKey {
    /// A key of a test.
    pub(crate) const fn numbered(number: u64) -> Self {
        Self(number)
    }
}

/// Hashes map keys by [`CallerKey`], which is a keyed hash already.
pub(crate) type ByCaller = BuildHasherDefault<IdentityHasher>;

/// Takes a number as its own hash.
#[derive(Clone, Default)]
pub(crate) struct IdentityHasher(u64);

impl Hasher for IdentityHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Makes [`CallerKey`]s with a random key, which clones share.
#[derive(Clone, Default)]
pub struct CallerKeys(RandomState);

impl CallerKeys {
    /// The key of a caller, which stays the same for the life of the process.
    pub fn of(&self, caller: &Caller) -> CallerKey {
        CallerKey(self.0.hash_one((&caller.issuer, &caller.user)))
    }
}
