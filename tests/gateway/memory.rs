//! The memory for bodies is returned however a request ends, and no request waits for it.

use std::sync::Arc;

use crate::support::{
    Gateway, SESSIONCODE, UNBOUND, VERIFY, bearer, emulator, raw, routes, session, until,
    upstream::{self, Does, answer},
    verify_body, video,
};
use liveness_gateway::emulator::Scenario;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
};

/// Bytes that are reserved now.
pub(crate) async fn held(gateway: &Gateway) -> u64 {
    let metrics = gateway.metrics().await;
    let line = metrics
        .lines()
        .find(|line| line.starts_with("liveness_gateway_body_memory_bytes "));
    let (_, value) = line.unwrap().split_once(' ').unwrap();
    value.parse().unwrap()
}

/// Waits until nothing is reserved.
pub(crate) async fn all_given_back(gateway: &Gateway, what: &str) {
    until(what, async || held(gateway).await == 0).await;
}

/// Sends a head and a part of the body, and waits until memory is reserved for it.
async fn begin(gateway: &Gateway, length: usize, part: &str) -> TcpStream {
    let head = raw::head("user-1", VERIFY, &format!("Content-Length: {length}"));
    let stream = raw::begin(gateway.address, &(head + part)).await;
    until("memory is reserved", async || held(gateway).await > 0).await;
    stream
}

#[tokio::test]
async fn all_responses_and_refusals_return_their_memory() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let more = routes().replace(
        "kind = \"verify\"",
        "kind = \"verify\"\nvideo_check = \"enforce\"",
    );
    let gateway = Gateway::start(qiniu, "", &more).await;
    for http2 in [false, true] {
        let id = session(&gateway).await;
        let good = verify_body(&id, &video(300_000));
        for (what, body, status) in [
            ("a pass", good.clone(), 200),
            ("a retry", good.clone(), 200),
            ("not JSON", good[..good.len() - 5].to_owned(), 400),
            ("not base64", good.replace(":\"AA", ":\"-A"), 422),
            ("no MP4", verify_body(&id, &[7; 200_000]), 422),
            ("too large", verify_body(&id, &video(22 * 1024 * 1024)), 413),
        ] {
            let answer = gateway.post(http2, VERIFY, body).await;
            assert_eq!(answer.status.as_u16(), status, "{what}");
            all_given_back(&gateway, what).await;
        }
    }
}

#[tokio::test]
async fn upstream_failures_return_their_memory() {
    for does in [
        Does::Close,
        Does::Hang,
        Does::Answer(answer("500 Oops", "")),
        Does::Answer(answer("200 OK", "{")),
        Does::AnswerEarly(answer("413 Too Large", "")),
    ] {
        let qiniu = upstream::start(does).await;
        let more = routes().replace("timeout = \"20s\"", "timeout = \"300ms\"");
        let gateway = Gateway::start(qiniu.address, "", &(UNBOUND.to_owned() + &more)).await;
        for http2 in [false, true] {
            let answer = gateway
                .post(http2, VERIFY, verify_body("s", &video(500_000)))
                .await;
            assert!(answer.status.as_u16() >= 400);
            all_given_back(&gateway, "an upstream that fails").await;
        }
    }
}

#[tokio::test]
async fn a_caller_that_disconnects_returns_its_memory() {
    let qiniu = upstream::start(Does::Hang).await;
    let more = routes().replace("timeout = \"20s\"", "timeout = \"1s\"");
    let mut gateway = Gateway::start(qiniu.address, "", &(UNBOUND.to_owned() + &more)).await;
    drop(begin(&gateway, 1000, "{\"session").await);
    all_given_back(&gateway, "left in the middle of the upload").await;

    let body = verify_body("s", &video(100_000));
    let stream = begin(&gateway, body.len(), &body).await;
    qiniu.until_requests(1).await;
    drop(stream);
    assert!(held(&gateway).await > 0, "the call goes on, with its body");
    all_given_back(&gateway, "left while Qiniu was asked").await;

    // A stop in the middle of an upload: the connection is closed when the drain timeout ends.
    let stream = begin(&gateway, 1000, "{").await;
    gateway.stop();
    drop(stream);
    let outcome = (&mut gateway.ended).await.unwrap();
    assert_eq!(outcome.cut, 0);
}

#[tokio::test]
async fn chunks_of_one_byte_take_no_more_memory_than_others() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    let lines = "Transfer-Encoding: chunked\r\nConnection: close";
    let head = raw::head("user-1", SESSIONCODE, lines);
    let mut stream = raw::begin(gateway.address, &head).await;
    let body = format!("{{{}\"min_code_length\":2}}", " ".repeat(2000));
    let chunks: String = body
        .chars()
        .map(|byte| format!("1\r\n{byte}\r\n"))
        .collect();
    stream
        .write_all(format!("{chunks}0\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("session_id"), "{answer}");
    all_given_back(&gateway, "many small chunks").await;
}

#[tokio::test]
async fn without_memory_a_request_is_rejected_at_once() {
    let gate = Arc::new(Semaphore::new(0));
    let does = Does::WhenLet(Arc::clone(&gate), answer("200 OK", "{\"error_code\":0}"));
    let qiniu = upstream::start(does).await;
    let sections = UNBOUND.to_owned() + &routes();
    let gateway = Gateway::start(qiniu.address, "body_memory = \"28MiB\"", &sections).await;
    // A complete body is needed until its call has ended, however long that takes.
    let body = verify_body("s", &video(20 * 1024 * 1024));
    let first = raw::begin(gateway.address, &raw::whole("user-1", VERIFY, &body)).await;
    qiniu.until_requests(1).await;
    for http2 in [false, true] {
        let request = gateway
            .request(http2, "POST", VERIFY)
            .header("authorization", bearer("user-2"))
            .header("content-type", "application/json");
        let body = verify_body("s", &video(2_000_000));
        let refused = gateway.send(http2, request, body).await;
        assert_eq!(
            (
                refused.status.as_u16(),
                refused.code(),
                refused.header("retry-after")
            ),
            (503, "overloaded".into(), "1")
        );
    }
    gate.add_permits(2);
    drop(first);
    all_given_back(&gateway, "the upload that filled the memory").await;
    let answer = gateway
        .post(false, VERIFY, verify_body("s", &video(2_000_000)))
        .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn raw_videos_return_their_memory() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let more = routes().replace(
        "kind = \"verify\"",
        "kind = \"verify\"\nvideo_check = \"enforce\"",
    );
    let gateway = Gateway::start(
        qiniu,
        "body_memory = \"60MiB\"",
        &(UNBOUND.to_owned() + &more),
    )
    .await;
    for http2 in [false, true] {
        let id = session(&gateway).await;
        for (what, video, status) in [
            ("a pass", video(300_000), 200),
            ("no MP4", vec![7; 200_000], 422),
            ("empty", Vec::new(), 422),
            ("too large", video(21 * 1024 * 1024), 422),
        ] {
            let request = gateway
                .request(http2, "POST", VERIFY)
                .header("authorization", bearer("user-1"))
                .header("content-type", "video/mp4")
                .header("liveness-session", &id);
            let answer = gateway.send(http2, request, video).await;
            assert_eq!(answer.status.as_u16(), status, "{what}");
            all_given_back(&gateway, what).await;
        }
    }
    // The reservation is the size of what is held: the video as base64, and the JSON around it.
    let lines = "Liveness-Session: s\r\nContent-Length: 3000000";
    let head = raw::head("user-1", VERIFY, lines).replace("application/json", "video/mp4");
    let stream = raw::begin(gateway.address, &(head + "v")).await;
    until("memory is reserved", async || held(&gateway).await > 0).await;
    assert!((4_000_000..4_010_000).contains(&held(&gateway).await));
    drop(stream);
    all_given_back(&gateway, "left in the middle of a video").await;
}

#[tokio::test]
async fn http2_streams_that_are_reset_return_their_memory() {
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let qiniu = upstream::start(Does::Hang).await;
    let more = routes().replace("timeout = \"20s\"", "timeout = \"1s\"");
    let gateway = Gateway::start(qiniu.address, "", &(UNBOUND.to_owned() + &more)).await;
    let stream = TokioIo::new(TcpStream::connect(gateway.address).await.unwrap());
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream)
            .await
            .unwrap();
    tokio::spawn(connection);
    // One that stops in the middle, and one whose call to Qiniu is under way.
    for (declared, whole) in [(900_000, false), (0, true)] {
        let body = verify_body("s", &video(100_000));
        let mut request = gateway
            .request(true, "POST", VERIFY)
            .header("authorization", bearer("user-1"))
            .header("content-type", "application/json");
        if !whole {
            request = request.header("content-length", declared.to_string());
        }
        let asked = qiniu.requests();
        let request = request.body(Half(Some(body.into()), whole)).unwrap();
        let call = tokio::spawn(sender.send_request(request));
        until("memory is reserved", async || held(&gateway).await > 0).await;
        if whole {
            qiniu.until_requests(asked + 1).await;
        }
        call.abort();
        all_given_back(&gateway, "a stream that was reset").await;
    }
}

/// A body that ends after its first chunk, or never continues.
struct Half(Option<bytes::Bytes>, bool);

impl hyper::body::Body for Half {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<bytes::Bytes>, Self::Error>>> {
        match self.0.take() {
            Some(chunk) => std::task::Poll::Ready(Some(Ok(hyper::body::Frame::data(chunk)))),
            None if self.1 => std::task::Poll::Ready(None),
            None => std::task::Poll::Pending,
        }
    }
}
