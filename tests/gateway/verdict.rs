//! Verdicts: what a frontend carries to its backend says what Qiniu said, about this user, and
//! nothing better.

use crate::support::{
    Answer, Gateway, ISSUER, SESSIONCODE, UNBOUND, VERDICT, VERIFY, bearer, claims, emulator, form,
    routes, session,
    upstream::{self, Does},
    verify_body, video,
};
use bytes::Bytes;
use liveness_gateway::emulator::Scenario;
use serde_json::{Value, json};

const KEY_SET: &str = "/.well-known/jwks.json";

/// The response to one good video of this user.
async fn verified(gateway: &Gateway, user: &str, more: &str) -> Answer {
    let start = gateway
        .request(false, "POST", SESSIONCODE)
        .header("authorization", bearer(user))
        .header("content-type", "application/json");
    let answer = gateway.send(false, start, "{}").await;
    let session = answer.json()["result"]["session_id"].clone();
    let mut body: Value =
        serde_json::from_str(&verify_body(session.as_str().unwrap(), &video(0))).unwrap();
    if !more.is_empty() {
        body["face_field"] = json!(more);
    }
    let request = gateway
        .request(false, "POST", VERIFY)
        .header("authorization", bearer(user))
        .header("content-type", "application/json");
    gateway.send(false, request, body.to_string()).await
}

fn verdict(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["verdict"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer:?}"))
        .to_owned()
}

/// A gateway in front of an upstream that answers every `verify` like this.
async fn before(answer: &str, more: &str) -> Gateway {
    let upstream = upstream::start(Does::Answer(upstream::answer("200 OK", answer))).await;
    let routes = routes().replacen(
        "kind = \"verify\"",
        &format!("kind = \"verify\"\n{more}"),
        1,
    );
    Gateway::start(upstream.address, "", &format!("{VERDICT}{UNBOUND}{routes}")).await
}

async fn verify(gateway: &Gateway) -> Answer {
    gateway
        .post(false, VERIFY, verify_body("S1", &video(0)))
        .await
}

#[tokio::test]
async fn a_live_person_gets_a_passing_verdict() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = Gateway::start(qiniu, "", &format!("{VERDICT}{}", routes())).await;
    let answer = verified(&gateway, "user-1", "").await;
    let verdict = verdict(&answer);
    let claims = claims(&gateway, &verdict).await;
    assert_eq!(
        (&claims["sub"], &claims["sub_iss"]),
        (&json!("user-1"), &json!(ISSUER))
    );
    assert_eq!(
        claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(),
        300
    );
    let answer = answer.json();
    assert_eq!(
        claims["liveness"],
        json!({"passed": true, "action_verify": "pass", "score": 0.9713, "threshold": "frr_1e-3", "threshold_value": 0.3,
            "maxspoofing": null, "serverlogid": answer["serverlogid"].to_string()})
    );
    // Evidence is not configured, so no picture is anywhere.
    assert!(!answer.to_string().contains("/9j/"));
    let metrics = gateway.metrics().await;
    assert!(
        metrics.contains("liveness_gateway_verdicts_total{passed=\"true\"} 1\n"),
        "{metrics}"
    );
}

#[tokio::test]
async fn each_user_has_verdicts_of_their_own() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = Gateway::start(qiniu, "", &format!("{VERDICT}{}", routes())).await;
    let mut names = std::collections::HashSet::new();
    for user in ["user-1", "user-2", "user-1"] {
        let answer = verified(&gateway, user, "").await;
        let claims = claims(&gateway, &verdict(&answer)).await;
        assert_eq!(claims["sub"], user);
        names.insert(claims["jti"].to_string());
    }
    assert_eq!(names.len(), 3);
}

#[tokio::test]
async fn failing_verdicts_are_signed_too() {
    for scenario in [
        Scenario::ActionFail,
        Scenario::LowScore,
        Scenario::Error(216_501),
    ] {
        let (qiniu, _) = emulator(scenario).await;
        let gateway = Gateway::start(qiniu, "", &format!("{VERDICT}{}", routes())).await;
        let answer = verified(&gateway, "user-1", "").await;
        let claims = claims(&gateway, &verdict(&answer)).await;
        assert_eq!(claims["liveness"]["passed"], false, "{scenario}");
        let metrics = gateway.metrics().await;
        assert!(metrics.contains("liveness_gateway_verdicts_total{passed=\"false\"} 1\n"));
    }
}

#[tokio::test]
async fn a_spoofing_limit_requires_the_score_and_applies_to_it() {
    for (scenario, face_field, passed) in [
        (Scenario::Pass, "spoofing", true),
        (Scenario::Pass, "quality", false),
        (Scenario::Pass, "", false),
        (Scenario::Spoof, "spoofing", false),
    ] {
        let (qiniu, _) = emulator(scenario).await;
        let sections = format!("{VERDICT}max_spoofing = 0.5\n{}", routes());
        let gateway = Gateway::start(qiniu, "", &sections).await;
        let answer = verified(&gateway, "user-1", face_field).await;
        let claims = claims(&gateway, &verdict(&answer)).await;
        assert_eq!(
            claims["liveness"]["passed"], passed,
            "{scenario} {face_field}"
        );
    }
}

const GOOD: &str = r#"{"error_code":0,"error_msg":"SUCCESS","serverlogid":18446744073709551617,"result":{"score":0.9600000000000001,"action_verify":"pass","thresholds":{"frr_1e-4":0.05,"frr_1e-3":0.30,"frr_1e-2":0.9},"best_image":{"liveness_score":1}}}"#;

#[tokio::test]
async fn the_response_keeps_its_bytes_and_numbers_are_copied_as_written() {
    let theirs = GOOD.replacen('{', r#"{"verdict":"theirs","#, 1);
    for answer in [
        GOOD.to_owned(),
        format!("{GOOD} \r\n"),
        theirs,
        GOOD.replacen("\"error_msg\"", "\"v\\u0065rdict\":{},\"error_msg\"", 1),
    ] {
        let gateway = before(&answer, "").await;
        let answered = verify(&gateway).await;
        let verdict = verdict(&answered);
        let text = String::from_utf8(answered.body.to_vec()).unwrap();
        let without = text.replace(&format!(",\"verdict\":\"{verdict}\""), "");
        assert_eq!(without.trim_end(), GOOD);
        let payload = verdict.split('.').nth(1).unwrap();
        let payload = data_encoding::BASE64URL_NOPAD
            .decode(payload.as_bytes())
            .unwrap();
        let payload = String::from_utf8(payload).unwrap();
        assert!(
            payload.contains(
                r#""score":0.9600000000000001,"threshold":"frr_1e-3","threshold_value":0.30,"maxspoofing":null,"serverlogid":"18446744073709551617""#
            ),
            "{payload}"
        );
        assert_eq!(claims(&gateway, &verdict).await["liveness"]["passed"], true);
    }
}

#[tokio::test]
async fn an_incomplete_response_is_a_signed_failure() {
    for (part, instead) in [
        (r#""score":0.9600000000000001,"#, ""),
        (r#""score":0.9600000000000001"#, r#""score":"0.96""#),
        (r#""score":0.9600000000000001"#, r#""score":1.5"#),
        (r#""score":0.9600000000000001"#, r#""score":0.30"#),
        (r#""action_verify":"pass","#, ""),
        (r#""action_verify":"pass""#, r#""action_verify":"Pass""#),
        (r#""frr_1e-3":0.30,"#, ""),
        (r#""frr_1e-3":0.30"#, r#""frr_1e-3":null"#),
        (r#""result":{"#, r#""other":{"#),
        (r#""error_code":0"#, r#""error_code":-0"#),
    ] {
        let answer = GOOD.replacen(part, instead, 1);
        assert_ne!(answer, GOOD);
        let gateway = before(&answer, "").await;
        let verdict = verdict(&verify(&gateway).await);
        let claims = claims(&gateway, &verdict).await;
        assert_eq!(claims["liveness"]["passed"], false, "{instead}");
    }
}

#[tokio::test]
async fn an_invalid_response_has_no_verdict() {
    for answer in [
        GOOD.replacen("\"score\"", "\"score\":0.1,\"score\"", 1),
        GOOD.replacen("\"score\"", "\"sc\\u006fre\":0.1,\"score\"", 1),
        GOOD.replacen("\"frr_1e-3\"", "\"frr_1e-3\":0.9,\"frr_1e-3\"", 1),
        GOOD.replacen("\"result\"", "\"result\":{},\"result\"", 1),
        GOOD.replacen("\"error_code\":0", "\"error_code\":\"0\"", 1),
        GOOD.replacen("\"error_code\":0,", "", 1),
        format!("[{GOOD}]"),
        GOOD[..GOOD.len() - 1].to_owned(),
    ] {
        let gateway = before(&answer, "").await;
        let answered = verify(&gateway).await;
        assert_eq!(
            (answered.status.as_u16(), answered.code().as_str()),
            (502, "upstream_invalid_response"),
            "{answer}"
        );
        assert!(answered.json().get("verdict").is_none());
        let metrics = gateway.metrics().await;
        for passed in ["true", "false"] {
            let none = format!("verdicts_total{{passed=\"{passed}\"}} 0\n");
            assert!(metrics.contains(&none), "{metrics}");
        }
    }
}

#[tokio::test]
async fn hidden_scores_appear_nowhere() {
    let gateway = before(GOOD, "response.scores = \"hidden\"").await;
    let answered = verify(&gateway).await;
    let verdict = verdict(&answered);
    assert_eq!(
        answered.json(),
        json!({"error_code": 0, "error_msg": "SUCCESS", "serverlogid": 18446744073709551617_u128 as f64,
            "result": {"action_verify": "pass"}, "verdict": verdict})
    );
    assert_eq!(
        claims(&gateway, &verdict).await["liveness"],
        json!({"passed": true, "action_verify": "pass", "threshold": "frr_1e-3", "serverlogid": "18446744073709551617"})
    );
}

#[tokio::test]
async fn only_a_verify_has_a_verdict() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = Gateway::start(qiniu, "", &format!("{VERDICT}{}", routes())).await;
    session(&gateway).await;
    let answer = gateway.post(false, SESSIONCODE, "{}").await;
    assert!(answer.json().get("verdict").is_none(), "{answer:?}");
    let off = Gateway::plain(qiniu).await;
    let answer = verified(&off, "user-1", "").await;
    assert!(answer.json().get("verdict").is_none(), "{answer:?}");
}

#[tokio::test]
async fn the_key_set_is_public_and_read_only() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = Gateway::start(qiniu, "", &format!("{VERDICT}{}", routes())).await;
    for http2 in [false, true] {
        let get = gateway.request(http2, "GET", KEY_SET);
        let answer = gateway.send(http2, get, Bytes::new()).await;
        assert_eq!(answer.status, 200);
        for (name, value) in [
            ("content-type", "application/json"),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(answer.header(name), value);
        }
        let keys = answer.json();
        assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
        assert!(keys["keys"][0].get("d").is_none());
    }
    for method in ["POST", "PUT", "DELETE"] {
        let answer = gateway
            .send(false, gateway.request(false, method, KEY_SET), Bytes::new())
            .await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("allow")),
            (405, "GET, OPTIONS"),
            "{method}"
        );
    }
    for (path, status) in [
        (format!("{KEY_SET}?"), 400),
        (format!("{KEY_SET}?a=1"), 400),
        (format!("{KEY_SET}/"), 404),
        ("/.well-known/JWKS.json".to_owned(), 404),
    ] {
        let get = gateway.request(false, "GET", &path);
        let answer = gateway.send(false, get, Bytes::new()).await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
    }
    let record = gateway.record(KEY_SET).await;
    assert_eq!(
        (&record["route"], &record["code"]),
        (&json!(KEY_SET), &json!("ok"))
    );
    let off = Gateway::plain(qiniu).await;
    let get = off.request(false, "GET", KEY_SET);
    assert_eq!(off.send(false, get, Bytes::new()).await.status, 404);
}

#[tokio::test]
async fn the_video_s_digest_is_of_what_was_sent_in_any_form() {
    use sha2::{Digest, Sha256};
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let sections = format!("{VERDICT}video_digest = true\n{}", routes());
    let gateway = Gateway::start(qiniu, "", &sections).await;
    let file = video(200_000);
    let wanted = data_encoding::HEXLOWER.encode(&Sha256::digest(&file));
    let authorized = |http2| {
        gateway
            .request(http2, "POST", VERIFY)
            .header("authorization", bearer("user-1"))
    };
    for http2 in [false, true] {
        let plain = verify_body(&session(&gateway).await, &file);
        let escaped = verify_body(&session(&gateway).await, &file).replace('/', "\\/");
        let in_form = form::upload(&session(&gateway).await, &file);
        for (media, body) in [
            ("application/json", plain.into()),
            ("application/json", escaped.into()),
            (form::MEDIA, in_form),
        ] {
            let request = authorized(http2).header("content-type", media);
            let answer = gateway.send(http2, request, body).await;
            let claims = claims(&gateway, &verdict(&answer)).await;
            assert_eq!(claims["liveness"]["video_sha256"], wanted);
        }
        let request = authorized(http2)
            .header("content-type", "video/mp4")
            .header("liveness-session", session(&gateway).await);
        let answer = gateway.send(http2, request, file.clone()).await;
        let claims = claims(&gateway, &verdict(&answer)).await;
        assert_eq!(claims["liveness"]["video_sha256"], wanted);
    }
}
