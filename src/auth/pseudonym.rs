//! What a caller is called in records: a keyed hash, since user ids are personal.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::secret::Secret;

/// Makes pseudonyms of callers: the same on every replica that has the same Qiniu secret key, and meaningless without it.
pub struct Pseudonymizer(Hmac<Sha256>);

impl Pseudonymizer {
    /// Derives the key from a secret.
    pub fn new(secret: &Secret) -> Self {
        let mut mac: Hmac<Sha256> = Hmac::new_from_slice(secret.reveal())
            .unwrap_or_else(|_| Hmac::new(&Default::default()));
        mac.update(b"liveness-gateway user pseudonym\0");
        Self(mac)
    }

    /// Sixteen hexadecimal digits.
    pub(super) fn of(&self, issuer: &str, user: &str) -> String {
        let mut mac = self.0.clone();
        mac.update(issuer.as_bytes());
        mac.update(b"\0");
        mac.update(user.as_bytes());
        data_encoding::HEXLOWER.encode(mac.finalize().into_bytes().get(..8).unwrap_or_default())
    }
}
