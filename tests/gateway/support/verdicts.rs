//! Verdicts, as a backend reads them.

use bytes::Bytes;
use jsonwebtoken::{DecodingKey, Validation, jwk::JwkSet};
use serde_json::Value;

use super::Gateway;

/// The claims of a verdict, checked with the published keys, as a backend does.
pub(crate) async fn claims(gateway: &Gateway, verdict: &str) -> Value {
    let request = gateway.request(false, "GET", "/.well-known/jwks.json");
    let answer = gateway.send(false, request, Bytes::new()).await;
    let keys: JwkSet = serde_json::from_slice(&answer.body).unwrap();
    let header = jsonwebtoken::decode_header(verdict).unwrap();
    assert_eq!(header.typ.as_deref(), Some("liveness-verdict+jwt"));
    let published = keys.find(&header.kid.unwrap()).unwrap();
    // The key decides which algorithm is accepted.
    let algorithm = published.common.key_algorithm.unwrap().to_string();
    let mut validation = Validation::new(algorithm.parse().unwrap());
    validation.set_audience(&["backend"]);
    validation.set_issuer(&["https://gateway.example.com"]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    let key = DecodingKey::from_jwk(published).unwrap();
    let decoded = jsonwebtoken::decode(verdict, &key, &validation);
    decoded.unwrap().claims
}
