//! Uploads that are refused before they are complete: the client can read the response, and the
//! connection does not stay open.

use std::time::{Duration, Instant};

use crate::support::{Gateway, SESSIONCODE, VERIFY, emulator, raw};
use liveness_gateway::emulator::Scenario;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Frame types of HTTP/2 (RFC 9113 section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
/// Flags; on SETTINGS and PING, bit 0 is ACK.
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

async fn connect() -> (Gateway, TcpStream) {
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = Gateway::plain(qiniu).await;
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    (gateway, stream)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Type, flags and stream of the next frame.
async fn next(tcp: &mut TcpStream) -> (u8, u8, u32) {
    let mut head = [0; 9];
    tcp.read_exact(&mut head).await.unwrap();
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    tcp.read_exact(&mut vec![0; length as usize]).await.unwrap();
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    (head[3], head[4], stream)
}

#[tokio::test]
async fn over_http2_a_refusal_is_not_followed_by_an_immediate_reset() {
    let (_gateway, mut tcp) = connect().await;
    let mut opening = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    opening.extend(frame(SETTINGS, 0, 0, &[]));
    tcp.write_all(&opening).await.unwrap();
    // The windows are wide once both have arrived.
    let (mut settings, mut window) = (false, false);
    while !(settings && window) {
        let (kind, flags, _) = next(&mut tcp).await;
        settings |= kind == SETTINGS && flags & ACK == 0;
        window |= kind == WINDOW_UPDATE;
    }
    // `:method: POST`, `:scheme: http`, then `:path` and `:authority` as literals (RFC 7541
    // appendix A).
    let mut head = vec![0x83, 0x86, 0x04, u8::try_from(VERIFY.len()).unwrap()];
    head.extend(VERIFY.as_bytes());
    head.extend([0x01, 1, b'g']);
    let mut upload = frame(SETTINGS, ACK, 0, &[]);
    upload.extend(frame(HEADERS, END_HEADERS, 1, &head));
    for _ in 0..20 {
        upload.extend(frame(DATA, 0, 1, &[b' '; 16 * 1024]));
    }
    tcp.write_all(&upload).await.unwrap();
    let mut answered = false;
    for _ in 0..50 {
        tcp.write_all(&frame(PING, 0, 0, &[7; 8])).await.unwrap();
        loop {
            let (kind, flags, stream) = next(&mut tcp).await;
            assert_ne!(kind, RST_STREAM, "answered before: {answered}");
            answered |= stream == 1 && kind == DATA && flags & END_STREAM != 0;
            if kind == PING && flags & ACK != 0 {
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
