//! The keys of one identity.

use jsonwebtoken::Algorithm;

use crate::config::secret::Secret;

/// The keys of one identity, each with the algorithms it may verify.
pub struct KeySet {}

impl KeySet {
    /// A shared HMAC secret.
    ///
    /// # Errors
    /// A secret under 32 bytes; as a clause for a person.
    pub fn from_secret(_secret: &Secret) -> Result<Self, String> {
        Ok(Self {})
    }

    /// One public key in PEM (SPKI `PUBLIC KEY`, PKCS#1 `RSA PUBLIC KEY`, or `CERTIFICATE`).
    ///
    /// # Errors
    /// What is wrong with the text, as a clause for a person.
    pub fn from_pem(_pem: &[u8]) -> Result<Self, String> {
        Ok(Self {})
    }

    /// A JSON Web Key Set (RFC 7517).
    ///
    /// # Errors
    /// What is wrong with the text, as a clause for a person.
    pub fn from_jwks(_json: &[u8]) -> Result<Self, String> {
        Ok(Self {})
    }

    /// Leaves only the algorithms that the operator listed.
    ///
    /// # Errors
    /// Names an algorithm that fits none of the keys.
    pub fn restrict(self, _algorithms: &[Algorithm]) -> Result<Self, String> {
        Ok(self)
    }
}
