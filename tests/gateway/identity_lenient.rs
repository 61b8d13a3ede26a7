//! Key sets as real issuers write them: good keys are used, and a bad one costs nothing but itself.
//! Issuers that publish the same set share neither algorithms nor verified tokens.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    identity::until_keys_are,
    support::{
        emulator,
        identity::{Does, KEYS, Provider, Signer, gateway, hasty, logged, said, section},
        until,
    },
};
use liveness_gateway::{auth::remote::FetchTiming, emulator::Scenario};

/// The key with these members changed.
fn with(signer: &Signer, members: Value) -> Value {
    let mut jwk = signer.jwk();
    for (name, value) in members.as_object().unwrap() {
        jwk[name] = value.clone();
    }
    jwk
}

/// The key with padded coordinates in the standard alphabet.
fn padded(signer: &Signer) -> Value {
    let mut jwk = signer.jwk();
    for name in ["x", "y"] {
        let text = jwk[name].as_str().unwrap();
        jwk[name] = format!("{}=", text.replace('-', "+").replace('_', "/")).into();
    }
    jwk
}

/// The response with the keys of these signers, each written in a way of its own, and with others
/// that can't be used.
fn response(signers: &[Signer; 5], nameless: &Signer, ed: &Signer) -> Vec<u8> {
    let [in_base64, numbered, nulls, more, loud] = signers;
    let set = json!({"keys": [
        padded(in_base64),
        with(numbered, json!({"kid": 17})),
        with(nulls, json!({"use": null, "alg": null, "key_ops": null, "d": null})),
        with(more, json!({"x5c": 7, "x5t": [], "exp": {"a": -1.5e3}, "x": more.jwk()["x"]})),
        with(loud, json!({"use": "SIG", "key_ops": "verify"})),
        with(ed, json!({"alg": "Ed25519"})),
        with(&Signer::new("damaged"), json!({"x": "AAAA"})),
        json!({"kty": "EC", "crv": "secp256k1", "kid": "foreign", "x": "AA", "y": "AA"}),
        json!({"kty": "OKP", "crv": "Ed448", "alg": "Ed448", "x": "AA"}),
        "no object",
        nameless.jwk(),
    ]});
    let text = format!("\u{feff}\r\n{set}\r\n");
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nCache-Control: max-age=0\r\n\
         Content-Length: {}\r\n\r\n",
        text.len()
    );
    (head + &text).into()
}

#[tokio::test]
async fn a_set_that_is_written_otherwise_is_used() {
    let ids = ["padded", "17", "nulls", "more", "loud"];
    let signers = ids.map(Signer::new);
    let [_, numbered, ..] = &signers;
    let (nameless, ed) = (Signer::nameless(), Signer::ed25519("ed"));
    let provider = Provider::start(Vec::new()).await;
    provider.does(KEYS, Does::Answer(response(&signers, &nameless, &ed)));
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let timing = FetchTiming {
        min_lifetime: Duration::from_millis(10),
        ..hasty()
    };
    let gateway = gateway(qiniu, &provider.identity(""), timing).await;
    gateway.until_ready_is(200).await;
    for signer in signers.iter().chain([&ed]) {
        let answer = gateway.ask(&signer.token(&provider, "alice")).await;
        assert_eq!(answer.status, 200, "{:?}", signer.id);
    }
    let claims =
        json!({"iss": provider.issuer(), "aud": "liveness", "sub": "a", "exp": 9_999_999_999_u64});
    for (signer, header) in [
        (&ed, json!({"alg": "Ed25519", "kid": "ed"})),
        (numbered, json!({"alg": "ES256", "kid": 17})),
        (&nameless, json!({"alg": "ES256"})),
        (
            &nameless,
            json!({"alg": "ES256", "kid": "a name of its own"}),
        ),
    ] {
        let answer = gateway.ask(&signer.sign_with(&header, &claims)).await;
        assert_eq!(answer.status, 200, "{header}");
    }
    // Each fault is logged once, however often the set is fetched.
    until("further fetches", async || provider.requests(KEYS) >= 4).await;
    let log = logged(&provider);
    for part in [
        "left out key 7 (\\\"damaged\\\")",
        "left out key 10: not a valid JSON object",
    ] {
        assert_eq!(log.matches(part).count(), 1, "{part} in {log}");
    }
    assert_eq!(log.matches("left out").count(), 2, "{log}");
}

#[tokio::test]
async fn issuers_with_one_key_set_share_neither_algorithms_nor_tokens() {
    const ISSUERS: [&str; 2] = ["https://one.example", "https://other.example"];
    let (ec, ed) = (Signer::new("ec"), Signer::ed25519("ed"));
    let provider = Provider::start(vec![ec.jwk(), ed.jwk()]).await;
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let url = format!("jwks_url = \"http://{}{KEYS}\"", provider.address);
    let identities = [
        section(ISSUERS[0], &format!("{url}\nalgorithms = \"ES256\"")),
        section(ISSUERS[1], &format!("{url}\nalgorithms = \"Ed25519\"")),
    ];
    let gateway = gateway(qiniu, &identities.concat(), hasty()).await;
    until_keys_are(&gateway, "ok").await;
    let token = |signer: &Signer, issuer: &str| signer.token_as(signer.id, issuer, "alice");
    let [one, other] = [token(&ec, ISSUERS[0]), token(&ed, ISSUERS[1])];
    // Twice, since a verified token is kept.
    for _ in 0..2 {
        for good in [&one, &other] {
            assert_eq!(gateway.ask(good).await.status, 200);
        }
        for crossed in [token(&ed, ISSUERS[0]), token(&ec, ISSUERS[1])] {
            assert_eq!(
                said(&gateway.ask(&crossed).await),
                (401, "invalid_token".into())
            );
        }
    }
    // Each issuer fetches for itself, so a key goes for one of them first.
    let new = [Signer::new("new"), Signer::ed25519("new")];
    provider.publish(new.iter().map(Signer::jwk).collect());
    assert_eq!(gateway.ask(&token(&new[0], ISSUERS[0])).await.status, 200);
    assert_eq!(
        said(&gateway.ask(&one).await),
        (401, "invalid_token".into())
    );
    assert_eq!(gateway.ask(&other).await.status, 200);
    assert_eq!(gateway.ask(&token(&new[1], ISSUERS[1])).await.status, 200);
    assert_eq!(
        said(&gateway.ask(&other).await),
        (401, "invalid_token".into())
    );
    assert_eq!(provider.requests(KEYS), 4);
}
