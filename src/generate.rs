//! Generates development tokens and keys, for the commands `token` and `keygen` and the sandbox.
//!
//! It relies on the random bytes of aws-lc. It never prints or stores what it generates.

use std::time::{Duration, SystemTime};

pub mod certificate;
mod der;

use aws_lc_rs::{
    encoding::{AsDer as _, PublicKeyX509Der},
    error::Unspecified,
    rand,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::{
    auth::{KeySetError, key_set::VerificationKeys},
    secret::Secret,
};

/// Number of bytes in a line of PEM.
const PEM_LINE: usize = 48;

/// Why a token or key can't be generated.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// The gateway would refuse tokens signed with this secret.
    #[error("the secret can't sign HS256 tokens")]
    Secret(#[from] KeySetError),
    /// The system clock is before 1970.
    #[error("the system clock is before 1970")]
    Clock,
    /// The end of the lifetime can't be represented.
    #[error("the lifetime is too long")]
    Lifetime,
    /// The token can't be signed.
    #[error("the token can't be signed")]
    Signature(#[source] jsonwebtoken::errors::Error),
    /// The operating system returned no random bytes.
    #[error("the system returned no random bytes")]
    NoRandomBytes,
    /// The key pair can't be generated or encoded.
    #[error("the key can't be generated")]
    Key,
}

/// The claims of a development token.
pub struct TokenClaims<'a> {
    /// `iss`.
    pub issuer: &'a str,
    /// `aud`.
    pub audience: &'a str,
    /// `sub`.
    pub subject: &'a str,
    /// `scope`.
    pub scope: Option<&'a str>,
    /// `iat`.
    pub now: SystemTime,
    /// Time from `iat` to `exp`, rounded down to whole seconds.
    pub lifetime: Duration,
}

/// The kinds of keys that sign verdicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerdictKeyKind {
    /// Ed25519, which signs EdDSA.
    Ed25519,
    /// P-256, which signs ES256.
    P256,
}

/// A key pair in PEM, without a line end at the end.
pub struct VerdictKeyPair {
    /// PKCS#8 version 1, which every OpenSSL reads.
    pub private: Zeroizing<String>,
    /// SPKI.
    pub public: String,
}

/// Signs an HS256 token with these claims, `exp` and a random `jti`.
///
/// # Errors
/// See [`GenerateError`]; the secret must satisfy the same rules as `secret` of an `[[identity]]`.
pub fn development_token(secret: &[u8], claims: &TokenClaims<'_>) -> Result<String, GenerateError> {
    VerificationKeys::from_secret(&Secret::new(secret))?;
    let issued = claims
        .now
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_err(|_| GenerateError::Clock)?
        .as_secs();
    let expires = issued
        .checked_add(claims.lifetime.as_secs())
        .ok_or(GenerateError::Lifetime)?;
    let mut body = Map::new();
    body.insert("iss".into(), Value::from(claims.issuer));
    body.insert("aud".into(), Value::from(claims.audience));
    body.insert("sub".into(), Value::from(claims.subject));
    body.insert("iat".into(), Value::from(issued));
    body.insert("exp".into(), Value::from(expires));
    body.insert("jti".into(), Value::from(random_hex::<16>()?));
    if let Some(scope) = claims.scope {
        body.insert("scope".into(), Value::from(scope));
    }
    let header = BASE64URL_NOPAD.encode(br#"{"alg":"HS256","typ":"JWT"}"#);
    let body = BASE64URL_NOPAD.encode(Value::Object(body).to_string().as_bytes());
    let signed = format!("{header}.{body}");
    let key = EncodingKey::from_secret(secret);
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::HS256)
        .map_err(GenerateError::Signature)?;
    Ok(format!("{signed}.{signature}"))
}

/// `N` random bytes as lower-case hexadecimal digits.
///
/// # Errors
/// [`GenerateError::NoRandomBytes`].
pub fn random_hex<const N: usize>() -> Result<String, GenerateError> {
    let mut bytes = Zeroizing::new([0; N]);
    rand::fill(bytes.as_mut()).map_err(|Unspecified| GenerateError::NoRandomBytes)?;
    Ok(HEXLOWER.encode(bytes.as_ref()))
}

/// A key that seals session ids: 32 random bytes in base64.
///
/// # Errors
/// [`GenerateError::NoRandomBytes`].
pub fn seal_key() -> Result<Zeroizing<String>, GenerateError> {
    let mut key = Zeroizing::new([0; 32]);
    rand::fill(key.as_mut()).map_err(|Unspecified| GenerateError::NoRandomBytes)?;
    Ok(Zeroizing::new(BASE64.encode(key.as_ref())))
}

/// A key pair of this kind, which signs verdicts.
///
/// # Errors
/// [`GenerateError::Key`].
pub fn verdict_key_pair(kind: VerdictKeyKind) -> Result<VerdictKeyPair, GenerateError> {
    let failed = |Unspecified| GenerateError::Key;
    let (private, public): (_, Result<PublicKeyX509Der<'_>, _>) = match kind {
        VerdictKeyKind::Ed25519 => {
            let pair = Ed25519KeyPair::generate().map_err(failed)?;
            (pair.to_pkcs8v1(), pair.public_key().as_der())
        }
        VerdictKeyKind::P256 => {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
            let pair = pair.map_err(failed)?;
            (pair.to_pkcs8v1(), pair.public_key().as_der())
        }
    };
    let (private, public) = (private.map_err(failed)?, public.map_err(failed)?);
    Ok(VerdictKeyPair {
        private: pem("PRIVATE KEY", private.as_ref()),
        public: pem("PUBLIC KEY", public.as_ref()).to_string(),
    })
}

/// One PEM block (RFC 7468). The text is not moved while it grows, so nothing of it is left behind.
fn pem(label: &str, der: &[u8]) -> Zeroizing<String> {
    // Twice the base64 is more than all lines need.
    let room = BASE64.encode_len(der.len()).saturating_mul(2);
    let mut text = Zeroizing::new(String::with_capacity(room.saturating_add(64)));
    text.push_str(&format!("-----BEGIN {label}-----\n"));
    for line in der.chunks(PEM_LINE) {
        BASE64.encode_append(line, &mut text);
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Authenticator, IdentitySettings, KeySource, Pseudonymizer};
    use hyper::{HeaderMap, header::AUTHORIZATION};

    const SECRET: &[u8] = b"thirty-two bytes are the minimum!";

    fn claims(now: SystemTime) -> TokenClaims<'static> {
        TokenClaims {
            issuer: "dev",
            audience: "liveness",
            subject: "alice",
            scope: Some("a b"),
            now,
            lifetime: Duration::from_secs(60),
        }
    }

    #[tokio::test]
    async fn the_gateway_accepts_a_development_token_until_it_expires() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let token = development_token(SECRET, &claims(now)).unwrap();
        let identity = IdentitySettings {
            issuer: "dev".into(),
            audience: vec!["liveness".into()],
            audience_claim: "aud".into(),
            keys: KeySource::Fixed(VerificationKeys::from_secret(&Secret::new(SECRET)).unwrap()),
            user_claim: "sub".into(),
            max_lifetime: None,
            leeway: Duration::ZERO,
        };
        let pseudonyms = Pseudonymizer::new(&Secret::new("k"));
        let authenticator = Authenticator::new(vec![identity], pseudonyms);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        let Ok(caller) = authenticator.authenticate(&headers, now).await else {
            panic!("refused")
        };
        assert_eq!((&*caller.user, &*caller.issuer), ("alice", "dev"));
        assert!(caller.has_scope("a") && caller.has_scope("b") && !caller.has_scope("a b"));
        let minute = Duration::from_secs(60);
        let late = authenticator.authenticate(&headers, now + minute).await;
        assert_eq!(
            late.err().map(|rejected| rejected.refusal.code()),
            Some("expired_token")
        );
    }

    #[test]
    fn two_tokens_differ_and_a_short_secret_is_refused() {
        let now = SystemTime::now();
        let token = |secret| development_token(secret, &claims(now));
        assert_ne!(token(SECRET).unwrap(), token(SECRET).unwrap());
        let Err(GenerateError::Secret(why)) = token(b"short") else {
            panic!("a short secret was accepted")
        };
        assert!(why.to_string().contains("32"), "{why}");
    }

    #[test]
    fn a_seal_key_is_32_fresh_bytes() {
        let (one, two) = (seal_key().unwrap(), seal_key().unwrap());
        assert_eq!(BASE64.decode(one.as_bytes()).unwrap().len(), 32);
        assert_ne!(*one, *two);
    }

    #[test]
    fn the_halves_of_a_verdict_key_belong_together() {
        for kind in [VerdictKeyKind::Ed25519, VerdictKeyKind::P256] {
            let VerdictKeyPair { private, public } = verdict_key_pair(kind).unwrap();
            let der = |pem: &str| {
                let lines = pem.lines().filter(|line| !line.starts_with('-'));
                let text: String = lines.collect();
                BASE64.decode(text.as_bytes()).unwrap()
            };
            let private_der = der(&private);
            let key = match kind {
                VerdictKeyKind::Ed25519 => {
                    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&private_der);
                    pair.unwrap().public_key().as_ref().to_vec()
                }
                VerdictKeyKind::P256 => {
                    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
                    let pair = EcdsaKeyPair::from_pkcs8(algorithm, &private_der);
                    pair.unwrap().public_key().as_ref().to_vec()
                }
            };
            assert!(der(&public).ends_with(&key));
            assert!(VerificationKeys::from_pem(public.as_bytes()).is_ok());
            assert!(
                private.lines().all(|line| line.len() <= 64),
                "PEM lines have at most 64 characters"
            );
        }
    }
}
