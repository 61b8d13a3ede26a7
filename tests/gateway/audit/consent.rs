//! The claim of the user's consent is recorded, and nobody verifies without it.

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use liveness_gateway::emulator::Scenario;
use serde_json::json;

use super::{Log, stopped};
use crate::support::{
    Answer, Gateway, ISSUER, SECRET, SESSIONCODE, VERIFY, emulator, routes, verify_body, video,
};

/// A token with these further claims, as an issuer wrote them.
fn token(more: &str) -> String {
    let claims = format!(
        "{{\"iss\":\"{ISSUER}\",\"aud\":\"liveness\",\"sub\":\"user-1\",\"exp\":4102444800{more}}}"
    );
    let encode = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
    let signed = format!("{}.{}", encode(r#"{"alg":"HS256"}"#), encode(&claims));
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::HS256);
    format!("{signed}.{}", signature.unwrap())
}

async fn post(gateway: &Gateway, path: &str, claims: &str, body: String) -> Answer {
    let request = gateway
        .request(false, "POST", path)
        .header("authorization", format!("Bearer {}", token(claims)))
        .header("content-type", "application/json");
    gateway.send(false, request, body).await
}

#[tokio::test]
async fn a_verify_needs_the_claim_of_consent_and_its_record_has_it() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let log = Log::new();
    let sections = format!("{}{}", log.section("consent_claim = \"consent\""), routes());
    let gateway = Gateway::start(qiniu, "", &sections).await;
    let consent = ",\"consent\":{ \"version\" : 1.50,\n \"at\":\"2026-01-02\" }";
    let session = post(&gateway, SESSIONCODE, "", "{}".into()).await;
    assert_eq!(
        session.status, 200,
        "a session needs no consent: {session:?}"
    );
    let session = session.json()["result"]["session_id"].clone();
    let body = verify_body(session.as_str().unwrap(), &video(0));
    for without in [
        "",
        ",\"consent\":null",
        ",\"consent\":false",
        ",\"consents\":true",
    ] {
        let refused = post(&gateway, VERIFY, without, body.clone()).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code().as_str()),
            (403, "insufficient_scope"),
            "{without}"
        );
        assert!(
            refused.json()["detail"]
                .as_str()
                .unwrap()
                .contains("`consent`")
        );
        let challenge = refused.header("www-authenticate");
        assert_eq!(challenge, "Bearer error=\"insufficient_scope\"");
    }
    let passed = post(&gateway, VERIFY, consent, body).await;
    assert_eq!(passed.status, 200, "{passed:?}");
    let metrics = gateway.metrics().await;
    assert!(
        metrics.contains("reason=\"missing_consent\"} 4\n"),
        "{metrics}"
    );
    stopped(gateway).await;
    assert_eq!(log.events(), ["start", "verify", "stop"]);
    assert_eq!(
        log.records()[1]["consent"],
        json!({"version": 1.5, "at": "2026-01-02"})
    );
    assert!(
        log.text()
            .contains("\"consent\":{\"version\":1.50,\"at\":\"2026-01-02\"}")
    );
    log.check().unwrap();
}
