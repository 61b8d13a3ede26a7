//! Every algorithm verifies with its own type of key, and with no other.

use std::sync::OnceLock;

use aws_lc_rs::{
    encoding::AsDer as _,
    rand::SystemRandom,
    signature::{self as lc, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaEncoding, RsaKeyPair},
};
use data_encoding::BASE64;

use super::*;
use crate::auth::{Algorithm, algorithm_named};

/// Signs tokens with a key generated for the test.
pub(super) struct Signer {
    pub(super) algorithms: &'static [Algorithm],
    key: Option<rcgen::KeyPair>,
}

impl Signer {
    /// The only RSA key of the test binary: generating one takes long.
    pub(super) fn rsa() -> Self {
        static KEY: OnceLock<Vec<u8>> = OnceLock::new();
        let der = KEY.get_or_init(|| {
            let key = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
            key.as_der().unwrap().as_ref().to_vec()
        });
        let key = rcgen::KeyPair::try_from(der.as_slice()).unwrap();
        use Algorithm::{PS256, PS384, PS512, RS256, RS384, RS512};
        Self {
            algorithms: &[RS256, RS384, RS512, PS256, PS384, PS512],
            key: Some(key),
        }
    }

    pub(super) fn es256() -> Self {
        Self::of(&[Algorithm::ES256], &rcgen::PKCS_ECDSA_P256_SHA256)
    }

    pub(super) fn es384() -> Self {
        Self::of(&[Algorithm::ES384], &rcgen::PKCS_ECDSA_P384_SHA384)
    }

    pub(super) fn ed25519() -> Self {
        Self::of(&[Algorithm::EdDSA], &rcgen::PKCS_ED25519)
    }

    pub(super) fn secret() -> Self {
        Self {
            algorithms: &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512],
            key: None,
        }
    }

    pub(super) fn all_public() -> Vec<Self> {
        vec![Self::rsa(), Self::es256(), Self::es384(), Self::ed25519()]
    }

    pub(super) fn all() -> Vec<Self> {
        let mut all = Self::all_public();
        all.push(Self::secret());
        all
    }

    fn of(algorithms: &'static [Algorithm], kind: &'static rcgen::SignatureAlgorithm) -> Self {
        Self {
            algorithms,
            key: Some(rcgen::KeyPair::generate_for(kind).unwrap()),
        }
    }

    fn key(&self) -> &rcgen::KeyPair {
        self.key.as_ref().unwrap()
    }

    pub(super) fn pem(&self) -> String {
        self.key().public_key_pem()
    }

    pub(super) fn private_pem(&self) -> String {
        self.key().serialize_pem()
    }

    pub(super) fn certificate(&self) -> String {
        rcgen::CertificateParams::new(vec!["login".into()])
            .unwrap()
            .self_signed(self.key())
            .unwrap()
            .pem()
    }

    /// The raw public key: PKCS#1, a point, or 32 bytes.
    fn raw(&self) -> Vec<u8> {
        use rcgen::PublicKeyData as _;
        self.key().der_bytes().to_vec()
    }

    pub(super) fn pkcs1_pem(&self) -> String {
        format!(
            "-----BEGIN RSA PUBLIC KEY-----\n{}\n-----END RSA PUBLIC KEY-----\n",
            BASE64.encode(&self.raw())
        )
    }

    pub(super) fn jwk(&self) -> Value {
        let b64 = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        if self.key.is_none() {
            return json!({"kty": "oct", "k": b64(SECRET)});
        }
        let raw = self.raw();
        match self.algorithms[0] {
            // A 2048-bit RSAPublicKey has its modulus at a fixed place.
            Algorithm::RS256 => json!({"kty": "RSA", "n": b64(&raw[9..265]), "e": "AQAB"}),
            Algorithm::ES256 => {
                json!({"kty": "EC", "crv": "P-256", "x": b64(&raw[1..33]), "y": b64(&raw[33..])})
            }
            Algorithm::ES384 => {
                json!({"kty": "EC", "crv": "P-384", "x": b64(&raw[1..49]), "y": b64(&raw[49..])})
            }
            _ => json!({"kty": "OKP", "crv": "Ed25519", "x": b64(&raw)}),
        }
    }

    /// A token of these texts, with the first algorithm added to the header.
    pub(super) fn sign(&self, header: &str, claims: &str) -> String {
        self.sign_as(self.algorithms[0], header, claims)
    }

    pub(super) fn sign_as(&self, algorithm: Algorithm, header: &str, claims: &str) -> String {
        let mut header: Value = serde_json::from_str(header).unwrap();
        if header.get("alg").is_none() {
            header["alg"] = json!(algorithm);
        }
        let signed = format!("{}.{}", encode(&header.to_string()), encode(claims));
        let signature = self.signature(algorithm, signed.as_bytes());
        format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
    }

    fn signature(&self, algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let mac = |kind| {
            hmac::sign(&hmac::Key::new(kind, SECRET), message)
                .as_ref()
                .to_vec()
        };
        let rsa = |padding: &'static dyn RsaEncoding| {
            let key = RsaKeyPair::from_pkcs8(&self.key().serialize_der()).unwrap();
            let mut signature = vec![0; key.public_modulus_len()];
            key.sign(padding, &random, message, &mut signature).unwrap();
            signature
        };
        let ecdsa = |kind| {
            let key = EcdsaKeyPair::from_pkcs8(kind, &self.key().serialize_der()).unwrap();
            key.sign(&random, message).unwrap().as_ref().to_vec()
        };
        match algorithm {
            Algorithm::HS256 => mac(hmac::HMAC_SHA256),
            Algorithm::HS384 => mac(hmac::HMAC_SHA384),
            Algorithm::HS512 => mac(hmac::HMAC_SHA512),
            Algorithm::RS256 => rsa(&lc::RSA_PKCS1_SHA256),
            Algorithm::RS384 => rsa(&lc::RSA_PKCS1_SHA384),
            Algorithm::RS512 => rsa(&lc::RSA_PKCS1_SHA512),
            Algorithm::PS256 => rsa(&lc::RSA_PSS_SHA256),
            Algorithm::PS384 => rsa(&lc::RSA_PSS_SHA384),
            Algorithm::PS512 => rsa(&lc::RSA_PSS_SHA512),
            Algorithm::ES256 => ecdsa(&lc::ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::ES384 => ecdsa(&lc::ECDSA_P384_SHA384_FIXED_SIGNING),
            _ => {
                let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&self.key().serialize_der())
                    .unwrap();
                assert!(!key.public_key().as_ref().is_empty());
                key.sign(message).as_ref().to_vec()
            }
        }
    }

    fn key_set(&self) -> VerificationKeys {
        match self.key {
            Some(_) => VerificationKeys::from_pem(self.pem().as_bytes()).unwrap(),
            None => shared_secret(),
        }
    }
}

#[test]
fn every_algorithm_verifies_with_its_own_type_of_key_only() {
    let signers = Signer::all();
    for signer in &signers {
        for algorithm in signer.algorithms {
            let token = signer.sign_as(*algorithm, "{}", &good_claims().to_string());
            for keys in &signers {
                let expected = match std::ptr::eq(keys, signer) {
                    true => Ok("alice".into()),
                    false => Err(AuthRefusal::AlgorithmNotAllowed),
                };
                assert_eq!(user_with(keys.key_set(), &token), expected, "{algorithm:?}");
            }
        }
    }
}

#[test]
fn ed25519_and_eddsa_name_the_same_algorithm() {
    let (signer, claims) = (Signer::ed25519(), good_claims().to_string());
    for in_key in ["EdDSA", "Ed25519", ""] {
        let mut jwk = signer.jwk();
        if !in_key.is_empty() {
            jwk["alg"] = json!(in_key);
        }
        let set = json!({"keys": [jwk]}).to_string();
        for in_token in ["EdDSA", "Ed25519"] {
            let keys = VerificationKeys::from_jwks(set.as_bytes()).unwrap();
            let listed = keys
                .restrict(&[algorithm_named(in_token).unwrap()])
                .unwrap();
            let token = signer.sign(&json!({"alg": in_token}).to_string(), &claims);
            assert_eq!(user_with(listed, &token), Ok("alice".into()), "{in_key}");
        }
    }
    for other in ["ed25519", "Ed448", "EDDSA", "ESP256"] {
        let token = signer.sign(&json!({"alg": other}).to_string(), &claims);
        let refusal = user_with(signer.key_set(), &token);
        assert_eq!(refusal, Err(AuthRefusal::AlgorithmNotAllowed), "{other}");
    }
}

#[test]
fn another_key_of_the_same_type_does_not_verify() {
    for make in [Signer::es256, Signer::es384, Signer::ed25519] {
        let token = make().sign("{}", &good_claims().to_string());
        assert_eq!(
            user_with(make().key_set(), &token),
            Err(AuthRefusal::BadSignature)
        );
    }
}

#[test]
fn none_and_unknown_algorithms_are_refused() {
    for algorithm in [
        "none", "None", "NONE", "nOnE", "", "hs256", "HS1", "ES512", "ES256K", "RSA-OAEP",
    ] {
        let header = json!({"alg": algorithm}).to_string();
        let unsigned = format!(
            "{}.{}.",
            encode(&header),
            encode(&good_claims().to_string())
        );
        for keys in [shared_secret(), Signer::es256().key_set()] {
            assert_eq!(
                user_with(keys, &unsigned),
                Err(AuthRefusal::AlgorithmNotAllowed),
                "{algorithm}"
            );
        }
        assert_eq!(
            user(&hs256(&header, &good_claims().to_string())),
            Err(AuthRefusal::AlgorithmNotAllowed)
        );
    }
}

/// The classic attack: the public key, which everybody has, used as the HMAC secret.
#[test]
fn a_public_key_is_never_an_hmac_secret() {
    let rsa = Signer::rsa();
    let pem = rsa.pem();
    let signed = format!(
        "{}.{}",
        encode(r#"{"alg":"HS256"}"#),
        encode(&good_claims().to_string())
    );
    let secrets = [
        pem.as_bytes().to_vec(),
        pem.trim_end().as_bytes().to_vec(),
        rsa.raw(),
    ];
    for secret in secrets {
        let mac = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, &secret),
            signed.as_bytes(),
        );
        let token = format!("{signed}.{}", BASE64URL_NOPAD.encode(mac.as_ref()));
        for keys in [
            rsa.key_set(),
            VerificationKeys::from_jwks(json!({"keys": [rsa.jwk()]}).to_string().as_bytes())
                .unwrap(),
        ] {
            assert_eq!(
                user_with(keys, &token),
                Err(AuthRefusal::AlgorithmNotAllowed)
            );
        }
    }
}

#[test]
fn a_jwk_with_an_alg_verifies_no_other() {
    let rsa = Signer::rsa();
    let mut jwk = rsa.jwk();
    jwk["alg"] = json!("RS512");
    let set = json!({"keys": [jwk]}).to_string();
    let ask = |algorithm| {
        let keys = VerificationKeys::from_jwks(set.as_bytes()).unwrap();
        user_with(
            keys,
            &rsa.sign_as(algorithm, "{}", &good_claims().to_string()),
        )
    };
    assert_eq!(ask(Algorithm::RS512), Ok("alice".into()));
    assert_eq!(ask(Algorithm::RS256), Err(AuthRefusal::AlgorithmNotAllowed));
}
