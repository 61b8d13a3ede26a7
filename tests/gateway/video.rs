//! Videos: sent in JSON or as they are, inspected, and rejected where the operator wants that.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use crate::support::{
    Answer, Gateway, UNBOUND, VERIFY, bearer, emulator, routes, session,
    upstream::{self, Does},
    verify_body, video,
};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};
use hyper_util::rt::{TokioExecutor, TokioIo};
use liveness_gateway::emulator::Scenario;

fn file(name: &str) -> Vec<u8> {
    std::fs::read(format!(
        "{}/tests/data/{name}.mp4",
        env!("CARGO_MANIFEST_DIR")
    ))
    .unwrap()
}

async fn send_raw(
    gateway: &Gateway,
    http2: bool,
    fields: &[(&str, &str)],
    video: Vec<u8>,
) -> Answer {
    let mut request = gateway
        .request(http2, "POST", VERIFY)
        .header("authorization", bearer("user-1"))
        .header("content-type", "video/mp4");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    gateway.send(http2, request, video).await
}

#[tokio::test]
async fn a_raw_video_passes_like_one_in_json() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    for http2 in [false, true] {
        for size in [0, 100_000, 3_000_001] {
            let id = session(&gateway).await;
            let fields = [
                ("liveness-session", id.as_str()),
                ("liveness-face-field", "spoofing,quality"),
            ];
            let answer = send_raw(&gateway, http2, &fields, video(size)).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(answer.json()["result"]["action_verify"], "pass");
            assert!(answer.json()["result"]["maxspoofing"].is_number());
            assert!(!String::from_utf8_lossy(&answer.body).contains("\"pic\""));
        }
    }
    assert_eq!(handle.verify_calls(), 6);
}

#[tokio::test]
async fn a_raw_video_of_twenty_mebibytes_passes_and_a_larger_one_is_rejected_unread() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    let id = session(&gateway).await;
    let fields = [("liveness-session", id.as_str())];
    let over = send_raw(&gateway, false, &fields, video(20 * 1024 * 1024 + 1)).await;
    assert_eq!(over.status, 422, "{over:?}");
    assert_eq!(over.json()["reason"], "too_large");
    let whole = send_raw(&gateway, false, &fields, video(20 * 1024 * 1024)).await;
    assert_eq!(whole.status, 200, "{whole:?}");
}

#[tokio::test]
async fn qiniu_gets_the_json_that_a_client_would_have_sent() {
    let answer = upstream::answer("200 OK", "{\"error_code\":0}");
    let qiniu = upstream::start(Does::AnswerAndStay(answer)).await;
    let gateway = Gateway::unbound(qiniu.address).await;
    for size in [1, 2, 3, 4, 5000] {
        let video = Bytes::from(vec![b'v'; size]);
        let fields = [("liveness-session", "S-1/+=")];
        send_raw(&gateway, false, &fields, video.to_vec()).await;
        assert_eq!(
            String::from_utf8(qiniu.last_body()).unwrap(),
            verify_body("S-1/+=", &video)
        );
    }
    let fields = [
        ("liveness-session", "S"),
        ("liveness-face-field", "quality"),
    ];
    send_raw(&gateway, false, &fields, b"v".to_vec()).await;
    assert_eq!(
        String::from_utf8(qiniu.last_body()).unwrap(),
        r#"{"session_id":"S","video_base64":"dg==","face_field":"quality"}"#
    );
}

#[tokio::test]
async fn header_fields_of_a_raw_video_must_occur_once_and_be_plain() {
    let (qiniu, handle) = emulator(Scenario::Pass).await;
    let gateway = Gateway::unbound(qiniu).await;
    let long = "x".repeat(1025);
    for http2 in [false, true] {
        for fields in [
            vec![],
            vec![("liveness-session", "")],
            vec![("liveness-session", "a\"b")],
            vec![("liveness-session", "a\\b")],
            vec![("liveness-session", "a b")],
            vec![("liveness-session", long.as_str())],
            vec![("liveness-session", "a"), ("liveness-session", "a")],
            vec![("liveness-session", "a"), ("liveness-face-field", "\"")],
        ] {
            let answer = send_raw(&gateway, http2, &fields, b"v".to_vec()).await;
            assert_eq!(
                (answer.status.as_u16(), answer.code()),
                (400, "malformed_request".into())
            );
            assert!(
                answer.json()["detail"]
                    .as_str()
                    .unwrap()
                    .contains("Liveness-")
            );
        }
        let empty = send_raw(&gateway, http2, &[("liveness-session", "a")], Vec::new()).await;
        assert_eq!(
            (empty.status.as_u16(), &empty.json()["reason"]),
            (422, &"empty".into())
        );
        let other = gateway
            .request(http2, "POST", crate::support::SESSIONCODE)
            .header("authorization", bearer("user-1"))
            .header("content-type", "video/mp4");
        let other = gateway.send(http2, other, "v").await;
        assert_eq!(other.status, 415);
    }
    assert_eq!(handle.verify_calls(), 0);
}

#[tokio::test]
async fn findings_are_counted_and_rejected_where_configured() {
    let answer = upstream::answer("200 OK", "{\"error_code\":0}");
    let qiniu = upstream::start(Does::AnswerAndStay(answer)).await;
    let findings = [
        ("hevc", "not_h264"),
        ("audio-only", "no_video_track"),
        ("too-short", "duration"),
        ("too-long", "duration"),
        ("too-small", "dimensions"),
        ("too-wide", "dimensions"),
    ];
    for (word, status) in [("off", 200), ("report", 200), ("enforce", 422)] {
        let kind = format!("kind = \"verify\"\nvideo_check = \"{word}\"");
        let routes = routes().replace("kind = \"verify\"", &kind);
        let gateway = Gateway::start(qiniu.address, "", &(UNBOUND.to_owned() + &routes)).await;
        for raw in [false, true] {
            for (name, finding) in findings.iter().chain(&[("", "not_mp4")]) {
                let video = match *name {
                    "" => b"GIF89a, not a video".to_vec(),
                    name => file(name),
                };
                let answer = match raw {
                    true => send_raw(&gateway, false, &[("liveness-session", "s")], video).await,
                    false => gateway.post(false, VERIFY, verify_body("s", &video)).await,
                };
                assert_eq!(answer.status.as_u16(), status, "{word} {name} {answer:?}");
                if status == 422 {
                    assert_eq!(
                        (answer.code(), &answer.json()["reason"]),
                        ("video_rejected".into(), &(*finding).into())
                    );
                }
            }
            for good in ["h264-moov-first", "h264-moov-last", "h264-fragmented"] {
                let escaped = verify_body("s", &file(good)).replace('/', "\\/");
                let answer = gateway.post(false, VERIFY, escaped).await;
                assert_eq!(answer.status, 200, "{word} {good}");
            }
        }
        let metrics = gateway.metrics().await;
        let counted = "liveness_gateway_video_findings_total{finding=\"dimensions\"} 4";
        assert_eq!(metrics.contains(counted), word != "off", "{metrics}");
    }
}

/// A body of unknown length, in these chunks.
struct Chunks(VecDeque<Bytes>);

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|chunk| Ok(Frame::data(chunk))))
    }
}

/// Sends a video without its length. Returns the status and the body of the response.
async fn send_chunked(gateway: &Gateway, http2: bool, chunks: VecDeque<Bytes>) -> (u16, Bytes) {
    let stream = tokio::net::TcpStream::connect(gateway.address)
        .await
        .unwrap();
    let request = gateway
        .request(http2, "POST", VERIFY)
        .header("authorization", bearer("user-1"))
        .header("content-type", "video/mp4")
        .header("liveness-session", "S")
        .body(Chunks(chunks))
        .unwrap();
    let io = TokioIo::new(stream);
    let answer = if http2 {
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
                .await
                .unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    };
    let status = answer.status().as_u16();
    (
        status,
        answer.into_body().collect().await.unwrap().to_bytes(),
    )
}

#[tokio::test]
async fn a_video_of_unknown_length_is_forwarded_alike_however_it_is_chunked() {
    let answer = upstream::answer("200 OK", "{\"error_code\":0}");
    let qiniu = upstream::start(Does::AnswerAndStay(answer)).await;
    let gateway = Gateway::unbound(qiniu.address).await;
    let video = video(300_001);
    for http2 in [false, true] {
        for size in [1000, 4097, 99_999, 300_001] {
            let chunks = video.chunks(size).map(Bytes::copy_from_slice).collect();
            let (status, _) = send_chunked(&gateway, http2, chunks).await;
            assert_eq!(status, 200, "{size}");
            assert!(
                qiniu.last_body() == verify_body("S", &video).into_bytes(),
                "{size}"
            );
        }
        let over = vec![Bytes::from(vec![0; 1024 * 1024]); 21].into();
        let (status, body) = send_chunked(&gateway, http2, over).await;
        let body = String::from_utf8_lossy(&body);
        assert!(
            status == 422 && body.contains("too_large"),
            "{status} {body}"
        );
    }
}

#[tokio::test]
async fn a_face_field_is_forwarded_only_where_the_route_allows_it() {
    let answer = upstream::answer("200 OK", "{\"error_code\":0}");
    let qiniu = upstream::start(Does::AnswerAndStay(answer)).await;
    let fields = "kind = \"verify\"\nrequest.fields = [\"session_id\", \"video_base64\"]";
    let routes = routes().replace("kind = \"verify\"", fields);
    let gateway = Gateway::start(qiniu.address, "", &(UNBOUND.to_owned() + &routes)).await;
    let fields = [
        ("liveness-session", "S"),
        ("liveness-face-field", "quality"),
    ];
    let answer = send_raw(&gateway, false, &fields, b"v".to_vec()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(qiniu.last_body(), verify_body("S", b"v").into_bytes());
}
