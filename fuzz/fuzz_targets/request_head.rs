//! Arbitrary request heads, as hyper hands them over: what passes has exactly one host, which no
//! other reader takes for another, no query, and a media type that leaves no choice.

#![no_main]

use hyper::{
    Request, Version,
    header::{HOST, HeaderName, HeaderValue},
    http::request::Parts,
};
use libfuzzer_sys::fuzz_target;
use liveness_gateway::{
    body::{nonce::Nonce, receive::BodyForm},
    relay::headers::{body_form, check_head, check_query},
    route::RouteKind,
};

const MAX_HEAD: usize = 4096;

// The first digit is the version, the first line the target, and each further line a field.
fuzz_target!(|data: &[u8]| {
    let Some(parts) = head(data) else {
        return;
    };
    if check_head(&parts, MAX_HEAD).is_ok() {
        one_host(&parts);
        let fields = parts.headers.iter();
        let size: usize = fields
            .map(|(name, value)| name.as_str().len() + value.len() + 4)
            .sum();
        assert!(size <= MAX_HEAD);
    }
    assert_eq!(check_query(&parts).is_ok(), parts.uri.query().is_none());
    for kind in [RouteKind::Session, RouteKind::Verify] {
        for empty in [false, true] {
            form(&parts, kind, empty);
        }
    }
});

fn head(data: &[u8]) -> Option<Parts> {
    let (version, rest) = data.split_first()?;
    let mut lines = rest.split(|&byte| byte == b'\n');
    let mut parts = Request::new(()).into_parts().0;
    parts.version = [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2][usize::from(version % 3)];
    parts.uri = lines.next()?.try_into().ok()?;
    for line in lines {
        let colon = line.iter().position(|&byte| byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
        parts.headers.append(name, value);
    }
    Some(parts)
}

/// Checks the host again, letter by letter.
fn one_host(parts: &Parts) {
    let hosts: Vec<_> = parts
        .headers
        .get_all(HOST)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    let authority = parts
        .uri
        .authority()
        .map(|authority| authority.as_str().as_bytes());
    assert!(hosts.len() <= 1);
    if let ([host], Some(authority)) = (&hosts[..], authority) {
        assert!(host.eq_ignore_ascii_case(authority));
    }
    let host = hosts.first().copied().or(authority);
    let Some(host) = host else {
        assert_eq!(parts.version, Version::HTTP_10);
        return;
    };
    let text = std::str::from_utf8(host).expect("a host beyond ASCII");
    assert!(
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()),
        "{text:?}"
    );
    assert!(!text.contains(['@', '/', '\\', '?', '#', ',']), "{text:?}");
    let literal = text.strip_prefix('[').and_then(|text| text.split_once(']'));
    assert!(literal.is_some() || !text.contains(['[', ']']), "{text:?}");
    let port = match text.rsplit_once(']') {
        Some((_, behind)) => behind,
        None => text.find(':').map_or("", |colon| &text[colon..]),
    };
    let port = port.strip_prefix(':').unwrap_or(port);
    assert!(port.is_empty() || port.parse::<u16>().is_ok(), "{text:?}");
}

fn form(parts: &Parts, kind: RouteKind, empty: bool) {
    let types: Vec<_> = parts.headers.get_all("content-type").iter().collect();
    match body_form(&parts.headers, kind, empty) {
        Ok(BodyForm::Json { nonce }) => {
            assert!(empty || types.len() == 1);
            assert!(kind == RouteKind::Verify || nonce.is_none());
            one_nonce(parts, nonce.as_ref());
        }
        Ok(BodyForm::Video(fields)) => {
            assert!(kind == RouteKind::Verify && types.len() == 1);
            let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
            assert!(!fields.session.is_empty() && fields.session.bytes().all(plain));
            assert!(fields.face_field.is_none_or(|text| text.bytes().all(plain)));
            one_nonce(parts, fields.nonce.as_ref());
        }
        Ok(BodyForm::Form(head)) => {
            assert!(kind == RouteKind::Verify && types.len() == 1);
            one_nonce(parts, head.nonce.as_ref());
        }
        Err(_) => return,
    }
    assert!(!parts.headers.contains_key("content-encoding"));
}

/// A nonce is the only value of its field, and plain.
fn one_nonce(parts: &Parts, nonce: Option<&Nonce>) {
    let Some(nonce) = nonce.map(Nonce::as_str) else {
        return;
    };
    let given: Vec<_> = parts.headers.get_all("liveness-nonce").iter().collect();
    assert_eq!(given, [nonce]);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
    assert!((16..=128).contains(&nonce.len()) && nonce.bytes().all(plain));
}
