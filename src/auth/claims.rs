//! The rules for the claims of a token (RFC 7519), each on its own.
//!
//! Relies on [`JsonObject`] to report duplicates, also in nested claims. Only [`issuer`] is used
//! before the signature is verified. Strings are compared byte for byte and never trimmed, folded
//! or normalised, and numbers are never rounded: two users must never become one.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use serde_json::Value;

use super::{
    json_object::{JsonObject, identifier},
    refusal::AuthRefusal,
};

/// Maximum length of a user id, in bytes: the limits use it as a key.
const MAX_USER: usize = 256;

/// The issuer that the token names.
///
/// # Errors
/// `MissingClaim("iss")`; `BadClaim("iss")` if it is not a string.
pub(super) fn issuer(claims: &JsonObject) -> Result<&str, AuthRefusal> {
    claims
        .text("iss")
        .map_err(|_| AuthRefusal::BadClaim("iss"))?
        .ok_or(AuthRefusal::MissingClaim("iss"))
}

/// Checks that the claim of exactly this name, a string or an array of strings, contains one of the
/// accepted audiences.
///
/// # Errors
/// `MissingClaim` and `BadClaim` of `aud`, or of `audience` if another claim is configured;
/// `WrongAudience`.
pub(super) fn check_audience(
    claims: &JsonObject,
    claim: &str,
    accepted: &[String],
) -> Result<(), AuthRefusal> {
    let shown = if claim == "aud" { "aud" } else { "audience" };
    let found = match claims.member(claim) {
        None => return Err(AuthRefusal::MissingClaim(shown)),
        Some(Value::String(audience)) => vec![audience.as_str()],
        Some(value) => strings(value).ok_or(AuthRefusal::BadClaim(shown))?,
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
    max_lifetime: Option<f64>,
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
            max_lifetime: None,
        }
    }

    /// The same period, which is refused if it is longer than this.
    pub(super) fn at_most(self, max_lifetime: Option<Duration>) -> Self {
        let max_lifetime = max_lifetime.map(|longest| longest.as_secs_f64());
        Self {
            max_lifetime,
            ..self
        }
    }

    /// `exp` must be in the future; `nbf` and `iat`, if present, must not be. Each is checked with
    /// the leeway. The time from `iat` to `exp` must not exceed the maximum; nor, without `iat`,
    /// the time from now to `exp`.
    ///
    /// # Errors
    /// `Expired`, `NotYetValid`, `IssuedInFuture`, `LifetimeTooLong`.
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
        // Both times of one token are of one clock, so the leeway only counts without `iat`.
        let begin = self.issued.unwrap_or(now + leeway);
        if self.max_lifetime.is_some_and(|it| self.expiry - begin > it) {
            return Err(AuthRefusal::LifetimeTooLong);
        }
        Ok(())
    }

    /// By how much the clock misses what [`TokenValidity::check`] refused; `None` if the refusal is
    /// about something else. The leeway is not taken off.
    pub(super) fn off_by(&self, refusal: AuthRefusal, now: SystemTime) -> Option<Duration> {
        let now = unix_seconds(now);
        let seconds = if refusal == AuthRefusal::Expired {
            now - self.expiry
        } else if refusal == AuthRefusal::NotYetValid {
            self.not_before? - now
        } else if refusal == AuthRefusal::IssuedInFuture {
            self.issued? - now
        } else {
            return None;
        };
        Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    }
}

/// The user: 1 to 256 bytes, from the configured claim.
///
/// The claim has exactly the configured name. If there is none, the name is a dotted path into
/// nested claims. A whole number counts as its text.
///
/// # Errors
/// `MissingClaim("user")`, `BadClaim("user")`.
pub(super) fn user<'a>(claims: &'a JsonObject, claim: &str) -> Result<Cow<'a, str>, AuthRefusal> {
    let value = claims.member(claim).or_else(|| nested(claims, claim));
    let value = value.ok_or(AuthRefusal::MissingClaim("user"))?;
    identifier(value)
        .filter(|user| (1..=MAX_USER).contains(&user.len()))
        .ok_or(AuthRefusal::BadClaim("user"))
}

/// The granted scopes of `scope` and of `scp`: the words of a string, or the elements of an array.
///
/// # Errors
/// `BadClaim` for a value of any other type: a guessed scope would grant a right by mistake.
pub(super) fn scopes(claims: &JsonObject) -> Result<Vec<Box<str>>, AuthRefusal> {
    let mut granted = Vec::new();
    for claim in ["scope", "scp"] {
        let scopes = match claims.member(claim) {
            None => continue,
            Some(Value::String(words)) => words.split(' ').collect(),
            Some(value) => strings(value).ok_or(AuthRefusal::BadClaim(claim))?,
        };
        let scopes = scopes.into_iter().filter(|scope| !scope.is_empty());
        granted.extend(scopes.map(Box::from));
    }
    Ok(granted)
}

/// The value at `outer.inner`, and so on.
fn nested<'a>(claims: &'a JsonObject, path: &str) -> Option<&'a Value> {
    let (outer, rest) = path.split_once('.')?;
    let inner = |value: &'a Value, step| value.as_object()?.get(step);
    rest.split('.').try_fold(claims.member(outer)?, inner)
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
