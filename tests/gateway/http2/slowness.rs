//! Peers that send or read as little as they can: each wait has an end, also beside open streams.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{client, fields, head, request, stranger};
use crate::connections::certificates;
use crate::support::{
    Gateway, SESSIONCODE, UNBOUND, emulator, frames, routes,
    upstream::{self, Does},
};
use frames::{ENHANCE_YOUR_CALM, FrameClient, HEADERS, INITIAL_WINDOW_SIZE, PREFACE};
use liveness_gateway::emulator::Scenario;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
};

const SHORT: &str = "head_timeout = \"1s\"\nidle_timeout = \"2s\"\n";
/// Enough for these on a busy machine, and less than the defaults.
const IN_TIME: Duration = Duration::from_secs(9);
/// A session route whose upstream may take its time.
const SLOW: &str = "[[routes]]\npath = \"/v2/actionliveness/sessioncode\"\nkind = \"session\"\ntimeout = \"20s\"\n";

async fn gateway(server: &str) -> Gateway {
    Gateway::start(emulator(Scenario::Pass).await.0, server, &routes()).await
}

/// Sends these bytes one by one, with pauses, until the connection ends.
async fn drip(stream: &mut TcpStream, bytes: impl Iterator<Item = u8>) {
    for byte in bytes {
        if stream.write_all(&[byte]).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The first bytes of a head that never ends, beside a stream that waits for its body.
#[tokio::test]
async fn an_unfinished_head_ends_its_connection_also_beside_open_streams() {
    let gateway = gateway(SHORT).await;
    let block = frames::block(&fields(SESSIONCODE));
    let unended = frames::frame(HEADERS, 0, 3, &block);
    let mut half = frames::frame(HEADERS, frames::END_HEADERS, 3, &block);
    half.truncate(20);
    for (label, unfinished) in [("without END_HEADERS", unended), ("half a frame", half)] {
        let mut client = client(&gateway).await;
        client.send(&head(1, "user-1", SESSIONCODE)).await.unwrap();
        client.send(&unfinished).await.unwrap();
        let began = Instant::now();
        assert_eq!(client.goaway().await, Some(ENHANCE_YOUR_CALM), "{label}");
        assert!(began.elapsed() < IN_TIME, "{label}");
    }
}

/// Continuations that come slowly don't prolong it.
#[tokio::test]
async fn a_head_in_slow_continuations_has_one_timeout() {
    let gateway = gateway(SHORT).await;
    let mut client = client(&gateway).await;
    let block = frames::block(&fields(SESSIONCODE));
    client
        .send(&frames::frame(HEADERS, 0, 1, &block))
        .await
        .unwrap();
    let FrameClient { stream, .. } = client;
    let (reader, mut writer) = stream.into_split();
    let slow = async {
        for _ in 0..9 {
            let piece = frames::frame(frames::CONTINUATION, 0, 1, b"");
            if writer.write_all(&piece).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
    };
    let mut client = FrameClient::reading(tokio::io::join(reader, tokio::io::sink()));
    tokio::select! {
        ended = client.goaway() => assert_eq!(ended, Some(ENHANCE_YOUR_CALM)),
        () = slow => panic!("it was never ended"),
    }
}

#[tokio::test]
async fn a_preface_and_a_tls_handshake_that_drip_end_in_time() {
    let gateway = gateway(SHORT).await;
    let mut tcp = TcpStream::connect(gateway.address).await.unwrap();
    let began = Instant::now();
    // More than the 24 bytes of it would take 1.2 s.
    drip(&mut tcp, PREFACE.iter().copied().take(23)).await;
    let mut rest = Vec::new();
    let _ = tcp.read_to_end(&mut rest).await;
    assert!(began.elapsed() < IN_TIME);

    let (files, _) = certificates::files();
    let tls = format!(
        "{SHORT}tls.certificate = {:?}\ntls.private_key = {:?}\n",
        files.certificate, files.key
    );
    let gateway = self::gateway(&tls).await;
    let mut tcp = TcpStream::connect(gateway.address).await.unwrap();
    let began = Instant::now();
    // A handshake record whose length never comes to an end.
    let record = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc].into_iter();
    drip(&mut tcp, record.chain(std::iter::repeat_n(3, 100))).await;
    let _ = tcp.read_to_end(&mut rest).await;
    assert!(began.elapsed() < IN_TIME);
}

/// A stream whose body never begins, or stops: 408 by its pace, and the connection goes on.
#[tokio::test]
async fn a_body_that_stops_gets_408_on_its_stream_alone() {
    let gateway = gateway("").await;
    let mut client = client(&gateway).await;
    client.send(&head(1, "user-1", SESSIONCODE)).await.unwrap();
    client.send(&head(3, "user-2", SESSIONCODE)).await.unwrap();
    client.send(&frames::data(3, false, b"{")).await.unwrap();
    let (mut began, mut stopped) = (None, None);
    while began.is_none() || stopped.is_none() {
        let frame = client.next().await.unwrap();
        match (frame.kind, frame.stream) {
            (HEADERS, 1) => began = frame.status(),
            (HEADERS, 3) => stopped = frame.status(),
            _ => {}
        }
    }
    assert_eq!((began, stopped), (Some(408), Some(408)));
    client
        .send(&request(5, "user-1", SESSIONCODE, "{}"))
        .await
        .unwrap();
    assert_eq!(client.response(5).await, Some(Ok(200)));
}

/// A peer without a window for the response, which opens it by a byte at a time.
#[tokio::test]
async fn a_response_that_is_not_read_ends_with_the_idle_timeout() {
    let gateway = gateway(SHORT).await;
    for drips in [false, true] {
        let tcp = TcpStream::connect(gateway.address).await.unwrap();
        let (reader, mut writer) = tcp.into_split();
        let mut bytes = PREFACE.to_vec();
        bytes.extend(frames::settings(&[(1, 0), (INITIAL_WINDOW_SIZE, 0)]));
        bytes.extend(stranger(1, SESSIONCODE));
        writer.write_all(&bytes).await.unwrap();
        let mut client = FrameClient::reading(tokio::io::join(reader, tokio::io::sink()));
        let began = Instant::now();
        let dripping = async {
            while drips && writer.write_all(&frames::window_update(1, 1)).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = async { while client.next().await.is_some() {} } => {}
            () = dripping => {}
        }
        // Authenticated or not, 2 s at most, and 1 s to end.
        assert!(began.elapsed() < IN_TIME, "drips: {drips}");
    }
}

/// A peer that waits silently for its response is not idle.
#[tokio::test]
async fn a_silent_connection_with_a_request_in_flight_stays_open() {
    let go = Arc::new(Semaphore::new(0));
    let good = "{\"error_code\":0,\"result\":{\"session_id\":\"S\",\"code\":\"0\"}}";
    let does = Does::WhenLet(Arc::clone(&go), upstream::answer("200 OK", good));
    let qiniu = upstream::start(does).await;
    let gateway = Gateway::start(qiniu.address, SHORT, &(UNBOUND.to_owned() + SLOW)).await;
    let mut waiting = client(&gateway).await;
    let request = request(1, "user-1", SESSIONCODE, "{}");
    waiting.send(&request).await.unwrap();
    // Two others outlast both timeouts meanwhile, one after the other.
    for _ in 0..2 {
        assert_eq!(client(&gateway).await.goaway().await, None);
    }
    go.add_permits(1);
    assert_eq!(waiting.response(1).await, Some(Ok(200)));
}
