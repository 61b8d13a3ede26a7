//! However often an upload is sent, Qiniu is called once, and each try gets the same response. A
//! call whose outcome is unknown is never repeated.

use std::{sync::Arc, time::Duration};

use crate::support::{
    Gateway, VERIFY, crowd, emulator, raw,
    refusal::told,
    routes,
    sealed::{self, fresh},
    session,
    upstream::{self, Does, answer},
    verify_body, video,
};
use liveness_gateway::emulator::Scenario;
use tokio::{sync::Semaphore, task::JoinSet};

const PASS: &str = r#"{"error_code":0,"error_msg":"SUCCESS","serverlogid":1730042187,"result":{"score":0.9600000000000001,"action_verify":"pass"}}"#;

/// A gateway whose seal key the tests know.
async fn gateway(upstream: std::net::SocketAddr, routes: &str) -> Gateway {
    Gateway::start(upstream, "", &format!("{}{routes}", sealed::SETTINGS)).await
}

#[tokio::test]
async fn a_retry_gets_the_first_response_and_is_free() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    let body = verify_body(&session(&gateway).await, &video(0));
    let first = gateway.post(false, VERIFY, body.clone()).await;
    assert_eq!(first.json()["result"]["action_verify"], "pass");
    for http2 in [false, true] {
        let again = gateway.post(http2, VERIFY, body.clone()).await;
        assert_eq!((again.status, &again.body), (first.status, &first.body));
        let record = gateway.record(again.header("x-request-id")).await;
        assert_eq!(record["code"], "ok");
        assert_eq!(record["qiniu_error_code"], 0);
        assert!(record["qiniu_serverlogid"].is_string() && record["qiniu_reqid"].is_string());
        assert!(record["upstream_ms"].is_null() && record["upstream_status"].is_null());
    }
    // The same members in another order, with other spaces and escapes, are the same upload.
    let value: serde_json::Value = serde_json::from_str(&body).unwrap();
    let again = format!(
        "{{ \"video_base64\" : \"{}\",\n \"session_id\": \"{}\" }}",
        value["video_base64"].as_str().unwrap().replace('/', "\\/"),
        value["session_id"].as_str().unwrap()
    );
    assert_eq!(gateway.post(false, VERIFY, again).await.body, first.body);
    assert_eq!(handle.verify_calls(), 1);
}

#[tokio::test]
async fn two_hundred_concurrent_tries_make_one_call() {
    let _alone = crowd::alone().await;
    let gate = Arc::new(Semaphore::new(0));
    let qiniu = upstream::start(Does::WhenLet(Arc::clone(&gate), answer("200 OK", PASS))).await;
    let gateway = Arc::new(gateway(qiniu.address, &routes()).await);
    let body = verify_body(&fresh(qiniu.address, "S1"), &video(0));
    let mut tries = JoinSet::new();
    for number in 0..200 {
        let (gateway, body) = (Arc::clone(&gateway), body.clone());
        tries.spawn(async move { gateway.post(number % 2 == 0, VERIFY, body).await });
    }
    gateway.until_metrics_have("requests_in_flight 200").await;
    gate.add_permits(200);
    for answer in tries.join_all().await {
        assert_eq!(
            (answer.status.as_u16(), answer.body.as_ref()),
            (200, PASS.as_bytes())
        );
    }
    assert_eq!(qiniu.requests(), 1);
    gateway
        .until_metrics_have("replayed_answers_total{state=\"waited\"} 199")
        .await;
}

#[tokio::test]
async fn another_video_is_rejected_during_the_call_and_after_it() {
    let gate = Arc::new(Semaphore::new(0));
    let qiniu = upstream::start(Does::WhenLet(Arc::clone(&gate), answer("200 OK", PASS))).await;
    let gateway = Arc::new(gateway(qiniu.address, &routes()).await);
    let id = fresh(qiniu.address, "S1");
    let (body, other) = (
        verify_body(&id, &video(0)),
        verify_body(&id, &video(200_000)),
    );
    let asked = verify_body(&id, &video(0)).replace('}', ",\"face_field\":\"quality\"}");
    let first = {
        let (gateway, body) = (Arc::clone(&gateway), body.clone());
        tokio::spawn(async move { gateway.post(false, VERIFY, body).await })
    };
    qiniu.until_requests(1).await;
    for different in [&other, &asked] {
        let answer = gateway.post(false, VERIFY, different.clone()).await;
        told(&answer, 409, "session_in_use");
    }
    gate.add_permits(1);
    assert_eq!(first.await.unwrap().body, PASS);
    for different in [&other, &asked] {
        let answer = gateway.post(true, VERIFY, different.clone()).await;
        told(&answer, 409, "session_used");
    }
    assert_eq!(gateway.post(false, VERIFY, body).await.body, PASS);
    assert_eq!(qiniu.requests(), 1);
}

#[tokio::test]
async fn every_forwarded_member_distinguishes_an_upload_from_a_retry() {
    let qiniu = upstream::start(Does::AnswerAndStay(answer("200 OK", PASS))).await;
    let fields = "request.fields = [\"session_id\", \"video_base64\", \"a\", \"b.c\"]\nrequest.set = { \"d\" = 1 }\n";
    let routes = routes().replace(
        "kind = \"verify\"\n",
        &format!("kind = \"verify\"\n{fields}"),
    );
    let gateway = gateway(qiniu.address, &routes).await;
    let id = fresh(qiniu.address, "S1");
    let with = |more: &str| verify_body(&id, &video(0)).replace('}', &format!("{more}}}"));
    let first = with(",\"a\":1");
    assert_eq!(gateway.post(false, VERIFY, first).await.body, PASS);
    // Order, spaces, escapes and members that are not forwarded make no difference.
    let same = [
        with(", \"\\u0061\" : 1, \"d\": 2, \"e\": true"),
        with("").replace('{', "{\"a\":1,"),
    ];
    for same in same {
        assert_eq!(gateway.post(false, VERIFY, same).await.body, PASS);
    }
    let different = [
        "",
        ",\"a\":2",
        ",\"a\":\"1\"",
        ",\"a\":true",
        ",\"a\":false",
        ",\"a\":null",
        ",\"a\":[]",
        ",\"b.c\":1",
        ",\"a\":1,\"b.c\":\"\"",
    ];
    for more in different {
        let answer = gateway.post(false, VERIFY, with(more)).await;
        told(&answer, 409, "session_used");
    }
    assert_eq!(qiniu.requests(), 1);
}

#[tokio::test]
async fn a_caller_that_disconnects_finds_the_response_later() {
    let gate = Arc::new(Semaphore::new(0));
    let qiniu = upstream::start(Does::WhenLet(Arc::clone(&gate), answer("200 OK", PASS))).await;
    let gateway = gateway(qiniu.address, &routes()).await;
    let body = verify_body(&fresh(qiniu.address, "S1"), &video(0));
    let request = raw::whole("user-1", VERIFY, &body);
    let stream = raw::begin(gateway.address, &request).await;
    qiniu.until_requests(1).await;
    drop(stream);
    gateway.until_metrics_have("requests_in_flight 0").await;
    gate.add_permits(1);
    assert_eq!(gateway.post(true, VERIFY, body).await.body, PASS);
    assert_eq!(gateway.record("caller_left").await["status"], 0);
    assert_eq!(qiniu.requests(), 1);
}

#[tokio::test]
async fn a_lost_response_is_reported_and_the_call_is_not_repeated() {
    let cut = answer("200 OK", PASS);
    let half = cut[..cut.len() - 5].to_vec();
    let short = routes().replace("timeout = \"20s\"", "timeout = \"1s\"");
    for (does, status, code) in [
        (Does::Close, 502, "upstream_invalid_response"),
        (Does::Hang, 504, "upstream_timeout"),
        (Does::Answer(half), 502, "upstream_invalid_response"),
        (Does::Answer(answer("500 X", "{}")), 502, "upstream_error"),
        (
            Does::Answer(answer("200 OK", "{\"ok\":1}")),
            502,
            "upstream_invalid_response",
        ),
    ] {
        let qiniu = upstream::start(does).await;
        let gateway = gateway(qiniu.address, &short).await;
        let id = fresh(qiniu.address, "S1");
        let body = verify_body(&id, &video(0));
        told(
            &gateway.post(false, VERIFY, body.clone()).await,
            status,
            code,
        );
        for body in [body, verify_body(&id, &video(200_000))] {
            let answer = gateway.post(true, VERIFY, body).await;
            told(&answer, 409, "outcome_unknown");
        }
        assert_eq!(qiniu.requests(), 1);
    }
}

#[tokio::test]
async fn waiting_retries_are_told_of_a_lost_response() {
    let qiniu = upstream::start(Does::Hang).await;
    let short = routes().replace("timeout = \"20s\"", "timeout = \"2s\"");
    let gateway = Arc::new(gateway(qiniu.address, &short).await);
    let body = verify_body(&fresh(qiniu.address, "S1"), &video(0));
    let mut tries = JoinSet::new();
    for _ in 0..8 {
        let (gateway, body) = (Arc::clone(&gateway), body.clone());
        tries.spawn(async move { gateway.post(false, VERIFY, body).await.code() });
    }
    let mut codes = tries.join_all().await;
    codes.sort();
    assert_eq!(codes.pop().unwrap(), "upstream_timeout");
    assert_eq!(codes, ["outcome_unknown"; 7]);
    assert_eq!(qiniu.requests(), 1);
}

#[tokio::test]
async fn a_call_that_qiniu_rejects_by_status_leaves_the_session_unused() {
    for (status, ours, code) in [
        ("401 X", 502, "upstream_rejected_credentials"),
        ("400 X", 502, "upstream_rejected_request"),
        ("413 X", 413, "body_too_large"),
        ("429 X", 503, "upstream_busy"),
        ("503 X", 503, "upstream_busy"),
        ("573 X", 503, "upstream_busy"),
    ] {
        let answers = vec![answer(status, "{}"), answer("200 OK", PASS)];
        let qiniu = upstream::start(Does::InTurn(answers)).await;
        let gateway = gateway(qiniu.address, &routes()).await;
        let body = verify_body(&fresh(qiniu.address, "S1"), &video(0));
        told(&gateway.post(false, VERIFY, body.clone()).await, ours, code);
        for _ in 0..2 {
            let again = gateway.post(false, VERIFY, body.clone()).await;
            assert_eq!(again.body, PASS);
        }
        assert_eq!(qiniu.requests(), 2);
    }
}

#[tokio::test]
async fn a_call_that_never_left_the_gateway_leaves_the_session_unused() {
    let (socket, address) = upstream::not_listening();
    let gateway = gateway(address, &routes()).await;
    let body = verify_body(&fresh(address, "S1"), &video(0));
    for _ in 0..2 {
        let answer = gateway.post(false, VERIFY, body.clone()).await;
        told(&answer, 502, "upstream_unreachable");
    }
    let listener = socket.listen(16).unwrap();
    let qiniu = upstream::serve_on(listener, Does::Answer(answer("200 OK", PASS)));
    assert_eq!(gateway.post(false, VERIFY, body).await.body, PASS);
    assert_eq!(qiniu.requests(), 1);
}

#[tokio::test]
async fn an_error_code_of_qiniu_is_a_response_like_any_other() {
    let (qiniu, handle) = emulator(Scenario::Error(216_501)).await;
    let gateway = Gateway::plain(qiniu).await;
    let body = verify_body(&session(&gateway).await, &video(0));
    let first = gateway.post(false, VERIFY, body.clone()).await;
    assert_eq!(first.json()["error_code"], 216_501);
    handle.set_scenario(Scenario::Pass);
    let again = gateway.post(false, VERIFY, body).await;
    assert_eq!((again.status.as_u16(), again.body), (200, first.body));
    assert_eq!(handle.verify_calls(), 1);
}

#[tokio::test]
async fn only_calls_to_qiniu_count_as_in_flight() {
    let gate = Arc::new(Semaphore::new(0));
    let qiniu = upstream::start(Does::WhenLet(Arc::clone(&gate), answer("200 OK", PASS))).await;
    let one = routes().replace("concurrent_per_user = 100", "concurrent_per_user = 1");
    let gateway = Arc::new(gateway(qiniu.address, &one).await);
    let ids = ["S1", "S2"].map(|id| fresh(qiniu.address, id));
    let [body, other] = ids.map(|id| verify_body(&id, &video(0)));
    let mut tries = JoinSet::new();
    for _ in 0..3 {
        let (gateway, body) = (Arc::clone(&gateway), body.clone());
        tries.spawn(async move { gateway.post(false, VERIFY, body).await });
    }
    gateway.until_metrics_have("requests_in_flight 3").await;
    qiniu.until_requests(1).await;
    let refused = gateway.post(false, VERIFY, other.clone()).await;
    told(&refused, 429, "too_many_concurrent");
    gate.add_permits(2);
    for answer in tries.join_all().await {
        assert_eq!(answer.body, PASS);
    }
    // The session of the rejected request can still be used.
    assert_eq!(gateway.post(false, VERIFY, other).await.body, PASS);
    assert_eq!(qiniu.requests(), 2);
}

#[tokio::test]
async fn without_bound_sessions_every_try_is_forwarded() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let gateway = Gateway::start(
        qiniu,
        "",
        &format!("[sessions]\nbind = false\n{}", routes()),
    )
    .await;
    let body = verify_body(&session(&gateway).await, &video(0));
    let errors = [0, 216_502];
    for error in errors {
        let answer = gateway.post(false, VERIFY, body.clone()).await;
        assert_eq!(answer.json()["error_code"], error);
    }
    assert_eq!(handle.verify_calls(), 2);
}

#[tokio::test]
async fn a_call_that_ends_after_the_stop_has_begun_is_still_answered() {
    let gate = Arc::new(Semaphore::new(0));
    let qiniu = upstream::start(Does::WhenLet(Arc::clone(&gate), answer("200 OK", PASS))).await;
    let mut gateway = gateway(qiniu.address, &routes()).await;
    let body = verify_body(&fresh(qiniu.address, "S1"), &video(0));
    let request = raw::whole("user-1", VERIFY, &body);
    let mut tries = Vec::new();
    for _ in 0..2 {
        tries.push(raw::begin(gateway.address, &request).await);
    }
    gateway.until_metrics_have("requests_in_flight 2").await;
    qiniu.until_requests(1).await;
    gateway.stop();
    gate.add_permits(2);
    for stream in tries {
        let answer = raw::rest(stream).await;
        assert!(answer.ends_with(PASS), "{answer}");
    }
    let ended = tokio::time::timeout(Duration::from_secs(10), &mut gateway.ended);
    assert_eq!(ended.await.unwrap().unwrap().cut, 0);
    assert_eq!(qiniu.requests(), 1);
}
