//! The rules for the claims of a token (RFC 7519), each on its own.
//!
//! Only [`issuer`] is asked before the signature has been checked. Text is compared byte for byte: nothing is trimmed,
//! folded or normalised, since two users must never become one.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::{AuthRefusal, object::JsonObject};

/// The longest user id, in bytes: it becomes a key of the limits.
const MAX_USER: usize = 256;

/// Who issued the token, as it says.
///
/// # Errors
/// `MissingClaim("iss")`, `BadClaim("iss")` when it is not a string.
pub(super) fn issuer(claims: &JsonObject) -> Result<&str, AuthRefusal> {
    required(claims, "iss", "iss")
}

/// One of the audiences must be in `aud`, a string or a list of strings.
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

/// When a token may be used, by its own word.
#[derive(Clone, Copy)]
pub(super) struct TokenValidity {
    expiry: f64,
    not_before: Option<f64>,
    issued: Option<f64>,
    leeway: f64,
}

/// `exp` is required; `nbf` and `iat` may be left out.
///
/// # Errors
/// `MissingClaim("exp")`, `BadClaim` for what is no number.
pub(super) fn times(claims: &JsonObject, leeway: Duration) -> Result<TokenValidity, AuthRefusal> {
    let expiry = seconds(claims, "exp")?.ok_or(AuthRefusal::MissingClaim("exp"))?;
    let not_before = seconds(claims, "nbf")?;
    let issued = seconds(claims, "iat")?;
    Ok(TokenValidity::new(expiry, not_before, issued, leeway))
}

impl TokenValidity {
    /// In seconds since 1970, all finite.
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

    /// `exp` must lie ahead; `nbf` and `iat`, where given, must not. Each within the leeway.
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

/// What the token grants: the words of `scope`, and those of `scp`, a list or a string.
///
/// # Errors
/// `BadClaim` for another type than these: a scope that is guessed is a right that is given away.
pub(super) fn scopes(claims: &JsonObject) -> Result<Vec<Box<str>>, AuthRefusal> {
    let scope = claims
        .text("scope")
        .map_err(|()| AuthRefusal::BadClaim("scope"))?;
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
        .map_err(|()| AuthRefusal::BadClaim(name))?
        .ok_or(AuthRefusal::MissingClaim(name))
}

/// The strings of a list; nothing when it is no list or holds anything else.
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
