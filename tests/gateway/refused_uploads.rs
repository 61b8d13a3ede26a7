//! Uploads that are refused before they are complete: the client can read the response, and the
//! connection does not stay open.

use std::time::{Duration, Instant};

use crate::support::{
    Gateway, SESSIONCODE, VERIFY, emulator,
    frames::{self, FrameClient},
    raw,
};
use liveness_gateway::emulator::Scenario;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

async fn connect() -> (Gateway, TcpStream) {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    (gateway, stream)
}

#[tokio::test]
async fn over_http2_a_refusal_is_not_followed_by_an_immediate_reset() {
    let (_gateway, tcp) = connect().await;
    let mut client = FrameClient::begin(tcp).await.unwrap();
    // The windows are wide once both have arrived.
    client.until(frames::WINDOW_UPDATE, 0).await.unwrap();
    let head = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "g"),
        (":path", VERIFY),
    ];
    let mut upload = frames::settings_ack();
    upload.extend(frames::headers(1, false, &head));
    upload.extend(frames::data(1, false, &[b' '; 16 * 1024]).repeat(20));
    client.send(&upload).await.unwrap();
    let mut answered = false;
    for at in 0..50 {
        client.send(&frames::ping(at)).await.unwrap();
        loop {
            let frame = client.next().await.unwrap();
            assert_ne!(frame.kind, frames::RST_STREAM, "answered: {answered}");
            answered |= frame.stream == 1 && frame.kind == frames::DATA && frame.ends_stream();
            if frame.kind == frames::PING && frame.flags & frames::ACK != 0 {
                break;
            }
        }
    }
    assert!(answered);
}

#[tokio::test]
async fn over_http1_the_rest_of_a_refused_upload_is_read_for_two_seconds() {
    let (_gateway, mut tcp) = connect().await;
    let head = format!("POST {VERIFY} HTTP/1.1\r\nHost: g\r\nContent-Length: 20000000\r\n\r\n");
    tcp.write_all(head.as_bytes()).await.unwrap();
    let began = Instant::now();
    let (mut reader, mut writer) = tcp.split();
    let mut answer = String::new();
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    let sending = async {
        loop {
            pace.tick().await;
            if writer.write_all(b"{").await.is_err() || began.elapsed() > Duration::from_secs(8) {
                return began.elapsed();
            }
        }
    };
    let (read, ended) = tokio::join!(reader.read_to_string(&mut answer), sending);
    assert!(answer.starts_with("HTTP/1.1 401 "), "{read:?} {answer}");
    assert!(ended > Duration::from_millis(1500), "{ended:?}");
    assert!(ended < Duration::from_millis(3500), "{ended:?}");
}

#[tokio::test]
async fn a_client_sees_the_refusal_of_a_chunked_body_over_the_limit() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    let head = raw::head("user-1", SESSIONCODE, "Transfer-Encoding: chunked");
    let mut stream = raw::begin(gateway.address, &head).await;
    let chunk = [b"1000\r\n".as_slice(), &[b' '; 4096], b"\r\n"].concat();
    for _ in 0..32 {
        stream.write_all(&chunk).await.unwrap();
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let answer = raw::rest(stream).await;
    assert!(
        answer.starts_with("HTTP/1.1 413 ") && answer.contains("\"code\":\"body_too_large\""),
        "{answer}"
    );
}

#[tokio::test]
async fn a_refused_upload_that_expects_100_continue_gets_none() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    let head = format!(
        "POST {VERIFY} HTTP/1.1\r\nHost: g\r\nContent-Length: 20000000\r\nExpect: 100-continue\r\n\r\n"
    );
    let answer = raw::ask(gateway.address, &head).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}

#[tokio::test]
async fn a_stalled_body_times_out_after_grace_period_and_window() {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    let began = Instant::now();
    let half = raw::head("user-1", VERIFY, "Content-Length: 1000") + "{";
    let answer = raw::ask(gateway.address, &half).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("\"code\":\"body_too_slow\""), "{answer}");
    let lower = answer.to_ascii_lowercase();
    assert!(lower.contains("\r\nretry-after: 1\r\n"), "{answer}");
    assert!(began.elapsed() >= Duration::from_secs(15));
}
