//! The keys of verdicts in PEM: Ed25519, which signs EdDSA (RFC 8037), or P-256, which signs ES256
//! (RFC 7518 section 3.4). The id of a key is its thumbprint (RFC 7638), so a key has the same id
//! on every replica and at any time.
//!
//! A private key is never shown: no error contains a part of the text.

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
        KeyPair as _, ParsedPublicKey, Signature,
    },
};
use data_encoding::BASE64URL_NOPAD;
use rustls::pki_types::pem::{PemObject, SectionKind};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// The bytes before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410).
const ED25519_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
/// The bytes before the 65 bytes of a P-256 point in a SubjectPublicKeyInfo (RFC 5480).
const P256_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// The byte before the coordinates of a point that is not compressed.
const UNCOMPRESSED: u8 = 4;
/// Length of a coordinate, in bytes.
const COORDINATE: usize = 32;

/// Signs verdicts.
pub struct VerdictSigningKey {
    pair: SigningPair,
    public: VerdictPublicKey,
}

enum SigningPair {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

/// Verifies verdicts. The gateway only publishes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerdictPublicKey {
    /// The key itself, or the first coordinate of its point, base64url.
    x: String,
    /// The second coordinate of a P-256 key, base64url; Ed25519 has none.
    y: Option<String>,
    /// The thumbprint.
    id: String,
}

/// Why a text is not accepted as a key. Never holds a part of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerdictKeyError {
    /// No PEM block of a known kind.
    #[error("no PEM block with a key")]
    NoBlock,
    /// A PEM block that cannot be decoded.
    #[error("damaged PEM")]
    DamagedPem,
    /// Two PEM blocks, so that the intended one is not clear.
    #[error("more than one PEM block")]
    SeveralBlocks,
    /// A public key in place of the signing key.
    #[error("a public key; the private key signs")]
    PublicKey,
    /// Not a private key.
    #[error("no private key")]
    NoPrivateKey,
    /// A private key in place of a public one.
    #[error("a private key, which must not be published")]
    PrivateKey,
    /// Not a public key.
    #[error("no public key")]
    NoPublicKey,
    /// A private key in another format than PKCS#8.
    #[error("not in PKCS#8; `openssl pkcs8 -topk8 -nocrypt` converts it")]
    NotPkcs8,
    /// A key of another type.
    #[error("neither an Ed25519 nor a P-256 key, or a damaged one")]
    UnknownType,
}

/// A public key as a JSON Web Key (RFC 7518 section 6.2, RFC 8037).
#[derive(Serialize)]
pub(super) struct PublicJwk<'a> {
    kty: &'static str,
    crv: &'static str,
    x: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<&'a str>,
    kid: &'a str,
    alg: &'static str,
    r#use: &'static str,
}

impl VerdictSigningKey {
    /// Reads an Ed25519 or P-256 key in PKCS#8 PEM, as written by `keygen verdict` and OpenSSL.
    ///
    /// # Errors
    /// The text is not exactly one such key.
    pub fn from_pem(pem: &Secret) -> Result<Self, VerdictKeyError> {
        let (kind, der) = only_block(pem.reveal())?;
        let der = Zeroizing::new(der);
        match kind {
            SectionKind::PrivateKey => {}
            SectionKind::PublicKey => return Err(VerdictKeyError::PublicKey),
            SectionKind::EcPrivateKey => return Err(VerdictKeyError::NotPkcs8),
            SectionKind::RsaPrivateKey => return Err(VerdictKeyError::UnknownType),
            _ => return Err(VerdictKeyError::NoPrivateKey),
        }
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8(&der) {
            let public = VerdictPublicKey::ed25519(pair.public_key().as_ref());
            let pair = SigningPair::Ed25519(pair);
            return Ok(Self { pair, public });
        }
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der);
        let pair = pair.map_err(|_| VerdictKeyError::UnknownType)?;
        let public = VerdictPublicKey::p256(pair.public_key().as_ref());
        Ok(Self {
            public: public.ok_or(VerdictKeyError::UnknownType)?,
            pair: SigningPair::P256(pair),
        })
    }

    /// Its public key.
    pub fn public(&self) -> &VerdictPublicKey {
        &self.public
    }

    /// Signs these bytes; `None` if the library fails.
    pub(super) fn sign(&self, bytes: &[u8]) -> Option<Signature> {
        match &self.pair {
            SigningPair::Ed25519(pair) => pair.try_sign(bytes).ok(),
            SigningPair::P256(pair) => pair.sign(&SystemRandom::new(), bytes).ok(),
        }
    }
}

impl VerdictPublicKey {
    /// Reads an Ed25519 or P-256 `PUBLIC KEY` in PEM.
    ///
    /// # Errors
    /// The text is not exactly one such key.
    pub fn from_pem(pem: &[u8]) -> Result<Self, VerdictKeyError> {
        let (kind, der) = only_block(pem)?;
        match kind {
            SectionKind::PublicKey => {}
            SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey => {
                return Err(VerdictKeyError::PrivateKey);
            }
            _ => return Err(VerdictKeyError::NoPublicKey),
        }
        if let Some(key) = der.strip_prefix(&ED25519_PREFIX)
            && key.len() == COORDINATE
        {
            return Ok(Self::ed25519(key));
        }
        let point = der.strip_prefix(&P256_PREFIX);
        let key = point
            .filter(|point| is_on_curve(point))
            .and_then(Self::p256);
        key.ok_or(VerdictKeyError::UnknownType)
    }

    fn ed25519(key: &[u8]) -> Self {
        let x = BASE64URL_NOPAD.encode(key);
        let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        Self {
            id: thumbprint(&members),
            y: None,
            x,
        }
    }

    /// `None` if this is not an uncompressed point.
    fn p256(point: &[u8]) -> Option<Self> {
        let (&UNCOMPRESSED, coordinates) = point.split_first()? else {
            return None;
        };
        let (x, y) = coordinates.split_at_checked(COORDINATE)?;
        if y.len() != COORDINATE {
            return None;
        }
        let (x, y) = (BASE64URL_NOPAD.encode(x), BASE64URL_NOPAD.encode(y));
        let members = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        Some(Self {
            id: thumbprint(&members),
            y: Some(y),
            x,
        })
    }

    /// The name of the algorithm of its signatures, `alg`.
    pub fn algorithm(&self) -> &'static str {
        match self.y {
            None => "EdDSA",
            Some(_) => "ES256",
        }
    }

    /// Its `kid`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key as it is published.
    pub(super) fn jwk(&self) -> PublicJwk<'_> {
        let (kty, crv) = match self.y {
            None => ("OKP", "Ed25519"),
            Some(_) => ("EC", "P-256"),
        };
        PublicJwk {
            kty,
            crv,
            x: &self.x,
            y: self.y.as_deref(),
            kid: &self.id,
            alg: self.algorithm(),
            r#use: "sig",
        }
    }
}

/// The thumbprint of a key with these required members, in alphabetical order.
fn thumbprint(members: &str) -> String {
    BASE64URL_NOPAD.encode(digest(&SHA256, members.as_bytes()).as_ref())
}

/// Whether a point is a key. One that is not would make backends reject the whole key set.
fn is_on_curve(point: &[u8]) -> bool {
    ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).is_ok()
}

/// The only block of a PEM text.
fn only_block(pem: &[u8]) -> Result<(SectionKind, Vec<u8>), VerdictKeyError> {
    let mut blocks = <(SectionKind, Vec<u8>)>::pem_slice_iter(pem);
    match (blocks.next(), blocks.next()) {
        (Some(Ok(block)), None) => Ok(block),
        (Some(Ok(_)), Some(_)) => Err(VerdictKeyError::SeveralBlocks),
        (Some(Err(_)), _) => Err(VerdictKeyError::DamagedPem),
        (None, _) => Err(VerdictKeyError::NoBlock),
    }
}

#[cfg(test)]
pub(super) mod tests;
