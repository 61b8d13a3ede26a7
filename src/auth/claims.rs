//! The rules for the claims of a token (RFC 7519), each on its own.
//!
//! Only [`issuer`] is used before the signature is verified. Strings are compared byte for byte and
//! never trimmed, folded or normalised: two users must never become one.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::{json_object::JsonObject, refusal::AuthRefusal};

/// Maximum length of a user id, in bytes: the limits use it as a key.
const MAX_USER: usize = 256;

/// The issuer that the token names.
///
/// # Errors
/// `MissingClaim("iss")`; `BadClaim("iss")` if it is not a string.
pub(super) fn issuer(claims: &JsonObject) -> Result<&str, AuthRefusal> {
    required(claims, "iss", "iss")
}

/// Checks that `aud`, a string or an array of strings, contains one of the accepted audiences.
///
/// # Errors
/// `MissingClaim("aud")`, `BadClaim("aud")`, `WrongAudience`.
pub(super) fn check_audience(claims: &JsonObject, accepted: &[String]) -> Result<(), AuthRefusal> {
    let found = match claims.member("aud") {
        None => return Err(AuthRefusal::MissingClaim("aud")),
        Some(Value::String(audience)) => vec![audience.as_str()],
        Some(value) => strings(value).ok_or(AuthRefusal::BadClaim("aud"))?,
    };
    match found
        .iter()
        .any(|audience| accepted.iter().any(|accepted| accepted == audience))
    {
        true => Ok(()),
        false => Err(AuthRefusal::WrongAudience),
    }
}

/// The period in which a token is valid, according to its claims.
#[derive(Clone, Copy)]
pub(super) struct TokenValidity {
    expiry: f64,
    not_before: Option<f64>,
    issued: Option<f64>,
    leeway: f64,
}

impl TokenValidity {
    /// Reads `exp`, which is required, and `nbf` and `iat`, which are optional.
    ///
    /// # Errors
    /// `MissingClaim("exp")`; `BadClaim` for a value that is not a number.
    pub(super) fn from_claims(claims: &JsonObject, leeway: Duration) -> Result<Self, AuthRefusal> {
        let expiry = seconds(claims, "exp")?.ok_or(AuthRefusal::MissingClaim("exp"))?;
        let not_before = seconds(claims, "nbf")?;
        let issued = seconds(claims, "iat")?;
        Ok(Self::new(expiry, not_before, issued, leeway))
    }

    /// The times are in seconds since 1970, and finite.
    pub(super) fn new(
        expiry: f64,
        not_before: Option<f64>,
        issued: Option<f64>,
        leeway: Duration,
    ) -> Self {
        Self {
            expiry,
            not_before,
            issued,
            leeway: leeway.as_secs_f64(),
        }
    }

    /// `exp` must be in the future; `nbf` and `iat`, if present, must not be. Each is checked with
    /// the leeway.
    ///
    /// # Errors
    /// `Expired`, `NotYetValid`, `IssuedInFuture`.
    pub(super) fn check(&self, now: SystemTime) -> Result<(), AuthRefusal> {
        let (now, leeway) = (unix_seconds(now), self.leeway);
        if now - leeway >= self.expiry {
            return Err(AuthRefusal::Expired);
        }
        if self.not_before.is_some_and(|time| time > now + leeway) {
            return Err(AuthRefusal::NotYetValid);
        }
        if self.issued.is_some_and(|time| time > now + leeway) {
            return Err(AuthRefusal::IssuedInFuture);
        }
        Ok(())
    }
}

/// The user: a string of 1 to 256 bytes in the configured claim.
///
/// # Errors
/// `MissingClaim("user")`, `BadClaim("user")`.
pub(super) fn user<'a>(claims: &'a JsonObject, claim: &str) -> Result<&'a str, AuthRefusal> {
    let user = required(claims, claim, "user")?;
    if user.is_empty() || user.len() > MAX_USER {
        return Err(AuthRefusal::BadClaim("user"));
    }
    Ok(user)
}

/// The granted scopes: the words of `scope`, a string, and of `scp`, a string or an array.
///
/// # Errors
/// `BadClaim` for a value of any other type: a guessed scope would grant a right by mistake.
pub(super) fn scopes(claims: &JsonObject) -> Result<Vec<Box<str>>, AuthRefusal> {
    let scope = claims
        .text("scope")
        .map_err(|_| AuthRefusal::BadClaim("scope"))?;
    let listed = match claims.member("scp") {
        None => Vec::new(),
        Some(Value::String(words)) => words.split(' ').collect(),
        Some(value) => strings(value).ok_or(AuthRefusal::BadClaim("scp"))?,
    };
    let words = scope.unwrap_or_default().split(' ').chain(listed);
    Ok(words
        .filter(|word| !word.is_empty())
        .map(Box::from)
        .collect())
}

fn required<'a>(
    claims: &'a JsonObject,
    claim: &str,
    name: &'static str,
) -> Result<&'a str, AuthRefusal> {
    claims
        .text(claim)
        .map_err(|_| AuthRefusal::BadClaim(name))?
        .ok_or(AuthRefusal::MissingClaim(name))
}

/// The elements of an array of strings; `None` for any other value.
fn strings(value: &Value) -> Option<Vec<&str>> {
    value.as_array()?.iter().map(Value::as_str).collect()
}

/// A NumericDate: seconds since 1970, fractions allowed.
fn seconds(claims: &JsonObject, name: &'static str) -> Result<Option<f64>, AuthRefusal> {
    let Some(value) = claims.member(name) else {
        return Ok(None);
    };
    let number = value.as_f64().filter(|number| number.is_finite());
    number.map(Some).ok_or(AuthRefusal::BadClaim(name))
}

fn unix_seconds(time: SystemTime) -> f64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => after.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    }
}
