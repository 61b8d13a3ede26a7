//! Qiniu's management signature, version 2: `Authorization: Qiniu AK:base64url(HMAC-SHA1(SK,
//! text))`.
//!
//! A pure computation: bytes in, header value out. The body is fed as it arrives, so the signature
//! is ready with its last byte. The rules are those of Qiniu's own SDKs (`QiniuMacAuth`); the
//! vectors in `tests/vectors.json` were generated with one of them. Never logs or copies the secret
//! key.

use std::sync::Arc;

use data_encoding::BASE64URL;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use super::Credentials;
use crate::secret::Secret;

/// The signed parts of a request other than its body.
#[derive(Clone, Copy)]
pub struct SignedParts<'a> {
    /// Method, in upper case.
    pub method: &'a str,
    /// Path, as in the request line.
    pub path: &'a str,
    /// Query, as in the request line, without the `?`; empty if there is none.
    pub query: &'a str,
    /// Value of the `Host` header.
    pub host: &'a str,
    /// Header fields, of which only `Content-Type` and `X-Qiniu-*` are signed.
    pub headers: &'a [(&'a str, &'a str)],
}

/// A signature in progress.
#[derive(Clone)]
pub struct QiniuSignature {
    mac: Hmac<Sha1>,
    access_key: Arc<Secret>,
    signs_body: bool,
}

/// The common part of many requests, signed once; only `X-Qiniu-Date` and the bodies differ.
pub struct PreparedSignature(QiniuSignature);

impl PreparedSignature {
    /// Signs `parts`, which must have no `X-Qiniu-*` header field: the date is the only one.
    pub fn new(credentials: &Credentials, parts: &SignedParts<'_>) -> Self {
        Self(QiniuSignature::begin(credentials, parts))
    }

    /// Starts the signature of a request with this `X-Qiniu-Date`, up to the body.
    pub fn dated(&self, date: Option<&str>) -> QiniuSignature {
        let mut signature = self.0.clone();
        if let Some(date) = date {
            signature.mac.update(b"\nX-Qiniu-Date: ");
            signature.mac.update(date.as_bytes());
        }
        signature.mac.update(b"\n\n");
        signature
    }
}

impl QiniuSignature {
    /// Starts a signature, up to the body.
    pub fn new(credentials: &Credentials, parts: &SignedParts<'_>) -> Self {
        let mut signature = Self::begin(credentials, parts);
        signature.mac.update(b"\n\n");
        signature
    }

    /// Signs everything before the empty line.
    fn begin(credentials: &Credentials, parts: &SignedParts<'_>) -> Self {
        let content_type = parts
            .headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
            .map_or("", |(_, value)| value);
        let mut mac = keyed(credentials.secret_key.reveal());
        mac.update(head(parts, content_type).as_bytes());
        Self {
            mac,
            access_key: Arc::new(credentials.access_key.clone()),
            signs_body: !matches!(content_type, "" | "application/octet-stream"),
        }
    }

    /// Signs the next bytes of the body.
    pub fn body(&mut self, bytes: &[u8]) {
        if self.signs_body {
            self.mac.update(bytes);
        }
    }

    /// The value of the `Authorization` header. It is a secret as long as it is valid.
    pub fn authorization(self) -> String {
        let mut value = String::new();
        self.push_authorization(&mut value);
        value
    }

    /// Appends the value of the `Authorization` header to `text`.
    ///
    /// Takes a reference: a signature that is moved leaves the last bytes of its body behind.
    pub fn push_authorization(&self, text: &mut String) {
        text.push_str("Qiniu ");
        match std::str::from_utf8(self.access_key.reveal()) {
            Ok(access_key) => text.push_str(access_key),
            Err(_) => text.push_str(&String::from_utf8_lossy(self.access_key.reveal())),
        }
        text.push(':');
        BASE64URL.encode_append(&self.mac.clone().finalize().into_bytes(), text);
    }
}

fn head(parts: &SignedParts<'_>, content_type: &str) -> String {
    let mut text = format!("{} {}", parts.method, parts.path);
    if !parts.query.is_empty() {
        text.push('?');
        text.push_str(parts.query);
    }
    text.push_str("\nHost: ");
    text.push_str(parts.host);
    if !content_type.is_empty() {
        text.push_str("\nContent-Type: ");
        text.push_str(content_type);
    }
    let mut signed: Vec<_> = parts
        .headers
        .iter()
        .map(|(name, value)| (canonical(name), value))
        .filter(|(name, _)| name.len() > "X-Qiniu-".len() && name.starts_with("X-Qiniu-"))
        .collect();
    signed.sort_by(|(left, _), (right, _)| left.cmp(right));
    for (name, value) in signed {
        text.push_str(&format!("\n{name}: {value}"));
    }
    text
}

/// `x-qiniu-DATE` → `X-Qiniu-Date`.
fn canonical(name: &str) -> String {
    let mut upper = true;
    name.chars()
        .map(|letter| {
            let next = if upper {
                letter.to_ascii_uppercase()
            } else {
                letter.to_ascii_lowercase()
            };
            upper = letter == '-';
            next
        })
        .collect()
}

fn keyed(key: &[u8]) -> Hmac<Sha1> {
    // HMAC accepts keys of any length (RFC 2104 section 2); other MACs do not, hence the error.
    Hmac::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default()))
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64;
    use serde_json::Value;

    use super::{PreparedSignature, QiniuSignature, SignedParts};
    use crate::{qiniu::Credentials, secret::Secret};

    fn authorization(vector: &Value, piece: usize) -> String {
        let text = |name: &str| vector[name].as_str().unwrap();
        let body = match vector.get("body_repeat") {
            Some(repeat) => {
                let byte = match &repeat["byte"] {
                    Value::String(text) => text.as_bytes()[0],
                    number => u8::try_from(number.as_u64().unwrap()).unwrap(),
                };
                vec![byte; usize::try_from(repeat["count"].as_u64().unwrap()).unwrap()]
            }
            None => BASE64.decode(text("body_base64").as_bytes()).unwrap(),
        };
        let headers: Vec<_> = vector["headers"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
            .collect();
        let credentials = Credentials {
            access_key: Secret::new(text("access_key")),
            secret_key: Secret::new(text("secret_key")),
        };
        let parts = SignedParts {
            method: text("method"),
            path: text("path"),
            query: text("query"),
            host: text("host"),
            headers: &headers,
        };
        let mut signature = QiniuSignature::new(&credentials, &parts);
        body.chunks(piece).for_each(|part| signature.body(part));
        signature.authorization()
    }

    #[test]
    fn every_vector_passes_however_the_body_is_split() {
        let file: Value = serde_json::from_str(include_str!("../../tests/vectors.json")).unwrap();
        let vectors = file["vectors"].as_array().unwrap();
        assert!(vectors.len() > 20);
        for vector in vectors {
            for piece in [7, 65_536] {
                assert_eq!(
                    authorization(vector, piece),
                    vector["authorization"].as_str().unwrap(),
                    "{}",
                    vector["name"]
                );
            }
        }
    }

    #[test]
    fn a_prepared_signature_equals_one_made_in_one_go() {
        let credentials = Credentials {
            access_key: Secret::new("ak"),
            secret_key: Secret::new("sk"),
        };
        let dated = [("Content-Type", "application/json"), ("X-Qiniu-Date", "D")];
        for (headers, date) in [(&dated[..1], None), (&dated[..], Some("D"))] {
            let parts = |headers| SignedParts {
                method: "POST",
                path: "/a",
                query: "",
                host: "h",
                headers,
            };
            let prepared = PreparedSignature::new(&credentials, &parts(&dated[..1]));
            for body in ["x", "y"] {
                let (mut quick, mut plain) = (
                    prepared.dated(date),
                    QiniuSignature::new(&credentials, &parts(headers)),
                );
                quick.body(body.as_bytes());
                plain.body(body.as_bytes());
                assert_eq!(quick.authorization(), plain.authorization());
            }
        }
    }

    #[test]
    fn a_port_in_the_host_is_signed() {
        let file: Value = serde_json::from_str(include_str!("../../tests/vectors.json")).unwrap();
        let vectors = file["majority_vectors"].as_array().unwrap();
        let loopback = vectors
            .iter()
            .find(|vector| vector["name"] == "host-with-port-loopback")
            .unwrap();
        assert_eq!(
            authorization(loopback, 64),
            loopback["authorization"].as_str().unwrap()
        );
    }
}
