//! A video may be sent as a part of a form, as the clients send it that can't send anything else.
//! It is received in one pass like the other bodies, and is the same upload as with them.

mod broken;
mod clients;
mod same;

use std::process::Command;

use crate::memory::{all_given_back, held};
use crate::support::{
    Answer, Gateway, VERIFY, bearer, emulator,
    form::{self, upload},
    raw,
    refusal::told,
    routes,
    sealed::{self, fresh},
    session, until,
    upstream::{self, Does},
    verify_body, video,
};
use clients::CLIENTS;
use data_encoding::BASE64;
use liveness_gateway::emulator::Scenario;
use tokio::{io::AsyncWriteExt, sync::Semaphore};

const PASS: &str = "{\"error_code\":0}";
const MIB: usize = 1024 * 1024;

async fn send(gateway: &Gateway, http2: bool, media: &str, form: Vec<u8>) -> Answer {
    let request = gateway
        .request(http2, "POST", VERIFY)
        .header("authorization", bearer("user-1"))
        .header("content-type", media);
    gateway.send(http2, request, form).await
}

#[tokio::test]
async fn qiniu_gets_the_same_members_from_every_client() {
    let qiniu = upstream::start(Does::AnswerAndStay(upstream::answer("200 OK", PASS))).await;
    let gateway = Gateway::unbound(qiniu.address).await;
    let almost = b"\r\n--Boundary-\r\n--\r\n----dio-boundary-\r\n\r\n--------------------------8\r";
    for client in CLIENTS {
        for (video, http2) in [(&b"v"[..], false), (&almost[..], true)] {
            let form = client.form("S-1/+=", "quality", video);
            let answer = send(&gateway, http2, &client.media(), form).await;
            assert_eq!(answer.status, 200, "{}: {answer:?}", client.name);
            let members = client.members().into_iter().map(|member| match member {
                "session_id" => "\"session_id\":\"S-1/+=\"".to_owned(),
                "face_field" => "\"face_field\":\"quality\"".to_owned(),
                _ => format!("\"video_base64\":\"{}\"", BASE64.encode(video)),
            });
            let wanted = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
            let body = String::from_utf8(qiniu.last_body()).unwrap();
            assert_eq!(body, wanted, "{}", client.name);
        }
    }
}

#[tokio::test]
async fn a_form_gets_a_verdict_and_its_pictures_are_cut() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    for (number, client) in CLIENTS.iter().enumerate() {
        let id = session(&gateway).await;
        let form = client.form(&id, "spoofing,quality", &video(0));
        let answer = send(&gateway, number % 2 == 0, &client.media(), form).await;
        assert_eq!(answer.status, 200, "{}: {answer:?}", client.name);
        assert_eq!(answer.json()["result"]["action_verify"], "pass");
        assert!(!String::from_utf8_lossy(&answer.body).contains("\"pic\""));
    }
    assert_eq!(handle.verify_calls(), CLIENTS.len() as u64);
}

#[tokio::test]
async fn twenty_mebibytes_pass_and_a_larger_video_is_rejected() {
    let qiniu = upstream::start(Does::AnswerAndStay(upstream::answer("200 OK", PASS))).await;
    let gateway = Gateway::unbound(qiniu.address).await;
    let whole = video(20 * MIB);
    let answer = send(&gateway, false, form::MEDIA, upload("S", &whole)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(qiniu.last_body() == verify_body("S", &whole).into_bytes());
    let over = [&*whole, b"1"].concat();
    let answer = send(&gateway, true, form::MEDIA, upload("S", &over)).await;
    told(&answer, 422, "video_rejected");
    assert_eq!(answer.json()["reason"], "too_large");
    // What is dropped counts as well: the whole may not exceed `max_body`.
    let dropped = form::form(&[("other", &vec![0; 28 * MIB])]);
    let answer = send(&gateway, false, form::MEDIA, dropped).await;
    told(&answer, 413, "body_too_large");
    assert_eq!(qiniu.requests(), 1);
}

#[tokio::test]
async fn a_form_may_arrive_byte_by_byte() {
    let qiniu = upstream::start(Does::AnswerAndStay(upstream::answer("200 OK", PASS))).await;
    let gateway = Gateway::unbound(qiniu.address).await;
    for client in CLIENTS {
        let form = client.form("S", "quality", b"\r\n--video\r\n-");
        let whole = send(&gateway, false, &client.media(), form.clone()).await;
        assert_eq!(whole.status, 200, "{}: {whole:?}", client.name);
        let wanted = qiniu.last_body();
        let lines = "Transfer-Encoding: chunked\r\nConnection: close";
        let head = raw::head("user-1", VERIFY, lines);
        let head = head.replace("application/json", &client.media());
        let mut stream = raw::begin(gateway.address, &head).await;
        stream.set_nodelay(true).unwrap();
        for byte in &form {
            stream
                .write_all(&[b'1', b'\r', b'\n', *byte, b'\r', b'\n'])
                .await
                .unwrap();
        }
        stream.write_all(b"0\r\n\r\n").await.unwrap();
        let answer = raw::rest(stream).await;
        assert!(
            answer.starts_with("HTTP/1.1 200"),
            "{}: {answer}",
            client.name
        );
        assert_eq!(qiniu.last_body(), wanted);
    }
    assert_eq!(qiniu.requests(), 2 * CLIENTS.len());
}

#[tokio::test]
async fn a_rejected_session_ends_a_form_before_its_video() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    let form = String::from_utf8(upload("lg1.forged", b"v")).unwrap();
    let (begin, _) = form.split_once("v\r\n").unwrap();
    let lines = "Content-Length: 3000000\r\nConnection: close";
    let head = raw::head("user-1", VERIFY, lines).replace("application/json", form::MEDIA);
    let answer = raw::ask(gateway.address, &(head + begin)).await;
    assert!(answer.contains("\"session_rejected\""), "{answer}");
    let last = form::form(&[("video", &video(0)), ("session_id", b"lg1.forged")]);
    let answer = send(&gateway, true, form::MEDIA, last).await;
    told(&answer, 403, "session_rejected");
    assert_eq!(handle.verify_calls(), 0);
}

#[tokio::test]
async fn a_form_that_is_cut_off_reaches_nobody() {
    let qiniu = upstream::start(Does::AnswerAndStay(upstream::answer("200 OK", PASS))).await;
    let gateway = Gateway::unbound(qiniu.address).await;
    let form = upload("S", &video(0));
    for kept in [
        1,
        10,
        100,
        200,
        form.len() / 2,
        form.len() - 5,
        form.len() - 3,
    ] {
        // The connection ends, or the body does.
        let lines = format!("Content-Length: {}", form.len());
        let head = raw::head("user-1", VERIFY, &lines).replace("application/json", form::MEDIA);
        let mut stream = raw::begin(gateway.address, &head).await;
        stream.write_all(&form[..kept]).await.unwrap();
        stream.shutdown().await.unwrap();
        let answer = raw::rest(stream).await;
        assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
        let answer = send(&gateway, kept % 2 == 0, form::MEDIA, form[..kept].to_vec()).await;
        told(&answer, 400, "malformed_request");
        assert!(
            answer.json()["detail"]
                .as_str()
                .unwrap()
                .contains("last boundary")
        );
    }
    assert_eq!(qiniu.requests(), 0);
}

#[tokio::test]
async fn a_form_reserves_what_its_video_takes_as_base64() {
    let gate = std::sync::Arc::new(Semaphore::new(0));
    let qiniu = upstream::start(Does::WhenLet(gate, upstream::answer("200 OK", PASS))).await;
    let gateway = Gateway::unbound(qiniu.address).await;
    for (declared, reserved) in [(3_000_000, 4_000_000), (28_000_000, 27_962_027)] {
        let lines = format!("Content-Length: {declared}");
        let head = raw::head("user-1", VERIFY, &lines).replace("application/json", form::MEDIA);
        let stream = raw::begin(gateway.address, &(head + "--")).await;
        until("memory is reserved", async || held(&gateway).await > 0).await;
        let held_now = held(&gateway).await;
        assert!(
            (reserved..reserved + 60_000).contains(&held_now),
            "{held_now}"
        );
        drop(stream);
        all_given_back(&gateway, "left at the start of a form").await;
    }
}

#[tokio::test]
async fn curl_sends_a_form_that_passes() {
    let found = Command::new("curl").arg("--version").output().is_ok();
    if !found {
        assert!(std::env::var_os("CI").is_none(), "there is no curl");
        eprintln!("skipped: there is no curl");
        return;
    }
    let qiniu = upstream::start(Does::AnswerAndStay(upstream::answer("200 OK", PASS))).await;
    let more = format!("{}{}", sealed::SETTINGS, routes());
    let gateway = Gateway::start(qiniu.address, "", &more).await;
    let file = format!(
        "{}/tests/data/h264-moov-first.mp4",
        env!("CARGO_MANIFEST_DIR")
    );
    let arguments = [
        "-sS".to_owned(),
        format!("http://{}{VERIFY}", gateway.address),
        "-H".into(),
        format!("Authorization: {}", bearer("user-1")),
        "-F".into(),
        format!("session_id={}", fresh(qiniu.address, "S")),
        "-F".into(),
        format!("video=@{file};type=video/mp4"),
        "-F".into(),
        "face_field=quality".into(),
    ];
    let run = move || Command::new("curl").args(arguments).output().unwrap();
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), PASS, "{output:?}");
    let wanted = verify_body("S", &video(0)).replace('}', ",\"face_field\":\"quality\"}");
    assert!(qiniu.last_body() == wanted.into_bytes());
}
