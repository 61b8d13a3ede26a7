//! Checking a new and a cached bearer token with all rules of the gateway, compared with
//! `jsonwebtoken` alone, with as many rules as it supports.

use std::{
    cell::RefCell,
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

use aws_lc_rs::{
    encoding::{AsDer as _, PublicKeyX509Der},
    hmac,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use hyper::{
    HeaderMap,
    header::{AUTHORIZATION, HeaderValue},
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use liveness_gateway::{
    auth::{
        Authenticator, Caller, IdentitySettings, KeySource, Pseudonymizer,
        key_set::VerificationKeys,
    },
    secret::Secret,
};
use serde::Deserialize;

use crate::measure::Comparison;

const SECRET: &[u8] = b"a secret of the benchmark, long enough for HMAC";
const ISSUER: &str = "https://login.example.com/";
const USER: &str = "b3a6f3f0-4ac6-4e14-93a8-2f2c2c3f5d6e";

/// The claims that a handler would read.
#[derive(Deserialize)]
#[expect(dead_code, reason = "only read into")]
struct Claims {
    sub: String,
    scope: Option<String>,
}

pub(crate) fn comparisons(is_wanted: &dyn Fn(&str) -> bool) -> Vec<Comparison> {
    let mut comparisons = Vec::new();
    if is_wanted("token, HS256") {
        let sign = |text: &[u8]| {
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), text)
                .as_ref()
                .to_vec()
        };
        let keys = VerificationKeys::from_secret(&Secret::new(SECRET)).unwrap();
        comparisons.push(comparison(
            "token, HS256",
            Algorithm::HS256,
            keys,
            DecodingKey::from_secret(SECRET),
            sign,
        ));
    }
    if is_wanted("token, ES256") {
        comparisons.push(es256());
    }
    if is_wanted("token, RS256") {
        comparisons.push(rs256());
    }
    comparisons
}

fn es256() -> Comparison {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let spki: PublicKeyX509Der<'_> = key.public_key().as_der().unwrap();
    let keys = VerificationKeys::from_pem(pem("PUBLIC KEY", spki.as_ref()).as_bytes()).unwrap();
    let theirs = DecodingKey::from_ec_der(spki.as_ref());
    let sign = move |text: &[u8]| {
        let signature = key.sign(&SystemRandom::new(), text).unwrap();
        signature.as_ref().to_vec()
    };
    comparison("token, ES256", Algorithm::ES256, keys, theirs, sign)
}

fn rs256() -> Comparison {
    let key = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let pkcs1 = key.public_key().as_ref();
    let keys = VerificationKeys::from_pem(pem("RSA PUBLIC KEY", pkcs1).as_bytes()).unwrap();
    let theirs = DecodingKey::from_rsa_der(pkcs1);
    let sign = move |text: &[u8]| {
        let mut signature = vec![0; key.public_modulus_len()];
        let random = SystemRandom::new();
        key.sign(&RSA_PKCS1_SHA256, &random, text, &mut signature)
            .unwrap();
        signature
    };
    comparison("token, RS256", Algorithm::RS256, keys, theirs, sign)
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

fn comparison(
    name: &'static str,
    algorithm: Algorithm,
    keys: VerificationKeys,
    theirs: DecodingKey,
    sign: impl Fn(&[u8]) -> Vec<u8> + 'static,
) -> Comparison {
    let now = SystemTime::now();
    let tokens = Tokens::new(algorithm, now, sign);
    let known = tokens.make(0);
    let new: Rc<RefCell<Vec<HeaderMap>>> = Rc::default();
    let used = Rc::clone(&new);
    let mut made = 0;
    let more = move |count: u32| {
        let numbers = made + 1..=made + count;
        made += count;
        new.borrow_mut()
            .extend(numbers.map(|number| headers(&tokens.make(number))));
    };
    let identity = IdentitySettings {
        issuer: ISSUER.into(),
        audience: vec!["liveness".into()],
        audience_claim: "aud".into(),
        keys: KeySource::Fixed(keys),
        user_claim: "sub".into(),
        max_lifetime: None,
        leeway: Duration::from_secs(30),
    };
    let pseudonyms = Pseudonymizer::new(&Secret::new("a secret"));
    let authenticator = Rc::new(Authenticator::new(vec![identity], pseudonyms));
    let remembering = Rc::clone(&authenticator);
    let known_headers = headers(&known);
    let mut validation = Validation::new(algorithm);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&["liveness"]);
    validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
    Comparison::new(name, None)
        .prepared_candidate("Authenticator, new token", more, move || {
            let headers = used.borrow_mut().pop().unwrap();
            caller(&authenticator, &headers, now)
        })
        .candidate("Authenticator, known token", move || {
            caller(&remembering, &known_headers, now)
        })
        .candidate("jsonwebtoken::decode", move || {
            jsonwebtoken::decode::<Claims>(&known, &theirs, &validation).unwrap()
        })
}

/// The authenticated caller. With keys from the configuration, authentication never waits.
fn caller(authenticator: &Authenticator, headers: &HeaderMap, now: SystemTime) -> Arc<Caller> {
    let mut asking = pin!(authenticator.authenticate(headers, now));
    let response = match asking
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(response) => response.ok(),
        Poll::Pending => None,
    };
    response.unwrap()
}

/// Creates tokens that differ in their `jti`.
struct Tokens<S> {
    header: String,
    expiry: u64,
    sign: S,
}

impl<S: Fn(&[u8]) -> Vec<u8>> Tokens<S> {
    fn new(algorithm: Algorithm, now: SystemTime, sign: S) -> Self {
        let expiry = now + Duration::from_secs(3600);
        Self {
            header: format!(r#"{{"alg":"{algorithm:?}","typ":"JWT"}}"#),
            expiry: expiry
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap()
                .as_secs(),
            sign,
        }
    }

    fn make(&self, number: u32) -> String {
        let claims = format!(
            "{{\"iss\":\"{ISSUER}\",\"aud\":\"liveness\",\"sub\":\"{USER}\",\"exp\":{},\
             \"scope\":\"verify\",\"jti\":\"{number:032}\"}}",
            self.expiry,
        );
        let [header, claims] =
            [&self.header, &claims].map(|text| BASE64URL_NOPAD.encode(text.as_bytes()));
        let text = format!("{header}.{claims}");
        let signature = BASE64URL_NOPAD.encode(&(self.sign)(text.as_bytes()));
        format!("{text}.{signature}")
    }
}

fn headers(token: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(
        AUTHORIZATION,
        HeaderValue::from_str(&format!("Bearer {token}")).unwrap(),
    );
    headers
}
