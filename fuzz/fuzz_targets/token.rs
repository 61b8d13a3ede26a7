//! Arbitrary `Authorization` headers, and arbitrary claims that are really signed: no panic, no
//! caller without the key, and no caller whose claims break a rule.

#![no_main]

use std::{
    pin::pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

use aws_lc_rs::hmac;
use data_encoding::BASE64URL_NOPAD;
use hyper::{
    HeaderMap,
    header::{AUTHORIZATION, HeaderValue},
};
use libfuzzer_sys::fuzz_target;
use liveness_gateway::{
    auth::{
        AuthRefusal, Authenticator, Caller, IdentitySettings, KeySource, Pseudonymizer,
        key_set::VerificationKeys,
    },
    secret::Secret,
};
use serde_json::Value;

const SECRET: &[u8] = b"a secret of the fuzzing, long enough for HMAC";
const NOW: u64 = 1_800_000_000;
const LEEWAY: u64 = 30;
const MAX_LIFETIME: u64 = 86_400;
/// Public keys whose private keys do not exist.
const KEYS: &[u8] = include_bytes!("../keys.json");

static AUTHENTICATOR: LazyLock<Authenticator> = LazyLock::new(|| {
    let identity = |issuer: &str, keys| IdentitySettings {
        issuer: issuer.into(),
        audience: vec!["liveness".into(), "other".into()],
        audience_claim: "aud".into(),
        keys: KeySource::Fixed(keys),
        user_claim: "sub".into(),
        max_lifetime: Some(Duration::from_secs(MAX_LIFETIME)),
        leeway: Duration::from_secs(LEEWAY),
    };
    let identities = vec![
        identity(
            "a",
            VerificationKeys::from_secret(&Secret::new(SECRET)).expect("a long secret"),
        ),
        identity("b", VerificationKeys::from_jwks(KEYS).expect("good keys")),
    ];
    Authenticator::new(identities, Pseudonymizer::new(&Secret::new("a secret")))
});

fuzz_target!(|data: &[u8]| {
    let Some((&choice, data)) = data.split_first() else {
        return;
    };
    match choice.wrapping_sub(b'0') % 4 {
        0 => assert!(ask(data).is_none_or(|result| result.is_err())),
        1 => unsigned(data),
        2 => signed(data),
        _ => changed(data),
    }
});

/// Authenticates a header; `None` if it can't be a header's value.
fn ask(header: &[u8]) -> Option<Result<Arc<Caller>, AuthRefusal>> {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_bytes(header).ok()?);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
    let mut asking = pin!(AUTHENTICATOR.authenticate(&headers, now));
    let Poll::Ready(result) = asking
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    else {
        panic!("configured keys are available at once");
    };
    let result = result.map_err(|rejected| rejected.refusal);
    if let Err(refusal) = &result {
        assert!(
            !refusal.reason().is_empty()
                && !refusal.code().is_empty()
                && !refusal.detail().is_empty()
        );
    }
    Some(result)
}

/// Authenticates a token whose header, claims and signature are the lines of the input.
fn unsigned(data: &[u8]) {
    let parts: Vec<_> = data
        .splitn(3, |&byte| byte == b'\n')
        .map(|part| BASE64URL_NOPAD.encode(part))
        .collect();
    let header = format!("Bearer {}", parts.join("."));
    assert!(ask(header.as_bytes()).is_none_or(|result| result.is_err()));
}

/// Authenticates a token whose header and claims are the lines of the input, with a valid
/// signature.
fn signed(data: &[u8]) {
    let mut parts = data.splitn(2, |&byte| byte == b'\n');
    let (header, claims) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    if let Some(Ok(caller)) = ask(format!("Bearer {}", sign(header, claims)).as_bytes()) {
        holds(header, claims, &caller);
    }
}

fn sign(header: &[u8], claims: &[u8]) -> String {
    let text = format!(
        "{}.{}",
        BASE64URL_NOPAD.encode(header),
        BASE64URL_NOPAD.encode(claims)
    );
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), text.as_bytes());
    format!("{text}.{}", BASE64URL_NOPAD.encode(mac.as_ref()))
}

/// Checks the rules again, on a tree.
fn holds(header: &[u8], claims: &[u8], caller: &Caller) {
    let header: Value =
        serde_json::from_slice(header).expect("a caller of a header that is no JSON");
    let claims: Value =
        serde_json::from_slice(claims).expect("a caller of claims that are no JSON");
    assert_eq!(header["alg"], "HS256");
    assert!(header.get("crit").is_none());
    assert_eq!(claims["iss"], "a");
    assert_eq!(&*caller.issuer, "a");
    match &claims["sub"] {
        Value::Number(number) => {
            assert!(number.is_u64() || number.is_i64());
            assert_eq!(number.to_string(), *caller.user);
        }
        text => assert_eq!(*text, *caller.user),
    }
    assert!(!caller.user.is_empty() && caller.user.len() <= 256);
    let (early, late) = ((NOW - LEEWAY) as f64, (NOW + LEEWAY) as f64);
    let expiry = claims["exp"].as_f64().expect("a caller without exp");
    let begin = claims.get("iat").map_or(Some(late), Value::as_f64);
    assert!(expiry > early);
    assert!(begin.is_some_and(|begin| expiry - begin <= MAX_LIFETIME as f64));
    for name in ["nbf", "iat"] {
        assert!(
            claims
                .get(name)
                .is_none_or(|time| time.as_f64().is_some_and(|time| time <= late))
        );
    }
    let accepted = |value: &Value| value == "liveness" || value == "other";
    match &claims["aud"] {
        Value::Array(list) => {
            assert!(list.iter().any(accepted) && list.iter().all(Value::is_string))
        }
        one => assert!(accepted(one)),
    }
    let granted = [&claims["scope"], &claims["scp"]]
        .map(Value::to_string)
        .concat();
    assert!(caller.scopes.iter().all(|scope| !scope.is_empty()));
    assert!(caller.scopes.is_empty() || granted != "nullnull");
}

/// Authenticates a valid token with one byte changed.
fn changed(data: &[u8]) {
    let [low, high, flip, ..] = *data else {
        return;
    };
    let claims = format!(
        r#"{{"iss":"a","aud":"liveness","sub":"u","exp":{}}}"#,
        NOW + 60
    );
    let mut token = sign(br#"{"alg":"HS256"}"#, claims.as_bytes()).into_bytes();
    let good = [b"Bearer ", token.as_slice()].concat();
    assert!(
        ask(&good).is_some_and(|result| result.is_ok()),
        "a valid token must be accepted"
    );
    let at = usize::from(u16::from_le_bytes([low, high])) % token.len();
    token[at] ^= flip;
    if flip != 0 {
        let bad = [b"Bearer ", token.as_slice()].concat();
        assert!(ask(&bad).is_none_or(|result| result.is_err()));
    }
}
