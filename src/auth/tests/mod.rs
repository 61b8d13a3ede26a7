//! The rules of a token, each with a token that breaks only that rule; and what a key set takes in.

mod algorithms;
mod hostile;
mod key_sets;
mod rules;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_lc_rs::hmac;
use data_encoding::BASE64URL_NOPAD;
use hyper::{
    HeaderMap,
    header::{AUTHORIZATION, HeaderValue},
};
use serde_json::{Value, json};

use super::{AuthRefusal, Authenticator, Caller, IdentitySettings, keys::KeySet};
use crate::config::secret::Secret;

const SECRET: &[u8] = b"a secret of the tests, long enough for HMAC";
const NOW: u64 = 1_800_000_000;
const LEEWAY: u64 = 30;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
}

fn identity(issuer: &str, keys: KeySet) -> IdentitySettings {
    IdentitySettings {
        issuer: issuer.into(),
        audience: vec!["liveness".into(), "other-name".into()],
        keys,
        user_claim: "sub".into(),
        leeway: Duration::from_secs(LEEWAY),
    }
}

fn shared() -> KeySet {
    KeySet::from_secret(&Secret::new(SECRET)).unwrap()
}

fn encode(text: &str) -> String {
    BASE64URL_NOPAD.encode(text.as_bytes())
}

/// A token of exactly these texts, signed with the shared secret.
fn hs256(header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, SECRET),
        signed.as_bytes(),
    );
    format!("{signed}.{}", BASE64URL_NOPAD.encode(signature.as_ref()))
}

fn good_claims() -> Value {
    json!({"iss": "https://login", "aud": "liveness", "sub": "alice", "exp": NOW + 60})
}

fn ask(authenticator: &Authenticator, token: &str) -> Result<Arc<Caller>, AuthRefusal> {
    let mut headers = HeaderMap::new();
    headers.insert(
        AUTHORIZATION,
        HeaderValue::from_str(&format!("Bearer {token}")).unwrap(),
    );
    authenticator.authenticate(&headers, now())
}

/// The user that a key set gives for the token, or the refusal. (`Caller` has no `Debug`.)
fn user_with(keys: KeySet, token: &str) -> Result<String, AuthRefusal> {
    let authenticator = Authenticator::new(vec![identity("https://login", keys)]);
    ask(&authenticator, token).map(|caller| caller.user.to_string())
}

fn user(token: &str) -> Result<String, AuthRefusal> {
    user_with(shared(), token)
}

#[test]
fn a_token_that_was_taken_before_is_held_against_the_clock_again() {
    let authenticator = Authenticator::new(vec![identity("https://login", shared())]);
    let token = hs256(r#"{"alg":"HS256"}"#, &good_claims().to_string());
    let at = |seconds| {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
        headers.insert(AUTHORIZATION, value);
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        authenticator
            .authenticate(&headers, time)
            .map(|caller| caller.user.to_string())
    };
    for seconds in [NOW, NOW, NOW + 60 + LEEWAY - 1] {
        assert_eq!(at(seconds), Ok("alice".into()));
    }
    assert_eq!(at(NOW + 60 + LEEWAY), Err(AuthRefusal::Expired));
    assert_eq!(at(NOW), Ok("alice".into()));
    // One character of the signature changed: another token, and a bad one.
    let altered = format!("{}{}", &token[..token.len() - 2], "AA");
    assert_eq!(
        ask(&authenticator, &altered).map(|caller| caller.user.to_string()),
        Err(AuthRefusal::BadSignature)
    );
}
