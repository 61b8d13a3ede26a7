//! How things are called in the store: a common prefix, what it is, and a keyed hash. Nobody who reads them learns who a caller
//! is, and nobody can choose a user id that meets another's.

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;

use crate::{auth::Caller, session::ticket};

/// Before every name, so that the store can be shared with others, and access limited to these.
const PREFIX: &str = "liveness-gateway";

/// The name of one thing in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreKey(String);

impl StoreKey {
    /// Of what is counted in each window anew.
    pub(super) fn in_window(&self, number: u64) -> Self {
        Self(format!("{}:{number}", self.0))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// What is counted for a caller on a route; `what` tells the counts apart.
pub(super) fn caller(
    key: &hmac::Key,
    what: &'static str,
    route: &str,
    caller: &Caller,
) -> StoreKey {
    let mut hash = hmac::Context::with_key(key);
    for part in [what, route, &caller.issuer, &caller.user] {
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let tag = hash.sign();
    let tag = HEXLOWER.encode(tag.as_ref().get(..16).unwrap_or_default());
    StoreKey(format!("{PREFIX}:{what}:{tag}"))
}

/// A session's; the ledger's own name for it is a keyed hash already, the same on all replicas.
pub(super) fn session(name: &ticket::SessionDigest) -> StoreKey {
    StoreKey(format!("{PREFIX}:session:{}", name.to_hex()))
}

/// When the store was empty for the last time.
pub(super) fn birth() -> StoreKey {
    StoreKey(format!("{PREFIX}:birth"))
}

/// The sign of life of a replica.
pub(super) fn replica(id: &str) -> StoreKey {
    StoreKey(format!("{PREFIX}:replica:{id}"))
}

/// Where the key of callers' names is left for those who know a secret.
pub(super) fn key_of_names(secret: &str) -> StoreKey {
    StoreKey(format!("{PREFIX}:names:{secret}"))
}
