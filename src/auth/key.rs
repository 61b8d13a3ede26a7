//! One key for checking signatures, and the rules for what may be one.
//!
//! A key knows from its own type which algorithms it can be used with; a token only picks among them. So a public key
//! never serves as an HMAC secret, whatever a token asks for. It relies on aws-lc for all arithmetic, and never holds a
//! private key.

use aws_lc_rs::{
    encoding::{AsDer as _, PublicKeyX509Der},
    rsa::{PublicKey, PublicKeyComponents},
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey,
        VerificationAlgorithm,
    },
};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};

use super::token::UnverifiedToken;

/// The shortest HMAC secret, in bytes: as long as the shortest hash it is used with.
const MIN_SECRET: usize = 32;

/// RSA moduli in bits: what is shorter can be broken, what is longer costs too much for each request.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

pub(super) const HMAC: &[Algorithm] = &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
const RSA: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// `id-RSASSA-PSS` as an object identifier in DER.
const RSASSA_PSS: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10];

/// One key for checking signatures.
#[derive(Clone)]
pub(super) struct VerificationKey {
    /// Its `kid`, when it came from a key set.
    pub(super) id: Option<String>,
    /// What it may be used with; never anything that its type does not fit.
    pub(super) algorithms: Vec<Algorithm>,
    verifier: DecodingKey,
}

impl VerificationKey {
    /// An HMAC secret.
    pub(super) fn secret(secret: &[u8]) -> Result<Self, String> {
        if secret.len() < MIN_SECRET {
            return Err(format!(
                "is a secret of {} bytes; at least {MIN_SECRET} are needed (`openssl rand -base64 48`)",
                secret.len()
            ));
        }
        Ok(Self::new(HMAC, DecodingKey::from_secret(secret)))
    }

    /// A public key of any known kind as SubjectPublicKeyInfo.
    pub(super) fn public(spki: &[u8]) -> Result<Self, String> {
        if parses(&ECDSA_P256_SHA256_FIXED, spki) {
            Ok(Self::new(
                &[Algorithm::ES256],
                DecodingKey::from_ec_der(spki),
            ))
        } else if parses(&ECDSA_P384_SHA384_FIXED, spki) {
            Ok(Self::new(
                &[Algorithm::ES384],
                DecodingKey::from_ec_der(spki),
            ))
        } else if parses(&ED25519, spki) {
            Ok(Self::new(
                &[Algorithm::EdDSA],
                DecodingKey::from_ed_der(spki),
            ))
        } else if spki
            .windows(RSASSA_PSS.len())
            .take(16)
            .any(|at| at == RSASSA_PSS)
        {
            // Such a key binds its parameters too; to ignore them would be to use it for what it is not.
            Err("is an RSA key restricted to PSS, which is not supported: publish it as plain rsaEncryption".into())
        } else {
            Self::rsa(spki)
        }
    }

    /// An RSA public key, PKCS#1 or SubjectPublicKeyInfo.
    pub(super) fn rsa(der: &[u8]) -> Result<Self, String> {
        let key = PublicKey::from_der(der)
            .map_err(|_| "is not a valid RSA, P-256, P-384 or Ed25519 public key".to_owned())?;
        let bits = modulus_bits(key.as_ref()).ok_or("is not a valid RSA public key")?;
        if !RSA_BITS.contains(&bits) {
            return Err(format!(
                "is an RSA key of {bits} bits; {} to {} are accepted",
                RSA_BITS.start(),
                RSA_BITS.end()
            ));
        }
        Ok(Self::new(RSA, DecodingKey::from_rsa_der(key.as_ref())))
    }

    /// An RSA public key by its numbers, big-endian.
    pub(super) fn rsa_numbers(modulus: &[u8], exponent: &[u8]) -> Result<Self, String> {
        let der: PublicKeyX509Der<'_> = PublicKeyComponents {
            n: without_zeros(modulus),
            e: without_zeros(exponent),
        }
        .as_der()
        .map_err(|_| "is not a valid RSA public key".to_owned())?;
        Self::rsa(der.as_ref())
    }

    /// A point on P-256 (`ES256`) or P-384 (`ES384`), uncompressed.
    pub(super) fn ec_point(algorithm: Algorithm, point: &[u8]) -> Result<Self, String> {
        let valid = match algorithm {
            Algorithm::ES256 => parses(&ECDSA_P256_SHA256_FIXED, point),
            Algorithm::ES384 => parses(&ECDSA_P384_SHA384_FIXED, point),
            _ => false,
        };
        if !valid {
            return Err("is not a point on its curve".into());
        }
        Ok(Self::new(&[algorithm], DecodingKey::from_ec_der(point)))
    }

    /// An Ed25519 public key, 32 bytes.
    pub(super) fn ed25519(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() != 32 || !parses(&ED25519, bytes) {
            return Err("is not an Ed25519 public key".into());
        }
        Ok(Self::new(
            &[Algorithm::EdDSA],
            DecodingKey::from_ed_der(bytes),
        ))
    }

    /// Whether it is the same key under the same name for the same use.
    pub(super) fn is(&self, other: &Self) -> bool {
        let same_bytes = match (self.verifier.kind(), other.verifier.kind()) {
            (DecodingKeyKind::SecretOrDer(one), DecodingKeyKind::SecretOrDer(two)) => one == two,
            _ => false,
        };
        same_bytes && self.id == other.id && self.algorithms == other.algorithms
    }

    fn new(algorithms: &[Algorithm], verifier: DecodingKey) -> Self {
        Self {
            id: None,
            algorithms: algorithms.to_vec(),
            verifier,
        }
    }

    /// Whether this key made the signature. Any trouble is a no.
    pub(super) fn made(&self, token: &UnverifiedToken<'_>) -> bool {
        let UnverifiedToken {
            signature,
            signed,
            algorithm,
            ..
        } = token;
        jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &self.verifier, *algorithm)
            .unwrap_or(false)
    }
}

fn parses(algorithm: &'static dyn VerificationAlgorithm, bytes: &[u8]) -> bool {
    ParsedPublicKey::new(algorithm, bytes).is_ok()
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// The size of the modulus in `RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER }`.
fn modulus_bits(pkcs1: &[u8]) -> Option<usize> {
    let modulus = without_zeros(der_value(der_value(pkcs1, 0x30)?, 0x02)?);
    let first = modulus.first()?;
    (modulus.len() * 8).checked_sub(usize::try_from(first.leading_zeros()).ok()?)
}

/// The content of the DER element that `input` starts with, when it has this tag.
fn der_value(input: &[u8], tag: u8) -> Option<&[u8]> {
    let (found, rest) = input.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match usize::from(*length) {
        short @ 0..0x80 => (short, rest),
        long => {
            let (digits, rest) = rest
                .split_at_checked(long - 0x80)
                .filter(|(d, _)| d.len() <= 2)?;
            (
                digits
                    .iter()
                    .fold(0, |sum, digit| sum << 8 | usize::from(*digit)),
                rest,
            )
        }
    };
    rest.get(..length).filter(|_| *found == tag)
}
