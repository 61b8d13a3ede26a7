//! The content of a verdict, its signature, its place in the response, and the published keys.

use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use serde_json::{Value, json};

use super::*;
use crate::{
    json::sink::CapturedValue,
    qiniu::scores::LivenessScores,
    secret::Secret,
    verdict::{
        judge::{ScoreThreshold, judge},
        key::{
            VerdictPublicKey, VerdictSigningKey,
            tests::{PRIVATE, PUBLIC},
        },
    },
};

const OTHER: &str = "-----BEGIN PUBLIC KEY-----\n\
    MCowBQYDK2VwAyEAPUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=\n\
    -----END PUBLIC KEY-----\n";
const ID: &str = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";

fn verdicts() -> VerdictSigner {
    let public = |pem: &str| VerdictPublicKey::from_pem(pem.as_bytes()).unwrap();
    VerdictSigner::new(VerdictSettings {
        keys: VerdictKeys {
            signing_key: VerdictSigningKey::from_pem(&Secret::new(PRIVATE)).unwrap(),
            previous_keys: vec![public(OTHER), public(PUBLIC), public(OTHER)],
        },
        issuer: "https://gateway.example.com".into(),
        audience: "backend".into(),
        lifetime: Duration::from_secs(300),
        rule: PassRule {
            threshold: ScoreThreshold::Frr1e3,
            max_spoofing: 1.0,
        },
        video_digest: false,
        copy_claims: Vec::new(),
    })
}

fn judgement() -> Judgement {
    let number = |text: &str| CapturedValue::Number(text.into());
    let scores = LivenessScores {
        error_code: number("0"),
        serverlogid: number("587756642"),
        action_verify: CapturedValue::String("pass".into()),
        score: number("0.9600000000000001"),
        threshold: number("3e-1"),
        maxspoofing: CapturedValue::Absent,
    };
    judge(&scores, verdicts().rule())
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(4_000_000_000_900)
}

/// The header and the claims as text. Another implementation verifies the signature with the
/// published key.
fn opened(token: &str, verdicts: &VerdictSigner) -> (String, String) {
    let set: JwkSet = serde_json::from_slice(&verdicts.published().load()).unwrap();
    let kid = jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
    let key = DecodingKey::from_jwk(set.find(&kid).unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&["backend"]);
    validation.set_issuer(&["https://gateway.example.com"]);
    jsonwebtoken::decode::<Value>(token, &key, &validation).unwrap();
    let mut parts = token
        .split('.')
        .map(|part| BASE64URL_NOPAD.decode(part.as_bytes()).unwrap());
    let mut text = || String::from_utf8(parts.next().unwrap()).unwrap();
    (text(), text())
}

fn input<'a>(id: &'a VerdictId, judgement: &'a Judgement) -> VerdictInput<'a> {
    VerdictInput {
        id,
        user: "u\"ser",
        issuer: "https://login.example.com/",
        judgement,
        scores_hidden: false,
        video_sha256: None,
        delivered: None,
        nonce: None,
        token_claims: None,
    }
}

#[test]
fn a_verdict_has_exactly_these_claims() {
    let (verdicts, judgement, id) = (verdicts(), judgement(), VerdictId("ab".into()));
    let token = verdicts.sign(&input(&id, &judgement), now()).unwrap();
    let (header, claims) = opened(&token, &verdicts);
    assert_eq!(
        header,
        format!(r#"{{"typ":"liveness-verdict+jwt","alg":"EdDSA","kid":"{ID}"}}"#)
    );
    assert_eq!(
        claims,
        concat!(
            r#"{"iss":"https://gateway.example.com","aud":"backend","sub":"u\"ser","#,
            r#""sub_iss":"https://login.example.com/","#,
            r#""iat":4000000000,"exp":4000000300,"jti":"ab","#,
            r#""liveness":{"passed":true,"action_verify":"pass","#,
            r#""score":0.9600000000000001,"threshold":"frr_1e-3","threshold_value":3e-1,"#,
            r#""maxspoofing":null,"#,
            r#""serverlogid":"587756642"}}"#
        )
    );
}

#[test]
fn hidden_scores_are_left_out_and_enabled_members_are_present() {
    let (verdicts, judgement, id) = (verdicts(), judgement(), VerdictId::random().unwrap());
    let token = verdicts
        .sign(
            &VerdictInput {
                scores_hidden: true,
                video_sha256: Some([0xab; 32]),
                delivered: Some(false),
                ..input(&id, &judgement)
            },
            now(),
        )
        .unwrap();
    let (_, claims) = opened(&token, &verdicts);
    let claims: Value = serde_json::from_str(&claims).unwrap();
    assert_eq!(
        claims["liveness"],
        json!({"passed": true, "action_verify": "pass", "threshold": "frr_1e-3",
            "serverlogid": "587756642",
            "video_sha256": "ab".repeat(32), "evidence": "undelivered"})
    );
}

#[test]
fn a_nonce_and_claims_of_the_token_follow_the_result() {
    let (verdicts, judgement, id) = (verdicts(), judgement(), VerdictId("ab".into()));
    let token_claims = RawValue::from_string(r#"{"txn": 1.50e2}"#.into()).unwrap();
    let token = verdicts
        .sign(
            &VerdictInput {
                nonce: Some("0123456789._~-ab"),
                token_claims: Some(&token_claims),
                ..input(&id, &judgement)
            },
            now(),
        )
        .unwrap();
    let (_, claims) = opened(&token, &verdicts);
    let end =
        r#""serverlogid":"587756642"},"nonce":"0123456789._~-ab","token_claims":{"txn": 1.50e2}}"#;
    assert!(claims.ends_with(end), "{claims}");
}

#[test]
fn failed_verifications_are_signed_too() {
    let (verdicts, id) = (verdicts(), VerdictId::random().unwrap());
    let judgement = judge(&LivenessScores::default(), verdicts.rule());
    let token = verdicts.sign(&input(&id, &judgement), now()).unwrap();
    let (_, claims) = opened(&token, &verdicts);
    let claims: Value = serde_json::from_str(&claims).unwrap();
    assert_eq!(
        claims["liveness"],
        json!({"passed": false, "action_verify": null, "score": null, "threshold": "frr_1e-3",
            "threshold_value": null, "maxspoofing": null, "serverlogid": null})
    );
}

#[test]
fn every_verdict_has_its_own_id() {
    let (one, two) = (VerdictId::random().unwrap(), VerdictId::random().unwrap());
    assert_ne!(one, two);
    assert!(one.as_str().len() == 32 && one.as_str().bytes().all(|byte| byte.is_ascii_hexdigit()));
}

#[test]
fn every_key_is_published_once_without_its_private_part() {
    let set: Value = serde_json::from_slice(&verdicts().published().load()).unwrap();
    let keys = set["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 2, "{set}");
    assert_eq!(
        keys[0],
        json!({"kty": "OKP", "crv": "Ed25519", "kid": ID,
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            "alg": "EdDSA", "use": "sig"})
    );
}

#[test]
fn a_replaced_key_stays_published_for_the_lifetime_and_an_hour() {
    let pem = |seed: u8| {
        let key = [
            &[
                0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
            ][..],
            &[seed; 32],
        ]
        .concat();
        let text = data_encoding::BASE64.encode(&key);
        Secret::new(format!(
            "-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n"
        ))
    };
    let keys = |seed, listed: &[&str]| VerdictKeys {
        signing_key: VerdictSigningKey::from_pem(&pem(seed)).unwrap(),
        previous_keys: listed
            .iter()
            .map(|pem| VerdictPublicKey::from_pem(pem.as_bytes()).unwrap())
            .collect(),
    };
    let verdicts = verdicts();
    let ids = || -> Vec<String> {
        let set: JwkSet = serde_json::from_slice(&verdicts.published().load()).unwrap();
        set.keys
            .iter()
            .map(|key| key.common.key_id.clone().unwrap())
            .collect()
    };
    let id = |seed| {
        VerdictSigningKey::from_pem(&pem(seed))
            .unwrap()
            .public()
            .id()
            .to_owned()
    };
    let start = Instant::now();
    let (judgement, name) = (judgement(), VerdictId::random().unwrap());
    let old = verdicts.sign(&input(&name, &judgement), now()).unwrap();

    // The listed key that never signed here is removed with its file; the one that signed stays.
    verdicts.change_keys(keys(1, &[]), start);
    assert_eq!(ids(), [id(1), ID.to_owned()]);
    opened(&old, &verdicts);
    let new = verdicts.sign(&input(&name, &judgement), now()).unwrap();
    let header = jsonwebtoken::decode_header(&new).unwrap();
    assert_eq!(header.kid, Some(id(1)));
    opened(&new, &verdicts);

    verdicts.change_keys(keys(2, &[]), start + Duration::from_secs(60));
    verdicts.change_keys(keys(1, &[]), start + Duration::from_secs(120));
    assert_eq!(ids(), [id(1), ID.to_owned(), id(2)]);
    verdicts.retire_keys(start + Duration::from_secs(3899));
    assert_eq!(ids(), [id(1), ID.to_owned(), id(2)]);
    verdicts.retire_keys(start + Duration::from_secs(3900));
    assert_eq!(ids(), [id(1), id(2)]);
    verdicts.retire_keys(start + Duration::from_secs(4019));
    assert_eq!(ids(), [id(1), id(2)]);
    verdicts.retire_keys(start + Duration::from_secs(1_000_000));
    assert_eq!(ids(), [id(1)]);
}

#[test]
fn inserting_a_verdict_changes_no_other_byte() {
    for (answer, wanted) in [
        (
            r#"{"score":0.9600000000000001}"#,
            r#"{"score":0.9600000000000001,"verdict":"a.b-_.c"}"#,
        ),
        ("{}", r#"{"verdict":"a.b-_.c"}"#),
        (" { \r\n } \n", " { \r\n \"verdict\":\"a.b-_.c\"} \n"),
        (
            "{\n \"a\" : {\"}\":{}}\n}\n",
            "{\n \"a\" : {\"}\":{}}\n,\"verdict\":\"a.b-_.c\"}\n",
        ),
        (r#"{"a":"\"}{"}"#, r#"{"a":"\"}{","verdict":"a.b-_.c"}"#),
    ] {
        let made = insert_verdict(answer.into(), "a.b-_.c").unwrap();
        assert_eq!(str::from_utf8(&made), Ok(wanted));
        let read: Value = serde_json::from_slice(&made).unwrap();
        assert_eq!(read["verdict"], "a.b-_.c");
    }
}

#[test]
fn a_response_that_is_no_object_gets_no_verdict() {
    for answer in ["", " ", "[]", "1", "}", "null"] {
        let inserted = insert_verdict(answer.into(), "x");
        assert_eq!(inserted, Err(VerdictSigningError::NoObject), "{answer}");
    }
}
