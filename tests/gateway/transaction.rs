//! A verdict is tied to one transaction: by the nonce of the request, and by the claims of the
//! user's token that it repeats. Neither goes to Qiniu or into the log.

use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use crate::support::{
    Answer, Gateway, ISSUER, SECRET, SESSIONCODE, VERDICT, VERIFY, bearer, claims, form,
    refusal::{refused, told},
    routes,
    sealed::{self, fresh},
    upstream::{self, Does, Upstream, answer},
    verify_body, video,
};

const PASS: &str = r#"{"error_code":0,"error_msg":"SUCCESS","serverlogid":1730042187,"result":{"score":0.96,"action_verify":"pass","thresholds":{"frr_1e-4":0.05,"frr_1e-3":0.3,"frr_1e-2":0.9}}}"#;
const NONCE: &str = "MARKER-of_a.nonce~0123456789";
const OTHER: &str = "MARKER-of_a.nonce~0123456780";

/// How a nonce comes with a video.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Member,
    EscapedMember,
    HeaderOfJson,
    HeaderOfVideo,
    MemberAndHeader,
    Part,
    HeaderOfForm,
}

const WAYS: [Way; 7] = [
    Way::Member,
    Way::EscapedMember,
    Way::HeaderOfJson,
    Way::HeaderOfVideo,
    Way::MemberAndHeader,
    Way::Part,
    Way::HeaderOfForm,
];

/// A gateway with these sections, whose seal key the tests know, and its Qiniu.
async fn gateway(more: &str) -> (Upstream, Gateway) {
    let qiniu = upstream::start(Does::AnswerAndStay(answer("200 OK", PASS))).await;
    let sections = format!("{}{more}{}", sealed::SETTINGS, routes());
    let gateway = Gateway::start(qiniu.address, "", &sections).await;
    (qiniu, gateway)
}

/// A body with this member at its end.
fn with_member(session: &str, member: &str) -> String {
    verify_body(session, &video(0)).replace('}', &format!(",{member}}}"))
}

async fn json(gateway: &Gateway, http2: bool, fields: &[&str], body: String) -> Answer {
    send(gateway, http2, "application/json", fields, body.into()).await
}

async fn send(
    gateway: &Gateway,
    http2: bool,
    media: &str,
    nonces: &[&str],
    body: Vec<u8>,
) -> Answer {
    let mut request = gateway
        .request(http2, "POST", VERIFY)
        .header("authorization", bearer("user-1"))
        .header("content-type", media);
    for nonce in nonces {
        request = request.header("liveness-nonce", *nonce);
    }
    gateway.send(http2, request, body).await
}

async fn video_with(gateway: &Gateway, http2: bool, session: &str, nonces: &[&str]) -> Answer {
    let mut request = gateway
        .request(http2, "POST", VERIFY)
        .header("authorization", bearer("user-1"))
        .header("content-type", "video/mp4")
        .header("liveness-session", session);
    for nonce in nonces {
        request = request.header("liveness-nonce", *nonce);
    }
    gateway.send(http2, request, video(0)).await
}

/// Sends the same video with this nonce, in one of the ways.
async fn sent(gateway: &Gateway, http2: bool, way: Way, session: &str, nonce: &str) -> Answer {
    let member = format!("\"nonce\":\"{nonce}\"");
    match way {
        Way::Member => json(gateway, http2, &[], with_member(session, &member)).await,
        Way::EscapedMember => {
            let member = member.replacen("nonce", "n\\u006fnce", 1);
            let member = member.replace("MARKER", "\\u004dARKER");
            let body = with_member(session, &member);
            // The first member, too.
            let body = body.replace(&format!(",{member}}}"), "}");
            let body = body.replacen('{', &format!("{{ {member} , "), 1);
            json(gateway, http2, &[], body).await
        }
        Way::HeaderOfJson => json(gateway, http2, &[nonce], verify_body(session, &video(0))).await,
        Way::HeaderOfVideo => video_with(gateway, http2, session, &[nonce]).await,
        Way::MemberAndHeader => json(gateway, http2, &[nonce], with_member(session, &member)).await,
        Way::Part => {
            let parts = [
                ("session_id", session.as_bytes()),
                ("nonce", nonce.as_bytes()),
                ("video", &video(0)),
            ];
            send(gateway, http2, form::MEDIA, &[], form::form(&parts)).await
        }
        Way::HeaderOfForm => {
            let body = form::upload(session, &video(0));
            send(gateway, http2, form::MEDIA, &[nonce], body).await
        }
    }
}

fn verdict(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["verdict"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_nonce_stands_in_the_verdict_and_goes_nowhere_else() {
    let (qiniu, gateway) = gateway(VERDICT).await;
    for http2 in [false, true] {
        for way in WAYS {
            let session = fresh(qiniu.address, &format!("{way:?}{http2}"));
            let answer = sent(&gateway, http2, way, &session, NONCE).await;
            let claims = claims(&gateway, &verdict(&answer)).await;
            assert_eq!(claims["nonce"], NONCE, "{way:?}");
            assert_eq!(claims["liveness"]["passed"], true);
            assert!(claims["liveness"].get("nonce").is_none());
            // Qiniu gets what it would get without a nonce.
            let body = String::from_utf8(qiniu.last_body()).unwrap();
            let plain = verify_body(&format!("{way:?}{http2}"), &video(0));
            assert_eq!(body.replace(' ', ""), plain, "{way:?}");
        }
    }
    let session = fresh(qiniu.address, "none");
    let answer = json(&gateway, false, &[], verify_body(&session, &video(0))).await;
    let claims = claims(&gateway, &verdict(&answer)).await;
    assert!(claims.get("nonce").is_none() && claims.get("token_claims").is_none());
    assert!(!gateway.log().contains("MARKER"));
    assert!(!gateway.metrics().await.contains("MARKER"));
}

#[tokio::test]
async fn the_same_video_and_nonce_are_a_retry_in_any_form_and_another_nonce_is_not() {
    for (number, section) in [VERDICT, ""].into_iter().enumerate() {
        let (qiniu, gateway) = gateway(section).await;
        let session = fresh(qiniu.address, "S1");
        let first = sent(&gateway, false, WAYS[number], &session, NONCE).await;
        assert_eq!(first.status, 200, "{first:?}");
        for way in WAYS {
            let again = sent(&gateway, true, way, &session, NONCE).await;
            assert_eq!(again.body, first.body, "{way:?}");
            let other = sent(&gateway, false, way, &session, OTHER).await;
            told(&other, 409, "session_used");
        }
        let none = json(&gateway, false, &[], verify_body(&session, &video(0))).await;
        told(&none, 409, "session_used");
        told(
            &video_with(&gateway, false, &session, &[]).await,
            409,
            "session_used",
        );
        assert_eq!(qiniu.requests(), 1);
        if section.is_empty() {
            assert_eq!(first.body, PASS);
        }
    }
}

#[tokio::test]
async fn a_malformed_or_ambiguous_nonce_is_refused() {
    let (qiniu, gateway) = gateway(VERDICT).await;
    let session = fresh(qiniu.address, "S1");
    let long = format!("\"{}\"", "n".repeat(129));
    let huge = format!("\"{}\"", "n".repeat(5000));
    let plain = verify_body(&session, &video(0));
    for http2 in [false, true] {
        for value in [
            "\"\"",
            "\"fifteen-letters\"",
            &long,
            &huge,
            "\"0123456789abcde+\"",
            "\"0123456789abcde \"",
            "\"0123456789abcde\\u0000\"",
            "\"0123456789abcd\\u00e9\"",
            "null",
            "true",
            "1234567890123456",
            "[\"0123456789abcdef\"]",
            "{\"nonce\":\"0123456789abcdef\"}",
        ] {
            let body = with_member(&session, &format!("\"nonce\":{value}"));
            let answer = json(&gateway, http2, &[], body).await;
            refused(&answer, 400, "malformed_request");
            assert!(answer.json()["detail"].to_string().contains("`nonce` must"));
        }
        for fields in [
            &[""][..],
            &["fifteen-letters"],
            &[long.trim_matches('"')],
            &["0123456789abcde+"],
            &["0123456789abcdef, 0123456789abcdef"],
            &[NONCE, OTHER],
            &[NONCE, NONCE],
        ] {
            for answer in [
                json(&gateway, http2, fields, plain.clone()).await,
                video_with(&gateway, http2, &session, fields).await,
            ] {
                refused(&answer, 400, "malformed_request");
                let detail = answer.json()["detail"].to_string();
                assert!(detail.contains("Liveness-Nonce"), "{detail}");
            }
        }
        // Given twice and differing.
        let member = with_member(&session, &format!("\"nonce\":\"{NONCE}\""));
        let answer = json(&gateway, http2, &[OTHER], member).await;
        refused(&answer, 400, "malformed_request");
        let twice = format!("\"nonce\":\"{NONCE}\",\"n\\u006fnce\":\"{NONCE}\"");
        let answer = json(&gateway, http2, &[], with_member(&session, &twice)).await;
        refused(&answer, 400, "malformed_request");
    }
    assert_eq!(qiniu.requests(), 0);
    assert!(!gateway.log().contains("MARKER"));
    // None of these used the session up.
    let good = sent(&gateway, false, Way::Member, &session, NONCE).await;
    assert_eq!(good.status, 200);
}

#[tokio::test]
async fn only_a_verify_route_has_a_nonce() {
    let plain = "[[routes]]\npath = \"/p\"\nkind = \"plain\"\n";
    let (qiniu, gateway) = gateway(plain).await;
    for (path, body) in [
        (SESSIONCODE, "{}"),
        ("/p", r#"{"nonce":"of another protocol"}"#),
    ] {
        let request = gateway
            .request(false, "POST", path)
            .header("authorization", bearer("user-1"))
            .header("content-type", "application/json")
            .header("liveness-nonce", "not of ours");
        gateway.send(false, request, body).await;
        assert_eq!(qiniu.last_body(), body.as_bytes(), "{path}");
    }
}

/// A token with exactly this text as its claims, besides the required ones.
fn token(more: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let claims = format!(
        r#"{{"iss":"{ISSUER}","aud":"liveness","sub":"user-1","exp":{}{more}}}"#,
        now.as_secs() + 600
    );
    let encode = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
    let signed = format!("{}.{}", encode(r#"{"alg":"HS256"}"#), encode(&claims));
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::HS256);
    format!("{signed}.{}", signature.unwrap())
}

async fn verified(gateway: &Gateway, session: &str, token: &str) -> Answer {
    let request = gateway
        .request(false, "POST", VERIFY)
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json");
    let body = verify_body(session, &video(0));
    gateway.send(false, request, body).await
}

/// The payload of a verdict, as text.
fn payload(verdict: &str) -> String {
    let payload = verdict.split('.').nth(1).unwrap();
    let payload = BASE64URL_NOPAD.decode(payload.as_bytes()).unwrap();
    String::from_utf8(payload).unwrap()
}

#[tokio::test]
async fn the_listed_claims_of_the_token_are_repeated_as_they_are() {
    let section = format!("{VERDICT}copy_claims = [\"txn\", \"acr\"]\n");
    let (qiniu, gateway) = gateway(&section).await;
    for (number, (more, wanted)) in [
        ("", None),
        (r#","txn_":1,"sid":"s""#, None),
        (r#","txn":"MARKER 1""#, Some(r#"{"txn":"MARKER 1"}"#)),
        (
            r#","txn":{"amount": 12.50,"to":["\u0041"]},"acr":null"#,
            Some(r#"{"acr":null,"txn":{"amount": 12.50,"to":["\u0041"]}}"#),
        ),
        (
            r#","t\u0078n":123456789012345678901234567890"#,
            Some(r#"{"txn":123456789012345678901234567890}"#),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let session = fresh(qiniu.address, &format!("S{number}"));
        let answer = verified(&gateway, &session, &token(more)).await;
        let verdict = verdict(&answer);
        let wanted = wanted.map_or("}}".to_owned(), |claims| {
            format!("}},\"token_claims\":{claims}}}")
        });
        let payload = payload(&verdict);
        assert!(payload.ends_with(&wanted), "{payload}");
        claims(&gateway, &verdict).await;
    }
    assert!(!gateway.log().contains("MARKER"));
}

#[tokio::test]
async fn claims_over_a_kibibyte_are_refused_before_anything_is_billed() {
    let long = token(&format!(r#","txn":"{}""#, "x".repeat(1024)));
    let session = |qiniu: &Upstream| fresh(qiniu.address, "S1");
    let (qiniu, copying) = gateway(&format!("{VERDICT}copy_claims = \"txn\"\n")).await;
    let answer = verified(&copying, &session(&qiniu), &long).await;
    refused(&answer, 401, "invalid_token");
    assert_eq!(qiniu.requests(), 0);
    let (qiniu, other) = gateway(VERDICT).await;
    let answer = verified(&other, &session(&qiniu), &long).await;
    let claims = claims(&other, &verdict(&answer)).await;
    assert!(claims.get("token_claims").is_none(), "{claims}");
}

#[tokio::test]
async fn a_retry_with_a_new_token_gets_the_first_verdict() {
    let (qiniu, gateway) = gateway(&format!("{VERDICT}copy_claims = \"txn\"\n")).await;
    let session = fresh(qiniu.address, "S1");
    let first = verified(&gateway, &session, &token(r#","txn":"one""#)).await;
    let again = verified(&gateway, &session, &token(r#","txn":"two""#)).await;
    assert_eq!(first.body, again.body);
    let claims: Value = serde_json::from_str(&payload(&verdict(&again))).unwrap();
    assert_eq!(claims["token_claims"], json!({"txn": "one"}));
    assert_eq!(qiniu.requests(), 1);
}
