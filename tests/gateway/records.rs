//! The access record explains a request: why it was refused, whose token it was, to which trace it
//! belongs, and what came of it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use crate::support::{
    Gateway, ISSUER, SECRET, SESSIONCODE, UNBOUND, VERIFY,
    backend::{self, OK},
    bearer, emulator, raw, routes, sealed, session, token_with,
    upstream::{self, Does, answer},
    verify_body, video,
};
use hyper::http::request::Builder;
use liveness_gateway::{emulator::Scenario, generate::TokenClaims};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// An `Authorization` value with a token that is changed like this.
fn bearer_with(secret: &str, change: impl FnOnce(&mut TokenClaims<'static>)) -> String {
    format!("Bearer {}", token_with(secret, change))
}

/// Sends the request, and returns the `code`, `reason` and `issuer` of its record.
async fn recorded(gateway: &Gateway, request: Builder, body: &str) -> [Value; 3] {
    let answer = gateway.send(false, request, body.to_owned()).await;
    let record = gateway.record(answer.header("x-request-id")).await;
    ["code", "reason", "issuer"].map(|field| record[field].clone())
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn a_refused_token_has_its_reason_and_its_issuer_in_the_record() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let scoped = routes().replace("kind = \"verify\"", "kind = \"verify\"\nscope = \"faces\"");
    let gateway = Gateway::start(qiniu, "", &scoped).await;
    let hours = Duration::from_secs(7_300);
    let other = "another HMAC secret of the tests, also long";
    for (authorization, code, reason, named) in [
        (None, "missing_token", "missing_token", false),
        (
            Some("Basic dXNlcjpwYXNz".to_owned()),
            "missing_token",
            "wrong_scheme",
            false,
        ),
        (
            Some("Bearer x".to_owned()),
            "invalid_token",
            "malformed",
            false,
        ),
        (
            Some(bearer_with(SECRET, |claims| {
                claims.issuer = "https://unknown.example/";
            })),
            "invalid_token",
            "unknown_issuer",
            false,
        ),
        (
            Some(bearer_with(other, |_| {})),
            "invalid_token",
            "bad_signature",
            true,
        ),
        (
            Some(bearer_with(SECRET, |claims| claims.audience = "another")),
            "invalid_token",
            "wrong_audience",
            true,
        ),
        (
            Some(bearer_with(SECRET, |claims| claims.subject = "")),
            "invalid_token",
            "bad_claim:user",
            true,
        ),
        (
            Some(bearer_with(SECRET, |claims| claims.now -= hours)),
            "expired_token",
            "expired:hours",
            true,
        ),
        (
            Some(bearer_with(SECRET, |claims| claims.now += hours)),
            "invalid_token",
            "issued_in_future:hours",
            true,
        ),
        (
            Some(bearer("user-1")),
            "insufficient_scope",
            "insufficient_scope",
            true,
        ),
    ] {
        let mut request = gateway.request(false, "POST", VERIFY);
        if let Some(authorization) = &authorization {
            request = request.header("authorization", authorization);
        }
        let issuer = if named { json!(ISSUER) } else { Value::Null };
        assert_eq!(
            recorded(&gateway, request, "").await,
            [json!(code), json!(reason), issuer],
            "{reason}"
        );
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn a_refused_request_has_its_reason_in_the_record() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let limited = format!(
        "[[routes]]\npath = \"{SESSIONCODE}\"\nkind = \"session\"\nrate = \"1000/s\"\nburst = 1000\nquota = \"1/day\"\n\
         [[routes]]\npath = \"{VERIFY}\"\nkind = \"verify\"\nrate = \"1/day\"\nburst = 12\nmax_body = \"1KiB\"\n"
    );
    let gateway = Gateway::start(qiniu, "", &(UNBOUND.to_owned() + &limited)).await;
    assert_eq!(gateway.post(false, SESSIONCODE, "").await.status, 200);
    let post = |path: &str, kind: &str| {
        gateway
            .request(false, "POST", path)
            .header("authorization", bearer("user-1"))
            .header("content-type", kind)
    };
    let (json_body, video_body) = ("application/json", "video/mp4");
    let form = "multipart/form-data";
    let encoded = post(VERIFY, json_body).header("content-encoding", "gzip");
    let with_session = || post(VERIFY, video_body).header("liveness-session", "S");
    let large = "x".repeat(2_000);
    for (request, body, code, reason) in [
        (post(&format!("{VERIFY}?a"), json_body), "", 400, "query"),
        (post(VERIFY, "text/plain"), "x", 415, "media_type"),
        (encoded, "x", 415, "content_encoding"),
        (post(VERIFY, form), "x", 400, "boundary"),
        (
            post(VERIFY, video_body),
            "x",
            400,
            "missing_field:Liveness-Session",
        ),
        (
            with_session().header("liveness-nonce", "short"),
            "x",
            400,
            "malformed_field:Liveness-Nonce",
        ),
        (post(VERIFY, json_body), "{\"a\"", 400, "json_incomplete"),
        (post(VERIFY, json_body), "{x}", 400, "json_syntax"),
        (post(VERIFY, json_body), "[]", 400, "json_not_object"),
        (
            post(VERIFY, json_body),
            "{}",
            400,
            "missing_member:session_id",
        ),
        (post(VERIFY, json_body), &large, 413, "max_body"),
        (
            post(VERIFY, json_body),
            "{\"video_base64\":\"data:x\",\"session_id\":\"S\"}",
            422,
            "data_url",
        ),
        (
            post(VERIFY, json_body),
            "{}",
            400,
            "missing_member:session_id",
        ),
        (post(VERIFY, json_body), "{}", 429, "rate"),
        (post(SESSIONCODE, json_body), "", 429, "quota"),
    ] {
        let answer = gateway.send(false, request, body.to_owned()).await;
        let record = gateway.record(answer.header("x-request-id")).await;
        assert_eq!(
            (&record["status"], &record["reason"]),
            (&json!(code), &json!(reason)),
            "{record}"
        );
    }
    let answer = raw::ask(gateway.address, "GET / HTTP/1.1\nHost: g\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let record = gateway.record("bare_line_feed").await;
    assert_eq!(record["code"], "malformed_request");
}

#[tokio::test]
async fn a_failed_call_has_the_word_of_its_metric_in_the_record() {
    let (_socket, refusing) = upstream::not_listening();
    let short = routes().replace("timeout = \"2s\"", "timeout = \"50ms\"");
    for (does, reason) in [
        (None, "unreachable"),
        (Some(Does::Hang), "timeout"),
        (Some(Does::Close), "no_answer"),
        (
            Some(Does::Answer(answer("401 X", "{}"))),
            "rejected_credentials",
        ),
        (Some(Does::Answer(answer("429 X", "{}"))), "busy"),
        (
            Some(Does::Answer(answer("200 OK", "x"))),
            "invalid_response:json",
        ),
        (
            Some(Does::Answer(answer("200 OK", "{}"))),
            "invalid_response:error_code",
        ),
    ] {
        let address: SocketAddr = match does {
            Some(does) => upstream::start(does).await.address,
            None => refusing,
        };
        let sections = if reason == "timeout" {
            &short
        } else {
            &routes()
        };
        let gateway = Gateway::start(address, "", sections).await;
        let answer = gateway.post(false, SESSIONCODE, "").await;
        let record = gateway.record(answer.header("x-request-id")).await;
        assert_eq!(record["reason"], reason, "{record}");
        let outcome = reason.split(':').next().unwrap();
        let counted =
            format!("upstream_requests_total{{route=\"{SESSIONCODE}\",outcome=\"{outcome}\"}} 1");
        let metrics = gateway.metrics().await;
        assert!(metrics.contains(&counted), "{counted}: {metrics}");
    }
}

#[tokio::test]
async fn only_a_trusted_peer_names_the_trace_of_a_request() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let trusting = "trusted_proxies = [\"127.0.0.1/32\"]";
    for (server, traceparent, trace_id) in [
        (
            trusting,
            TRACEPARENT,
            json!("0af7651916cd43dd8448eb211c80319c"),
        ),
        (trusting, &TRACEPARENT.to_uppercase(), Value::Null),
        (
            trusting,
            &TRACEPARENT.replacen("00-", "ff-", 1),
            Value::Null,
        ),
        ("", TRACEPARENT, Value::Null),
    ] {
        let gateway = Gateway::start(qiniu, server, &routes()).await;
        let request = gateway
            .request(false, "POST", SESSIONCODE)
            .header("authorization", bearer("user-1"))
            .header("traceparent", traceparent);
        let answer = gateway.send(false, request, "").await;
        let record = gateway.record(answer.header("x-request-id")).await;
        assert_eq!(record["trace_id"], trace_id, "{server} {traceparent}");
    }
}

#[tokio::test]
async fn a_verify_has_its_result_and_its_times_in_the_record() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let backend = backend::start(OK).await;
    let sections = format!("{}{}{}", sealed::SETTINGS, backend.sections(""), routes());
    let gateway = Gateway::start(qiniu, "", &sections).await;
    let body = verify_body(&session(&gateway).await, &video(0));
    let record = async || {
        let answer = gateway.post(false, VERIFY, body.clone()).await;
        gateway.record(answer.header("x-request-id")).await
    };
    let first = record().await;
    let fields = ["reason", "issuer", "passed", "evidence", "replayed"];
    assert_eq!(
        fields.map(|field| &first[field]),
        [
            &Value::Null,
            &json!(ISSUER),
            &json!(true),
            &json!("delivered"),
            &Value::Null
        ]
    );
    let time = |field| first[field].as_f64().unwrap();
    assert!(time("receive_ms") > 0.0 && time("receive_ms") < time("duration_ms"));
    let again = record().await;
    assert_eq!(
        fields.map(|field| &again[field]),
        [
            &Value::Null,
            &json!(ISSUER),
            &Value::Null,
            &Value::Null,
            &json!("cached")
        ]
    );
    assert!(again["receive_ms"].is_number());
}

#[tokio::test]
async fn a_failed_verdict_undelivered_evidence_and_a_retry_that_waited_are_in_the_record() {
    let permits = Arc::new(Semaphore::new(0));
    let failed = r#"{"error_code":0,"error_msg":"","serverlogid":1,"result":{"score":0.1,"action_verify":"fail","thresholds":{"frr_1e-3":0.3}}}"#;
    let does = Does::WhenLet(Arc::clone(&permits), answer("200 OK", failed));
    let qiniu = upstream::start(does).await;
    let refusing = backend::Does::Answers("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let backend = backend::start(refusing).await;
    let always = backend.sections("on = \"always\"");
    let sections = format!("{}{always}{}", sealed::SETTINGS, routes());
    let gateway = Gateway::start(qiniu.address, "", &sections).await;
    let body = verify_body(&sealed::fresh(qiniu.address, "S1"), &video(0));
    let verify = || async {
        let answer = gateway.post(false, VERIFY, body.clone()).await;
        let record = gateway.record(answer.header("x-request-id")).await;
        ["passed", "evidence", "replayed"].map(|field| record[field].clone())
    };
    let retries = async {
        qiniu.until_requests(1).await;
        tokio::join!(verify(), verify(), verify(), verify())
    };
    let answered = async {
        gateway.until_metrics_have("requests_in_flight 5").await;
        permits.add_permits(1);
    };
    let (first, retries, ()) = tokio::join!(verify(), retries, answered);
    assert_eq!(first, [json!(false), json!("undelivered"), Value::Null]);
    let waited = [Value::Null, Value::Null, json!("waited")];
    // One whose body comes late may find the response there.
    assert!(<[_; 4]>::from(retries).contains(&waited));
}
