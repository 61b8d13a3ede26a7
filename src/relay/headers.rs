//! Checks of a request's head: size, host and media type.
//!
//! Never looks at the token, and never passes a field on to Qiniu.

use super::{
    head_fault::{HeadFault, MediaFault},
    media_type::{MediaType, MediaTypeError},
    refusal::Refusal,
};
use crate::body::{
    multipart::FormHead, nonce::Nonce, raw_video::RawVideoFields, receive::BodyForm,
};
use crate::form_data::Boundary;
use crate::parameters::Parameters;
use crate::route::RouteKind;
use hyper::{
    HeaderMap, Version,
    header::{CONTENT_ENCODING, CONTENT_TYPE, EXPECT, HOST, HeaderValue},
    http::{request::Parts, uri::Authority},
};
use zeroize::Zeroizing;

const SESSION: &str = "Liveness-Session";
const FACE_FIELD: &str = "Liveness-Face-Field";
const NONCE: &str = "Liveness-Nonce";
/// Maximum size of these fields, in bytes.
const MAX_SESSION: usize = 1024;
const MAX_FACE_FIELD: usize = 256;

/// Checks size and host of a head. The server has checked its lines and how it frames its body.
///
/// # Errors
/// `HeadTooLarge`, or `Host` with the reason.
pub fn check_head(parts: &Parts, max_head_bytes: usize) -> Result<(), Refusal> {
    let target = parts
        .uri
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    let mut size = parts.method.as_str().len() + target;
    let mut hosts = HostFields::default();
    for (name, value) in &parts.headers {
        size += name.as_str().len() + value.len() + 4;
        if name == HOST {
            hosts.repeated |= hosts.host.replace(value).is_some();
        }
    }
    if size > max_head_bytes {
        return Err(Refusal::HeadTooLarge);
    }
    check_host(parts, &hosts)
}

/// Requires that there is no query string, not even an empty one.
///
/// # Errors
/// `Malformed`.
pub fn check_query(parts: &Parts) -> Result<(), Refusal> {
    match parts.uri.query() {
        None => Ok(()),
        Some(_) => Err(HeadFault::Query.into()),
    }
}

/// The `Host` fields of a head.
#[derive(Default)]
struct HostFields<'a> {
    host: Option<&'a HeaderValue>,
    repeated: bool,
}

/// Requires exactly one valid host, the same wherever it stands; HTTP/1.0 may have none (RFC 9112
/// section 3.2, RFC 9113 section 8.3.1). Which one it is does not matter: the gateway has no name
/// of its own.
fn check_host(parts: &Parts, fields: &HostFields<'_>) -> Result<(), Refusal> {
    let refuse = |why| Err(Refusal::Host(why));
    // Of `:authority`, or of an absolute target (RFC 9112 section 3.2.2).
    let authority = parts.uri.authority();
    let http2 = parts.version == Version::HTTP_2;
    let fit = |host| match is_host(host) {
        true => Ok(()),
        false => refuse("the Host header is not a valid host"),
    };
    match (fields.host, authority) {
        _ if fields.repeated => refuse("the request must have exactly one Host header"),
        (None, None) if parts.version == Version::HTTP_10 => Ok(()),
        (None, Some(authority)) if http2 || parts.version == Version::HTTP_10 => {
            fit(authority.as_str().as_bytes())
        }
        (None, _) => refuse("the request must have exactly one Host header"),
        (Some(host), Some(authority)) if !same_host(host, authority) => {
            refuse("the Host header and the authority of the target differ")
        }
        (Some(host), _) => fit(host.as_bytes()),
    }
}

fn same_host(host: &HeaderValue, authority: &Authority) -> bool {
    host.as_bytes()
        .eq_ignore_ascii_case(authority.as_str().as_bytes())
}

/// Whether this is a name or an address, with or without a port, and without user information.
fn is_host(host: &[u8]) -> bool {
    is_plain_host(host) || is_authority(host)
}

/// Accepts letters, digits, dots, hyphens and a port of up to four digits. Nearly every host is
/// of this form, and this check is cheaper than [`is_authority`].
fn is_plain_host(host: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let name = host.iter().position(|byte| !plain(byte));
    let name = name.unwrap_or(host.len());
    name > 0
        && match host.get(name..) {
            Some([]) => true,
            // Any four digits are a valid port.
            Some([b':', port @ ..]) => port.len() <= 4 && port.iter().all(u8::is_ascii_digit),
            _ => false,
        }
}

fn is_authority(host: &[u8]) -> bool {
    // RFC 3986 allows commas in names, but no name has one, and others read a list.
    let authority = Authority::try_from(host).ok();
    let Some(authority) = authority.filter(|_| !host.contains(&b',')) else {
        return false;
    };
    // Only an IP literal has brackets, but the URI type takes them anywhere in a name.
    let name = authority.host();
    let literal = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    if literal.unwrap_or(name).contains(['[', ']']) {
        return false;
    }
    let rest = authority.as_str().strip_prefix(name);
    let port = match rest {
        None => return false,
        Some("") => return !name.is_empty(),
        Some(rest) => rest.strip_prefix(':').unwrap_or("-"),
    };
    !name.is_empty()
        && port.bytes().all(|byte| byte.is_ascii_digit())
        && (port.is_empty() || port.parse::<u16>().is_ok())
}

/// Returns how the body is encoded: JSON, or on a verify route a raw video with its session in
/// a header field. A missing body needs no media type.
///
/// # Errors
/// `MediaType`, or `Malformed` where a field of a video is missing or invalid.
pub fn body_form(headers: &HeaderMap, kind: RouteKind, empty: bool) -> Result<BodyForm, Refusal> {
    if headers.contains_key(CONTENT_ENCODING) {
        return Err(MediaFault::Encoding.into());
    }
    let json = || -> Result<BodyForm, Refusal> {
        let nonce = match kind {
            RouteKind::Verify => nonce(headers)?,
            RouteKind::Session | RouteKind::Plain => None,
        };
        Ok(BodyForm::Json { nonce })
    };
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let media = match (types.next(), types.next()) {
        (Some(value), None) => MediaType::read(value.as_bytes()),
        _ => Err(MediaTypeError::Unknown),
    };
    match (media, kind) {
        (Ok(MediaType::Json), _) => json(),
        (Ok(MediaType::Video), RouteKind::Verify) => raw_video(headers).map(BodyForm::Video),
        (Ok(MediaType::Form(parameters)), RouteKind::Verify) => {
            form_head(headers, parameters).map(BodyForm::Form)
        }
        // Tools like curl send a form type even without a body.
        _ if empty => json(),
        (Err(MediaTypeError::Charset), _) => Err(MediaFault::Charset.into()),
        (Err(MediaTypeError::Parameters), _) => Err(MediaFault::Parameters.into()),
        (_, RouteKind::Verify) => Err(MediaFault::NotVideo.into()),
        (_, RouteKind::Session | RouteKind::Plain) => Err(MediaFault::NotJson.into()),
    }
}

fn raw_video(headers: &HeaderMap) -> Result<RawVideoFields, Refusal> {
    let session = one_text(headers, SESSION, MAX_SESSION)?;
    let session = session.ok_or(HeadFault::MissingField(SESSION))?;
    Ok(RawVideoFields {
        session: Zeroizing::new(session),
        face_field: one_text(headers, FACE_FIELD, MAX_FACE_FIELD)?,
        nonce: nonce(headers)?,
    })
}

/// What the head of a form says. Clients whose user has written the media type by hand leave the
/// boundary out.
fn form_head(headers: &HeaderMap, parameters: Parameters<'_>) -> Result<FormHead, Refusal> {
    let mut boundaries = parameters
        .filter_map(Result::ok)
        .filter(|parameter| parameter.is("boundary"));
    let boundary = boundaries.next().filter(|_| boundaries.next().is_none());
    let boundary = boundary.and_then(|parameter| Boundary::parse(&parameter.value));
    Ok(FormHead {
        boundary: boundary.ok_or(HeadFault::Boundary)?,
        nonce: nonce(headers)?,
    })
}

fn nonce(headers: &HeaderMap) -> Result<Option<Nonce>, HeadFault> {
    let mut values = headers.get_all(NONCE).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(HeadFault::RepeatedField(NONCE));
    }
    match value.to_str().ok().and_then(Nonce::parse) {
        Some(nonce) => Ok(Some(nonce)),
        None => Err(HeadFault::Nonce(NONCE)),
    }
}

/// The value of a field that occurs at most once: printable ASCII that needs no escape in a
/// JSON string.
fn one_text(
    headers: &HeaderMap,
    name: &'static str,
    max: usize,
) -> Result<Option<String>, HeadFault> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"\\".contains(byte);
    let text = value
        .to_str()
        .ok()
        .filter(|text| (1..=max).contains(&text.len()) && text.as_bytes().iter().all(plain));
    match (text, values.next()) {
        (Some(text), None) => Ok(Some(text.to_owned())),
        (_, Some(_)) => Err(HeadFault::RepeatedField(name)),
        (None, None) => Err(HeadFault::MalformedField(name)),
    }
}

/// Whether the sender waits for `100 Continue` before it sends its body.
pub fn expects_continue(headers: &HeaderMap) -> bool {
    headers.contains_key(EXPECT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_address_with_an_optional_port() {
        for good in [
            "a",
            "a.example:8443",
            "127.0.0.1",
            "[::1]",
            "[::1]:80",
            "a_b",
            "a:",
        ] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in [
            "", ":80", "a b", "a/b", "u@a", "a,b", "a, b", "a:99999", "a:80x", "a:+80", "[::1",
            "a[b]", "[a]b", "a?b", "\u{e9}",
        ] {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
    }
}
