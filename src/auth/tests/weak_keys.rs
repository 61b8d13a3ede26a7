//! Keys that are too weak for an algorithm, made for another purpose, or prove nothing at all.

use super::{algorithms::Signer, key_sets::set, *};
use crate::auth::Algorithm::{self, HS256, HS384, HS512};

/// A token signed with this secret.
fn token(secret: &[u8], algorithm: Algorithm) -> String {
    let hash = match algorithm {
        HS256 => hmac::HMAC_SHA256,
        HS384 => hmac::HMAC_SHA384,
        _ => hmac::HMAC_SHA512,
    };
    let header = json!({"alg": algorithm}).to_string();
    let signed = format!("{}.{}", encode(&header), encode(&good_claims().to_string()));
    let mac = hmac::sign(&hmac::Key::new(hash, secret), signed.as_bytes());
    format!("{signed}.{}", BASE64URL_NOPAD.encode(mac.as_ref()))
}

/// Each length with the algorithms that it is enough for.
const LENGTHS: [(usize, &[Algorithm]); 6] = [
    (32, &[HS256]),
    (47, &[HS256]),
    (48, &[HS256, HS384]),
    (63, &[HS256, HS384]),
    (64, &[HS256, HS384, HS512]),
    (200, &[HS256, HS384, HS512]),
];

#[test]
fn the_length_of_a_secret_bounds_its_algorithms() {
    for (length, allowed) in LENGTHS {
        let secret = vec![b'x'; length];
        let keys = || VerificationKeys::from_secret(&Secret::new(secret.clone())).unwrap();
        for algorithm in [HS256, HS384, HS512] {
            let verified = user_with(keys(), &token(&secret, algorithm));
            let listed = keys().restrict(&[HS256, algorithm]).err();
            if allowed.contains(&algorithm) {
                assert_eq!(verified, Ok("alice".into()), "{length} {algorithm:?}");
                assert_eq!(listed, None, "{length} {algorithm:?}");
            } else {
                assert_eq!(verified, Err(AuthRefusal::AlgorithmNotAllowed), "{length}");
                let message = listed.unwrap().to_string();
                let expected = format!("a secret of {length} bytes is too short for {algorithm:?}");
                assert!(message.starts_with(&expected), "{message}");
            }
        }
    }
}

#[test]
fn a_secret_in_a_key_set_fits_its_alg() {
    for (length, allowed) in LENGTHS {
        let secret = vec![7; length];
        let plain = json!({"kty": "oct", "k": BASE64URL_NOPAD.encode(&secret)});
        let read = |jwk: &Value| {
            VerificationKeys::from_jwks(json!({"keys": [jwk]}).to_string().as_bytes())
        };
        for algorithm in [HS256, HS384, HS512] {
            let token = token(&secret, algorithm);
            let expected = match allowed.contains(&algorithm) {
                true => Ok("alice".into()),
                false => Err(AuthRefusal::AlgorithmNotAllowed),
            };
            assert_eq!(
                user_with(read(&plain).unwrap(), &token),
                expected,
                "{length}"
            );
            match read(&set(plain.clone(), &[("alg", json!(algorithm))])) {
                Ok(keys) => assert_eq!(user_with(keys, &token), Ok("alice".into())),
                Err(error) => {
                    assert!(!allowed.contains(&algorithm), "{error}");
                    assert!(error.to_string().contains("too short for"), "{error}");
                }
            }
        }
    }
}

/// Encodings of the points of small order on the curve of Ed25519.
fn small_order() -> Vec<[u8; 32]> {
    let middle = |first: u8, middle: u8, last: u8| {
        let mut bytes = [middle; 32];
        (bytes[0], bytes[31]) = (first, last);
        bytes
    };
    let mut points = vec![middle(0, 0, 0), middle(1, 0, 0)];
    points.extend([0xec, 0xed, 0xee].map(|first| middle(first, 0xff, 0x7f)));
    let negative = points.clone().into_iter().map(|mut point| {
        point[31] |= 0x80;
        point
    });
    points.extend(negative);
    points
}

/// With the point of order one as the public key, this is a signature of any text.
#[test]
fn a_key_that_proves_nothing_is_refused() {
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let forged = [neutral, [0; 32]].concat();
    let verifier =
        aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::ED25519, neutral);
    assert!(
        verifier.verify(b"any text", &forged).is_ok(),
        "aws-lc refuses it by itself"
    );
    let prefix = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
    for point in small_order() {
        let jwk = set(
            Signer::ed25519().jwk(),
            &[("x", json!(BASE64URL_NOPAD.encode(&point)))],
        );
        let text = json!({"keys": [jwk]}).to_string();
        let base64 = data_encoding::BASE64.encode(&[&prefix[..], &point].concat());
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{base64}\n-----END PUBLIC KEY-----\n");
        for error in [
            VerificationKeys::from_jwks(text.as_bytes()).err(),
            VerificationKeys::from_pem(pem.as_bytes()).err(),
        ] {
            let error = error.expect("it is accepted").to_string();
            // Some of these are no valid encoding, either.
            assert!(
                error.contains("small order") || error.contains("valid"),
                "{error}"
            );
        }
    }
}

#[test]
fn an_rsa_key_restricted_to_pss_is_refused() {
    let pem = Signer::rsa().pem();
    let base64: String = pem.lines().filter(|it| !it.starts_with('-')).collect();
    let spki = data_encoding::BASE64.decode(base64.as_bytes()).unwrap();
    let plain = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
    let at = spki.windows(9).position(|bytes| bytes == plain).unwrap();
    let mut restricted = spki.clone();
    restricted[at + 8] = 10;
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        data_encoding::BASE64.encode(&restricted)
    );
    let error = VerificationKeys::from_pem(pem.as_bytes()).err().unwrap();
    assert!(error.to_string().contains("PSS"));
}
