//! The keys of one identity, and the check of a signature with those of them that fit.
//!
//! Relies on [`super::key`] for what a key may be. A set from the operator's own file is taken whole or not at all; one that
//! was fetched gives what is good in it.

use std::sync::Arc;

use jsonwebtoken::Algorithm;
use rustls::{pki_types::CertificateDer, server::ParsedCertificate};

use super::{AuthRefusal, jwk, key::VerificationKey, pem, token::UnverifiedToken};
use crate::secret::Secret;

/// How many keys one token is tried with: each try costs a public-key operation.
const MAX_TRIES: usize = 8;

/// The keys of one identity, each with the algorithms it may verify.
pub struct VerificationKeys {
    /// Shared, so that what a key has vouched for can be forgotten with it.
    keys: Vec<Arc<VerificationKey>>,
    /// Whether a token's `kid` chooses the key. A secret or a single PEM key has no id, so any `kid` will do there.
    by_id: bool,
}

/// A set that an identity provider publishes.
pub(super) struct ParsedKeySet {
    pub(super) keys: VerificationKeys,
    /// What the operator should know, each a clause for a person.
    pub(super) remarks: Vec<String>,
}

impl VerificationKeys {
    /// A shared HMAC secret.
    ///
    /// # Errors
    /// A secret under 32 bytes, or one that is a PEM text; as a clause for a person.
    pub fn from_secret(secret: &Secret) -> Result<Self, String> {
        if secret
            .reveal()
            .trim_ascii_start()
            .starts_with(b"-----BEGIN ")
        {
            // A public key as a secret would let everybody sign.
            return Err(
                "is a PEM text, not a secret: use `public_key_file` for a public key".into(),
            );
        }
        Ok(Self {
            keys: vec![Arc::new(VerificationKey::secret(secret.reveal())?)],
            by_id: false,
        })
    }

    /// One public key in PEM (SPKI `PUBLIC KEY`, PKCS#1 `RSA PUBLIC KEY`, or `CERTIFICATE`).
    ///
    /// Of a certificate only the key is used: neither its dates nor who signed it are looked at.
    ///
    /// # Errors
    /// What is wrong with the text, as a clause for a person.
    pub fn from_pem(pem: &[u8]) -> Result<Self, String> {
        let (label, der) = pem::only_block(pem)?;
        let key = match label.as_str() {
            "PUBLIC KEY" => VerificationKey::public(&der)?,
            "RSA PUBLIC KEY" => VerificationKey::rsa(&der)?,
            "CERTIFICATE" => certified(der)?,
            _ => {
                return Err(format!(
                    "holds a `{label}`; expected `PUBLIC KEY`, `RSA PUBLIC KEY` or `CERTIFICATE`"
                ));
            }
        };
        Ok(Self {
            keys: vec![Arc::new(key)],
            by_id: false,
        })
    }

    /// A JSON Web Key Set (RFC 7517).
    ///
    /// Keys that are not for checking signatures, or of a kind that is not known here, are passed over. With a `kid` in a
    /// token only keys of that `kid` are tried, without one all that fit, at most 8 either way.
    ///
    /// # Errors
    /// What is wrong with the text, as a clause for a person: also a private or weak key in it, and a set of which no key
    /// can be used.
    pub fn from_jwks(json: &[u8]) -> Result<Self, String> {
        Ok(Self {
            keys: jwk::read_set(json)?.into_iter().map(Arc::new).collect(),
            by_id: true,
        })
    }

    /// A set that was fetched: keys that are wrong are left out and remarked on, since one bad key must not lock out the
    /// users of the good ones, and so are shared secrets, since what is published is no secret. Keys that `previous` has
    /// too are the same ones afterwards. `allowed` are the algorithms that the operator listed, if any.
    ///
    /// # Errors
    /// What is wrong with the text, as a clause for a person: also a set without a key that can be used.
    pub(super) fn from_published(
        json: &[u8],
        allowed: Option<&[Algorithm]>,
        previous: Option<&Self>,
    ) -> Result<ParsedKeySet, String> {
        let (mut keys, mut remarks) = jwk::read_published(json)?;
        if let Some(allowed) = allowed {
            for algorithm in allowed {
                if !keys.iter().any(|key| key.algorithms.contains(algorithm)) {
                    remarks.push(format!(
                        "has no key for {algorithm:?}, which `algorithms` allows"
                    ));
                }
            }
            for key in &mut keys {
                key.algorithms
                    .retain(|algorithm| allowed.contains(algorithm));
            }
            if keys.iter().all(|key| key.algorithms.is_empty()) {
                return Err("holds no key for any of `algorithms`".into());
            }
        }
        let keys = Self {
            keys: keys.into_iter().map(Arc::new).collect(),
            by_id: true,
        };
        Ok(ParsedKeySet {
            keys: match previous {
                Some(previous) => keys.keeping(previous),
                None => keys,
            },
            remarks,
        })
    }

    /// The same set, in which keys that `previous` has too are the same ones, so that what they have vouched for stays
    /// remembered.
    pub(super) fn keeping(mut self, previous: &Self) -> Self {
        for key in &mut self.keys {
            if let Some(known) = previous.keys.iter().find(|known| known.is(key)) {
                *key = Arc::clone(known);
            }
        }
        self
    }

    /// Whether it holds the very same keys.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.keys.len() == other.keys.len()
            && self
                .keys
                .iter()
                .zip(&other.keys)
                .all(|(one, two)| Arc::ptr_eq(one, two))
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Leaves only the algorithms that the operator listed.
    ///
    /// # Errors
    /// Names an algorithm that fits none of the keys; an empty list.
    pub fn restrict(mut self, algorithms: &[Algorithm]) -> Result<Self, String> {
        if algorithms.is_empty() {
            return Err("lists no algorithm: leave it out to allow what fits the keys".into());
        }
        for algorithm in algorithms {
            if !self
                .keys
                .iter()
                .any(|key| key.algorithms.contains(algorithm))
            {
                return Err(format!("allows {algorithm:?}, which fits none of the keys"));
            }
        }
        for key in &mut self.keys {
            Arc::make_mut(key)
                .algorithms
                .retain(|algorithm| algorithms.contains(algorithm));
        }
        Ok(self)
    }

    /// The key that made the token's signature, with an algorithm that is allowed for it.
    ///
    /// # Errors
    /// `UnknownKey`, `AlgorithmNotAllowed`, `BadSignature`.
    pub(super) fn verify(
        &self,
        token: &UnverifiedToken<'_>,
    ) -> Result<&Arc<VerificationKey>, AuthRefusal> {
        let wanted = token.key_id.as_deref().filter(|_| self.by_id);
        let named = |key: &&Arc<VerificationKey>| wanted.is_none() || key.id.as_deref() == wanted;
        if !self.keys.iter().any(|key| named(&key)) {
            return Err(AuthRefusal::UnknownKey);
        }
        let fits =
            |key: &&Arc<VerificationKey>| named(key) && key.algorithms.contains(&token.algorithm);
        let mut fitting = self.keys.iter().filter(fits).take(MAX_TRIES).peekable();
        if fitting.peek().is_none() {
            return Err(AuthRefusal::AlgorithmNotAllowed);
        }
        fitting
            .find(|key| key.made(token))
            .ok_or(AuthRefusal::BadSignature)
    }
}

fn certified(der: Vec<u8>) -> Result<VerificationKey, String> {
    let der = CertificateDer::from(der);
    let certificate = ParsedCertificate::try_from(&der).map_err(|_| {
        "holds a certificate that can't be read; take its key out with `openssl x509 -in CERT.pem -pubkey -noout`".to_owned()
    })?;
    VerificationKey::public(&certificate.subject_public_key_info())
}
