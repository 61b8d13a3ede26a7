//! The rules of a token, each with a token that breaks only that rule; and what a key set takes in.

mod again;
mod algorithms;
mod hostile;
mod key_sets;
mod published;
mod rules;

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

use aws_lc_rs::hmac;
use data_encoding::BASE64URL_NOPAD;
use hyper::{
    HeaderMap,
    header::{AUTHORIZATION, HeaderValue},
};
use serde_json::{Value, json};

use super::{
    AuthRefusal, Authenticator, Caller, IdentitySettings, KeySource, Pseudonyms, keys::KeySet,
};
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
        keys: KeySource::Fixed(keys),
        user_claim: "sub".into(),
        leeway: Duration::from_secs(LEEWAY),
    }
}

fn gate(identities: Vec<IdentitySettings>) -> Authenticator {
    Authenticator::new(
        identities,
        Pseudonyms::new(&Secret::new("a key of the tests")),
    )
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
    at_once(authenticator, &headers, now())
}

/// With keys from the configuration nothing is ever waited for.
fn at_once(
    authenticator: &Authenticator,
    headers: &HeaderMap,
    now: SystemTime,
) -> Result<Arc<Caller>, AuthRefusal> {
    let asked = pin!(authenticator.authenticate(headers, now));
    match asked.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("it waits"),
    }
}

/// The user that a key set gives for the token, or the refusal. (`Caller` has no `Debug`.)
fn user_with(keys: KeySet, token: &str) -> Result<String, AuthRefusal> {
    let authenticator = gate(vec![identity("https://login", keys)]);
    ask(&authenticator, token).map(|caller| caller.user.to_string())
}

fn user(token: &str) -> Result<String, AuthRefusal> {
    user_with(shared(), token)
}
