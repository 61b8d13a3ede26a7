//! The emulator's own check of `Authorization: Qiniu <access key>:<sign>`.
//!
//! Written from the description of the token alone and sharing no code with the gateway's signer,
//! so that a mistake there is found here instead of being made twice. Relies on HMAC-SHA1 and on a
//! comparison in constant time; never prints or stores a key, and never tells what was wrong.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use data_encoding::BASE64URL;
use hmac::{Hmac, KeyInit, Mac};
use hyper::{
    HeaderMap, Method, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
};
use sha1::Sha1;

use crate::secret::Secret;

/// How far `X-Qiniu-Date` may be from the clock; this far is already too far.
const DATE_TOLERANCE_SECONDS: u64 = 15 * 60;
const DATE_HEADER: &str = "x-qiniu-date";
const SIGNED_PREFIX: &str = "x-qiniu-";

/// The one account the emulator knows.
pub(super) struct Account {
    pub(super) access_key: Secret,
    pub(super) secret_key: Secret,
}

/// Why a request is not from our account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// No token, a malformed one, or a wrong one: HTTP 401.
    BadToken,
    /// Rightly signed, but `X-Qiniu-Date` is unreadable or 15 minutes or more off: HTTP 403.
    StaleDate,
}

/// The head of a request, as it arrived.
pub(super) struct Head<'a> {
    pub(super) method: &'a Method,
    pub(super) uri: &'a Uri,
    pub(super) headers: &'a HeaderMap,
}

impl Account {
    /// Whether the token at least claims to be this account's, which can be told without the body.
    ///
    /// # Errors
    /// [`Denied::BadToken`] if the header is missing, doubled, of another scheme or another account.
    pub(super) fn check_claim(&self, headers: &HeaderMap) -> Result<(), Denied> {
        let token = single(headers, AUTHORIZATION.as_str())?.ok_or(Denied::BadToken)?;
        let claim = self.claim();
        let claimed = token.get(..claim.len()).ok_or(Denied::BadToken)?;
        verify_slices_are_equal(claimed, &claim).map_err(|_| Denied::BadToken)
    }

    /// Recomputes the token over the bytes that arrived and compares the whole header.
    ///
    /// `now` is the Unix time in seconds. The date is judged only once the signature is good.
    ///
    /// # Errors
    /// See [`Denied`].
    pub(super) fn check(&self, head: &Head<'_>, body: &[u8], now: i64) -> Result<(), Denied> {
        let token = single(head.headers, AUTHORIZATION.as_str())?.ok_or(Denied::BadToken)?;
        let mut expected = self.claim();
        expected.extend_from_slice(self.sign(head, body)?.as_bytes());
        verify_slices_are_equal(token, &expected).map_err(|_| Denied::BadToken)?;
        match single(head.headers, DATE_HEADER)? {
            None => Ok(()),
            Some(date) => {
                let at = unix_seconds(date).ok_or(Denied::StaleDate)?;
                if now.abs_diff(at) < DATE_TOLERANCE_SECONDS {
                    Ok(())
                } else {
                    Err(Denied::StaleDate)
                }
            }
        }
    }

    fn claim(&self) -> Vec<u8> {
        [b"Qiniu ", self.access_key.reveal(), b":"].concat()
    }

    fn sign(&self, head: &Head<'_>, body: &[u8]) -> Result<String, Denied> {
        let key = self.secret_key.reveal();
        let mut mac = Hmac::<Sha1>::new_from_slice(key).map_err(|_| Denied::BadToken)?;
        let host = single(head.headers, HOST.as_str())?.ok_or(Denied::BadToken)?;
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

/// The one value of a header; a doubled header could be read in two ways and is refused.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a [u8]>, Denied> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Denied::BadToken);
    }
    Ok(first.map(|value| value.as_bytes()))
}

/// Every `X-Qiniu-<something>`, canonical and sorted by name.
fn signed_headers(headers: &HeaderMap) -> Result<Vec<(String, &[u8])>, Denied> {
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

/// The first letter and each after a hyphen in upper case; the name comes in lower case.
fn canonical(name: &str) -> String {
    let mut word_starts = true;
    name.chars()
        .map(|letter| {
            let shown = if word_starts {
                letter.to_ascii_uppercase()
            } else {
                letter
            };
            word_starts = letter == '-';
            shown
        })
        .collect()
}

/// Reads `yyyyMMddTHHmmssZ` as Unix seconds; nothing looser.
fn unix_seconds(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text)
        .ok()
        .filter(|text| text.len() == 16)?;
    if text.get(8..9)? != "T" || text.get(15..)? != "Z" {
        return None;
    }
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let digits = text.get(range)?;
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        if plain { digits.parse().ok() } else { None }
    };
    let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
    let (hour, minute, second) = (number(9..11)?, number(11..13)?, number(13..15)?);
    let sane = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    sane.then(|| ((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the Gregorian calendar, counted with years that begin in March.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let months_since_march = (month + 9) % 12;
    let day_of_year = (153 * months_since_march + 2) / 5 + day - 1;
    365 * year + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

#[cfg(test)]
#[path = "authorization_tests.rs"]
mod tests;
