//! The keys in the store: a common prefix, what the value is, and a keyed hash. Reading a key does
//! not reveal the caller, and nobody can choose a user id whose key meets another's.

use aws_lc_rs::{error::Unspecified, hkdf, hmac};
use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

/// The prefix of every key, so that the store can be shared with other programs and access can be
/// limited to it.
const PREFIX: &str = "liveness-gateway";
/// The HKDF salt: a secret with another use here derives other keys there.
const SALT: &[u8] = b"liveness-gateway names in the store 3";
/// Length of the key's HMAC-SHA256 key, in bytes.
const NAMING_BYTES: usize = 32;

/// The key of one value in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreKey(String);

impl StoreKey {
    /// The key of what is counted anew in each window.
    pub(super) fn in_window(&self, number: u64) -> Self {
        Self(format!("{}:{number}", self.0))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Names callers in the store: replicas with the same secret give a caller the same key.
pub struct NamingKey(hmac::Key);

impl NamingKey {
    /// Derives the key from a secret that all replicas have.
    ///
    /// # Errors
    /// No key can be derived.
    pub fn derive(secret: &[u8]) -> Result<Self, Unspecified> {
        let mut bytes = Zeroizing::new([0; NAMING_BYTES]);
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(secret);
        root.expand(&[b"callers"], hkdf::HKDF_SHA256)?
            .fill(bytes.as_mut())?;
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, bytes.as_slice())))
    }

    /// The key of a caller's count on a route.
    pub(super) fn caller(
        &self,
        kind: &'static str,
        route: &str,
        issuer: &str,
        user: &str,
    ) -> StoreKey {
        let mut hash = hmac::Context::with_key(&self.0);
        for part in [kind, route, issuer, user] {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let tag = hash.sign();
        let tag = HEXLOWER.encode(tag.as_ref().get(..16).unwrap_or_default());
        StoreKey(format!("{PREFIX}:{kind}:{tag}"))
    }
}

/// The key of a session. Its digest is a keyed hash already, the same on all replicas.
pub(super) fn session(digest: &[u8]) -> StoreKey {
    StoreKey(format!("{PREFIX}:session:{}", HEXLOWER.encode(digest)))
}

/// The key of the store's epoch: when it was last without data.
pub(super) fn epoch() -> StoreKey {
    StoreKey(format!("{PREFIX}:epoch"))
}

/// The key of a replica's heartbeat.
pub(super) fn replica(id: &str) -> StoreKey {
    StoreKey(format!("{PREFIX}:replica:{id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &[u8], parts: [&str; 3]) -> StoreKey {
        let [route, issuer, user] = parts;
        let naming = NamingKey::derive(secret).unwrap();
        naming.caller("rate", route, issuer, user)
    }

    #[test]
    fn a_caller_has_one_key_under_one_secret_and_another_under_another() {
        let caller = ["/route", "issuer", "user"];
        assert_eq!(key(b"one", caller), key(b"one", caller));
        assert_ne!(key(b"one", caller), key(b"other", caller));
    }

    #[test]
    fn no_two_callers_or_counts_share_a_key() {
        let keys = [
            ["/route", "issuer", "user"],
            ["/route", "issueru", "ser"],
            ["/route", "issue", "ruser"],
            ["/routeissuer", "", "user"],
            ["/other", "issuer", "user"],
        ]
        .map(|caller| key(b"one", caller));
        for (number, one) in keys.iter().enumerate() {
            assert!(!keys[..number].contains(one), "{number}");
        }
        let naming = NamingKey::derive(b"one").unwrap();
        let [rate, quota] =
            ["rate", "quota"].map(|kind| naming.caller(kind, "/route", "issuer", "user"));
        let hash = |key: &StoreKey| key.0.rsplit(':').next().unwrap().to_owned();
        assert_ne!(hash(&rate), hash(&quota));
    }
}
