//! The authenticated user of a request, and the pseudonym under which records name the user.
//!
//! A user id is personal data: [`Caller`] has no `Debug`, and a pseudonym is a keyed hash that
//! cannot be reversed without the key.

use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{consent::ConsentClaim, copied_claims::CopiedClaims};
use crate::secret::Secret;

/// The authenticated user of a request. It has no `Debug`: user ids are personal data.
#[derive(Clone, PartialEq, Eq)]
pub struct Caller {
    /// The token's issuer.
    pub issuer: Arc<str>,
    /// The value of the user claim.
    pub user: Arc<str>,
    /// The scopes that the token grants.
    pub scopes: Vec<Box<str>>,
    /// The claims of the token that verdicts repeat; `None` if it has none of them.
    pub copied_claims: Option<CopiedClaims>,
    /// What the user has consented to, by the claim that the operator names.
    pub consent: Option<ConsentClaim>,
    /// The user's name in records.
    pub pseudonym: Arc<str>,
}

impl Caller {
    /// Whether the token grants exactly this scope.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|granted| **granted == *scope)
    }

    /// Approximate size in memory, in bytes, without the issuer, which all callers share.
    pub(super) fn size(&self) -> usize {
        let scopes = self.scopes.iter();
        let scopes: usize = scopes.map(|scope| scope.len().max(16) + 32).sum();
        let copied = self.copied_claims.as_ref();
        let copied = copied.map_or(0, |claims| claims.json().get().len());
        let consent = self.consent.as_ref();
        let consent = consent.map_or(0, |consent| consent.json().get().len());
        self.user.len() + self.pseudonym.len() + scopes + copied + consent
    }
}

/// Computes the pseudonyms of callers.
///
/// Every replica with the same Qiniu secret key computes the same pseudonyms.
#[derive(Clone)]
pub struct Pseudonymizer(Hmac<Sha256>);

impl Pseudonymizer {
    /// Derives the hash key from a secret.
    pub fn new(secret: &Secret) -> Self {
        let mut mac: Hmac<Sha256> = Hmac::new_from_slice(secret.reveal())
            .unwrap_or_else(|_| Hmac::new(&Default::default()));
        mac.update(b"liveness-gateway user pseudonym\0");
        Self(mac)
    }

    /// The pseudonym of a user: 16 hexadecimal digits.
    pub(super) fn pseudonym(&self, issuer: &str, user: &str) -> String {
        let mut mac = self.0.clone();
        mac.update(issuer.as_bytes());
        mac.update(b"\0");
        mac.update(user.as_bytes());
        data_encoding::HEXLOWER.encode(mac.finalize().into_bytes().get(..8).unwrap_or_default())
    }
}
