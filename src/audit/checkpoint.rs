//! Signed checkpoints: a JWS, by the key of verdicts, over the head of a chain.
//!
//! Whoever can write to a file can compute a whole chain anew, but can't sign it. A checkpoint is
//! no verdict: it has another `typ`, and neither `aud` nor `exp`. Relies on [`crate::verdict`] for
//! the key. Never signs a name.

use std::{
    collections::HashMap,
    time::{SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    jwk::{Jwk, JwkSet},
};
use serde::{Deserialize, Serialize};

use super::chain::{ChainHead, ChainId, RecordHash, SealedRecord};
use crate::verdict::sign::VerdictSigner;

/// The `typ` of a checkpoint.
const TYPE: &str = "liveness-audit+jwt";

/// Public keys that checkpoints are verified with, by their id.
pub struct CheckpointKeys(HashMap<String, CheckpointKey>);

struct CheckpointKey {
    algorithm: Algorithm,
    verifier: DecodingKey,
}

/// Why the signature of a checkpoint is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// It is signed by a key that was not given.
    #[error("the checkpoint is signed by a key that is not in the key set")]
    UnknownKey,
    /// The signature is not of this key, or it is no checkpoint.
    #[error("the signature of the checkpoint is wrong")]
    BadSignature,
    /// It was made for another record.
    #[error("the checkpoint was signed for another record")]
    OtherRecord,
}

/// Why a key set can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointKeysError {
    /// It is no JSON Web Key Set.
    #[error("it is no JSON Web Key Set")]
    NoKeySet(#[source] serde_json::Error),
    /// It has no key that signs verdicts.
    #[error("it has no key of verdicts: EdDSA or ES256, with a `kid`")]
    NoKeys,
}

#[derive(Serialize)]
struct CheckpointClaims<'a> {
    iss: &'a str,
    iat: u64,
    chain: &'a ChainId,
    seq: u64,
    prev: String,
    event: &'a str,
}

#[derive(Deserialize)]
struct SignedClaims {
    chain: ChainId,
    seq: u64,
    prev: RecordHash,
    event: String,
}

/// Signs the head of a chain, for the record `event` that continues it; `None` if the library does
/// not sign. The result needs no escapes in JSON.
pub(super) fn sign_checkpoint(
    signer: &VerdictSigner,
    head: &ChainHead,
    event: &str,
    now: SystemTime,
) -> Option<String> {
    let since = now.duration_since(UNIX_EPOCH);
    let claims = CheckpointClaims {
        iss: signer.issuer(),
        iat: since.map_or(0, |since| since.as_secs()),
        chain: &head.chain,
        seq: head.next,
        prev: head.hash.to_string(),
        event,
    };
    signer.sign_claims(TYPE, &claims).ok()
}

impl CheckpointKeys {
    /// Reads a JSON Web Key Set, as `/.well-known/jwks.json` has it. Other keys are left out.
    ///
    /// # Errors
    /// It is no key set, or has no key of verdicts.
    pub fn parse(json: &[u8]) -> Result<Self, CheckpointKeysError> {
        let set: JwkSet = serde_json::from_slice(json).map_err(CheckpointKeysError::NoKeySet)?;
        let keys: HashMap<_, _> = set.keys.iter().filter_map(CheckpointKey::named).collect();
        match keys.is_empty() {
            true => Err(CheckpointKeysError::NoKeys),
            false => Ok(Self(keys)),
        }
    }

    /// Verifies the signature of a record.
    pub(super) fn verify(
        &self,
        signature: &str,
        record: &SealedRecord,
    ) -> Result<(), CheckpointError> {
        let header =
            jsonwebtoken::decode_header(signature).map_err(|_| CheckpointError::BadSignature)?;
        let id = header.kid.unwrap_or_default();
        let key = self.0.get(&id).ok_or(CheckpointError::UnknownKey)?;
        if header.typ.as_deref() != Some(TYPE) {
            return Err(CheckpointError::BadSignature);
        }
        // The key decides which algorithm is accepted.
        let mut validation = Validation::new(key.algorithm);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        let claims = jsonwebtoken::decode::<SignedClaims>(signature, &key.verifier, &validation);
        let claims = claims.map_err(|_| CheckpointError::BadSignature)?.claims;
        let same = claims.chain == record.chain
            && claims.seq == record.number
            && claims.prev == record.previous
            && claims.event == record.event;
        same.then_some(()).ok_or(CheckpointError::OtherRecord)
    }
}

impl CheckpointKey {
    /// A key with its id; `None` for one that signs no verdicts.
    fn named(key: &Jwk) -> Option<(String, Self)> {
        let algorithm: Algorithm = key.common.key_algorithm?.to_string().parse().ok()?;
        if !matches!(algorithm, Algorithm::EdDSA | Algorithm::ES256) {
            return None;
        }
        let verifier = DecodingKey::from_jwk(key).ok()?;
        let id = key.common.key_id.clone()?;
        Some((
            id,
            Self {
                algorithm,
                verifier,
            },
        ))
    }
}
