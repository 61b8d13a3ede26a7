//! Identity providers that misbehave. At start the gateway retries; later it keeps the keys that it
//! has. Nothing that a provider sends reaches the caller or the log.

use std::{net::SocketAddr, time::Duration};

use crate::support::{
    Gateway, emulator,
    identity::{DISCOVERY, Does, KEYS, Provider, Signer, gateway, hasty, logged, said},
};
use liveness_gateway::{auth::remote::FetchTiming, emulator::Scenario};
use serde_json::{Value, json};

/// A text in every bad document, to search the log for.
const MARKER: &str = "text-of-the-provider";

fn impatient() -> FetchTiming {
    FetchTiming {
        fetch_timeout: Duration::from_millis(300),
        ..hasty()
    }
}

fn body(status: &str, fields: &str, body: &str) -> Does {
    let length = body.len();
    Does::Answer(
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{fields}\r\n{body}").into(),
    )
}

fn set(keys: &[Value]) -> Does {
    body(
        "200 OK",
        "",
        &json!({"keys": keys, "x": MARKER}).to_string(),
    )
}

/// Every useless response, and the outcome that it is counted as. `elsewhere` is the target of a
/// redirect.
fn bad(elsewhere: SocketAddr) -> Vec<(Does, &'static str)> {
    let marked = format!("\"{MARKER}\"");
    let huge = " ".repeat(10 << 20) + &marked;
    let mut endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..160 {
        endless.extend(b"10000\r\n");
        endless.extend(std::iter::repeat_n(b' ', 0x1_0000));
        endless.extend(b"\r\n");
    }
    let location = format!("Location: http://{elsewhere}{KEYS}\r\n");
    vec![
        (Does::Close, "unreachable"),
        (Does::Hang, "timeout"),
        (
            Does::Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_vec()),
            "invalid",
        ),
        (Does::Answer(format!("{MARKER}\r\n\r\n").into()), "invalid"),
        (body("500 Internal Server Error", "", &marked), "status"),
        (body("404 Not Found", "", &marked), "status"),
        (body("302 Found", &location, ""), "status"),
        (body("301 Moved Permanently", &location, ""), "status"),
        (body("204 No Content", "", ""), "status"),
        (body("200 OK", "", &marked), "invalid"),
        (body("200 OK", "", "<html>"), "invalid"),
        (body("200 OK", "", ""), "invalid"),
        (
            body("200 OK", "Content-Encoding: gzip\r\n", "{}"),
            "invalid",
        ),
        (body("200 OK", "", &huge), "too_large"),
        (Does::Answer(endless), "too_large"),
    ]
}

fn bad_sets() -> Vec<(Does, &'static str)> {
    let good = Signer::new("a").jwk();
    let shared =
        json!({"kty": "oct", "k": "YSBzZWNyZXQgdGhhdCBldmVyeWJvZHkgY2FuIHJlYWQh", "kid": "a"});
    vec![
        (set(&[]), "invalid"),
        (
            set(&[with(&Signer::new("a"), "d", MARKER.into())]),
            "invalid",
        ),
        (set(&[shared]), "invalid"),
        (set(&vec![good; 257]), "invalid"),
        (set(&[json!({"kty": "EC", "crv": "P-521"})]), "invalid"),
    ]
}

/// The signer's key with one member changed.
fn with(signer: &Signer, member: &str, value: Value) -> Value {
    let mut jwk = signer.jwk();
    jwk[member] = value;
    jwk
}

async fn says_not_ready(gateway: &Gateway, token: &str) {
    assert_eq!(said(&gateway.ask(token).await), (503, "not_ready".into()));
    assert_eq!(gateway.readiness().await.status, 503);
}

fn keeps_quiet(provider: &Provider) {
    let log = logged(provider);
    assert!(log.contains("the issuer's keys were fetched"), "{log}");
    assert!(!log.contains(MARKER), "{log}");
}

#[tokio::test]
async fn at_start_a_misbehaving_provider_is_retried() {
    let elsewhere = Provider::start(vec![Signer::new("a").jwk()]).await;
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let mut cases: Vec<_> = bad(elsewhere.address)
        .into_iter()
        .flat_map(|(does, outcome)| [(DISCOVERY, does.clone(), outcome), (KEYS, does, outcome)])
        .collect();
    cases.extend(
        bad_sets()
            .into_iter()
            .map(|(does, outcome)| (KEYS, does, outcome)),
    );
    for (path, does, outcome) in cases {
        let signer = Signer::new("a");
        let provider = Provider::start(vec![signer.jwk()]).await;
        provider.does(path, does);
        let gateway = gateway(qiniu, &provider.identity(""), impatient()).await;
        let token = signer.token(&provider, "alice");
        gateway.until_fetch_was(outcome).await;
        says_not_ready(&gateway, &token).await;
        provider.does(path, Does::Well);
        gateway.until_ready_is(200).await;
        assert_eq!(gateway.ask(&token).await.status, 200);
        keeps_quiet(&provider);
    }
    assert_eq!(elsewhere.requests(KEYS), 0, "a redirect was followed");
}

#[tokio::test]
async fn after_start_a_misbehaving_provider_leaves_known_keys_in_use() {
    let elsewhere = Provider::start(vec![Signer::new("b").jwk()]).await;
    let (qiniu, _) = emulator(Scenario::Pass).await;
    for (does, outcome) in bad(elsewhere.address).into_iter().chain(bad_sets()) {
        let (signer, new) = (Signer::new("a"), Signer::new("b"));
        let provider = Provider::start(vec![signer.jwk()]).await;
        let gateway = gateway(qiniu, &provider.identity(""), impatient()).await;
        gateway.until_ready_is(200).await;
        let before = gateway.ask(&signer.token(&provider, "alice")).await;
        assert_eq!(before.status, 200);
        provider.does(KEYS, does);
        // The fetch for this key failed, so it cannot be called invalid, now or a moment later.
        let token = new.token(&provider, "bob");
        for _ in 0..2 {
            assert_eq!(said(&gateway.ask(&token).await), (503, "not_ready".into()));
        }
        gateway.until_fetch_was(outcome).await;
        assert_eq!(
            gateway.ask(&signer.token(&provider, "carol")).await.status,
            200
        );
        assert_eq!(gateway.readiness().await.status, 200);
        keeps_quiet(&provider);
    }
    assert_eq!(elsewhere.requests(KEYS), 0, "a redirect was followed");
}

#[tokio::test]
async fn documents_of_up_to_one_mebibyte_are_accepted() {
    let signer = Signer::new("a");
    let (qiniu, _) = emulator(Scenario::Pass).await;
    for (size, outcome, status) in [(1 << 20, "success", 200), ((1 << 20) + 1, "too_large", 503)] {
        let provider = Provider::start(vec![signer.jwk()]).await;
        let text = json!({"keys": [signer.jwk()]}).to_string();
        let padded = text.clone() + &" ".repeat(size - text.len());
        provider.does(KEYS, body("200 OK", "", &padded));
        let gateway = gateway(qiniu, &provider.identity(""), hasty()).await;
        gateway.until_fetch_was(outcome).await;
        let answer = gateway.ask(&signer.token(&provider, "alice")).await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
}

#[tokio::test]
async fn no_request_waits_longer_than_the_fetch_timeout() {
    let (signer, new) = (Signer::new("a"), Signer::new("b"));
    let provider = Provider::start(vec![signer.jwk()]).await;
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let timing = FetchTiming {
        fetch_timeout: Duration::from_secs(3600),
        wait_timeout: Duration::from_millis(50),
        ..hasty()
    };
    let gateway = gateway(qiniu, &provider.identity(""), timing).await;
    gateway.until_ready_is(200).await;
    provider.does(KEYS, Does::Hang);
    for user in ["alice", "bob"] {
        let answer = gateway.ask(&new.token(&provider, user)).await;
        assert_eq!(said(&answer), (503, "not_ready".into()));
    }
    assert_eq!(
        gateway.ask(&signer.token(&provider, "carol")).await.status,
        200
    );
    assert_eq!(provider.requests(KEYS), 2);
}

#[tokio::test]
async fn a_document_of_another_issuer_is_not_trusted() {
    let signer = Signer::new("a");
    let provider = Provider::start(vec![signer.jwk()]).await;
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let (identity, token) = (provider.identity(""), signer.token(&provider, "alice"));
    let issuer = provider.issuer();
    for other in [
        format!("{issuer}/"),
        issuer.replace("127.0.0.1", "localhost"),
    ] {
        provider.set_issuer(&other);
        let gateway = gateway(qiniu, &identity, hasty()).await;
        gateway.until_fetch_was("invalid").await;
        says_not_ready(&gateway, &token).await;
        let log = logged(&provider);
        assert!(log.contains("exactly equal"), "{log}");
        provider.set_issuer(&issuer);
        gateway.until_ready_is(200).await;
        assert_eq!(gateway.ask(&token).await.status, 200);
    }
    assert_eq!(provider.requests(KEYS), 2);
}

#[tokio::test]
async fn a_bad_key_is_skipped_and_the_good_ones_are_used() {
    let (good, twin) = (Signer::new("good"), Signer::new("good"));
    let (exposed, encrypts) = (Signer::new("exposed"), Signer::new("encrypts"));
    let shared = [7; 32];
    let encoded = data_encoding::BASE64URL_NOPAD.encode(&shared);
    let provider = Provider::start(vec![
        with(&exposed, "d", MARKER.into()),
        with(&encrypts, "use", "enc".into()),
        json!({"kty": "oct", "k": encoded, "kid": "shared", "alg": "HS256"}),
        with(&Signer::new("damaged"), "x", "AAAA".into()),
        with(&Signer::new("wrong"), "alg", "RS256".into()),
        Value::Null,
        good.jwk(),
        twin.jwk(),
    ])
    .await;
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = gateway(qiniu, &provider.identity(""), hasty()).await;
    gateway.until_ready_is(200).await;
    // Two keys with the same id are both tried.
    for signer in [&good, &twin] {
        assert_eq!(
            gateway.ask(&signer.token(&provider, "alice")).await.status,
            200
        );
    }
    let claims =
        json!({"iss": provider.issuer(), "aud": "liveness", "sub": "m", "exp": 9_999_999_999_u64});
    let header = jsonwebtoken::Header {
        kid: Some("shared".into()),
        ..jsonwebtoken::Header::default()
    };
    let key = jsonwebtoken::EncodingKey::from_secret(&shared);
    let forged = jsonwebtoken::encode(&header, &claims, &key).unwrap();
    for token in [
        forged,
        exposed.token(&provider, "m"),
        encrypts.token(&provider, "m"),
    ] {
        assert_eq!(
            said(&gateway.ask(&token).await),
            (401, "invalid_token".into())
        );
    }
    let log = logged(&provider);
    for part in [
        "\\\"exposed\\\"",
        "private key",
        "shared secret",
        "\\\"damaged\\\"",
        "\\\"wrong\\\"",
        "key 6: not a valid JSON object",
    ] {
        assert_eq!(log.matches(part).count(), 1, "{part} in {log}");
    }
    assert!(
        !log.contains(&encoded) && !log.contains("encrypts"),
        "{log}"
    );
    keeps_quiet(&provider);
}

#[tokio::test]
async fn a_key_set_must_fit_at_least_one_listed_algorithm() {
    let signer = Signer::new("a");
    let provider = Provider::start(vec![signer.jwk()]).await;
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let identity = provider.identity("algorithms = [\"RS256\", \"ES256\"]");
    let some = gateway(qiniu, &identity, hasty()).await;
    some.until_ready_is(200).await;
    assert_eq!(
        some.ask(&signer.token(&provider, "alice")).await.status,
        200
    );
    let log = logged(&provider);
    assert!(log.contains("no key for RS256"), "{log}");
    let identity = provider.identity("algorithms = [\"RS256\"]");
    let none = gateway(qiniu, &identity, hasty()).await;
    none.until_fetch_was("invalid").await;
    says_not_ready(&none, &signer.token(&provider, "alice")).await;
}
