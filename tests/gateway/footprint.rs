//! The memory that a half-sent upload takes, in the shapes that cost its sender least: at most a
//! tenth more than the bytes that have arrived, plus a constant.
#![cfg(target_os = "linux")]
#![allow(
    clippy::print_stdout,
    reason = "a number for the test that started this one, and for a person"
)]

use crate::connections::certificates;
use crate::support::{Gateway, UNBOUND, VERIFY, bearer, emulator, routes};
use liveness_gateway::emulator::Scenario;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

/// A step of admission, in bytes of a body.
const STEP: usize = 256 * 1024;
/// Allowance for buffers of a connection and for what the process allocates independently, in
/// bytes.
const CONSTANT: usize = 3 * 1024 * 1024;
/// On a busy machine, a body in chunks of a byte may come slower than by default.
const SLOW: &str = "min_body_rate = \"1B\"\n";
const OPENING: &str = "{\"session_id\":\"s\",\"video_base64\":\"";

/// Resident memory of this process, in bytes. Pages of the program's file are left out, because
/// each function that runs for the first time loads one.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: Vec<usize> = pages
        .split_whitespace()
        .map(|number| number.parse().unwrap())
        .collect();
    (pages[1] - pages[2]) * 4096
}

/// How the bytes of a video are sent.
struct Shape {
    name: &'static str,
    tls: bool,
    http2: bool,
    /// Sent repeatedly.
    unit: Vec<u8>,
    /// Bytes of the video in one unit.
    bytes: usize,
    /// Steps of admission to fill.
    steps: usize,
}

impl Shape {
    /// Bytes of a body to send: a little more than its steps, so that the next step shows that they
    /// have arrived.
    fn sent(&self) -> usize {
        self.steps * STEP + 1_000
    }
}

fn shapes() -> Vec<Shape> {
    let shape = |name, http2, unit, bytes| Shape {
        name,
        tls: str::contains(name, "TLS"),
        http2,
        unit,
        bytes,
        // Each small unit takes its time, and as much memory as a large one if it is kept, so half
        // as many are enough.
        steps: if bytes < 1_000 { 1 } else { 2 },
    };
    // A frame of an unknown type, which must be ignored (RFC 9113 section 4.1).
    let unknown = frame(0xfa, 0, 0, &[0; 16 * 1024]);
    vec![
        shape("chunks of 5,000 bytes", false, chunk(5_000), 5_000),
        shape("chunks of two bytes", false, chunk(2), 2),
        shape(
            "frames of 5,000 bytes among others",
            true,
            [data(5_000), unknown].concat(),
            5_000,
        ),
        shape("frames of 15,000 bytes", true, data(15_000), 15_000),
        // Smaller ones count as a flood.
        shape("frames of 128 bytes", true, data(128), 128),
        shape("chunks of 5,000 bytes in TLS", false, chunk(5_000), 5_000),
        shape(
            "chunks of 15,000 bytes in TLS",
            false,
            chunk(15_000),
            15_000,
        ),
    ]
}

/// Sends a body in this shape. Returns how many bytes the process has grown by once all of it is
/// held.
async fn grown<S>(gateway: &Gateway, shape: &Shape, mut stream: S) -> usize
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if shape.http2 {
        greet(&mut stream).await;
    }
    let body = shape.unit.repeat(shape.sent().div_ceil(shape.bytes));
    let before = resident();
    let opening = if shape.http2 { http2() } else { http1() };
    stream.write_all(&opening).await.unwrap();
    // Small units together, as a sender does that saves system calls.
    for part in body.chunks(shape.unit.len().max(4_096)) {
        stream.write_all(part).await.unwrap();
    }
    stream.flush().await.unwrap();
    let admitted = format!("body_memory_bytes {}", (shape.steps + 1) * STEP);
    gateway.until_metrics_have(&admitted).await;
    resident().saturating_sub(before)
}

/// Exchanges settings, so that the gateway's window sizes apply.
async fn greet<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    stream.write_all(&frame(4, 0, 0, b"")).await.unwrap();
    stream.flush().await.unwrap();
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(head[3], 4, "settings come first");
    let length = usize::from(head[1]) << 8 | usize::from(head[2]);
    stream.read_exact(&mut vec![0; length]).await.unwrap();
    stream.write_all(&frame(4, 1, 0, b"")).await.unwrap();
}

/// The head of a chunked upload over HTTP/1.1, and its first chunk.
fn http1() -> Vec<u8> {
    format!(
        "POST {VERIFY} HTTP/1.1\r\nHost: a\r\nAuthorization: {}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{OPENING}\r\n",
        bearer("user-1"),
        OPENING.len()
    )
    .into()
}

/// A chunk of `bytes` bytes whose size line is padded with `line` spaces.
fn chunk(bytes: usize) -> Vec<u8> {
    format!("{bytes:x}\r\n{}\r\n", "A".repeat(bytes)).into()
}

/// The same head over HTTP/2 (RFC 9113).
fn http2() -> Vec<u8> {
    let mut fields = Vec::new();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", VERIFY),
        (":authority", "a"),
        ("authorization", &bearer("user-1")),
        ("content-type", "application/json"),
    ] {
        // RFC 7541 section 6.2.2: a literal without indexing, with a new name.
        fields.push(0);
        for text in [name, value] {
            match u8::try_from(text.len()) {
                Ok(length @ 0..=126) => fields.push(length),
                _ => {
                    let more = text.len() - 127;
                    fields.extend([127, 0x80 | (more & 0x7f) as u8, (more >> 7) as u8]);
                }
            }
            fields.extend(text.as_bytes());
        }
    }
    [frame(1, 4, 1, &fields), frame(0, 0, 1, OPENING.as_bytes())].concat()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn data(bytes: usize) -> Vec<u8> {
    frame(0, 0, 1, &vec![b'A'; bytes])
}

/// Each shape runs in its own process: pages that one shape has touched would not count for the
/// next.
#[test]
fn a_half_sent_upload_takes_at_most_a_tenth_more_than_its_bytes() {
    let this = std::env::current_exe().unwrap();
    for (number, shape) in shapes().iter().enumerate() {
        let (name, sent) = (shape.name, shape.sent());
        let output = std::process::Command::new(&this)
            .args([
                "--exact",
                "footprint::one_shape_in_a_process_of_its_own",
                "--ignored",
                "--nocapture",
            ])
            .env("SHAPE", number.to_string())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let grown = said.lines().find_map(|line| line.strip_prefix("grown by "));
        let grown: usize = grown
            .unwrap_or_else(|| panic!("{name}: {said}"))
            .parse()
            .unwrap();
        println!("{name}: {grown} bytes for {sent}");
        let most = sent / 10 * 11 + CONSTANT;
        assert!(grown < most, "{name}: {grown} bytes for {sent}");
    }
}

#[tokio::test]
#[ignore = "started by the test above"]
async fn one_shape_in_a_process_of_its_own() {
    let number: usize = std::env::var("SHAPE").unwrap().parse().unwrap();
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let shape = &shapes()[number];
    let grown = if shape.tls {
        let (files, roots) = certificates::files();
        let keys = format!(
            "{SLOW}tls.certificate = {:?}\ntls.private_key = {:?}",
            files.certificate, files.key
        );
        let gateway = Gateway::start(qiniu, &keys, &(UNBOUND.to_owned() + &routes())).await;
        let stream = certificates::connect(gateway.address, &roots, &[]).await;
        grown(&gateway, shape, stream).await
    } else {
        let gateway = Gateway::start(qiniu, SLOW, &(UNBOUND.to_owned() + &routes())).await;
        let stream = TcpStream::connect(gateway.address).await.unwrap();
        grown(&gateway, shape, stream).await
    };
    println!("\ngrown by {grown}");
}
