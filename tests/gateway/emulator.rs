//! The emulator over real sockets: what any client of Qiniu's API may rely on.
//!
//! The signer here is a third one, independent of the gateway's and of the emulator's.

mod harness;
mod samples;

use std::time::Duration;

use data_encoding::{BASE64, BASE64URL};
use harness::{ACCESS_KEY, SECRET_KEY, SESSION, VERIFY, VIDEO, signed, start, start_with};
use hmac::{Hmac, KeyInit, Mac};
use liveness_gateway::emulator::Scenario;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::{io::AsyncReadExt, net::TcpStream};

#[tokio::test]
async fn a_session_and_a_verify_pass() {
    let emulator = start().await;
    let answer = emulator.verify(VIDEO, "spoofing,quality").await;
    assert_eq!(answer.code(), 0);
    assert!(answer.head.contains("\r\nx-reqid: ") && answer.head.contains("\r\nx-log: "));
    assert!(answer.head.contains("\r\ncontent-type: application/json"));
    assert!(
        (850_000..=950_000).contains(&answer.body.len()),
        "{}",
        answer.body.len()
    );
    let result = &answer.json()["result"];
    assert_eq!(result["action_verify"], "pass");
    assert_eq!(result["pic_list"].as_array().unwrap().len(), 8);
    assert!(result["maxspoofing"].is_number() && result["best_image"]["quality"].is_object());
    assert_eq!(
        (
            emulator.handle.session_calls(),
            emulator.handle.verify_calls()
        ),
        (1, 1)
    );
    assert_eq!(emulator.handle.signature_failures(), 0);
}

#[tokio::test]
async fn pictures_are_jpegs_of_the_size_they_say() {
    let emulator = start().await;
    let answer = emulator.verify(VIDEO, "").await.json();
    for image in answer["result"]["pic_list"].as_array().unwrap() {
        let jpeg = BASE64
            .decode(image["pic"].as_str().unwrap().as_bytes())
            .unwrap();
        assert!(jpeg.starts_with(&[0xff, 0xd8]) && jpeg.ends_with(&[0xff, 0xd9]));
        let frame = jpeg
            .windows(2)
            .position(|pair| pair == [0xff, 0xc0])
            .unwrap();
        assert_eq!(
            jpeg[frame + 5..frame + 9],
            [1, 224, 1, 104],
            "480 high, 360 wide"
        );
    }
}

#[tokio::test]
async fn every_video_gets_its_documented_result() {
    let emulator = start().await;
    let videos: [(&[u8], u64); 10] = [
        (VIDEO, 0),
        (include_bytes!("../data/h264-moov-last.mp4"), 0),
        (include_bytes!("../data/h264-fragmented.mp4"), 0),
        (include_bytes!("../data/h264-with-audio.mp4"), 0),
        (include_bytes!("../data/hevc.mp4"), 216_508),
        (include_bytes!("../data/audio-only.mp4"), 216_508),
        (include_bytes!("../data/too-short.mp4"), 216_508),
        (include_bytes!("../data/too-long.mp4"), 216_510),
        (include_bytes!("../data/too-small.mp4"), 216_508),
        (include_bytes!("../data/too-wide.mp4"), 216_508),
    ];
    for (index, (video, code)) in videos.iter().enumerate() {
        assert_eq!(
            emulator.verify(video, "").await.code(),
            *code,
            "video {index}"
        );
    }
}

#[tokio::test]
async fn each_scenario_can_be_set_while_it_runs() {
    let emulator = start_with(Scenario::ActionFail, Duration::ZERO).await;
    assert_eq!(
        emulator.verify(VIDEO, "").await.json()["result"]["action_verify"],
        "fail"
    );
    emulator.handle.set_scenario(Scenario::LowScore);
    let low = emulator.verify(VIDEO, "").await.json();
    assert!(low["result"]["score"].as_f64().unwrap() < 0.05);
    emulator.handle.set_scenario(Scenario::Spoof);
    let fake = emulator.verify(VIDEO, "spoofing").await.json();
    assert!(fake["result"]["maxspoofing"].as_f64().unwrap() > 0.9);
    emulator.handle.set_scenario(Scenario::Error(223_120));
    let error = emulator.verify(VIDEO, "").await;
    assert_eq!(error.code(), 223_120);
    assert!(error.json().get("result").is_none());
}

#[tokio::test]
async fn a_wrong_signature_is_rejected_as_qiniu_does() {
    let emulator = start().await;
    let line = format!("POST {SESSION}");
    let good = signed(emulator.address, SESSION, "", b"{}");
    let token = good
        .lines()
        .find(|line| line.starts_with("Authorization"))
        .unwrap();
    let spoiled = [
        (good.replace(ACCESS_KEY, "somebody-else"), "{}"),
        (good.replace(&format!("{token}\n"), ""), "{}"),
        (good.replace("Qiniu ", "QBox "), "{}"),
        (
            good.replace("Content-Type: application/json", "Content-Type: text/json"),
            "{}",
        ),
        (good.replace("Host: 127.0.0.1", "Host: localhost"), "{}"),
        (format!("{good}X-Qiniu-Extra: 1\n"), "{}"),
        (good.clone(), "[]"),
    ];
    for (index, (headers, body)) in spoiled.iter().enumerate() {
        let answer = emulator.send(&line, headers, body.as_bytes()).await;
        assert_eq!(answer.status, 401, "{index}");
        assert_eq!(
            answer.body,
            br#"{"error":"bad token","error_code":"BadToken"}"#
        );
        assert!(answer.head.contains("\r\nx-reqid: ") && answer.head.contains("\r\nx-log: "));
    }
    assert_eq!(emulator.handle.signature_failures(), spoiled.len() as u64);
    assert_eq!(emulator.handle.session_calls(), 0);
}

#[tokio::test]
async fn a_stale_date_is_forbidden() {
    let emulator = start().await;
    let headers = signed(
        emulator.address,
        SESSION,
        "X-Qiniu-Date: 20200101T000000Z\n",
        b"{}",
    );
    let answer = emulator
        .send(&format!("POST {SESSION}"), &headers, b"{}")
        .await;
    assert_eq!(answer.status, 403);
    assert!(answer.json()["error"].is_string());
    assert_eq!(emulator.handle.signature_failures(), 1);
}

#[tokio::test]
async fn a_request_that_is_no_call_is_rejected_below_the_api() {
    let emulator = start().await;
    let body = b"{}";
    let good = signed(emulator.address, SESSION, "", body);
    let chunked = good.replace("Content-Length: 2", "Transfer-Encoding: chunked");
    let huge = good.replace(
        "Content-Length: 2",
        &format!("Content-Length: {}", 28 * 1024 * 1024 + 1),
    );
    let post = format!("POST {SESSION}");
    for (line, headers, body, status) in [
        ("POST /v2/actionliveness/other", &good, &body[..], 404),
        ("POST /v2/actionliveness/verify/", &good, body, 404),
        (&format!("GET {SESSION}"), &good, body, 405),
        (&post, &chunked, b"2\r\n{}\r\n0\r\n\r\n", 411),
        (&post, &good.replace("Content-Length: 2\n", ""), b"", 411),
        (&post, &huge, b"", 413),
    ] {
        let answer = emulator.send(line, headers, body).await;
        assert_eq!(answer.status, status, "{line}");
        assert!(answer.json()["error"].is_string());
        assert!(answer.head.contains("\r\nx-reqid: "));
    }
}

#[tokio::test]
async fn the_content_type_must_be_exact() {
    let emulator = start().await;
    let kind = "application/json; charset=utf-8";
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(SECRET_KEY.as_bytes()).unwrap();
    let address = emulator.address;
    mac.update(format!("POST {SESSION}\nHost: {address}\nContent-Type: {kind}\n\n{{}}").as_bytes());
    let sign = BASE64URL.encode(&mac.finalize().into_bytes());
    let headers = format!(
        "Host: {address}\nContent-Type: {kind}\nAuthorization: Qiniu {ACCESS_KEY}:{sign}\nContent-Length: 2\n"
    );
    assert_eq!(
        emulator
            .send(&format!("POST {SESSION}"), &headers, b"{}")
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn a_session_expires_after_five_minutes_of_the_emulator_s_clock() {
    let emulator = start().await;
    let body =
        json!({"session_id": emulator.session().await, "video_base64": BASE64.encode(VIDEO)});
    emulator.handle.advance_clock(Duration::from_secs(300));
    assert_eq!(emulator.call(VERIFY, &body).await.code(), 216_502);
}

#[tokio::test]
async fn only_one_of_two_concurrent_verifies_succeeds() {
    let emulator = start().await;
    let body =
        json!({"session_id": emulator.session().await, "video_base64": BASE64.encode(VIDEO)});
    let (one, two) = tokio::join!(emulator.call(VERIFY, &body), emulator.call(VERIFY, &body));
    let mut codes = [one.code(), two.code()];
    codes.sort_unstable();
    assert_eq!(codes, [0, 216_502]);
    assert_eq!(emulator.handle.verify_calls(), 2);
}

#[tokio::test]
async fn a_video_of_twenty_mebibytes_is_accepted() {
    let emulator = start().await;
    let mut video = VIDEO.to_vec();
    let size = 20 * 1024 * 1024;
    video.extend_from_slice(&u32::try_from(size - VIDEO.len()).unwrap().to_be_bytes());
    video.extend_from_slice(b"free");
    video.extend(vec![0; size - video.len()]);
    assert_eq!(emulator.verify(&video, "").await.code(), 0);
}

#[tokio::test]
async fn the_handle_shows_the_last_request_but_no_secret() {
    let emulator = start().await;
    let body = br#"{"min_code_length":1,"marker":"body-text"}"#;
    let headers = signed(
        emulator.address,
        SESSION,
        "X-Qiniu-Extra: header-text\n",
        body,
    );
    assert_eq!(
        emulator
            .send(&format!("POST {SESSION}"), &headers, body)
            .await
            .code(),
        0
    );
    let handle = &emulator.handle;
    assert_eq!(handle.last_body_sha256(), Some(Sha256::digest(body).into()));
    assert_eq!(handle.last_body_length(), Some(body.len() as u64));
    assert_eq!(handle.last_host(), Some(emulator.address.to_string()));
    assert_eq!(
        handle.last_content_type().as_deref(),
        Some("application/json")
    );
    let mut names = handle.last_header_names();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "authorization",
            "connection",
            "content-length",
            "content-type",
            "host",
            "x-qiniu-extra"
        ]
    );
    let shown = format!("{handle:?}");
    for secret in [ACCESS_KEY, SECRET_KEY, "body-text", "header-text"] {
        assert!(!shown.contains(secret));
    }
}

#[tokio::test]
async fn latency_delays_a_response() {
    let latency = Duration::from_millis(80);
    let emulator = start_with(Scenario::Pass, latency).await;
    let begun = std::time::Instant::now();
    emulator.session().await;
    assert!(begun.elapsed() >= latency);
}

#[tokio::test]
async fn the_emulator_stops_on_request_and_closes_connections() {
    let emulator = start().await;
    let mut idle = TcpStream::connect(emulator.address).await.unwrap();
    emulator.session().await;
    emulator.stop.send(()).unwrap();
    emulator.task.await.unwrap();
    // Closed or reset, but never left open.
    let read = idle.read(&mut [0; 1]).await;
    assert!(matches!(read, Ok(0) | Err(_)));
    assert!(TcpStream::connect(emulator.address).await.is_err());
}
