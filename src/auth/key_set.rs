//! The keys that verify one identity's tokens: read from a secret, a PEM text or a JSON Web Key
//! Set, and used to verify a signature.
//!
//! Relies on `key` for which keys are acceptable, and on `jwk` for how they are written. A set from
//! the operator's own file is accepted as a whole or not at all; a fetched set yields its good
//! keys. No error repeats the content of a text, because it may be a private key that was put there
//! by mistake.

use std::{borrow::Cow, sync::Arc};

use jsonwebtoken::Algorithm;

use super::{
    jwk::{JwkOrigin, JwkSet, RejectedJwk},
    key::{KeyError, VerificationKey},
    key_pem::key_of_pem,
    key_set_error::{KeySetError, KeySetWarning, MAX_FETCHED_KEYS},
    refusal::AuthRefusal,
    token::UnverifiedToken,
};
use crate::secret::Secret;

/// Maximum number of keys tried per token: each try costs a public-key operation.
const MAX_TRIES: usize = 8;

/// Maximum number of keys that one message lists, and of warnings per set.
const MAX_LISTED: usize = 8;

/// The keys that verify one identity's tokens, each with its allowed algorithms.
pub struct VerificationKeys {
    /// Shared, so that cached tokens can refer to the key that verified them.
    keys: Vec<Arc<VerificationKey>>,
    /// Whether a token's `kid` selects the key. A secret or a single PEM key has no id, so any
    /// `kid` is accepted there.
    by_id: bool,
    /// The text of a fetched set.
    document: Option<Arc<[u8]>>,
}

/// The good keys of a fetched set.
pub struct FetchedKeySet {
    /// The keys.
    pub keys: VerificationKeys,
    /// What the operator should know about the set.
    pub warnings: Vec<KeySetWarning>,
}

impl VerificationKeys {
    /// Creates a set of one shared HMAC secret.
    ///
    /// # Errors
    /// The secret is shorter than 32 bytes or a PEM text.
    pub fn from_secret(secret: &Secret) -> Result<Self, KeySetError> {
        let text = secret.reveal().trim_ascii_start();
        if text.starts_with(b"-----BEGIN ") {
            return Err(KeySetError::PemSecret);
        }
        Ok(Self::single(VerificationKey::from_secret(secret.reveal())?))
    }

    /// Creates a set of one public key in PEM (SPKI `PUBLIC KEY`, PKCS#1 `RSA PUBLIC KEY`, or
    /// `CERTIFICATE`).
    ///
    /// Only the key of a certificate is used. Its dates and its issuer are ignored.
    ///
    /// # Errors
    /// The text does not hold exactly one acceptable public key.
    pub fn from_pem(text: &[u8]) -> Result<Self, KeySetError> {
        Ok(Self::single(key_of_pem(text)?))
    }

    /// Reads a JSON Web Key Set (RFC 7517) of the operator's.
    ///
    /// Keys that are not for verifying signatures, or of an unsupported type, are skipped. A
    /// token's `kid` selects the keys with that id, then those without one; without a `kid` all
    /// keys are candidates. At most 8 are tried either way.
    ///
    /// # Errors
    /// The text is not a key set, contains a private, weak or otherwise invalid key, or has no
    /// usable key.
    pub fn from_jwks(json: &[u8]) -> Result<Self, KeySetError> {
        let (mut keys, mut skipped) = (Vec::new(), Vec::new());
        for element in parse_set(&text_of(json))?.elements(JwkOrigin::File) {
            match element {
                Ok(key) => keys.push(key),
                Err(rejected) if rejected.is_unsupported() => skipped.push(rejected),
                Err(rejected) => return Err(rejected.into()),
            }
        }
        if keys.is_empty() {
            return Err(no_usable_key(skipped));
        }
        Ok(Self::with_ids(keys))
    }

    /// Reads a fetched JSON Web Key Set.
    ///
    /// Invalid keys are left out with a warning, so that one bad key does not lock out the users of
    /// the good ones. So are shared secrets: a published secret is no secret. Keys that are also in
    /// `previous` keep their identity. `allowed` are the algorithms that the operator listed, if
    /// any.
    ///
    /// # Errors
    /// The text is not a key set, or has no usable key.
    pub fn from_fetched(
        json: &[u8],
        allowed: Option<&[Algorithm]>,
        previous: Option<&Self>,
    ) -> Result<FetchedKeySet, KeySetError> {
        let text = text_of(json);
        let set = parse_set(&text)?;
        if set.len() > MAX_FETCHED_KEYS {
            return Err(KeySetError::TooManyKeys);
        }
        let (mut keys, mut skipped, mut invalid) = (Vec::new(), Vec::new(), Vec::new());
        for element in set.elements(JwkOrigin::Issuer) {
            match element {
                Ok(key) => keys.push(key),
                Err(rejected) if rejected.is_unsupported() => skipped.push(rejected),
                Err(rejected) => invalid.push(rejected),
            }
        }
        if keys.is_empty() {
            invalid.append(&mut skipped);
            return Err(no_usable_key(invalid));
        }
        invalid.truncate(MAX_LISTED);
        let mut warnings: Vec<_> = invalid.into_iter().map(KeySetWarning::LeftOut).collect();
        if let Some(allowed) = allowed {
            let unused = |it: &&Algorithm| !keys.iter().any(|key| key.algorithms.contains(it));
            let unused = allowed.iter().filter(unused);
            warnings.extend(unused.map(|algorithm| KeySetWarning::NoKeyFor(*algorithm)));
            keys.iter_mut().for_each(|key| restrict(key, allowed));
            if keys.iter().all(|key| key.algorithms.is_empty()) {
                return Err(KeySetError::NoKeyForAlgorithms);
            }
        }
        let mut keys = Self::with_ids(keys);
        keys.document = Some(json.into());
        if let Some(previous) = previous {
            keys = keys.reusing(previous);
        }
        Ok(FetchedKeySet { keys, warnings })
    }

    fn single(key: VerificationKey) -> Self {
        Self {
            keys: vec![Arc::new(key)],
            by_id: false,
            document: None,
        }
    }

    fn with_ids(keys: Vec<VerificationKey>) -> Self {
        Self {
            keys: keys.into_iter().map(Arc::new).collect(),
            by_id: true,
            document: None,
        }
    }

    /// The same set, but keys that are also in `previous` are shared with it, so that the tokens
    /// they verified stay cached.
    pub(super) fn reusing(mut self, previous: &Self) -> Self {
        for key in &mut self.keys {
            if let Some(known) = previous.keys.iter().find(|known| known.is_same(key)) {
                *key = Arc::clone(known);
            }
        }
        self
    }

    /// A copy of the set, with no algorithm beside these. It shares no key with this one.
    pub(super) fn copied(&self, allowed: Option<&[Algorithm]>) -> Self {
        let keys = self.keys.iter().map(|key| {
            let mut key = VerificationKey::clone(key);
            if let Some(allowed) = allowed {
                restrict(&mut key, allowed);
            }
            Arc::new(key)
        });
        Self {
            keys: keys.collect(),
            by_id: self.by_id,
            document: self.document.clone(),
        }
    }

    /// The key of this set that is the same.
    pub(super) fn same(&self, key: &VerificationKey) -> Option<Arc<VerificationKey>> {
        let same = self.keys.iter().find(|known| known.is_same(key));
        same.map(Arc::clone)
    }

    /// Whether both sets share all of their keys, in any order.
    pub fn is_same(&self, other: &Self) -> bool {
        let is_shared = |key| other.keys.iter().any(|known| Arc::ptr_eq(known, key));
        self.keys.len() == other.keys.len() && self.keys.iter().all(is_shared)
    }

    /// The algorithms that some key allows, each once.
    pub(super) fn algorithms(&self) -> Vec<Algorithm> {
        let mut algorithms = Vec::new();
        for algorithm in self.keys.iter().flat_map(|key| &key.algorithms) {
            if !algorithms.contains(algorithm) {
                algorithms.push(*algorithm);
            }
        }
        algorithms
    }

    /// Number of keys that allow some algorithm.
    pub(super) fn usable(&self) -> usize {
        let keys = self.keys.iter();
        keys.filter(|key| !key.algorithms.is_empty()).count()
    }

    /// The text of a fetched set.
    pub(super) fn document(&self) -> Option<&[u8]> {
        self.document.as_deref()
    }

    /// Number of keys.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Restricts the keys to the algorithms that the operator listed.
    ///
    /// # Errors
    /// The list is empty, or one of its algorithms fits none of the keys: by their type, or because
    /// a secret is too short for it.
    pub fn restrict(mut self, algorithms: &[Algorithm]) -> Result<Self, KeySetError> {
        if algorithms.is_empty() {
            return Err(KeySetError::NoAlgorithm);
        }
        for algorithm in algorithms {
            self.check_algorithm(*algorithm)?;
        }
        for key in &mut self.keys {
            restrict(Arc::make_mut(key), algorithms);
        }
        Ok(self)
    }

    /// Some key must fit the algorithm.
    fn check_algorithm(&self, algorithm: Algorithm) -> Result<(), KeySetError> {
        let checks = self.keys.iter().map(|key| key.check_algorithm(algorithm));
        let mut misfit = KeySetError::UnusedAlgorithm(algorithm);
        for check in checks {
            match check {
                Ok(()) => return Ok(()),
                Err(error @ KeyError::ShortSecretFor { .. }) => misfit = error.into(),
                Err(_) => {}
            }
        }
        Err(misfit)
    }

    /// Returns the key that made the token's signature, with an algorithm allowed for that key.
    ///
    /// # Errors
    /// `UnknownKey`, `AlgorithmNotAllowed`, `BadSignature`.
    pub(super) fn verify(
        &self,
        token: &UnverifiedToken<'_>,
    ) -> Result<&Arc<VerificationKey>, AuthRefusal> {
        let id = token.key_id.as_deref().filter(|_| self.by_id);
        let is_named = |key: &&Arc<VerificationKey>| id.is_none() || key.id.as_deref() == id;
        // A key without an id may be the one that the token names: its signature decides.
        let is_nameless = |key: &&Arc<VerificationKey>| id.is_some() && key.id.is_none();
        let (named, nameless) = (
            self.keys.iter().filter(is_named),
            self.keys.iter().filter(is_nameless),
        );
        let is_known = named.clone().next().is_some();
        let mut candidates = named
            .chain(nameless)
            .filter(|key| key.algorithms.contains(&token.algorithm))
            .take(MAX_TRIES)
            .peekable();
        let refusal = match candidates.peek() {
            _ if !is_known => AuthRefusal::UnknownKey,
            None => AuthRefusal::AlgorithmNotAllowed,
            Some(_) => AuthRefusal::BadSignature,
        };
        candidates.find(|key| key.verifies(token)).ok_or(refusal)
    }
}

/// The text without a byte-order mark. Bytes that are no UTF-8 are replaced, so that they harm only
/// the member in which they stand: the structure of JSON is ASCII.
fn text_of(json: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json))
}

fn parse_set(json: &str) -> Result<JwkSet<'_>, KeySetError> {
    // An array with the array of keys would be read as the object.
    if !json.trim_ascii_start().starts_with('{') {
        return Err(KeySetError::NoKeySet { line: 1, column: 1 });
    }
    JwkSet::parse(json).map_err(|error| KeySetError::NoKeySet {
        line: error.line(),
        column: error.column(),
    })
}

fn no_usable_key(mut rejected: Vec<RejectedJwk>) -> KeySetError {
    if rejected.is_empty() {
        return KeySetError::NoKeys;
    }
    rejected.truncate(MAX_LISTED);
    KeySetError::NoUsableKey(rejected)
}

fn restrict(key: &mut VerificationKey, allowed: &[Algorithm]) {
    key.algorithms
        .retain(|algorithm| allowed.contains(algorithm));
}
