//! The key that signs verdicts and the secret that signs evidence. A verdict can be checked at any
//! time: the key that signed it stays published.

use jsonwebtoken::Algorithm;
use liveness_gateway::{emulator::Scenario, evidence::signature::WebhookSecret, secret::Secret};
use serde_json::Value;

use super::{Folder, gateway, identity, logged, until};
use crate::support::{
    Gateway, VERDICT_KEY, VERIFY,
    backend::{self, Delivery, OK},
    claims, emulator, session, verify_body, video,
};

const KEY_SET: &str = "/.well-known/jwks.json";
const NEW_SECRET: &str = "whsec_bmV3IG5ldyBuZXcgbmV3IG5ldyBuZXcgbmV3";

/// A key of this kind as `keygen verdict` prints it: the private and the public half.
fn pair_of(kind: &'static rcgen::SignatureAlgorithm) -> (String, String) {
    let pair = rcgen::KeyPair::generate_for(kind).unwrap();
    (pair.serialize_pem(), pair.public_key_pem())
}

/// An Ed25519 key.
pub(crate) fn pair() -> (String, String) {
    pair_of(&rcgen::PKCS_ED25519)
}

fn section(keys: &str) -> String {
    format!(
        "{}[verdict]\n{keys}\nissuer = \"https://gateway.example.com\"\naudience = \"backend\"\n",
        identity()
    )
}

/// The verdict on a new session.
async fn verdict(gateway: &Gateway) -> String {
    let id = session(gateway).await;
    let body = verify_body(&id, &video(0));
    let answer = gateway.post(false, VERIFY, body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["verdict"].as_str().unwrap().to_owned()
}

fn signer(verdict: &str) -> String {
    jsonwebtoken::decode_header(verdict).unwrap().kid.unwrap()
}

fn algorithm(verdict: &str) -> Algorithm {
    jsonwebtoken::decode_header(verdict).unwrap().alg
}

async fn published(gateway: &Gateway) -> Vec<String> {
    let request = gateway.request(false, "GET", KEY_SET);
    let set: Value = gateway.send(false, request, "").await.json();
    let keys = set["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_new_key_signs_verdicts_and_the_old_one_stays_published() {
    let old = VERDICT_KEY.to_owned();
    let folder = Folder::with(&[]);
    folder.publish(&[("key.pem", &old)]);
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = gateway(
        qiniu,
        &folder,
        "",
        &section("signing_key = { file = \"key.pem\" }"),
    )
    .await;
    let first = verdict(&gateway).await;
    assert_eq!(published(&gateway).await, [signer(&first)]);

    // From one kind of key to the other, and back.
    let mut verdicts = vec![first];
    for (kind, name) in [
        (&rcgen::PKCS_ECDSA_P256_SHA256, Algorithm::ES256),
        (&rcgen::PKCS_ECDSA_P256_SHA256, Algorithm::ES256),
        (&rcgen::PKCS_ED25519, Algorithm::EdDSA),
    ] {
        folder.publish(&[("key.pem", &pair_of(kind).0)]);
        let mut next = String::new();
        until("a verdict of the new key", async || {
            next = verdict(&gateway).await;
            // Each can be checked with the keys that are published at that moment.
            claims(&gateway, &next).await;
            signer(&next) != signer(verdicts.last().unwrap())
        })
        .await;
        assert_eq!(algorithm(&next), name);
        verdicts.push(next);
    }
    for verdict in &verdicts {
        assert_eq!(claims(&gateway, verdict).await["sub"], "user-1");
    }
    let mut ids: Vec<_> = verdicts.iter().map(|verdict| signer(verdict)).collect();
    ids.rotate_right(1);
    assert_eq!(published(&gateway).await, ids);
}

#[tokio::test]
async fn a_listed_key_is_published_before_it_signs() {
    let ((old, _), (next, next_public)) = (pair(), pair_of(&rcgen::PKCS_ECDSA_P256_SHA256));
    let (_, listed_public) = pair();
    let folder = Folder::with(&[("key.pem", &old), ("other.pem", &listed_public)]);
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let keys = "signing_key = { file = \"key.pem\" }\nprevious_keys = [\"other.pem\"]";
    let gateway = gateway(qiniu, &folder, "", &section(keys)).await;
    let first = verdict(&gateway).await;
    let before = published(&gateway).await;
    folder.rename_over("other.pem", &next_public);
    until("the next key", async || published(&gateway).await != before).await;
    let (still, now) = (verdict(&gateway).await, published(&gateway).await);
    // The key that was listed and never signed is gone with its file.
    assert!(signer(&still) == signer(&first) && now.len() == 2 && !now.contains(&before[1]));
    folder.rename_over("key.pem", &next);
    until("a verdict of the next key", async || {
        signer(&verdict(&gateway).await) == now[1]
    })
    .await;
    assert!(published(&gateway).await.contains(&signer(&first)));
}

fn is_signed_with(secret: &str, delivery: &Delivery) -> bool {
    let secret = WebhookSecret::parse(&Secret::new(secret)).ok().unwrap();
    let timestamp = delivery.field("webhook-timestamp").parse().unwrap();
    let body = [delivery.body.clone().into()];
    secret.sign(delivery.field("webhook-id"), timestamp, &body)
        == delivery.field("webhook-signature")
}

#[tokio::test]
async fn evidence_is_signed_with_the_new_secret() {
    let folder = Folder::with(&[("webhook", backend::SECRET)]);
    let backend = backend::start(OK).await;
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let more = format!(
        "{}[evidence]\nurl = \"http://{}/\"\nsecret = {{ file = \"webhook\" }}\n",
        section("signing_key = { env = \"VERDICT\" }"),
        backend.address
    );
    let gateway = gateway(qiniu, &folder, "", &more).await;
    verdict(&gateway).await;
    assert!(is_signed_with(backend::SECRET, &backend.deliveries()[0]));
    folder.write("webhook", NEW_SECRET);
    until("a delivery under the new secret", async || {
        verdict(&gateway).await;
        let last = backend.deliveries().pop().unwrap();
        let new = is_signed_with(NEW_SECRET, &last);
        assert!(new || is_signed_with(backend::SECRET, &last));
        new
    })
    .await;
    // Only the name of the key is logged; no other test changes this key.
    let lines = logged(&["\"key\":\"evidence.secret\"", "the new content is in use"]).await;
    assert!(
        lines.len() == 1 && lines[0].contains("\"level\":\"info\""),
        "{lines:?}"
    );
}
