//! Keys that sign the tokens of the tests.

use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use rcgen::{KeyPair, PublicKeyData as _};
use serde_json::{Value, json};

use super::Provider;

/// A key that signs tokens, of P-256 unless created as another.
pub(crate) struct Signer {
    pub(crate) id: Option<&'static str>,
    algorithm: Algorithm,
    key: KeyPair,
}

impl Signer {
    pub(crate) fn new(id: &'static str) -> Self {
        Self {
            id: Some(id),
            ..Self::nameless()
        }
    }

    pub(crate) fn nameless() -> Self {
        Self {
            id: None,
            algorithm: Algorithm::ES256,
            key: KeyPair::generate().unwrap(),
        }
    }

    pub(crate) fn ed25519(id: &'static str) -> Self {
        Self {
            id: Some(id),
            algorithm: Algorithm::EdDSA,
            key: KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap(),
        }
    }

    pub(crate) fn public_pem(&self) -> String {
        self.key.public_key_pem()
    }

    pub(crate) fn jwk(&self) -> Value {
        let (point, base64) = (self.key.der_bytes(), |bytes| BASE64URL_NOPAD.encode(bytes));
        let mut jwk = match self.algorithm {
            Algorithm::EdDSA => json!({"kty": "OKP", "crv": "Ed25519", "x": base64(point)}),
            _ => json!({"kty": "EC", "crv": "P-256", "use": "sig",
                "x": base64(&point[1..33]), "y": base64(&point[33..])}),
        };
        if let Some(id) = self.id {
            jwk["kid"] = id.into();
        }
        jwk
    }

    /// A token with this `kid` in its header.
    pub(crate) fn token_as(&self, id: Option<&str>, issuer: &str, user: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let claims =
            json!({"iss": issuer, "aud": "liveness", "sub": user, "exp": now.as_secs() + 600});
        self.sign(id, &claims)
    }

    pub(crate) fn sign(&self, id: Option<&str>, claims: &Value) -> String {
        let mut header = json!({"typ": "JWT", "alg": self.algorithm});
        if let Some(id) = id {
            header["kid"] = id.into();
        }
        self.sign_with(&header, claims)
    }

    /// A token with exactly this header.
    pub(crate) fn sign_with(&self, header: &Value, claims: &Value) -> String {
        let der = self.key.serialize_der();
        let key = match self.algorithm {
            Algorithm::EdDSA => EncodingKey::from_ed_der(&der),
            _ => EncodingKey::from_ec_der(&der),
        };
        let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, self.algorithm);
        format!("{signed}.{}", signature.unwrap())
    }

    pub(crate) fn token(&self, provider: &Provider, user: &str) -> String {
        self.token_as(self.id, &provider.issuer(), user)
    }
}
