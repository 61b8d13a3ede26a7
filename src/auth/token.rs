//! A token in compact form taken apart (RFC 7515): strict base64url, three parts, JSON objects, and the rules of the
//! JOSE header.
//!
//! Nothing here is verified yet. It never follows what a header offers as a key (`jwk`, `jku`, `x5u`, `x5c`).

use std::str::FromStr as _;

use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;

use super::{Algorithm, AuthRefusal, object::JsonObject};

/// The parts of a token, unverified.
pub(super) struct UnverifiedToken<'a> {
    /// What the signature is over: the first two parts as they came.
    pub(super) signed: &'a str,
    /// The third part as it came, known to be strict base64url.
    pub(super) signature: &'a str,
    /// `alg`, known by name; whether it is allowed is the key set's to say.
    pub(super) algorithm: Algorithm,
    /// `kid`.
    pub(super) key_id: Option<String>,
    /// The claims; no name twice.
    pub(super) claims: JsonObject,
}

/// Takes a token apart and checks all that needs neither key nor clock.
///
/// # Errors
/// `Malformed`, `WrongType`, `UnknownCrit`, `AlgorithmNotAllowed`, `DuplicateClaim`, `DuplicateHeaderParameter`.
pub(super) fn take_apart(token: &str) -> Result<UnverifiedToken<'_>, AuthRefusal> {
    // Exactly three parts: five are an encrypted token, two an unsigned one. A further dot ends up in the claims, where
    // base64url refuses it.
    let (signed, signature) = token.rsplit_once('.').ok_or(AuthRefusal::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(AuthRefusal::Malformed)?;
    decode(signature)?;
    let header = object(header)?;
    if header.has_duplicate() {
        return Err(AuthRefusal::DuplicateHeaderParameter);
    }
    if header.member("crit").is_some() {
        return Err(AuthRefusal::UnknownCrit);
    }
    check_type(&header)?;
    let algorithm = algorithm(&header)?;
    let key_id = header
        .text("kid")
        .map_err(|()| AuthRefusal::Malformed)?
        .map(str::to_owned);
    let claims = object(claims)?;
    if claims.has_duplicate() {
        return Err(AuthRefusal::DuplicateClaim);
    }
    Ok(UnverifiedToken {
        signed,
        signature,
        algorithm,
        key_id,
        claims,
    })
}

/// Base64url without padding and without stray bits: one spelling for one value.
fn decode(part: &str) -> Result<Vec<u8>, AuthRefusal> {
    BASE64URL_NOPAD
        .decode(part.as_bytes())
        .map_err(|_| AuthRefusal::Malformed)
}

fn object(part: &str) -> Result<JsonObject, AuthRefusal> {
    serde_json::from_slice(&decode(part)?).map_err(|_| AuthRefusal::Malformed)
}

/// `typ` may be absent, `JWT` or `at+jwt`, as a media type too: an ID token for e-mail confirmation, a logout token
/// and the like say something else here, and may well be signed by the same key.
fn check_type(header: &JsonObject) -> Result<(), AuthRefusal> {
    let Some(kind) = header.text("typ").map_err(|()| AuthRefusal::WrongType)? else {
        return Ok(());
    };
    let kind = kind.to_ascii_lowercase();
    match kind.strip_prefix("application/").unwrap_or(&kind) {
        "jwt" | "at+jwt" => Ok(()),
        _ => Err(AuthRefusal::WrongType),
    }
}

/// `alg`, case-sensitive as the standard wants it; `none` is not a name that is known here.
fn algorithm(header: &JsonObject) -> Result<Algorithm, AuthRefusal> {
    match header.member("alg") {
        Some(Value::String(name)) => {
            Algorithm::from_str(name).map_err(|_| AuthRefusal::AlgorithmNotAllowed)
        }
        _ => Err(AuthRefusal::Malformed),
    }
}
