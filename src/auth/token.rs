//! Extracts the bearer token from the request headers (RFC 6750, section 2.1) and decodes its
//! compact form (RFC 7515): strict base64url, three parts, JSON objects, and the rules for the JOSE
//! header.
//!
//! Nothing here is verified yet. Reads the `Authorization` header only, never a query, a cookie or
//! a body. Never follows a key that the token itself offers (`jwk`, `jku`, `x5u`, `x5c`).

use std::borrow::Cow;

use hyper::{HeaderMap, header::AUTHORIZATION};
use jsonwebtoken::Algorithm;
use serde_json::Value;

use super::{
    algorithm::algorithm_named,
    json_object::{JsonObject, identifier},
    refusal::AuthRefusal,
};
use crate::wipe::{self, WipedVec};

/// Maximum length of a token, in bytes.
const MAX_TOKEN: usize = 8 * 1024;

/// Returns the bearer token in the headers. Only its length is checked.
///
/// # Errors
/// `MissingToken`, `WrongScheme`, `DuplicateHeader`, `TokenTooLong`.
pub(super) fn bearer_token(headers: &HeaderMap) -> Result<&[u8], AuthRefusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(AuthRefusal::MissingToken)?;
    if values.next().is_some() {
        // Two layers that each read another of the two headers would see two different callers.
        return Err(AuthRefusal::DuplicateHeader);
    }
    let value = value.as_bytes();
    let (scheme, rest) = match value.iter().position(|byte| *byte == b' ') {
        Some(space) => value.split_at(space),
        None => (value, &[][..]),
    };
    if !scheme.eq_ignore_ascii_case(b"Bearer") {
        return Err(AuthRefusal::WrongScheme);
    }
    let token = rest.trim_ascii();
    if token.is_empty() {
        return Err(AuthRefusal::MissingToken);
    }
    if token.len() > MAX_TOKEN {
        return Err(AuthRefusal::TokenTooLong);
    }
    Ok(token)
}

/// The parts of a token whose signature is not verified yet.
pub(super) struct UnverifiedToken<'a> {
    /// The signed text: the first two parts as received.
    pub(super) signed: &'a str,
    /// The third part as received; valid base64url.
    pub(super) signature: &'a str,
    /// `alg`. Whether it is allowed depends on the key.
    pub(super) algorithm: Algorithm,
    /// `kid`.
    pub(super) key_id: Option<String>,
    /// The claims, without duplicates.
    pub(super) claims: JsonObject,
}

impl<'a> UnverifiedToken<'a> {
    /// Decodes a token and checks everything that needs neither a key nor the clock.
    ///
    /// # Errors
    /// `Malformed`, `WrongType`, `UnknownCrit`, `AlgorithmNotAllowed`, `DuplicateClaim`,
    /// `DuplicateHeaderParameter`.
    pub(super) fn parse(token: &'a [u8]) -> Result<Self, AuthRefusal> {
        let token = b64token(token)?;
        // Exactly three parts: an encrypted token has five, an unsigned one two.
        let (signed, signature) = token.rsplit_once('.').ok_or(AuthRefusal::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(AuthRefusal::Malformed)?;
        if claims.contains('.') {
            return Err(AuthRefusal::Malformed);
        }
        decode(signature)?;
        let header = decode_object(header)?;
        if header.has_duplicate() {
            return Err(AuthRefusal::DuplicateHeaderParameter);
        }
        if header.member("crit").is_some() {
            return Err(AuthRefusal::UnknownCrit);
        }
        check_type(&header)?;
        let algorithm = algorithm(&header)?;
        let key_id = header
            .member("kid")
            .map(|id| identifier(id).ok_or(AuthRefusal::Malformed))
            .transpose()?
            .map(Cow::into_owned);
        let claims = decode_object(claims)?;
        if claims.has_duplicate() {
            return Err(AuthRefusal::DuplicateClaim);
        }
        Ok(Self {
            signed,
            signature,
            algorithm,
            key_id,
            claims,
        })
    }
}

/// The token as text, if it is a `b64token` of RFC 6750: at least one character of the alphabet,
/// then any number of `=`.
fn b64token(token: &[u8]) -> Result<&str, AuthRefusal> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    let body = token.iter().take_while(|byte| allowed(**byte)).count();
    if body == 0 || token.iter().skip(body).any(|byte| *byte != b'=') {
        return Err(AuthRefusal::Malformed);
    }
    std::str::from_utf8(token).map_err(|_| AuthRefusal::Malformed)
}

/// Base64url without padding and without stray bits, so that each value has one spelling.
fn decode(part: &str) -> Result<WipedVec, AuthRefusal> {
    wipe::base64url(part.as_bytes()).ok_or(AuthRefusal::Malformed)
}

fn decode_object(part: &str) -> Result<JsonObject, AuthRefusal> {
    serde_json::from_slice(&decode(part)?).map_err(|_| AuthRefusal::Malformed)
}

/// `typ` may be absent, `JWT` or `at+jwt`, also as a media type.
///
/// Other types, a logout token for example, mean something else, and the same key may sign them.
fn check_type(header: &JsonObject) -> Result<(), AuthRefusal> {
    let Some(kind) = header.text("typ").map_err(|_| AuthRefusal::WrongType)? else {
        return Ok(());
    };
    let kind = kind.to_ascii_lowercase();
    match kind.strip_prefix("application/").unwrap_or(&kind) {
        "jwt" | "at+jwt" => Ok(()),
        _ => Err(AuthRefusal::WrongType),
    }
}

/// `alg`, case-sensitive as the standard requires. `none` is not among the known names.
fn algorithm(header: &JsonObject) -> Result<Algorithm, AuthRefusal> {
    match header.member("alg") {
        Some(Value::String(name)) => algorithm_named(name).ok_or(AuthRefusal::AlgorithmNotAllowed),
        _ => Err(AuthRefusal::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn token_in(values: &[&[u8]]) -> Result<String, AuthRefusal> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        bearer_token(&headers).and_then(b64token).map(str::to_owned)
    }

    #[test]
    fn one_bearer_token_is_found_whatever_the_case_of_the_scheme() {
        for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
            assert_eq!(
                token_in(&[format!("{scheme} a.b-c_~+/==").as_bytes()]),
                Ok("a.b-c_~+/==".into())
            );
        }
        assert_eq!(token_in(&[b"Bearer   a.b.c  "]), Ok("a.b.c".into()));
    }

    #[test]
    fn no_header_or_another_scheme_is_a_missing_token() {
        assert_eq!(token_in(&[]), Err(AuthRefusal::MissingToken));
        for value in [&b"Bearer"[..], b"Bearer ", b"bearer    "] {
            assert_eq!(token_in(&[value]), Err(AuthRefusal::MissingToken));
        }
        for value in [
            &b""[..],
            b"Basic YTpi",
            b"Bearerx a.b.c",
            b"a.b.c",
            b"Bearer\ta.b.c",
            b" ",
        ] {
            assert_eq!(token_in(&[value]), Err(AuthRefusal::WrongScheme));
        }
        assert_eq!(AuthRefusal::MissingToken.code(), "missing_token");
        assert_eq!(AuthRefusal::WrongScheme.code(), "missing_token");
    }

    #[test]
    fn two_headers_are_a_malformed_request_even_when_equal() {
        for second in [&b"Bearer a.b.c"[..], b"Basic x"] {
            let found = token_in(&[b"Bearer a.b.c", second]);
            assert_eq!(found, Err(AuthRefusal::DuplicateHeader));
        }
        assert_eq!(AuthRefusal::DuplicateHeader.code(), "malformed_request");
    }

    #[test]
    fn a_second_token_or_a_character_outside_the_alphabet_is_refused() {
        for value in [
            &b"Bearer a.b.c d.e.f"[..],
            b"Bearer a.b.c, Bearer d.e.f",
            b"Bearer a.b.c,",
            b"Bearer \"a.b.c\"",
            b"Bearer a=b",
            b"Bearer ==",
            b"Bearer a.b\xff.c",
        ] {
            assert_eq!(token_in(&[value]), Err(AuthRefusal::Malformed));
        }
    }

    #[test]
    fn a_token_has_at_most_eight_kibibytes() {
        let fits = format!("Bearer {}", "a".repeat(8192));
        assert!(token_in(&[fits.as_bytes()]).is_ok());
        assert_eq!(
            token_in(&[format!("{fits}a").as_bytes()]),
            Err(AuthRefusal::TokenTooLong)
        );
    }
}
