//! Flow control: an upload that nobody reads takes nothing from the others of its connection, and
//! all that nobody reads are few.

use std::{collections::HashMap, time::Duration};

use super::{client, head, stranger};
use crate::support::{
    Gateway, VERIFY, emulator, frames,
    identity::{self, Does, KEYS, Provider, Signer},
    verify_body, video,
};
use frames::{
    DATA, FrameClient, HEADERS, INITIAL_WINDOW_SIZE, RST_STREAM, SETTINGS, WINDOW_UPDATE,
};
use liveness_gateway::{auth::remote::FetchTiming, emulator::Scenario};
use tokio::net::TcpStream;

const STREAM_WINDOW: i64 = 1 << 20;
const CONNECTION_WINDOW: i64 = 4 << 20;
const PIECE: usize = 16 * 1024;

/// A client that obeys the windows.
struct Sender {
    client: FrameClient<TcpStream>,
    connection: i64,
    initial: i64,
    streams: HashMap<u32, i64>,
    statuses: HashMap<u32, u16>,
    ended: Vec<u32>,
    reset: Vec<u32>,
}

impl Sender {
    /// Returns when both windows are known.
    async fn new(gateway: &Gateway) -> Self {
        let mut sender = Self {
            client: client(gateway).await,
            connection: 65_535,
            initial: 65_535,
            streams: HashMap::new(),
            statuses: HashMap::new(),
            ended: Vec::new(),
            reset: Vec::new(),
        };
        while sender.connection == 65_535 || sender.initial == 65_535 {
            sender.receive().await;
        }
        sender
    }

    async fn receive(&mut self) {
        let frame = self.client.next().await.expect("the connection is open");
        let number = |bytes: &[u8]| i64::from(u32::from_be_bytes(bytes.try_into().unwrap()));
        match frame.kind {
            SETTINGS => {
                for setting in frame.payload.chunks(6) {
                    if setting[..2] == INITIAL_WINDOW_SIZE.to_be_bytes() {
                        self.initial = number(&setting[2..]);
                    }
                }
            }
            WINDOW_UPDATE if frame.stream == 0 => self.connection += number(&frame.payload),
            WINDOW_UPDATE => *self.stream(frame.stream) += number(&frame.payload),
            HEADERS => {
                self.statuses
                    .extend(frame.status().map(|status| (frame.stream, status)));
            }
            RST_STREAM => self.reset.push(frame.stream),
            _ => {}
        }
        if frame.ends_stream() {
            assert!(matches!(frame.kind, DATA | HEADERS));
            self.ended.push(frame.stream);
        }
    }

    fn stream(&mut self, stream: u32) -> &mut i64 {
        self.streams.entry(stream).or_insert(self.initial)
    }

    /// Sends these bytes as soon as the windows allow it.
    async fn upload(&mut self, stream: u32, bytes: &[u8], end: bool) {
        let last = bytes.chunks(PIECE).count().saturating_sub(1);
        for (at, piece) in bytes.chunks(PIECE).enumerate() {
            let length = i64::try_from(piece.len()).unwrap();
            while self.connection < length || *self.stream(stream) < length {
                self.receive().await;
            }
            self.connection -= length;
            *self.stream(stream) -= length;
            let data = frames::data(stream, end && at == last, piece);
            self.client.send(&data).await.unwrap();
        }
    }

    async fn status(&mut self, stream: u32) -> u16 {
        while !self.ended.contains(&stream) {
            self.receive().await;
        }
        self.statuses[&stream]
    }
}

async fn gateway() -> Gateway {
    Gateway::unbound(emulator(Scenario::Pass).await.0).await
}

#[tokio::test]
async fn a_connection_has_room_for_four_uploads_that_nobody_reads() {
    let sender = Sender::new(&gateway().await).await;
    assert_eq!(sender.initial, STREAM_WINDOW);
    assert_eq!(sender.connection, CONNECTION_WINDOW);
}

#[tokio::test]
async fn refused_uploads_that_continue_do_not_stop_another_users_upload() {
    let gateway = gateway().await;
    let mut sender = Sender::new(&gateway).await;
    let piece = vec![b' '; 512 * 1024];
    let refused: Vec<u32> = (0..7).map(|at| at * 2 + 1).collect();
    for stream in &refused {
        sender
            .client
            .send(&stranger(*stream, VERIFY))
            .await
            .unwrap();
        sender.upload(*stream, &piece, false).await;
        assert_eq!(sender.status(*stream).await, 401);
    }
    // All of them go on: more than both windows hold.
    for stream in &refused {
        sender.upload(*stream, &piece, false).await;
        sender.upload(*stream, &piece, false).await;
    }
    assert!(
        sender.reset.is_empty(),
        "windows came back before any reset"
    );
    sender
        .client
        .send(&head(15, "user-1", VERIFY))
        .await
        .unwrap();
    let body = verify_body("session", &video(1_500_000));
    sender.upload(15, body.as_bytes(), true).await;
    assert_eq!(sender.status(15).await, 200);
}

#[tokio::test]
async fn an_upload_over_the_limit_gives_its_window_back() {
    let gateway = gateway().await;
    let mut sender = Sender::new(&gateway).await;
    sender
        .client
        .send(&head(1, "user-1", VERIFY))
        .await
        .unwrap();
    // Not JSON: refused at its first byte.
    sender.upload(1, &vec![b'x'; 3 << 20], false).await;
    assert_eq!(sender.status(1).await, 400);
    sender.upload(1, &vec![b'x'; 3 << 20], false).await;
    assert!(sender.reset.is_empty());
    sender
        .client
        .send(&head(3, "user-2", VERIFY))
        .await
        .unwrap();
    let body = verify_body("session", &video(100_000));
    sender.upload(3, body.as_bytes(), true).await;
    assert_eq!(sender.status(3).await, 200);
}

/// The codes of the responses on these streams, in the order of the responses.
async fn codes(client: &mut FrameClient<TcpStream>, count: usize) -> Vec<(u32, String)> {
    let mut codes = Vec::new();
    while codes.len() < count {
        let frame = client.next().await.expect("the connection is open");
        if frame.kind == DATA {
            let problem: serde_json::Value = serde_json::from_slice(&frame.payload).unwrap();
            codes.push((frame.stream, problem["code"].as_str().unwrap().to_owned()));
        }
    }
    codes
}

#[tokio::test]
async fn requests_that_wait_for_keys_leave_little_unread() {
    let known = Signer::new("known");
    let provider = Provider::start(vec![known.jwk()]).await;
    let timing = FetchTiming {
        fetch_timeout: Duration::from_secs(1),
        ..identity::hasty()
    };
    let (qiniu, _) = emulator(Scenario::Pass).await;
    let gateway = identity::gateway(qiniu, &provider.identity(""), timing).await;
    gateway.until_ready_is(200).await;
    provider.does(KEYS, Does::Hang);
    let token = format!("Bearer {}", Signer::new("new").token(&provider, "user-1"));
    let head = |stream, more: &[(&str, &str)]| {
        let fields = [
            &super::fields(VERIFY)[..],
            &[("authorization", &token)],
            more,
        ];
        frames::headers(stream, false, &fields.concat())
    };
    // Small ones, which declare it; then five more of any length than there is room for.
    let small = (0..30).map(|at| head(at * 2 + 1, &[("content-length", "9")]));
    let large = (30..50).map(|at| head(at * 2 + 1, &[]));
    let mut client = client(&gateway).await;
    let heads: Vec<_> = small.chain(large).collect();
    client.send(&heads.concat()).await.unwrap();
    for (stream, code) in codes(&mut client, 5).await {
        assert!(stream > 60 && code == "overloaded", "{stream}: {code}");
    }
    // The others wait until the fetch has failed.
    let mut waited = codes(&mut client, 45).await;
    waited.retain(|(_, code)| code != "not_ready");
    assert_eq!(waited, []);
}
