//! Peers that behave, each in the way of a real client: none of them is taken for a flood.

use super::{client, request, stranger};
use crate::support::{Gateway, SESSIONCODE, VERIFY, emulator, frames};
use frames::{FrameClient, INITIAL_WINDOW_SIZE, PREFACE, RawFrame};
use liveness_gateway::emulator::Scenario;
use tokio::net::TcpStream;

async fn gateway() -> Gateway {
    Gateway::plain(emulator(Scenario::Pass).await.0).await
}

/// Reads until this many responses have ended.
async fn responses(client: &mut FrameClient<TcpStream>, count: usize) -> Vec<RawFrame> {
    let mut ended = Vec::new();
    while ended.len() < count {
        let frame = client.next().await.expect("the connection stays open");
        assert_ne!(frame.kind, frames::GOAWAY, "{frame:?}");
        if frame.ends_stream() {
            ended.push(frame);
        }
    }
    ended
}

/// As proxies do: many streams at once on one connection, for hours. A window update for each
/// response and each stream, a ping and a cancelled request now and then.
#[tokio::test]
async fn a_proxy_that_sends_ten_thousand_requests_is_served() {
    let gateway = gateway().await;
    let mut client = client(&gateway).await;
    let mut stream = 1;
    for round in 0..100 {
        let mut bytes = Vec::new();
        for at in 0..100 {
            bytes.extend(frames::headers(stream, true, &super::fields("/other")));
            bytes.extend(frames::window_update(stream, 1 << 20));
            bytes.extend(frames::window_update(0, 1000));
            // A user who left.
            if at < 20 {
                bytes.extend(frames::priority(stream));
            }
            stream += 2;
        }
        bytes.extend(frames::ping(round));
        client.send(&bytes).await.unwrap();
        responses(&mut client, 100).await;
        if round % 2 == 0 {
            let mut cancelled = Vec::new();
            for _ in 0..20 {
                cancelled.extend(stranger(stream, SESSIONCODE));
                stream += 2;
            }
            client.send(&cancelled).await.unwrap();
            responses(&mut client, 20).await;
            let cancels = (1..=20).map(|at| frames::reset(stream - 2 * at, frames::CANCEL));
            client
                .send(&cancels.collect::<Vec<_>>().concat())
                .await
                .unwrap();
        }
    }
}

/// As gRPC's libraries do: a ping for each DATA frame that they receive, to measure the bandwidth,
/// and wider windows as it grows.
#[tokio::test]
async fn a_client_that_measures_bandwidth_is_served() {
    let gateway = gateway().await;
    let mut client = client(&gateway).await;
    for at in 0..2_000_u32 {
        let stream = at * 2 + 1;
        let mut bytes = frames::headers(stream, true, &super::fields("/other"));
        bytes.extend(frames::ping(at.into()));
        bytes.extend(frames::window_update(0, 1_000));
        if at.is_power_of_two() {
            bytes.extend(frames::settings(&[(INITIAL_WINDOW_SIZE, 65_535 + at)]));
            bytes.extend(frames::window_update(0, at));
        }
        client.send(&bytes).await.unwrap();
        responses(&mut client, 1).await;
    }
}

/// As browsers do: priorities of idle streams at the start, a frame of an unknown type for each
/// request (PRIORITY_UPDATE, RFC 9218), and many requests at once that are cancelled together when
/// their page goes.
#[tokio::test]
async fn a_browser_is_served() {
    let gateway = gateway().await;
    let tcp = TcpStream::connect(gateway.address).await.unwrap();
    let mut client = FrameClient::reading(tcp);
    let mut bytes = PREFACE.to_vec();
    bytes.extend(frames::settings(&[
        (1, 0),
        (2, 0),
        (4, 6 << 20),
        (6, 1 << 18),
    ]));
    bytes.extend(frames::window_update(0, 15_663_105));
    for stream in [3, 5, 7, 9, 11, 13] {
        bytes.extend(frames::priority(stream));
    }
    client.send(&bytes).await.unwrap();
    let mut stream = 15;
    for _ in 0..5 {
        let mut page = Vec::new();
        let first = stream;
        for _ in 0..90 {
            page.extend(super::head(stream, "user-1", SESSIONCODE));
            page.extend(frames::frame(
                0x10,
                0,
                0,
                &[&stream.to_be_bytes()[..], b"u=1, i"].concat(),
            ));
            stream += 2;
        }
        client.send(&page).await.unwrap();
        client.send(&frames::ping(first.into())).await.unwrap();
        client.acknowledged(frames::PING).await;
        let resets = (first..stream)
            .step_by(2)
            .map(|stream| frames::reset(stream, frames::CANCEL));
        client
            .send(&resets.collect::<Vec<_>>().concat())
            .await
            .unwrap();
    }
    client
        .send(&request(stream, "user-1", SESSIONCODE, "{}"))
        .await
        .unwrap();
    responses(&mut client, 1).await;
}

/// As phones do: an upload in frames of any usual size.
#[tokio::test]
async fn uploads_in_small_frames_are_served() {
    let gateway = gateway().await;
    for size in [200, 1_000, 16_384] {
        let mut client = client(&gateway).await;
        client.until(frames::WINDOW_UPDATE, 0).await;
        client
            .send(&super::head(1, "user-1", VERIFY))
            .await
            .unwrap();
        // Within the windows, so that none must be waited for.
        let bytes = vec![b' '; 900_000];
        let data = bytes
            .chunks(size)
            .map(|piece| frames::data(1, false, piece));
        client
            .send(&data.collect::<Vec<_>>().concat())
            .await
            .unwrap();
        client.send(&frames::data(1, true, b"x")).await.unwrap();
        assert_eq!(client.response(1).await, Some(Ok(400)), "{size}");
    }
}

/// As Node and nghttp2 do with a padding strategy.
#[tokio::test]
async fn padded_uploads_are_served() {
    let gateway = gateway().await;
    let mut client = client(&gateway).await;
    client.until(frames::WINDOW_UPDATE, 0).await;
    client
        .send(&super::head(1, "user-1", VERIFY))
        .await
        .unwrap();
    let payload = [&[255][..], &[b' '; 4_000], &[0; 255]].concat();
    let padded = frames::frame(frames::DATA, frames::PADDED, 1, &payload);
    client.send(&padded.repeat(200)).await.unwrap();
    client.send(&frames::data(1, true, b"x")).await.unwrap();
    assert_eq!(client.response(1).await, Some(Ok(400)));
}
