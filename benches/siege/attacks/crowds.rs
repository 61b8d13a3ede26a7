//! Slowness: heads, bodies, handshakes and readers that take their time, over both protocols.
//!
//! Relies on the crowd. Never sends more than the table says.

use std::{sync::Arc, time::Duration};

use super::{
    Attack, Goal, Shape, VERIFY,
    crowd::{Crowd, Drip, Script},
    frames::{Frames, request},
    strangers::not_found,
    wire::{Protocol, Target, client_hello},
};

/// The number of streams that a client may open at once, as the gateway announces it.
pub(super) const STREAMS: u32 = 100;

const SLOW: Crowd = Crowd {
    connections: 500,
    per_second: 100,
    protocol: Protocol::Http1,
    admin: false,
    accounts: 1,
    script: slow_head,
    reads: true,
    leaves: false,
    receive: None,
};

const USUAL: Attack = Attack {
    name: "",
    what: "",
    shape: Shape::Crowd(SLOW),
    tls: true,
    server: &[],
    descriptors: 0,
    goal: Goal::Usual,
};

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        name: "slow-heads",
        what: "500 connections, one byte of a head a second",
        ..USUAL
    },
    Attack {
        name: "slow-bodies",
        what: "200 uploads with valid tokens, one byte a second",
        shape: Shape::Crowd(Crowd {
            connections: 200,
            accounts: 20,
            script: slow_body,
            leaves: true,
            ..SLOW
        }),
        ..USUAL
    },
    Attack {
        name: "slow-streams",
        what: "20 HTTP/2 connections with 100 uploads each, one byte a second on each",
        shape: Shape::Crowd(Crowd {
            connections: 20,
            per_second: 10,
            protocol: Protocol::Http2,
            accounts: 20,
            script: slow_streams,
            ..SLOW
        }),
        ..USUAL
    },
    Attack {
        name: "slow-readers",
        what: "200 connections that pipeline 2,000 requests each and read nothing",
        shape: Shape::Crowd(Crowd {
            connections: 200,
            per_second: 40,
            script: |_, _| Script::once(not_found().repeat(2_000)),
            reads: false,
            receive: Some(4096),
            ..SLOW
        }),
        ..USUAL
    },
    Attack {
        name: "slow-handshakes",
        what: "500 TLS handshakes, two bytes a second",
        shape: Shape::Crowd(Crowd {
            protocol: Protocol::Bytes,
            script: slow_handshake,
            ..SLOW
        }),
        ..USUAL
    },
    Attack {
        name: "zero-windows",
        what: "50 HTTP/2 connections with 100 responses each that have no window",
        shape: Shape::Crowd(Crowd {
            connections: 50,
            per_second: 25,
            protocol: Protocol::Http2,
            script: |_, _| Script::once(no_window()),
            ..SLOW
        }),
        ..USUAL
    },
];

fn drip(every: Duration, bytes: usize, of: impl Into<Arc<[u8]>>) -> Option<Drip> {
    let of = of.into();
    Some(Drip { every, bytes, of })
}

fn slow_head(_: &Target, _: usize) -> Script {
    Script {
        drip: drip(Duration::from_secs(1), 1, *b"X-Filler: f\r\n"),
        ..Script::once(*b"GET / HTTP/1.1\r\nHost: localhost\r\n")
    }
}

fn slow_body(target: &Target, account: usize) -> Script {
    let head = format!(
        "POST {VERIFY} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n\
         {{\"video_base64\":\"",
        target.token(account)
    );
    Script {
        drip: drip(Duration::from_secs(1), 1, *b"A"),
        ..Script::once(head.into_bytes())
    }
}

/// The head of an upload over HTTP/2, with a valid token.
pub(super) fn upload_head(target: &Target, account: usize) -> Vec<u8> {
    let authorization = format!("Bearer {}", target.token(account));
    request(
        "POST",
        VERIFY,
        &[
            ("authorization", &authorization),
            ("content-type", "application/json"),
            ("content-length", "100000"),
        ],
    )
}

fn slow_streams(target: &Target, account: usize) -> Script {
    let head = upload_head(target, account);
    let (mut start, mut turns) = (Frames::preface(65_535), Frames::default());
    for stream in (1..2 * STREAMS).step_by(2) {
        start.head(stream, &head, false);
        turns.data(stream, b" ");
    }
    let turns = turns.into_bytes();
    // A tenth of the streams each time.
    let bytes = turns.len() / 10;
    Script {
        drip: drip(Duration::from_millis(100), bytes, turns),
        ..Script::once(start.into_bytes())
    }
}

fn slow_handshake(target: &Target, _: usize) -> Script {
    let hello = target.tls.as_ref().and_then(|tls| client_hello(tls).ok());
    let mut hello = hello.unwrap_or_else(|| vec![22; 512]);
    let rest = hello.split_off(1);
    Script {
        drip: drip(Duration::from_millis(500), 1, rest),
        ..Script::once(hello)
    }
}

fn no_window() -> Vec<u8> {
    let mut frames = Frames::preface(0);
    let head = request("GET", "/.well-known/jwks.json", &[]);
    for stream in (1..2 * STREAMS).step_by(2) {
        frames.head(stream, &head, true);
    }
    frames.into_bytes()
}
