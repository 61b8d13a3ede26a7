//! How things are called in the store: a common prefix, what it is, and a keyed hash. Nobody who reads them learns who a caller
//! is, and nobody can choose a user id that meets another's.

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;

use crate::{auth::Caller, session::ticket};

/// Before every name, so that the store can be shared with others, and access limited to these.
const PREFIX: &str = "liveness-gateway";

/// The name of one thing in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

/// Names callers.
pub struct Names(hmac::Key);

/// The key of all names, out of a secret that every replica has.
pub fn names_key(secret: &[u8]) -> hmac::Key {
    let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let derived = hmac::sign(&secret, b"liveness-gateway names in the store 1");
    hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref())
}

impl Name {
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Names {
    pub(super) fn new(key: hmac::Key) -> Self {
        Self(key)
    }

    /// What is counted for a caller on a route; `what` tells the counts apart.
    pub fn caller(&self, what: &'static str, route: &str, caller: &Caller) -> Name {
        let mut hash = hmac::Context::with_key(&self.0);
        for part in [what, route, &caller.issuer, &caller.user] {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let tag = hash.sign();
        let tag = HEXLOWER.encode(tag.as_ref().get(..16).unwrap_or_default());
        Name(format!("{PREFIX}:{what}:{tag}"))
    }
}

/// A session's; the ledger's own name for it is a keyed hash already, the same on all replicas.
pub(super) fn session(name: &ticket::Name) -> Name {
    Name(format!("{PREFIX}:session:{}", name.to_hex()))
}

/// When the store was empty for the last time.
pub(super) fn birth() -> Name {
    Name(format!("{PREFIX}:birth"))
}

/// The sign of life of a replica.
pub(super) fn replica(id: &str) -> Name {
    Name(format!("{PREFIX}:replica:{id}"))
}
