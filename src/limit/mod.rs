//! Limits per caller and route: how often ([`rate`], over several replicas [`shared`]), how many calls at once ([`concurrency`])
//! and how many in a day or another window ([`quota`], by a [`clock`], over several replicas [`quota::shared`]).
//!
//! A caller is known here by a keyed hash of issuer and user, so that no personal data is held and every entry is small.

pub mod clock;
pub mod concurrency;
pub mod quota;
pub mod rate;
pub mod shared;

use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use crate::auth::Caller;

/// A caller, for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallerKey(u64);

/// For maps by [`CallerKey`], which is a keyed hash already.
pub(crate) type ByCaller = BuildHasherDefault<AsItIs>;

/// Takes a number as its own hash.
#[derive(Clone, Default)]
pub(crate) struct AsItIs(u64);

impl Hasher for AsItIs {
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

/// Makes [`CallerKey`]s; the key is random, so nobody can choose a user id that meets another's.
#[derive(Default)]
pub struct CallerKeys(RandomState);

impl CallerKeys {
    /// The key of a caller: the same for the life of the process.
    pub fn of(&self, caller: &Caller) -> CallerKey {
        CallerKey(self.0.hash_one((&caller.issuer, &caller.user)))
    }
}
