//! Checking a bearer token with all our rules, against `jsonwebtoken` alone with as many as it knows.

use std::time::{Duration, SystemTime};

use aws_lc_rs::{
    encoding::{AsDer as _, EcPublicKeyUncompressedBin, PublicKeyX509Der},
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
    auth::{Authenticator, IdentitySettings, keys::KeySet},
    config::secret::Secret,
};
use serde::Deserialize;

use crate::measure::Contest;

const SECRET: &[u8] = b"a secret of the benchmark, long enough for HMAC";
const ISSUER: &str = "https://login.example.com/";

/// What a handler would ask of a token.
#[derive(Deserialize)]
#[expect(dead_code, reason = "only read into")]
struct Claims {
    sub: String,
    scope: Option<String>,
}

pub(crate) fn contests(is_wanted: &dyn Fn(&str) -> bool) -> Vec<Contest> {
    let mut contests = Vec::new();
    if is_wanted("token, HS256") {
        let sign = |text: &[u8]| {
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), text)
                .as_ref()
                .to_vec()
        };
        let keys = KeySet::from_secret(&Secret::new(SECRET)).unwrap();
        contests.push(contest(
            "token, HS256",
            Algorithm::HS256,
            keys,
            DecodingKey::from_secret(SECRET),
            sign,
        ));
    }
    if is_wanted("token, ES256") {
        contests.push(es256());
    }
    if is_wanted("token, RS256") {
        contests.push(rs256());
    }
    contests
}

fn es256() -> Contest {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let spki: PublicKeyX509Der<'_> = key.public_key().as_der().unwrap();
    let point: EcPublicKeyUncompressedBin<'_> =
        aws_lc_rs::encoding::AsBigEndian::as_be_bytes(key.public_key()).unwrap();
    let theirs = DecodingKey::from_ec_der(point.as_ref());
    let keys = KeySet::from_pem(pem("PUBLIC KEY", spki.as_ref()).as_bytes()).unwrap();
    let sign = |text: &[u8]| {
        key.sign(&SystemRandom::new(), text)
            .unwrap()
            .as_ref()
            .to_vec()
    };
    contest("token, ES256", Algorithm::ES256, keys, theirs, sign)
}

fn rs256() -> Contest {
    let key = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let pkcs1 = key.public_key().as_ref();
    let keys = KeySet::from_pem(pem("RSA PUBLIC KEY", pkcs1).as_bytes()).unwrap();
    let sign = |text: &[u8]| {
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            text,
            &mut signature,
        )
        .unwrap();
        signature
    };
    contest(
        "token, RS256",
        Algorithm::RS256,
        keys,
        DecodingKey::from_rsa_der(pkcs1),
        sign,
    )
}

fn pem(label: &str, der: &[u8]) -> String {
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        BASE64.encode(der)
    )
}

fn contest(
    name: &'static str,
    algorithm: Algorithm,
    keys: KeySet,
    theirs: DecodingKey,
    sign: impl Fn(&[u8]) -> Vec<u8>,
) -> Contest {
    let now = SystemTime::now();
    let expiry = now + Duration::from_secs(3600);
    let claims = format!(
        r#"{{"iss":"{ISSUER}","aud":"liveness","sub":"b3a6f3f0-4ac6-4e14-93a8-2f2c2c3f5d6e","exp":{},"scope":"verify"}}"#,
        expiry
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs(),
    );
    let header = format!(r#"{{"alg":"{algorithm:?}","typ":"JWT"}}"#);
    let text = format!(
        "{}.{}",
        BASE64URL_NOPAD.encode(header.as_bytes()),
        BASE64URL_NOPAD.encode(claims.as_bytes())
    );
    let token = format!("{text}.{}", BASE64URL_NOPAD.encode(&sign(text.as_bytes())));
    let mut headers = HeaderMap::new();
    headers.insert(
        AUTHORIZATION,
        HeaderValue::from_str(&format!("Bearer {token}")).unwrap(),
    );
    let authenticator = Authenticator::new(vec![IdentitySettings {
        issuer: ISSUER.into(),
        audience: vec!["liveness".into()],
        keys,
        user_claim: "sub".into(),
        leeway: Duration::from_secs(30),
    }]);
    let mut validation = Validation::new(algorithm);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&["liveness"]);
    validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
    Contest::new(name, None)
        .way("Authenticator, remembered", move || {
            authenticator.authenticate(&headers, now).ok().unwrap()
        })
        .way("jsonwebtoken::decode", move || {
            jsonwebtoken::decode::<Claims>(&token, &theirs, &validation).unwrap()
        })
}
