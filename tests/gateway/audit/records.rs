//! What a record says, which requests have one, and what is in none.

use std::os::unix::fs::PermissionsExt;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use liveness_gateway::{audit::CheckpointKeys, emulator::Scenario};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Log, PASS, check, stopped, verify};
use crate::support::{
    Gateway, ISSUER, UNBOUND, VERDICT, VERIFY, backend, claims, emulator, raw, routes, session,
    token,
    upstream::{self, Does, answer},
    verify_body, video,
};

fn sha256(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

/// Waits until the metrics count two records, all of them written.
async fn until_counted(gateway: &Gateway) {
    for outcome in ["{outcome=\"written\"} 2", "{outcome=\"failed\"} 0"] {
        let line = format!("audit_records_total{outcome}");
        gateway.until_metrics_have(&line).await;
    }
}

/// Nobody else can read the log, and none of these secrets nor a picture is in it.
fn assert_private(log: &Log, secrets: &[&str]) {
    let mode = log.path().metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = log.text();
    for secret in secrets.iter().chain(&["/9j/", "video_base64", "score"]) {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[tokio::test]
async fn a_call_and_its_retry_are_recorded_and_no_request_that_was_refused() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let log = Log::new();
    let sections = format!("{}{VERDICT}{}", log.section(""), routes());
    let gateway = Gateway::start(qiniu, "", &sections).await;
    let (video, session) = (video(50_000), session(&gateway).await);
    let body = verify_body(&session, &video);
    let nonce = ("liveness-nonce", "MARKER-of-a-nonce-0123");
    let token = token("user-1", None);
    let send = |token: String| {
        let request = gateway
            .request(false, "POST", VERIFY)
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .header(nonce.0, nonce.1);
        gateway.send(false, request, body.clone())
    };
    let first = send(token.clone()).await;
    let again = send(token.clone()).await;
    assert_eq!((first.status.as_u16(), &first.body), (200, &again.body));
    assert_eq!(send("x.y.z".into()).await.status, 401);
    assert_eq!(verify(&gateway).await.code(), "session_rejected");
    log.wait_for(&["start", "verify", "replay"]).await;

    let reqid = gateway.record(first.header("x-request-id")).await["qiniu_reqid"].clone();
    let verdict = first.json()["verdict"].as_str().unwrap().to_owned();
    let claims = claims(&gateway, &verdict).await;
    let keys = gateway.request(false, "GET", "/.well-known/jwks.json");
    let keys = gateway.send(false, keys, Bytes::new()).await;
    until_counted(&gateway).await;
    stopped(gateway).await;

    let records = log.records();
    let start = &records[0];
    assert_eq!(
        (&start["seq"], start["prev"].as_str().unwrap().len()),
        (&json!(0), 64)
    );
    assert_eq!(start["version"], env!("CARGO_PKG_VERSION"));
    let mut expected = json!({
        "event": "verify", "seq": 1, "request_id": first.header("x-request-id"), "route": VERIFY,
        "issuer": ISSUER, "user": "user-1", "code": "ok", "passed": true, "jti": claims["jti"],
        "qiniu_error_code": 0, "qiniu_serverlogid": first.json()["serverlogid"].to_string(),
        "video_sha256": sha256(&video), "response_sha256": sha256(&first.body),
        "qiniu_reqid": reqid,
    });
    assert_eq!(content(&records[1]), expected);
    // Whether it passed is in the response, which has the same hash.
    for name in ["passed", "jti"] {
        expected.as_object_mut().unwrap().remove(name);
    }
    expected["event"] = "replay".into();
    expected["seq"] = 2.into();
    expected["request_id"] = again.header("x-request-id").into();
    assert_eq!(content(&records[2]), expected);

    // The stop is recorded, and proves all records before it.
    assert_eq!(log.events(), ["start", "verify", "replay", "stop"]);
    let keys = CheckpointKeys::parse(&keys.body).unwrap();
    let chains = check(&[&log.path()], Some(keys)).unwrap();
    let summary = chains[0].to_string();
    let whole = "2 signed checkpoints, their signatures are right; records behind the last one: 0";
    assert!(summary.contains(whole), "{summary}");

    let picture = &data_encoding::BASE64.encode(&video)[..40];
    assert_private(&log, &[&session, &token, nonce.1, picture]);
}

/// A record without what differs each time.
fn content(record: &Value) -> Value {
    let mut record = record.clone();
    let members = record.as_object_mut().unwrap();
    for name in ["chain", "time", "prev", "hash"] {
        assert!(members.remove(name).is_some(), "{name}");
    }
    record
}

#[tokio::test]
async fn a_call_is_recorded_however_it_ends() {
    let error = r#"{"error_code":216501,"error_msg":"no face","serverlogid":7}"#;
    let (_kept, nobody) = upstream::not_listening();
    for (does, wanted) in [
        (
            Some(Does::Answer(answer("200 OK", PASS))),
            json!(["ok", true, 0, "1730042187"]),
        ),
        (
            Some(Does::Answer(answer("200 OK", error))),
            json!(["ok", false, 216_501, "7"]),
        ),
        (
            Some(Does::Answer(answer("500 Oops", "{}"))),
            json!(["upstream_error", null, null, null]),
        ),
        (
            Some(Does::Close),
            json!(["upstream_invalid_response", null, null, null]),
        ),
        (None, json!(["upstream_unreachable", null, null, null])),
    ] {
        let upstream = match does {
            Some(does) => upstream::start(does).await.address,
            None => nobody,
        };
        let log = Log::new();
        let sections = format!("{}{VERDICT}{UNBOUND}{}", log.section(""), routes());
        let gateway = Gateway::start(upstream, "", &sections).await;
        let answer = verify(&gateway).await;
        stopped(gateway).await;
        let records = log.records();
        assert_eq!(records.len(), 3, "{wanted}: {answer:?} {records:?}");
        let record = &records[1];
        let names = ["code", "passed", "qiniu_error_code", "qiniu_serverlogid"];
        let found: Vec<_> = names.map(|name| record[name].clone()).into();
        assert_eq!(Value::from(found), wanted, "{answer:?}");
        let has_response = record.get("response_sha256").is_some();
        assert_eq!(has_response, answer.status == 200, "{record}");
        log.check().unwrap();
    }
}

#[tokio::test]
async fn a_call_that_a_stop_abandons_has_one_record_with_an_unknown_outcome() {
    for required in [true, false] {
        let qiniu = upstream::start(Does::Hang).await;
        let log = Log::new();
        let sections = log.unbound(&format!("required = {required}"));
        let gateway = Gateway::start(qiniu.address, "drain_timeout = \"1s\"", &sections).await;
        let whole = raw::whole("user-1", VERIFY, &verify_body("S1", &video(0)));
        let _caller = raw::begin(gateway.address, &whole).await;
        qiniu.until_requests(1).await;
        stopped(gateway).await;
        let records = log.records();
        let events = super::events(&records);
        let begun = if required { &["begin"][..] } else { &[] };
        assert_eq!(events, [&["start"], begun, &["verify", "stop"]].concat());
        let verify = &records[records.len() - 2];
        assert_eq!(
            (&verify["code"], &verify["user"], &verify["video_sha256"]),
            (
                &json!("outcome_unknown"),
                &json!("user-1"),
                &json!(sha256(&video(0)))
            )
        );
        assert_eq!(verify.get("response_sha256"), None);
        log.check().unwrap();
    }
}

#[tokio::test]
async fn a_record_says_whether_the_backend_has_the_evidence() {
    let qiniu = upstream::start(Does::Answer(answer("200 OK", PASS))).await;
    let failing = backend::Does::Answers("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    for (does, evidence) in [(backend::OK, "delivered"), (failing, "undelivered")] {
        let backend = backend::start(does).await;
        let log = Log::new();
        let sections = format!(
            "{}{UNBOUND}{}{}",
            log.section(""),
            backend.sections(""),
            routes()
        );
        let gateway = Gateway::start(qiniu.address, "", &sections).await;
        assert_eq!(verify(&gateway).await.status, 200);
        stopped(gateway).await;
        let records = log.records();
        assert_eq!(records[1]["evidence"], evidence);
        let id = backend.deliveries()[0].field("webhook-id").to_owned();
        assert_eq!(records[1]["jti"], id);
    }
}
