//! Reads the elements of a JSON Web Key Set (RFC 7517).
//!
//! An *unsupported* key (another type, for encryption, an unknown algorithm) is skipped, as the
//! standard requires. An *invalid* key (private, weak, damaged, ambiguous) makes a key set from the
//! operator's file unusable, because the file is not what the operator believes it to be. In a
//! fetched set it is only left out, with a warning: the operator cannot correct that set, and its
//! other keys are good. Relies on `jwk_members` for the ways in which a good key may be written. No
//! error contains key material.

use std::fmt;

use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    algorithm::algorithm_named,
    jwk_members::{JwkMemberError, JwkMembers},
    key::{KeyError, VerificationKey},
};

/// Maximum length of a key id that a message repeats, in characters.
const MAX_SHOWN_ID: usize = 64;

/// A key set whose elements are not read yet.
///
/// Its elements are kept as text, so that a bad one does not make the others unreadable.
#[derive(Deserialize)]
pub(super) struct JwkSet<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

/// Who wrote a key set.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum JwkOrigin {
    /// The operator, in a file.
    File,
    /// The issuer, which publishes it.
    Issuer,
}

/// An element of a key set that yields no key.
#[derive(Clone, Debug, thiserror::Error)]
pub struct RejectedJwk {
    /// Its position in the set, from 1.
    position: usize,
    /// The begin of its `kid`.
    id: Option<String>,
    #[source]
    error: JwkError,
}

/// Why an element of a key set yields no key. Never holds key material.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum JwkError {
    /// Skipped without a warning: a type, a curve, an algorithm or a use that is not supported.
    #[error("{0}")]
    Unsupported(&'static str),
    /// It could not be read as one object: its values may be out of range, too.
    #[error("not a valid JSON object")]
    NoObject,
    #[error("a member is given twice")]
    DuplicateMember,
    #[error("a private key (it has `{0}`); only public keys belong here")]
    Private(&'static str),
    #[error("a shared secret, which anybody could read there")]
    Shared,
    #[error(transparent)]
    Member(#[from] JwkMemberError),
    #[error("a coordinate is too long for its curve")]
    CoordinateLength,
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl<'a> JwkSet<'a> {
    /// Reads the outer object only.
    pub(super) fn parse(json: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// Number of elements, whatever they are.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Reads the elements, in order.
    pub(super) fn elements(
        &self,
        origin: JwkOrigin,
    ) -> impl Iterator<Item = Result<VerificationKey, RejectedJwk>> {
        self.keys.iter().zip(1..).map(move |(json, position)| {
            let jwk = serde_json::from_str::<JwkMembers>(json.get()).map_err(|_| RejectedJwk {
                position,
                id: None,
                error: JwkError::NoObject,
            })?;
            read(&jwk, origin).map_err(|error| RejectedJwk {
                position,
                id: shown_id(&jwk),
                error,
            })
        })
    }
}

impl RejectedJwk {
    /// Whether the key is skipped rather than invalid.
    pub(super) fn is_unsupported(&self) -> bool {
        matches!(self.error, JwkError::Unsupported(_))
    }
}

impl fmt::Display for RejectedJwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            position,
            id,
            error,
        } = self;
        match id {
            Some(id) => write!(f, "key {position} ({id:?}): {error}"),
            None => write!(f, "key {position}: {error}"),
        }
    }
}

/// The same fault of the same key, wherever it stands: some issuers publish their keys in another
/// order each time.
impl PartialEq for RejectedJwk {
    fn eq(&self, other: &Self) -> bool {
        let same_key = match (&self.id, &other.id) {
            (None, None) => self.position == other.position,
            (one, two) => one == two,
        };
        same_key && self.error == other.error
    }
}

impl Eq for RejectedJwk {}

fn shown_id(jwk: &JwkMembers) -> Option<String> {
    let id = jwk.id().ok().flatten();
    id.map(|id| id.chars().take(MAX_SHOWN_ID).collect())
}

fn read(jwk: &JwkMembers, origin: JwkOrigin) -> Result<VerificationKey, JwkError> {
    if jwk.has_duplicate() {
        return Err(JwkError::DuplicateMember);
    }
    let kind = jwk.required("kty")?;
    if origin == JwkOrigin::Issuer && kind == "oct" {
        // Whoever can read the set could sign.
        return Err(JwkError::Shared);
    }
    if !["RSA", "EC", "OKP", "oct"].contains(&kind) {
        return Err(JwkError::Unsupported("its `kty` is not supported"));
    }
    if let Some(member) = jwk.private() {
        return Err(JwkError::Private(member));
    }
    check_purpose(jwk)?;
    let algorithm = match jwk.text("alg")?.map(algorithm_named) {
        None => None,
        Some(Some(algorithm)) => Some(algorithm),
        Some(None) => return Err(JwkError::Unsupported("its `alg` is not supported")),
    };
    let mut key = match kind {
        "RSA" => VerificationKey::from_rsa_numbers(&jwk.bytes("n")?, &jwk.bytes("e")?)?,
        "EC" => elliptic(jwk)?,
        "OKP" => edwards(jwk)?,
        _ => VerificationKey::from_secret(&jwk.bytes("k")?)?,
    };
    if let Some(algorithm) = algorithm {
        key.check_algorithm(algorithm)?;
        key.algorithms = vec![algorithm];
    }
    key.id = jwk.id()?.map(String::from);
    Ok(key)
}

/// `use` and `key_ops`, if present, must be about signatures. What the private half does is written
/// beside the public one by some issuers, so `sign` means the same as `verify`.
fn check_purpose(jwk: &JwkMembers) -> Result<(), JwkError> {
    let purpose = jwk.text("use")?;
    if purpose.is_some_and(|purpose| !purpose.eq_ignore_ascii_case("sig")) {
        return Err(JwkError::Unsupported("its `use` is not signatures"));
    }
    let is_signature = |operation: &&str| ["verify", "sign"].contains(operation);
    match jwk.operations()? {
        Some(operations) if !operations.iter().any(is_signature) => {
            Err(JwkError::Unsupported("its `key_ops` lack `verify`"))
        }
        _ => Ok(()),
    }
}

fn elliptic(jwk: &JwkMembers) -> Result<VerificationKey, JwkError> {
    let (algorithm, size) = match jwk.required("crv")? {
        "P-256" => (Algorithm::ES256, 32),
        "P-384" => (Algorithm::ES384, 48),
        _ => return Err(JwkError::Unsupported("its `crv` is not supported")),
    };
    let mut point = vec![4];
    for name in ["x", "y"] {
        point.extend(coordinate(&jwk.bytes(name)?, size)?);
    }
    Ok(VerificationKey::from_ec_point(algorithm, &point)?)
}

/// A coordinate with as many leading zeros as its curve needs. Some issuers write it as a number,
/// without them or with one too many. A coordinate that was cut is not on the curve.
fn coordinate(bytes: &[u8], size: usize) -> Result<Vec<u8>, JwkError> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let number = bytes.get(zeros..).unwrap_or_default();
    let missing = size.checked_sub(number.len());
    let mut whole = vec![0; missing.ok_or(JwkError::CoordinateLength)?];
    whole.extend_from_slice(number);
    Ok(whole)
}

fn edwards(jwk: &JwkMembers) -> Result<VerificationKey, JwkError> {
    match jwk.required("crv")? {
        "Ed25519" => Ok(VerificationKey::from_ed25519(&jwk.bytes("x")?)?),
        _ => Err(JwkError::Unsupported("its `crv` is not supported")),
    }
}
