//! Reads the elements of a JSON Web Key Set (RFC 7517).
//!
//! An *unsupported* key (another type, for encryption, an unknown algorithm) is skipped, as the
//! standard requires. An *invalid* key (private, weak, damaged, ambiguous) makes a key set from the
//! operator's file unusable, because the file is not what the operator believes it to be. In a
//! fetched set it is only left out, with a warning: the operator cannot correct that set, and its
//! other keys are good. No error contains key material.

use std::{fmt, str::FromStr as _};

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{
    json_object::JsonObject,
    key::{KeyError, VerificationKey},
};

/// Members that only private keys have.
const PRIVATE: &[&str] = &["d", "p", "q", "dp", "dq", "qi", "oth"];

/// Maximum length of a key id that a message repeats, in bytes.
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
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct RejectedJwk {
    /// Its position in the set, from 1.
    position: usize,
    /// Its `kid`, if it is a short one.
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
    #[error("`{0}` is missing")]
    Missing(&'static str),
    #[error("`{0}` is not {1}")]
    WrongType(&'static str, &'static str),
    #[error("the coordinates have the wrong length")]
    CoordinateLength,
    #[error("its `alg` {0:?} does not fit its type")]
    AlgorithmMismatch(Algorithm),
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl<'a> JwkSet<'a> {
    /// Reads the outer object only.
    pub(super) fn parse(json: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
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
            let jwk = serde_json::from_str::<JsonObject>(json.get()).map_err(|_| RejectedJwk {
                position,
                id: None,
                error: JwkError::NoObject,
            })?;
            read(&jwk, origin).map_err(|error| RejectedJwk {
                position,
                id: short_id(&jwk),
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

fn short_id(jwk: &JsonObject) -> Option<String> {
    let id = jwk.text("kid").ok().flatten();
    id.filter(|id| id.len() <= MAX_SHOWN_ID).map(str::to_owned)
}

fn read(jwk: &JsonObject, origin: JwkOrigin) -> Result<VerificationKey, JwkError> {
    if origin == JwkOrigin::Issuer && matches!(jwk.text("kty"), Ok(Some("oct"))) {
        // Whoever can read the set could sign.
        return Err(JwkError::Shared);
    }
    if jwk.has_duplicate() {
        return Err(JwkError::DuplicateMember);
    }
    if let Some(member) = PRIVATE.iter().find(|member| jwk.member(member).is_some()) {
        return Err(JwkError::Private(member));
    }
    let id = text(jwk, "kid")?.map(str::to_owned);
    check_purpose(jwk)?;
    let algorithm = text(jwk, "alg")?
        .map(Algorithm::from_str)
        .transpose()
        .map_err(|_| JwkError::Unsupported("its `alg` is not supported"))?;
    let mut key = match required(jwk, "kty")? {
        "RSA" => VerificationKey::from_rsa_numbers(&bytes(jwk, "n")?, &bytes(jwk, "e")?)?,
        "EC" => elliptic(jwk)?,
        "OKP" => edwards(jwk)?,
        "oct" => VerificationKey::from_secret(&bytes(jwk, "k")?)?,
        _ => return Err(JwkError::Unsupported("its `kty` is not supported")),
    };
    if let Some(algorithm) = algorithm {
        if !key.algorithms.contains(&algorithm) {
            return Err(JwkError::AlgorithmMismatch(algorithm));
        }
        key.algorithms = vec![algorithm];
    }
    key.id = id;
    Ok(key)
}

/// `use` and `key_ops`, if present, must allow verifying signatures.
fn check_purpose(jwk: &JsonObject) -> Result<(), JwkError> {
    if text(jwk, "use")?.is_some_and(|purpose| purpose != "sig") {
        return Err(JwkError::Unsupported("its `use` is not signatures"));
    }
    match jwk.member("key_ops") {
        None => Ok(()),
        Some(Value::Array(operations)) if operations.iter().any(|op| op == "verify") => Ok(()),
        Some(Value::Array(_)) => Err(JwkError::Unsupported("its `key_ops` lack `verify`")),
        Some(_) => Err(JwkError::WrongType("key_ops", "an array")),
    }
}

fn elliptic(jwk: &JsonObject) -> Result<VerificationKey, JwkError> {
    let (algorithm, size) = match required(jwk, "crv")? {
        "P-256" => (Algorithm::ES256, 32),
        "P-384" => (Algorithm::ES384, 48),
        _ => return Err(JwkError::Unsupported("its `crv` is not supported")),
    };
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    if x.len() != size || y.len() != size {
        return Err(JwkError::CoordinateLength);
    }
    let point = [&[4][..], &x, &y].concat();
    Ok(VerificationKey::from_ec_point(algorithm, &point)?)
}

fn edwards(jwk: &JsonObject) -> Result<VerificationKey, JwkError> {
    match required(jwk, "crv")? {
        "Ed25519" => Ok(VerificationKey::from_ed25519(&bytes(jwk, "x")?)?),
        _ => Err(JwkError::Unsupported("its `crv` is not supported")),
    }
}

fn text<'a>(jwk: &'a JsonObject, member: &'static str) -> Result<Option<&'a str>, JwkError> {
    jwk.text(member)
        .map_err(|_| JwkError::WrongType(member, "a string"))
}

fn required<'a>(jwk: &'a JsonObject, member: &'static str) -> Result<&'a str, JwkError> {
    text(jwk, member)?.ok_or(JwkError::Missing(member))
}

fn bytes(jwk: &JsonObject, member: &'static str) -> Result<Vec<u8>, JwkError> {
    BASE64URL_NOPAD
        .decode(required(jwk, member)?.as_bytes())
        .map_err(|_| JwkError::WrongType(member, "base64url"))
}
