//! Floods of frames that are no requests: the connection ends with ENHANCE_YOUR_CALM after a
//! bounded number of them, and requests on other connections are answered meanwhile.

use super::{client, head, request, stranger};
use crate::connections::certificates;
use crate::support::{Gateway, SESSIONCODE, emulator, frames, routes};
use frames::{
    DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, FrameClient, HEADERS, PADDED, PROTOCOL_ERROR,
};
use liveness_gateway::emulator::Scenario;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

async fn gateway() -> Gateway {
    Gateway::plain(emulator(Scenario::Pass).await.0).await
}

/// What a connection ended with, while at most so many of these units were sent.
async fn ended<S: AsyncRead + AsyncWrite + Send + 'static>(
    client: FrameClient<S>,
    mut unit: impl FnMut(u32) -> Vec<u8> + Send + 'static,
    most: u32,
) -> Option<u32> {
    let FrameClient { stream, .. } = client;
    let (reader, mut writer) = tokio::io::split(stream);
    let mut reading = FrameClient::reading(tokio::io::join(reader, tokio::io::sink()));
    let writing = tokio::spawn(async move {
        for at in 0..most {
            if writer.write_all(&unit(at)).await.is_err() {
                break;
            }
        }
        // Stays open, so that the end of the connection is the gateway's.
        writer
    });
    let error = reading.goaway().await;
    writing.abort();
    error
}

/// Requests on another connection are answered.
async fn neighbour(gateway: &Gateway) {
    let answer = gateway.post(true, SESSIONCODE, "{}").await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn floods_of_control_frames_end_their_connection_and_no_other() {
    let gateway = gateway().await;
    let floods: [(&str, Vec<u8>, u32); 13] = [
        ("PING", frames::ping(7), 21_000),
        (
            "PING acknowledgements",
            frames::frame(6, 1, 0, &[7; 8]),
            21_000,
        ),
        ("PRIORITY of the open stream", frames::priority(1), 21_000),
        ("PRIORITY of an idle stream", frames::priority(99), 21_000),
        (
            "WINDOW_UPDATE of the connection",
            frames::window_update(0, 1),
            21_000,
        ),
        (
            "WINDOW_UPDATE of a stream",
            frames::window_update(1, 1),
            21_000,
        ),
        (
            "unknown frames",
            frames::frame(0xb0, 0xff, 1, b"unknown"),
            21_000,
        ),
        (
            "large unknown frames",
            frames::frame(0xb0, 0, 0, &[0; 16 * 1024]),
            400,
        ),
        ("SETTINGS", frames::settings(&[]), 2_200),
        (
            "windows that grow and shrink",
            [
                frames::settings(&[(frames::INITIAL_WINDOW_SIZE, 0)]),
                frames::settings(&[(frames::INITIAL_WINDOW_SIZE, 1 << 20)]),
            ]
            .concat(),
            1_100,
        ),
        ("empty DATA", frames::data(1, false, b""), 2_200),
        (
            "DATA of padding alone",
            frames::frame(DATA, PADDED, 1, &[&[255][..], &[0; 255]].concat()),
            21_000,
        ),
        ("DATA of a byte", frames::data(1, false, b" "), 21_000),
    ];
    for (label, flood, most) in floods {
        let mut flooding = client(&gateway).await;
        // With an open stream, whose body never ends.
        flooding
            .send(&head(1, "user-1", SESSIONCODE))
            .await
            .unwrap();
        let (ended, ()) = tokio::join!(
            ended(flooding, move |_| flood.clone(), most),
            neighbour(&gateway)
        );
        assert_eq!(ended, Some(ENHANCE_YOUR_CALM), "{label}");
    }
}

#[tokio::test]
async fn a_flood_over_tls_ends_its_connection() {
    let (files, roots) = certificates::files();
    let keys = format!(
        "tls.certificate = {:?}\ntls.private_key = {:?}",
        files.certificate, files.key
    );
    let gateway = Gateway::start(emulator(Scenario::Pass).await.0, &keys, &routes()).await;
    let tls = certificates::connect(gateway.address, &roots, &[b"h2"]).await;
    let client = FrameClient::begin(tls).await.unwrap();
    let pings = frames::ping(7).repeat(100);
    let ended = ended(client, move |_| pings.clone(), 210).await;
    assert_eq!(ended, Some(ENHANCE_YOUR_CALM));
    let tls = certificates::connect(gateway.address, &roots, &[b"h2"]).await;
    let mut client = FrameClient::begin(tls).await.unwrap();
    let request = request(1, "user-1", SESSIONCODE, "{}");
    client.send(&request).await.unwrap();
    assert_eq!(client.response(1).await, Some(Ok(200)));
}

#[tokio::test]
async fn floods_of_resets_end_their_connection() {
    let gateway = gateway().await;
    type Unit = Box<dyn FnMut(u32) -> Vec<u8> + Send>;
    let floods: [(&str, Unit); 4] = [
        (
            "rapid reset",
            Box::new(|at| {
                let stream = at * 2 + 1;
                [stranger(stream, SESSIONCODE), frames::reset(stream, 8)].concat()
            }),
        ),
        (
            "resets of a closed stream",
            Box::new(|at| match at {
                0 => [stranger(1, SESSIONCODE), frames::reset(1, 8)].concat(),
                _ => frames::reset(1, 8),
            }),
        ),
        (
            "streams that the gateway must reset: their window overflows",
            Box::new(|at| {
                let stream = at * 2 + 1;
                let overflow = frames::window_update(stream, (1 << 31) - 1);
                [head(stream, "user-1", SESSIONCODE), overflow].concat()
            }),
        ),
        (
            "more DATA than declared",
            Box::new(|at| {
                let stream = at * 2 + 1;
                let mut fields = super::fields("/").to_vec();
                fields.push(("content-length", "1"));
                let head = frames::headers(stream, false, &fields);
                [head, frames::data(stream, false, &[0; 200])].concat()
            }),
        ),
    ];
    for (label, unit) in floods {
        let flooding = client(&gateway).await;
        let (ended, ()) = tokio::join!(ended(flooding, unit, 5_000), neighbour(&gateway));
        assert_eq!(ended, Some(ENHANCE_YOUR_CALM), "{label}");
    }
}

/// RFC 9113 sections 5.1 and 6.9: a connection error each.
#[tokio::test]
async fn what_provokes_resets_by_breaking_the_protocol_ends_the_connection_at_once() {
    let gateway = gateway().await;
    for (label, after) in [
        ("a window update of 0", frames::window_update(1, 0)),
        ("a window update of 0 for all", frames::window_update(0, 0)),
        ("a priority of the connection", frames::priority(0)),
        ("DATA behind its end", frames::data(1, false, b"x")),
    ] {
        let mut client = client(&gateway).await;
        let request = request(1, "user-1", "/v2/slow", "{}");
        client.send(&[request, after].concat()).await.unwrap();
        assert_eq!(client.goaway().await, Some(PROTOCOL_ERROR), "{label}");
    }
    neighbour(&gateway).await;
}

#[tokio::test]
async fn heads_that_become_no_requests_end_the_connection_after_a_few() {
    let gateway = gateway().await;
    // POST, http and / in the static table; the newest entry of the dynamic one is 62.
    let start = [0x83, 0x86, 0x84];
    let mut first = start.to_vec();
    frames::put_literal(&mut first, frames::INDEXED, "x", &"a".repeat(3_900));
    for (label, references) in [
        // 31 times 3.9 KB is within the limit of hyper; 40 times is not; 15,000 times is abuse.
        ("too large", 40),
        ("far too large", 15_000),
    ] {
        let bomb = [&start[..], &vec![0xbe; references]].concat();
        let first = first.clone();
        let heads = move |at| match at {
            0 => frames::frame(HEADERS, END_HEADERS | END_STREAM, 1, &first),
            _ => frames::frame(HEADERS, END_HEADERS | END_STREAM, at * 2 + 1, &bomb),
        };
        let flooding = client(&gateway).await;
        let (ended, ()) = tokio::join!(ended(flooding, heads, 450), neighbour(&gateway));
        assert_eq!(ended, Some(ENHANCE_YOUR_CALM), "{label}");
    }
    let malformed = |at| frames::headers(at * 2 + 1, true, &[(":scheme", "http"), (":path", "/")]);
    let ended_with = ended(client(&gateway).await, malformed, 450).await;
    assert_eq!(ended_with, Some(ENHANCE_YOUR_CALM), "malformed");
    // More streams than allowed, each of which waits for its body.
    let waiting = |at| head(at * 2 + 1, "user-1", SESSIONCODE);
    let ended_with = ended(client(&gateway).await, waiting, 600).await;
    assert_eq!(ended_with, Some(ENHANCE_YOUR_CALM), "too many streams");
}

#[tokio::test]
async fn a_head_in_endless_continuations_ends_the_connection() {
    let gateway = gateway().await;
    for (label, piece) in [("empty", &b""[..]), ("of a byte", &[0xbe])] {
        let mut client = client(&gateway).await;
        let head = frames::frame(HEADERS, 0, 1, &frames::block(&super::fields("/")));
        client.send(&head).await.unwrap();
        let piece = frames::frame(frames::CONTINUATION, 0, 1, piece);
        let (ended, ()) = tokio::join!(
            ended(client, move |_| piece.clone(), 100),
            neighbour(&gateway)
        );
        assert!(ended.is_some(), "{label}");
    }
}

/// A peer that reads nothing of the answers.
#[tokio::test]
async fn a_flood_whose_answers_nobody_reads_ends_its_connection() {
    let gateway = gateway().await;
    let client = client(&gateway).await;
    let FrameClient { stream, .. } = client;
    let pings = frames::ping(1).repeat(30_000);
    let (_reader, mut writer) = stream.into_split();
    let writing = async { while writer.write_all(&pings).await.is_ok() {} };
    let limited = tokio::time::timeout(std::time::Duration::from_secs(5), writing);
    assert!(limited.await.is_ok(), "the connection was closed");
    neighbour(&gateway).await;
}
