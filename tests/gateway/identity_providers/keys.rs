//! Keys that sign tokens, and key sets as providers publish them.

use std::sync::OnceLock;

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        self as lc, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RsaKeyPair,
    },
};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde_json::{Value, json};

use crate::support::SECRET;

/// A private key, and the algorithm that tokens name.
pub(super) struct SigningKey {
    pub(super) algorithm: &'static str,
    private: PrivateKey,
}

enum PrivateKey {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Shared,
}

/// A key of this type. All providers share it: to generate one for each would take long.
pub(super) fn rs256() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| SigningKey {
        algorithm: "RS256",
        private: PrivateKey::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()),
    })
}

pub(super) fn es256() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| ecdsa("ES256", &lc::ECDSA_P256_SHA256_FIXED_SIGNING))
}

pub(super) fn es384() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| ecdsa("ES384", &lc::ECDSA_P384_SHA384_FIXED_SIGNING))
}

pub(super) fn ed25519() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| SigningKey {
        algorithm: "EdDSA",
        private: PrivateKey::Ed25519(Ed25519KeyPair::generate().unwrap()),
    })
}

/// The secret that the gateway knows.
pub(super) fn hs256() -> &'static SigningKey {
    static KEY: SigningKey = SigningKey {
        algorithm: "HS256",
        private: PrivateKey::Shared,
    };
    &KEY
}

fn ecdsa(algorithm: &'static str, kind: &'static EcdsaSigningAlgorithm) -> SigningKey {
    SigningKey {
        algorithm,
        private: PrivateKey::Ecdsa(EcdsaKeyPair::generate(kind).unwrap()),
    }
}

impl SigningKey {
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.private {
            PrivateKey::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&lc::RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .unwrap();
                signature
            }
            PrivateKey::Ecdsa(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            PrivateKey::Ed25519(key) => key.sign(message).as_ref().to_vec(),
            PrivateKey::Shared => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
                hmac::sign(&key, message).as_ref().to_vec()
            }
        }
    }

    /// The public key with these members beside those of the key itself.
    pub(super) fn jwk(&self, more: Value) -> Value {
        let mut jwk = match &self.private {
            PrivateKey::Rsa(key) => {
                // A 2048-bit RSAPublicKey has its modulus at a fixed place.
                let n = &key.public_key().as_ref()[9..265];
                json!({"kty": "RSA", "n": BASE64URL_NOPAD.encode(n), "e": "AQAB"})
            }
            PrivateKey::Ecdsa(key) => {
                let (x, y) = key.public_key().as_ref()[1..].split_at(self.coordinate());
                let [x, y] = [x, y].map(|it| BASE64URL_NOPAD.encode(it));
                let curve = format!("P-{}", self.coordinate() * 8);
                json!({"kty": "EC", "crv": curve, "x": x, "y": y})
            }
            PrivateKey::Ed25519(key) => {
                let x = BASE64URL_NOPAD.encode(key.public_key().as_ref());
                json!({"kty": "OKP", "crv": "Ed25519", "x": x})
            }
            PrivateKey::Shared => json!({}),
        };
        super::change(&mut jwk, &more);
        jwk
    }

    fn coordinate(&self) -> usize {
        if self.algorithm == "ES384" { 48 } else { 32 }
    }
}

/// The key with the members of a certificate, as many providers publish it.
pub(super) fn with_certificate(kid: &str, more: Value) -> Value {
    let certificate = BASE64.encode(&[0x30; 700]);
    let mut jwk = rs256().jwk(json!({
        "use": "sig", "kid": kid, "x5t": "Zm9yIGEgdGVzdCBvbmx5", "x5c": [certificate],
    }));
    super::change(&mut jwk, &more);
    jwk
}

/// Another RSA key of the same set.
pub(super) fn another(more: Value) -> Value {
    let mut jwk = json!({
        "kty": "RSA", "e": "AQAB", "n": BASE64URL_NOPAD.encode(&[0xc5; 256]),
    });
    super::change(&mut jwk, &more);
    jwk
}

/// A key on a curve that the gateway does not know.
pub(super) fn on_p521(kid: &str) -> Value {
    let coordinate = BASE64URL_NOPAD.encode(&[1; 66]);
    json!({"kty": "EC", "crv": "P-521", "use": "sig", "alg": "ES512", "kid": kid,
        "x": coordinate, "y": coordinate})
}
