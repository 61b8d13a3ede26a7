//! Whatever Qiniu sends, the caller gets the right response, and no byte of what was wrong.

use crate::support::{
    Answer, Gateway, SESSIONCODE, UNBOUND, VERIFY, emulator, routes, session,
    upstream::{self, Does, answer},
    verify_body, video,
};
use liveness_gateway::emulator::Scenario;

async fn ask(does: Does, path: &str) -> (Answer, Answer, usize) {
    let broken = upstream::start(does).await;
    let short = routes()
        .replace("timeout = \"20s\"", "timeout = \"1s\"")
        .replace("timeout = \"2s\"", "timeout = \"1s\"");
    let gateway = Gateway::start(broken.address, "", &(UNBOUND.to_owned() + &short)).await;
    let body = if path == VERIFY {
        verify_body("S", &video(0))
    } else {
        "{}".into()
    };
    let (first, second) = tokio::join!(
        gateway.post(false, path, body.clone()),
        gateway.post(true, path, body),
    );
    (first, second, broken.requests())
}

async fn expect(does: Does, status: u16, code: &str) {
    let (first, second, requests) = ask(does, VERIFY).await;
    for answer in [&first, &second] {
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (status, code),
            "{answer:?}"
        );
        assert!(
            !String::from_utf8_lossy(&answer.body).contains("LEAK"),
            "{answer:?}"
        );
        assert_eq!(answer.headers.contains_key("retry-after"), status == 503);
    }
    assert_eq!(requests, 2, "a verify is sent once");
}

#[tokio::test]
async fn each_status_of_qiniu_has_its_error_code() {
    for (status, ours, code) in [
        ("401 Unauthorized", 502, "upstream_rejected_credentials"),
        ("403 Forbidden", 502, "upstream_rejected_credentials"),
        ("419 X", 502, "upstream_rejected_credentials"),
        ("413 X", 413, "body_too_large"),
        ("400 X", 502, "upstream_rejected_request"),
        ("404 X", 502, "upstream_rejected_request"),
        ("429 X", 503, "upstream_busy"),
        ("573 X", 503, "upstream_busy"),
        ("503 X", 503, "upstream_busy"),
        ("500 X", 502, "upstream_error"),
        ("502 X", 502, "upstream_error"),
        ("504 X", 502, "upstream_error"),
        ("599 X", 502, "upstream_error"),
        ("302 X", 502, "upstream_error"),
        ("204 X", 502, "upstream_invalid_response"),
    ] {
        expect(
            Does::Answer(answer(status, "{\"error\":\"LEAK\"}")),
            ours,
            code,
        )
        .await;
    }
}

#[tokio::test]
async fn invalid_bodies_of_qiniu_are_rejected() {
    for body in [
        "",
        "LEAK",
        "[]",
        "null",
        "{\"error_code\":0",
        "{\"error_code\":0}LEAK",
        "{\"error_code\":\"0\"}",
        "{\"error_msg\":\"LEAK\"}",
        "{\"error_code\":0,\"error_code\":1}",
        "{\"error_code\":0,\"result\":{\"pic_list\":[{\"pic\":\"LEAK\",\"pic\":1}]}}",
        "\u{feff}{\"error_code\":0}",
    ] {
        expect(
            Does::Answer(answer("200 OK", body)),
            502,
            "upstream_invalid_response",
        )
        .await;
    }
    for head in [
        "Content-Length: 100",
        "Content-Length: 14\r\nContent-Encoding: gzip",
        "Transfer-Encoding: gzip",
        "Content-Length: 14\r\nTransfer-Encoding: chunked",
        "Content-Length: x",
    ] {
        let bytes = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{{\"error_code\":0}}");
        expect(Does::Answer(bytes.into()), 502, "upstream_invalid_response").await;
    }
    expect(
        Does::Answer(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{\"error_code\":0}\r\n"
                .to_vec(),
        ),
        502,
        "upstream_invalid_response",
    )
    .await;
    expect(
        Does::Answer(b"LEAK nonsense\r\n\r\n".to_vec()),
        502,
        "upstream_invalid_response",
    )
    .await;
    expect(
        Does::Answer(b"HTTP/1.1 200".to_vec()),
        502,
        "upstream_invalid_response",
    )
    .await;
}

#[tokio::test]
async fn silent_and_endless_responses_are_cut_off() {
    expect(Does::Close, 502, "upstream_invalid_response").await;
    let slow = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"error_code\":0,".to_vec();
    tokio::join!(
        expect(Does::Hang, 504, "upstream_timeout"),
        expect(Does::AnswerAndStay(slow), 504, "upstream_timeout"),
    );
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{\"error_code\":0,\r\n"
        .to_vec();
    expect(
        Does::Endless(head.clone(), b"9\r\n\"a\":[[1],\r\n".to_vec()),
        502,
        "upstream_invalid_response",
    )
    .await;
    expect(
        Does::Endless(
            b"HTTP/1.1 200 OK\r\n".to_vec(),
            b"X-More: LEAK\r\n".to_vec(),
        ),
        502,
        "upstream_invalid_response",
    )
    .await;
    expect(
        Does::Endless(Vec::new(), b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()),
        502,
        "upstream_invalid_response",
    )
    .await;
}

#[tokio::test]
async fn a_response_before_the_end_of_the_upload_is_seen_and_is_no_result() {
    let pass = "{\"error_code\":0,\"result\":{\"score\":0.99,\"action_verify\":\"pass\"}}";
    for (early, status, code) in [
        (answer("413 X", "{}"), 413, "body_too_large"),
        // A video that had not arrived cannot have been judged.
        (answer("200 OK", pass), 502, "upstream_invalid_response"),
    ] {
        let early = upstream::start(Does::AnswerEarly(early)).await;
        let gateway = Gateway::unbound(early.address).await;
        let answer = gateway
            .post(false, VERIFY, verify_body("S", &video(8 << 20)))
            .await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (status, code)
        );
    }
}

#[tokio::test]
async fn an_interim_response_does_not_stop_an_upload() {
    let pass = answer("200 OK", "{\"error_code\":0,\"result\":{}}");
    let interim = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".to_vec();
    let twice = upstream::start(Does::AnswerTwice(interim, pass)).await;
    let gateway = Gateway::unbound(twice.address).await;
    let body = verify_body("S", &video(8 << 20));
    let answer = gateway.post(false, VERIFY, body.clone()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(twice.last_body(), body.as_bytes());
}

#[tokio::test]
async fn an_upstream_that_does_not_listen_is_unreachable() {
    let (_bound, address) = upstream::not_listening();
    let gateway = Gateway::plain(address).await;
    for http2 in [false, true] {
        let answer = gateway.post(http2, SESSIONCODE, "{}").await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (502, "upstream_unreachable")
        );
    }
}

#[tokio::test]
async fn good_responses_are_accepted_in_every_framing() {
    let body = "{\"error_code\":0,\"result\":{\"session_id\":\"S1\",\"code\":\"0\"}}";
    let chunked = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\n{}\r\n{:x}\r\n{}\r\n0\r\nT: 1\r\n\r\n",
        &body[..5],
        body.len() - 5,
        &body[5..]
    );
    let to_the_end = format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n{body}");
    let interim = [
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n".to_vec(),
        answer("200 OK", body),
    ]
    .concat();
    for bytes in [chunked.into_bytes(), to_the_end.into_bytes(), interim] {
        let (first, second, _) = ask(Does::Answer(bytes), SESSIONCODE).await;
        for answer in [first, second] {
            assert_eq!(
                (answer.status.as_u16(), answer.body.as_ref()),
                (200, body.as_bytes())
            );
            assert!(
                !answer.headers.contains_key("x-reqid") && !answer.headers.contains_key("link")
            );
        }
    }
}

#[tokio::test]
async fn a_dead_idle_connection_is_retried_for_a_session_and_never_for_a_verify() {
    let good = answer(
        "200 OK",
        "{\"error_code\":0,\"result\":{\"session_id\":\"S1\",\"code\":\"0\"}}",
    );
    let dying = upstream::start(Does::DieOnReuse(good)).await;
    let gateway = Gateway::unbound(dying.address).await;
    assert_eq!(gateway.post(false, SESSIONCODE, "{}").await.status, 200);
    assert_eq!(gateway.post(false, SESSIONCODE, "{}").await.status, 200);
    assert_eq!(
        dying.requests(),
        3,
        "the second was sent twice: once into the dead connection"
    );
    for _ in 0..20 {
        let before = dying.requests();
        let upload = verify_body("S", &video(0));
        let answer = gateway.post(false, VERIFY, upload).await;
        assert_eq!(dying.requests(), before + 1);
        // On a busy machine, the connection may be too old to be used for it.
        if answer.status == 502 {
            assert_eq!(answer.code(), "upstream_invalid_response");
            return;
        }
    }
    panic!("no connection was used twice");
}

#[tokio::test]
async fn error_codes_of_qiniu_pass_unchanged() {
    let (qiniu, _) = emulator(Scenario::Error(216_501)).await;
    let gateway = Gateway::plain(qiniu).await;
    let answer = gateway
        .post(
            true,
            VERIFY,
            verify_body(&session(&gateway).await, &video(0)),
        )
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()["error_code"].as_i64()),
        (200, Some(216_501))
    );
    let record = gateway.record("216501").await;
    assert_eq!(
        (record["code"].as_str(), record["upstream_status"].as_u64()),
        (Some("ok"), Some(200))
    );
    assert!(
        gateway
            .metrics()
            .await
            .contains("liveness_gateway_qiniu_errors_total")
    );
}
