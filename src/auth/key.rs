//! One key that verifies signatures, and the rules for acceptable keys.
//!
//! The type of a key determines its algorithms, and a token only selects one of them. A public key
//! is therefore never used as an HMAC secret, whatever a token asks for. Relies on aws-lc for all
//! arithmetic. Never holds a private key.

use std::ops::RangeInclusive;

use aws_lc_rs::{
    encoding::{AsDer as _, PublicKeyX509Der},
    rsa::{PublicKey, PublicKeyComponents},
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey,
        VerificationAlgorithm,
    },
};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};

use super::{
    algorithm::{algorithms_of_secret, is_hmac, min_secret},
    token::UnverifiedToken,
};

/// Accepted sizes of an RSA modulus, in bits. A shorter one can be broken, a longer one costs too
/// much per request.
const RSA_BITS: RangeInclusive<usize> = 2048..=8192;

const RSA: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// The object identifier `id-RSASSA-PSS` in DER.
const RSASSA_PSS: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10];

/// The y-coordinates of the points of small order on the curve of Ed25519, little-endian: 0, 1, two
/// of order 8, and the numbers around the prime, which mean -1, 0 and 1.
const SMALL_ORDER: [[u8; 32]; 7] = [
    [0; 32],
    little_endian(1, 0, 0),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
    little_endian(0xec, 0xff, 0x7f),
    little_endian(0xed, 0xff, 0x7f),
    little_endian(0xee, 0xff, 0x7f),
];

/// One key that verifies signatures.
#[derive(Clone)]
pub(super) struct VerificationKey {
    /// Its `kid`, if it is from a key set.
    pub(super) id: Option<String>,
    /// The algorithms it may be used with. All of them fit its type.
    pub(super) algorithms: Vec<Algorithm>,
    verifier: DecodingKey,
}

/// Why a key is not accepted. Never holds key material.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// An HMAC secret of this many bytes.
    #[error("a secret of {0} bytes; at least 32 are required (`openssl rand -base64 48`)")]
    ShortSecret(usize),
    /// An HMAC secret that is shorter than the hash of an algorithm.
    #[error(
        "a secret of {length} bytes is too short for {algorithm:?}, which needs {min} \
         (`openssl rand -base64 48`)"
    )]
    ShortSecretFor {
        /// The algorithm.
        algorithm: Algorithm,
        /// Length of the secret, in bytes.
        length: usize,
        /// Minimum length for the algorithm, in bytes.
        min: usize,
    },
    /// An algorithm that the key can't be used with.
    #[error("{0:?} does not fit the type of the key")]
    AlgorithmMismatch(Algorithm),
    /// An RSA key that may be used for PSS only. It also fixes the parameters of PSS, and ignoring
    /// them would use the key for something it is not made for.
    #[error(
        "an RSA key restricted to PSS, which is not supported; publish it as plain rsaEncryption"
    )]
    RestrictedToPss,
    /// Not a public key of a supported type.
    #[error("not a valid RSA, P-256, P-384 or Ed25519 public key")]
    NoPublicKey,
    /// Numbers that are not an RSA public key.
    #[error("not a valid RSA public key")]
    InvalidRsa,
    /// An RSA key with a modulus of this many bits.
    #[error("an RSA key of {0} bits; {min} to {max} are accepted",
        min = RSA_BITS.start(), max = RSA_BITS.end())]
    RsaSize(usize),
    /// Coordinates of a point that is not on the curve.
    #[error("not a point on its curve")]
    NotOnCurve,
    /// Not the 32 bytes of an Ed25519 key.
    #[error("not a valid Ed25519 public key")]
    InvalidEd25519,
    /// An Ed25519 key of small order, such as all zeros.
    #[error("an Ed25519 key of small order, with which anybody can sign")]
    SmallOrder,
}

impl VerificationKey {
    /// A key from an HMAC secret. Its length bounds its algorithms.
    pub(super) fn from_secret(secret: &[u8]) -> Result<Self, KeyError> {
        let algorithms = algorithms_of_secret(secret.len());
        if algorithms.is_empty() {
            return Err(KeyError::ShortSecret(secret.len()));
        }
        Ok(Self::new(&algorithms, DecodingKey::from_secret(secret)))
    }

    /// A public key of any supported type, as a SubjectPublicKeyInfo.
    pub(super) fn from_spki(spki: &[u8]) -> Result<Self, KeyError> {
        if parses(&ECDSA_P256_SHA256_FIXED, spki) {
            let verifier = DecodingKey::from_ec_der(spki);
            Ok(Self::new(&[Algorithm::ES256], verifier))
        } else if parses(&ECDSA_P384_SHA384_FIXED, spki) {
            let verifier = DecodingKey::from_ec_der(spki);
            Ok(Self::new(&[Algorithm::ES384], verifier))
        } else if parses(&ED25519, spki) {
            check_order(spki)?;
            let verifier = DecodingKey::from_ed_der(spki);
            Ok(Self::new(&[Algorithm::EdDSA], verifier))
        } else if spki
            .windows(RSASSA_PSS.len())
            .take(16)
            .any(|window| window == RSASSA_PSS)
        {
            Err(KeyError::RestrictedToPss)
        } else {
            Self::from_rsa_der(spki)
        }
    }

    /// An RSA public key, as PKCS#1 or SubjectPublicKeyInfo.
    pub(super) fn from_rsa_der(der: &[u8]) -> Result<Self, KeyError> {
        let key = PublicKey::from_der(der).map_err(|_| KeyError::NoPublicKey)?;
        let bits = modulus_bits(key.as_ref()).ok_or(KeyError::InvalidRsa)?;
        if !RSA_BITS.contains(&bits) {
            return Err(KeyError::RsaSize(bits));
        }
        Ok(Self::new(RSA, DecodingKey::from_rsa_der(key.as_ref())))
    }

    /// An RSA public key by its numbers, big-endian.
    pub(super) fn from_rsa_numbers(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyError> {
        let der: PublicKeyX509Der<'_> = PublicKeyComponents {
            n: without_leading_zeros(modulus),
            e: without_leading_zeros(exponent),
        }
        .as_der()
        .map_err(|_| KeyError::InvalidRsa)?;
        Self::from_rsa_der(der.as_ref())
    }

    /// An uncompressed point on P-256 (`ES256`) or P-384 (`ES384`).
    pub(super) fn from_ec_point(algorithm: Algorithm, point: &[u8]) -> Result<Self, KeyError> {
        let valid = match algorithm {
            Algorithm::ES256 => parses(&ECDSA_P256_SHA256_FIXED, point),
            Algorithm::ES384 => parses(&ECDSA_P384_SHA384_FIXED, point),
            _ => false,
        };
        if !valid {
            return Err(KeyError::NotOnCurve);
        }
        Ok(Self::new(&[algorithm], DecodingKey::from_ec_der(point)))
    }

    /// An Ed25519 public key, 32 bytes.
    pub(super) fn from_ed25519(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.len() != 32 || !parses(&ED25519, bytes) {
            return Err(KeyError::InvalidEd25519);
        }
        check_order(bytes)?;
        let verifier = DecodingKey::from_ed_der(bytes);
        Ok(Self::new(&[Algorithm::EdDSA], verifier))
    }

    fn new(algorithms: &[Algorithm], verifier: DecodingKey) -> Self {
        Self {
            id: None,
            algorithms: algorithms.to_vec(),
            verifier,
        }
    }

    /// Whether the key may be used with the algorithm.
    ///
    /// # Errors
    /// `ShortSecretFor`, `AlgorithmMismatch`.
    pub(super) fn check_algorithm(&self, algorithm: Algorithm) -> Result<(), KeyError> {
        if self.algorithms.contains(&algorithm) {
            return Ok(());
        }
        match (self.verifier.kind(), min_secret(algorithm)) {
            (DecodingKeyKind::SecretOrDer(secret), Some(min))
                if self.algorithms.iter().any(|known| is_hmac(*known)) && secret.len() < min =>
            {
                Err(KeyError::ShortSecretFor {
                    algorithm,
                    length: secret.len(),
                    min,
                })
            }
            _ => Err(KeyError::AlgorithmMismatch(algorithm)),
        }
    }

    /// Whether both are the same key with the same id and the same algorithms.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let same_bytes = match (self.verifier.kind(), other.verifier.kind()) {
            (DecodingKeyKind::SecretOrDer(one), DecodingKeyKind::SecretOrDer(two)) => one == two,
            _ => false,
        };
        same_bytes && self.id == other.id && self.algorithms == other.algorithms
    }

    /// Whether this key made the token's signature. Any error of the library counts as no.
    pub(super) fn verifies(&self, token: &UnverifiedToken<'_>) -> bool {
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

/// 32 bytes: the first, 30 times the middle one, and the last.
const fn little_endian(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let mut bytes = [middle; 32];
    bytes[0] = first;
    bytes[31] = last;
    bytes
}

fn parses(algorithm: &'static dyn VerificationAlgorithm, bytes: &[u8]) -> bool {
    ParsedPublicKey::new(algorithm, bytes).is_ok()
}

/// Refuses an Ed25519 key of small order, by the last 32 bytes of its encoding. A signature by such
/// a key proves nothing: one can be made without a private key, and fits many messages.
fn check_order(encoded: &[u8]) -> Result<(), KeyError> {
    let start = encoded.len().saturating_sub(32);
    let mut y: Vec<u8> = encoded.iter().skip(start).copied().collect();
    // The last bit is the sign of x.
    if let Some(last) = y.last_mut() {
        *last &= 0x7f;
    }
    match SMALL_ORDER.iter().any(|known| known.as_slice() == y) {
        true => Err(KeyError::SmallOrder),
        false => Ok(()),
    }
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// The size of the modulus in
/// `RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER }`.
fn modulus_bits(pkcs1: &[u8]) -> Option<usize> {
    let modulus = without_leading_zeros(der_value(der_value(pkcs1, 0x30)?, 0x02)?);
    let first = modulus.first()?;
    (modulus.len() * 8).checked_sub(usize::try_from(first.leading_zeros()).ok()?)
}

/// The content of the DER element at the start of `input`, if it has this tag.
fn der_value(input: &[u8], tag: u8) -> Option<&[u8]> {
    let (found, rest) = input.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match usize::from(*length) {
        short @ 0..0x80 => (short, rest),
        long => {
            let (digits, rest) = rest
                .split_at_checked(long - 0x80)
                .filter(|(digits, _)| digits.len() <= 2)?;
            let length = digits
                .iter()
                .fold(0, |sum, digit| sum << 8 | usize::from(*digit));
            (length, rest)
        }
    };
    rest.get(..length).filter(|_| *found == tag)
}
