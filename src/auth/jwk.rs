//! A JSON Web Key Set (RFC 7517) read into keys.
//!
//! Two kinds of trouble are told apart. A key that is *not for us* (another kind, for encryption, an algorithm that is not
//! known here) is passed over, as the standard wants it. A key that is *wrong* (private, too weak, damaged, ambiguous)
//! stops the whole set when it comes from the operator's file: it shows that the file is not what its owner believes. In a
//! set that was fetched it is left out with a remark: the operator can't mend that set, and the users of its good keys have
//! done nothing wrong. No error repeats key material.

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::Value;
use std::str::FromStr as _;

use super::{key::VerificationKey, object::JsonObject};

/// Members that only private keys have.
const PRIVATE: &[&str] = &["d", "p", "q", "dp", "dq", "qi", "oth"];

/// How many keys a set that was fetched may have: each takes time to check.
const MAX_KEYS: usize = 256;

/// How many keys one message speaks of.
const MAX_REMARKS: usize = 8;

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<JsonObject>,
}

/// Why one key gives nothing.
enum JwkError {
    /// Passed over.
    Unsupported(String),
    /// Stops the set.
    Invalid(String),
}

/// All usable keys of a set; at least one.
///
/// # Errors
/// What is wrong, as a clause for a person.
pub(super) fn read_set(json: &[u8]) -> Result<Vec<VerificationKey>, String> {
    let set = parse(json)?;
    let mut keys = Vec::new();
    let mut passed_over = Vec::new();
    for (at, jwk) in set.keys.iter().enumerate() {
        let name = name(at, jwk);
        match read(jwk) {
            Ok(key) => keys.push(key),
            Err(JwkError::Unsupported(why)) => passed_over.push(format!("{name} {why}")),
            Err(JwkError::Invalid(why)) => return Err(format!("holds {name}, which {why}")),
        }
    }
    match keys.is_empty() {
        false => Ok(keys),
        true => Err(nothing(passed_over)),
    }
}

/// The usable keys of a set that was fetched, at least one, and a remark on each that is wrong. A shared secret is wrong
/// there: whoever can read it could sign.
///
/// # Errors
/// What is wrong, as a clause for a person.
pub(super) fn read_published(json: &[u8]) -> Result<(Vec<VerificationKey>, Vec<String>), String> {
    let set = parse(json)?;
    if set.keys.len() > MAX_KEYS {
        return Err(format!("holds more than {MAX_KEYS} keys"));
    }
    let (mut keys, mut remarks, mut passed_over) = (Vec::new(), Vec::new(), Vec::new());
    for (at, jwk) in set.keys.iter().enumerate() {
        let name = name(at, jwk);
        let read = match jwk.text("kty") {
            Ok(Some("oct")) => Err(JwkError::Invalid(
                "is a shared secret, which everybody can read there".into(),
            )),
            _ => read(jwk),
        };
        match read {
            Ok(key) => keys.push(key),
            Err(JwkError::Unsupported(why)) => passed_over.push(format!("{name} {why}")),
            Err(JwkError::Invalid(why)) => remarks.push(format!("{name} is left out: it {why}")),
        }
    }
    if keys.is_empty() {
        passed_over.splice(0..0, remarks);
        return Err(nothing(passed_over));
    }
    remarks.truncate(MAX_REMARKS);
    Ok((keys, remarks))
}

fn parse(json: &[u8]) -> Result<JwkSet, String> {
    serde_json::from_slice(json).map_err(|error| {
        // Not the error's own text: it can quote the file.
        format!(
            "is not a JSON Web VerificationKey JwkSet `{{\"keys\": [{{…}}]}}` (line {}, column {})",
            error.line(),
            error.column()
        )
    })
}

fn nothing(mut passed_over: Vec<String>) -> String {
    if passed_over.is_empty() {
        return "holds no keys".into();
    }
    passed_over.truncate(MAX_REMARKS);
    format!("holds no key that can be used: {}", passed_over.join("; "))
}

/// How a message calls a key: by its place, and by its id when it has a short one.
fn name(at: usize, jwk: &JsonObject) -> String {
    match jwk.text("kid") {
        Ok(Some(id)) if id.len() <= 64 => format!("key {} ({id:?})", at + 1),
        _ => format!("key {}", at + 1),
    }
}

fn read(jwk: &JsonObject) -> Result<VerificationKey, JwkError> {
    if jwk.has_duplicate() {
        return Err(JwkError::Invalid("gives a member twice".into()));
    }
    if let Some(member) = PRIVATE.iter().find(|member| jwk.member(member).is_some()) {
        return Err(JwkError::Invalid(format!(
            "is a private key (it has `{member}`): only public keys belong here"
        )));
    }
    let id = text(jwk, "kid")?.map(str::to_owned);
    check_purpose(jwk)?;
    let wanted = text(jwk, "alg")?;
    let algorithm = wanted
        .map(Algorithm::from_str)
        .transpose()
        .map_err(|_| JwkError::Unsupported("has an `alg` that is not known here".into()))?;
    let mut key = match required(jwk, "kty")? {
        "RSA" => VerificationKey::rsa_numbers(&bytes(jwk, "n")?, &bytes(jwk, "e")?)
            .map_err(JwkError::Invalid)?,
        "EC" => elliptic(jwk)?,
        "OKP" => edwards(jwk)?,
        "oct" => VerificationKey::secret(&bytes(jwk, "k")?).map_err(JwkError::Invalid)?,
        _ => {
            return Err(JwkError::Unsupported(
                "has a `kty` that is not known here".into(),
            ));
        }
    };
    if let Some(algorithm) = algorithm {
        if !key.algorithms.contains(&algorithm) {
            return Err(JwkError::Invalid(format!(
                "has the `alg` {algorithm:?}, which does not fit it"
            )));
        }
        key.algorithms = vec![algorithm];
    }
    key.id = id;
    Ok(key)
}

/// `use` and `key_ops`, where given, must allow the checking of signatures.
fn check_purpose(jwk: &JsonObject) -> Result<(), JwkError> {
    if text(jwk, "use")?.is_some_and(|purpose| purpose != "sig") {
        return Err(JwkError::Unsupported(
            "is not for signatures (`use`)".into(),
        ));
    }
    match jwk.member("key_ops") {
        None => Ok(()),
        Some(Value::Array(operations)) if operations.iter().any(|op| op == "verify") => Ok(()),
        Some(Value::Array(_)) => Err(JwkError::Unsupported(
            "is not for checking signatures (`key_ops`)".into(),
        )),
        Some(_) => Err(JwkError::Invalid("has a `key_ops` that is no list".into())),
    }
}

fn elliptic(jwk: &JsonObject) -> Result<VerificationKey, JwkError> {
    let (algorithm, size) = match required(jwk, "crv")? {
        "P-256" => (Algorithm::ES256, 32),
        "P-384" => (Algorithm::ES384, 48),
        _ => {
            return Err(JwkError::Unsupported(
                "is on a curve that is not known here".into(),
            ));
        }
    };
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    if x.len() != size || y.len() != size {
        return Err(JwkError::Invalid(
            "has coordinates of the wrong length".into(),
        ));
    }
    let point = [&[4][..], &x, &y].concat();
    VerificationKey::ec_point(algorithm, &point).map_err(JwkError::Invalid)
}

fn edwards(jwk: &JsonObject) -> Result<VerificationKey, JwkError> {
    match required(jwk, "crv")? {
        "Ed25519" => VerificationKey::ed25519(&bytes(jwk, "x")?).map_err(JwkError::Invalid),
        _ => Err(JwkError::Unsupported(
            "is on a curve that is not known here".into(),
        )),
    }
}

fn text<'a>(jwk: &'a JsonObject, member: &str) -> Result<Option<&'a str>, JwkError> {
    jwk.text(member)
        .map_err(|()| JwkError::Invalid(format!("has a `{member}` that is no string")))
}

fn required<'a>(jwk: &'a JsonObject, member: &str) -> Result<&'a str, JwkError> {
    text(jwk, member)?.ok_or_else(|| JwkError::Invalid(format!("lacks `{member}`")))
}

fn bytes(jwk: &JsonObject, member: &str) -> Result<Vec<u8>, JwkError> {
    BASE64URL_NOPAD
        .decode(required(jwk, member)?.as_bytes())
        .map_err(|_| JwkError::Invalid(format!("has a `{member}` that is not base64url")))
}
