//! From the headers of a request to the one bearer token in them (RFC 6750, section 2.1).
//!
//! It looks at the `Authorization` header alone: a token in a query, a cookie or a body is never looked for.

use hyper::{HeaderMap, header::AUTHORIZATION};

use super::AuthRefusal;

/// The longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 8 * 1024;

/// The token's bytes, unchecked but for their number.
///
/// # Errors
/// `MissingToken`, `WrongScheme`, `DuplicateHeader`, `TokenTooLong`.
pub(super) fn credentials(headers: &HeaderMap) -> Result<&[u8], AuthRefusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(AuthRefusal::MissingToken)?;
    if values.next().is_some() {
        // Two layers that each believe a different one would see two different callers.
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

/// The same as text, when it has the alphabet of a token.
///
/// # Errors
/// `Malformed`.
pub(super) fn text(token: &[u8]) -> Result<&str, AuthRefusal> {
    if !is_b64token(token) {
        return Err(AuthRefusal::Malformed);
    }
    std::str::from_utf8(token).map_err(|_| AuthRefusal::Malformed)
}

/// `b64token` of RFC 6750: at least one character of the alphabet, then any number of `=`.
fn is_b64token(token: &[u8]) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    let body = token.iter().take_while(|byte| allowed(**byte)).count();
    body > 0 && token.iter().skip(body).all(|byte| *byte == b'=')
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn of(values: &[&[u8]]) -> Result<String, AuthRefusal> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        credentials(&headers).and_then(text).map(str::to_owned)
    }

    #[test]
    fn one_bearer_token_is_found_whatever_the_case_of_the_scheme() {
        for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
            assert_eq!(
                of(&[format!("{scheme} a.b-c_~+/==").as_bytes()]),
                Ok("a.b-c_~+/==".into())
            );
        }
        assert_eq!(of(&[b"Bearer   a.b.c  "]), Ok("a.b.c".into()));
    }

    #[test]
    fn nothing_or_another_scheme_is_a_missing_token() {
        assert_eq!(of(&[]), Err(AuthRefusal::MissingToken));
        for value in [&b"Bearer"[..], b"Bearer ", b"bearer    "] {
            assert_eq!(of(&[value]), Err(AuthRefusal::MissingToken));
        }
        for value in [
            &b""[..],
            b"Basic YTpi",
            b"Bearerx a.b.c",
            b"a.b.c",
            b"Bearer\ta.b.c",
            b" ",
        ] {
            assert_eq!(of(&[value]), Err(AuthRefusal::WrongScheme));
        }
        assert_eq!(AuthRefusal::MissingToken.code(), "missing_token");
        assert_eq!(AuthRefusal::WrongScheme.code(), "missing_token");
    }

    #[test]
    fn two_headers_are_a_malformed_request_even_when_equal() {
        assert_eq!(
            of(&[b"Bearer a.b.c", b"Bearer a.b.c"]),
            Err(AuthRefusal::DuplicateHeader)
        );
        assert_eq!(
            of(&[b"Bearer a.b.c", b"Basic x"]),
            Err(AuthRefusal::DuplicateHeader)
        );
        assert_eq!(AuthRefusal::DuplicateHeader.code(), "malformed_request");
    }

    #[test]
    fn a_second_token_or_a_strange_character_is_refused() {
        for value in [
            &b"Bearer a.b.c d.e.f"[..],
            b"Bearer a.b.c, Bearer d.e.f",
            b"Bearer a.b.c,",
            b"Bearer \"a.b.c\"",
            b"Bearer a=b",
            b"Bearer ==",
            b"Bearer a.b\xff.c",
        ] {
            assert_eq!(of(&[value]), Err(AuthRefusal::Malformed));
        }
    }

    #[test]
    fn eight_kibibytes_are_the_limit() {
        let fits = format!("Bearer {}", "a".repeat(8192));
        assert!(of(&[fits.as_bytes()]).is_ok());
        assert_eq!(
            of(&[format!("{fits}a").as_bytes()]),
            Err(AuthRefusal::TokenTooLong)
        );
    }
}
