//! Which texts are accepted as keys, and what is published of them.

use aws_lc_rs::signature::UnparsedPublicKey;

use super::*;

/// RFC 8037 appendix A.1 to A.3.
pub(in crate::verdict) const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
    -----END PRIVATE KEY-----\n";
pub(in crate::verdict) const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
    MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n\
    -----END PUBLIC KEY-----\n";
/// RFC 7515 appendix A.3, written by OpenSSL.
const EC_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgjpsQnnGQmL+YBIff\n\
    H1136cspYG6+0iY7X1fCE9+E9LKhRANCAAR/zc4ncPbEXUGDy+5v20t7WAczNXvp\n\
    7xO6z248e9FURcfxRM0bvZt+hyzf7bnuufSzaV1uqQskrYpGIyiFiOWt\n\
    -----END PRIVATE KEY-----\n";
const EC_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
    MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n\
    6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n\
    -----END PUBLIC KEY-----\n";

#[test]
fn the_id_of_a_key_is_its_thumbprint() {
    for (private, public, algorithm, x, id) in [
        (
            PRIVATE,
            PUBLIC,
            "EdDSA",
            "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
        ),
        (
            EC_PRIVATE,
            EC_PUBLIC,
            "ES256",
            "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U",
        ),
    ] {
        let private = VerdictSigningKey::from_pem(&Secret::new(private)).unwrap();
        let public = VerdictPublicKey::from_pem(public.as_bytes()).unwrap();
        assert_eq!(private.public(), &public);
        assert_eq!(
            (public.algorithm(), &*public.x, public.id()),
            (algorithm, x, id)
        );
    }
}

#[test]
fn a_p256_key_is_published_with_both_coordinates() {
    let public = VerdictPublicKey::from_pem(EC_PUBLIC.as_bytes()).unwrap();
    assert_eq!(
        serde_json::to_value(public.jwk()).unwrap(),
        serde_json::json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig",
            "kid": "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})
    );
}

#[test]
fn an_es256_signature_is_two_numbers_of_32_bytes() {
    let private = VerdictSigningKey::from_pem(&Secret::new(EC_PRIVATE)).unwrap();
    let SigningPair::P256(pair) = &private.pair else {
        panic!("another kind of key")
    };
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key());
    // A number that begins with zero bytes must not be shorter: one in 128 signatures has one.
    for text in 0..1000_u32 {
        let signature = private.sign(&text.to_le_bytes()).unwrap();
        assert_eq!(signature.as_ref().len(), 64);
        assert!(
            public
                .verify(&text.to_le_bytes(), signature.as_ref())
                .is_ok()
        );
    }
}

#[test]
fn only_one_key_of_a_known_type_is_accepted_and_no_error_repeats_the_text() {
    let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let (p384, p384_public) = (p384.serialize_pem(), p384.public_key_pem());
    let damaged = PRIVATE.replace("MC4CAQAwBQYDK2Vw", "MC4CAQAwBQYDK2Vx");
    let sec1 = EC_PRIVATE.replace("PRIVATE KEY", "EC PRIVATE KEY");
    let encrypted = PRIVATE.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    for text in [
        "",
        "no PEM",
        &p384,
        PUBLIC,
        EC_PUBLIC,
        &damaged,
        &sec1,
        &encrypted,
        &format!("{PRIVATE}{PRIVATE}"),
        &format!("{PRIVATE}{EC_PRIVATE}"),
        &PRIVATE.replace("MC4", "!!!"),
        // A public part that is not that of the private one.
        &EC_PRIVATE.replace("OWt\n", "OWs\n"),
    ] {
        let error = VerdictSigningKey::from_pem(&Secret::new(text)).err();
        let error = error.expect(text).to_string();
        assert!(
            !error.contains("nWGxne") && !error.contains("jpsQnn"),
            "{error}"
        );
    }
    let sec1 = VerdictSigningKey::from_pem(&Secret::new(sec1)).err();
    assert_eq!(sec1, Some(VerdictKeyError::NotPkcs8));
    let off_curve = EC_PUBLIC.replace("jlrQ==", "jlrA==");
    let compressed = "-----BEGIN PUBLIC KEY-----\n\
        MDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgADf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n\
        6e8Tus9uPHvRVEU=\n-----END PUBLIC KEY-----\n";
    for text in [
        "",
        &p384_public,
        &off_curve,
        compressed,
        PRIVATE,
        EC_PRIVATE,
        &p384,
        &format!("{PUBLIC}{PUBLIC}"),
        &format!("{PUBLIC}{EC_PUBLIC}"),
        &format!("{PUBLIC}{PRIVATE}"),
        &PUBLIC.replace("AyEA11", "AyEA1"),
    ] {
        assert!(
            VerdictPublicKey::from_pem(text.as_bytes()).is_err(),
            "{text}"
        );
    }
    for private in [PRIVATE, EC_PRIVATE] {
        assert_eq!(
            VerdictPublicKey::from_pem(private.as_bytes()).unwrap_err(),
            VerdictKeyError::PrivateKey
        );
    }
}
