//! Checks `Authorization: Qiniu <access key>:<sign>`, independently of the gateway's signer.
//!
//! It is written from Qiniu's documentation of the token and shares no code with
//! [`crate::qiniu::signature`], so that a mistake there is found here instead of being repeated. It
//! relies on HMAC-SHA1 and a comparison in constant time. It never prints a key, and never reveals
//! which part of a token is wrong.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use data_encoding::BASE64URL;
use hmac::{Hmac, KeyInit, Mac};
use hyper::{
    HeaderMap, Method, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
};
use sha1::Sha1;
use time::{Date, Month, Time, UtcDateTime};

use crate::secret::Secret;

/// `X-Qiniu-Date` must differ from the clock by less than this.
const DATE_TOLERANCE_SECONDS: u64 = 15 * 60;
const DATE_HEADER: &str = "x-qiniu-date";
const SIGNED_PREFIX: &str = "x-qiniu-";

/// The emulator's only account. Each of its pairs of keys is accepted.
pub(super) struct EmulatorAccount {
    pub(super) keys: Vec<EmulatorKeys>,
}

/// An access key and its secret key.
pub(super) struct EmulatorKeys {
    pub(super) access_key: Secret,
    pub(super) secret_key: Secret,
}

/// Why the authorization of a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AuthorizationError {
    /// The token is missing, malformed or wrong: HTTP status 401.
    #[error("bad token")]
    BadToken,
    /// The signature is valid, but `X-Qiniu-Date` is malformed or 15 minutes or more off: HTTP
    /// status 403.
    #[error("stale date")]
    StaleDate,
}

/// The head of a received request.
pub(super) struct SignedHead<'a> {
    pub(super) method: &'a Method,
    pub(super) uri: &'a Uri,
    pub(super) headers: &'a HeaderMap,
}

impl EmulatorAccount {
    /// Checks that the token names an access key of this account, which needs no body.
    ///
    /// # Errors
    /// [`AuthorizationError::BadToken`] if the header is missing or repeated, or has another scheme
    /// or access key.
    pub(super) fn check_access_key(&self, headers: &HeaderMap) -> Result<(), AuthorizationError> {
        self.named_keys(headers).map(|_| ())
    }

    /// Recomputes the token over the received bytes and compares the whole header.
    ///
    /// `now` is the Unix time in seconds. The date is checked after the signature.
    ///
    /// # Errors
    /// See [`AuthorizationError`].
    pub(super) fn check(
        &self,
        head: &SignedHead<'_>,
        body: &[u8],
        now: i64,
    ) -> Result<(), AuthorizationError> {
        let (token, keys) = self.named_keys(head.headers)?;
        let mut expected = keys.token_prefix();
        expected.extend_from_slice(keys.sign(head, body)?.as_bytes());
        verify_slices_are_equal(token, &expected).map_err(|_| AuthorizationError::BadToken)?;
        match single(head.headers, DATE_HEADER)? {
            None => Ok(()),
            Some(date) => {
                let at = unix_seconds(date).ok_or(AuthorizationError::StaleDate)?;
                if now.abs_diff(at) < DATE_TOLERANCE_SECONDS {
                    Ok(())
                } else {
                    Err(AuthorizationError::StaleDate)
                }
            }
        }
    }

    /// The token, and the keys that it names.
    fn named_keys<'a>(
        &'a self,
        headers: &'a HeaderMap,
    ) -> Result<(&'a [u8], &'a EmulatorKeys), AuthorizationError> {
        let token = single(headers, AUTHORIZATION.as_str())?.ok_or(AuthorizationError::BadToken)?;
        let mut keys = self.keys.iter();
        let named = keys.find(|keys| {
            let expected = keys.token_prefix();
            let prefix = token.get(..expected.len());
            prefix.is_some_and(|prefix| verify_slices_are_equal(prefix, &expected).is_ok())
        });
        Ok((token, named.ok_or(AuthorizationError::BadToken)?))
    }
}

impl EmulatorKeys {
    fn token_prefix(&self) -> Vec<u8> {
        [b"Qiniu ", self.access_key.reveal(), b":"].concat()
    }

    fn sign(&self, head: &SignedHead<'_>, body: &[u8]) -> Result<String, AuthorizationError> {
        let key = self.secret_key.reveal();
        let mut mac =
            Hmac::<Sha1>::new_from_slice(key).map_err(|_| AuthorizationError::BadToken)?;
        let host = single(head.headers, HOST.as_str())?.ok_or(AuthorizationError::BadToken)?;
        let content_type = single(head.headers, CONTENT_TYPE.as_str())?.unwrap_or_default();

        mac.update(head.method.as_str().as_bytes());
        mac.update(b" ");
        mac.update(head.uri.path().as_bytes());
        if let Some(query) = head.uri.query().filter(|query| !query.is_empty()) {
            mac.update(b"?");
            mac.update(query.as_bytes());
        }
        mac.update(b"\nHost: ");
        mac.update(host);
        if !content_type.is_empty() {
            mac.update(b"\nContent-Type: ");
            mac.update(content_type);
        }
        for (name, value) in signed_headers(head.headers)? {
            mac.update(b"\n");
            mac.update(name.as_bytes());
            mac.update(b": ");
            mac.update(value);
        }
        mac.update(b"\n\n");
        if !content_type.is_empty() && content_type != b"application/octet-stream" {
            mac.update(body);
        }
        Ok(BASE64URL.encode(&mac.finalize().into_bytes()))
    }
}

/// The value of a header. A repeated header is refused, since it could be read in two ways.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a [u8]>, AuthorizationError> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(AuthorizationError::BadToken);
    }
    Ok(first.map(|value| value.as_bytes()))
}

/// Every `X-Qiniu-<something>` header, with its canonical name, sorted by name.
fn signed_headers(headers: &HeaderMap) -> Result<Vec<(String, &[u8])>, AuthorizationError> {
    let mut signed = Vec::new();
    for name in headers.keys() {
        let longer = name.as_str().len() > SIGNED_PREFIX.len();
        if longer && name.as_str().starts_with(SIGNED_PREFIX) {
            let value = single(headers, name.as_str())?.unwrap_or_default();
            signed.push((canonical(name.as_str()), value));
        }
    }
    signed.sort_unstable();
    Ok(signed)
}

/// Capitalises the first letter and each letter after a hyphen of a lower-case name.
fn canonical(name: &str) -> String {
    let mut word_starts = true;
    name.chars()
        .map(|letter| {
            let capitalised = if word_starts {
                letter.to_ascii_uppercase()
            } else {
                letter
            };
            word_starts = letter == '-';
            capitalised
        })
        .collect()
}

/// Parses `yyyyMMddTHHmmssZ`, from 1970 on and in no other form, to Unix seconds.
fn unix_seconds(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    if text.len() != 16 || text.get(8..9)? != "T" || text.get(15..)? != "Z" {
        return None;
    }
    let digits = |range: std::ops::Range<usize>| {
        let digits = text.get(range)?;
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then_some(digits)
    };
    let number = |start| digits(start..start + 2)?.parse::<u8>().ok();
    let year = digits(0..4)?.parse().ok()?;
    let month = Month::try_from(number(4)?).ok()?;
    let date = Date::from_calendar_date(year, month, number(6)?).ok()?;
    let time = Time::from_hms(number(9)?, number(11)?, number(13)?).ok()?;
    let seconds = UtcDateTime::new(date, time).unix_timestamp();
    (seconds >= 0).then_some(seconds)
}

#[cfg(test)]
#[path = "authorization_tests.rs"]
mod tests;
