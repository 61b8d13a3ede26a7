//! Attacks that try to lock others out: of memory, of connections, of descriptors, of a shared
//! connection.
//!
//! Relies on the shapes beside it. Never sends more than the table says.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use super::{
    Attack, Goal, SESSIONCODE, Shape, VERIFY,
    crowd::{Crowd, Drip, Script},
    flood::{Flood, FloodTurn},
    shared::SharedConnection,
    wire::{Protocol, Target},
};

const MIB: usize = 1024 * 1024;
/// Size that a slow upload declares, in bytes.
const DECLARED: usize = 28 * MIB;
/// Interval of what a slow upload sends.
const UPLOAD_PAUSE: Duration = Duration::from_millis(250);
/// Requests that a flood over HTTP/1.1 pipelines.
const PIPELINED: u32 = 20;

/// Lets all connections of a crowd stay until the last one has come.
const LONG_TIMEOUT: &[(&str, &str)] = &[("head_timeout", "60s")];

const UPLOAD: Crowd = Crowd {
    connections: 18,
    per_second: 60,
    protocol: Protocol::Http1,
    admin: false,
    accounts: 1,
    script: |target, account| slow_upload(target, account, 17 * 1024),
    reads: true,
    leaves: true,
    receive: None,
};

const IDLE: Crowd = Crowd {
    connections: 10_000,
    per_second: 1_000,
    protocol: Protocol::Http1,
    admin: false,
    accounts: 1,
    script: |_, _| Script::once([]),
    reads: true,
    leaves: false,
    receive: None,
};

const USUAL: Attack = Attack {
    name: "",
    what: "",
    shape: Shape::Crowd(IDLE),
    tls: true,
    server: &[],
    descriptors: 0,
    goal: Goal::Usual,
};

/// Attacks on the memory of bodies.
pub(super) const UPLOADS: &[Attack] = &[
    Attack {
        name: "uploads-one-user",
        what: "one user: 18 uploads of 28 MiB declared, 17 KiB/s each",
        shape: Shape::Crowd(UPLOAD),
        goal: Goal::SlowUsers,
        ..USUAL
    },
    Attack {
        name: "uploads-20-users",
        what: "20 accounts: 360 uploads of 28 MiB declared, 2 MB/s in all",
        shape: Shape::Crowd(Crowd {
            connections: 360,
            per_second: 180,
            accounts: 20,
            script: |target, account| slow_upload(target, account, 5_600),
            ..UPLOAD
        }),
        goal: Goal::SlowUsers,
        ..USUAL
    },
    Attack {
        name: "uploads-20-steady",
        what: "20 accounts: 40 uploads of 28 MiB declared, 2 MB/s in all",
        shape: Shape::Crowd(Crowd {
            connections: 40,
            per_second: 40,
            accounts: 20,
            script: |target, account| slow_upload(target, account, 50_000),
            ..UPLOAD
        }),
        goal: Goal::SlowUsers,
        ..USUAL
    },
];

/// Attacks on the memory of connections, on their number, and on descriptors.
pub(super) const CROWDS: &[Attack] = &[
    Attack {
        name: "heads-plain",
        what: "10,000 connections, each with 60 KiB of an unfinished head",
        shape: Shape::Crowd(Crowd {
            script: |_, _| Script::once(unfinished_head()),
            ..IDLE
        }),
        tls: false,
        server: LONG_TIMEOUT,
        goal: Goal::Memory(128),
        ..USUAL
    },
    Attack {
        name: "heads-tls",
        what: "the same over TLS",
        shape: Shape::Crowd(Crowd {
            per_second: 250,
            script: |_, _| Script::once(unfinished_head()),
            ..IDLE
        }),
        server: LONG_TIMEOUT,
        goal: Goal::Memory(384),
        ..USUAL
    },
    Attack {
        name: "idle-plain",
        what: "10,000 connections, idle after a 404",
        shape: Shape::Crowd(Crowd {
            script: |_, _| Script::once(not_found()),
            ..IDLE
        }),
        tls: false,
        server: LONG_TIMEOUT,
        goal: Goal::Memory(128),
        ..USUAL
    },
    Attack {
        name: "idle-tls",
        what: "the same over TLS",
        shape: Shape::Crowd(Crowd {
            per_second: 250,
            script: |_, _| Script::once(not_found()),
            ..IDLE
        }),
        server: LONG_TIMEOUT,
        goal: Goal::Memory(384),
        ..USUAL
    },
    Attack {
        name: "full-house",
        what: "2,500 idle connections where 2,000 are allowed",
        shape: Shape::Crowd(Crowd {
            connections: 2_500,
            per_second: 250,
            ..IDLE
        }),
        server: &[("max_connections", "2000"), ("head_timeout", "60s")],
        ..USUAL
    },
    Attack {
        name: "descriptors",
        what: "1,000 idle connections where the process may have 512 descriptors",
        shape: Shape::Crowd(Crowd {
            connections: 1_000,
            per_second: 250,
            ..IDLE
        }),
        descriptors: 512,
        ..USUAL
    },
    Attack {
        name: "admin-silent",
        what: "200 silent connections to the admin listener",
        shape: Shape::Crowd(Crowd {
            connections: 200,
            per_second: 200,
            admin: true,
            ..IDLE
        }),
        ..USUAL
    },
];

/// Attacks on a shared connection and on limits by address.
pub(super) const OTHERS: &[Attack] = &[
    Attack {
        name: "shared-connection",
        what: "20 refused uploads at a time on the HTTP/2 connection of normal users",
        shape: Shape::Shared(SharedConnection {
            refused: 20,
            victims: 4,
        }),
        goal: Goal::Victims,
        ..USUAL
    },
    Attack {
        name: "bad-tokens",
        what: "4 connections from one address, forged tokens as fast as possible",
        shape: Shape::Flood(Flood {
            connections: 4,
            protocol: Protocol::Http1,
            one_address: true,
            opening: |_| Vec::new(),
            block: |turn| forged(turn, |_, _| Ok(())),
        }),
        server: &[("rate_per_address", "2000/s")],
        goal: Goal::Limited,
        ..USUAL
    },
    Attack {
        name: "forged-forwarded",
        what: "the same, with another forwarded address in each request",
        shape: Shape::Flood(Flood {
            connections: 4,
            protocol: Protocol::Http1,
            one_address: true,
            opening: |_| Vec::new(),
            block: |turn| forged(turn, forwarded),
        }),
        server: &[("rate_per_address", "2000/s")],
        goal: Goal::Limited,
        ..USUAL
    },
];

/// An upload whose video comes slowly and never ends. Its session would come behind the video, so
/// the gateway can't refuse it for that.
fn slow_upload(target: &Target, account: usize, bytes_per_second: usize) -> Script {
    let head = format!(
        "POST {VERIFY} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {DECLARED}\r\n\r\n\
         {{\"video_base64\":\"",
        target.token(account)
    );
    Script {
        start: head.into_bytes().into(),
        drip: Some(Drip {
            every: UPLOAD_PAUSE,
            bytes: bytes_per_second / 4,
            of: Arc::from(*b"AAAA"),
        }),
    }
}

/// 60 KiB of a head without its end.
fn unfinished_head() -> Vec<u8> {
    let mut head = "GET / HTTP/1.1\r\nHost: localhost\r\n".to_owned();
    while head.len() < 60 * 1024 {
        head.push_str("X-Filler: ");
        head.push_str(&"f".repeat(1000));
        head.push_str("\r\n");
    }
    head.truncate(60 * 1024);
    head.into_bytes()
}

pub(super) fn not_found() -> Vec<u8> {
    b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()
}

/// Requests whose tokens have another wrong signature each time. `more` adds header fields.
fn forged(
    turn: &mut FloodTurn<'_>,
    more: fn(&mut String, u32) -> Result<(), std::fmt::Error>,
) -> Vec<u8> {
    let token = turn.target.token(turn.connection);
    let (signed, signature) = token.rsplit_once('.').unwrap_or_default();
    let rest = signature.get(8..).unwrap_or_default();
    let mut requests = String::new();
    for number in turn.turn * PIPELINED..(turn.turn + 1) * PIPELINED {
        // Writing to a text can't fail.
        let _ = write!(
            requests,
            "POST {SESSIONCODE} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Authorization: Bearer {signed}.{number:08}{rest}\r\nContent-Length: 0\r\n"
        );
        let _ = more(&mut requests, number);
        requests.push_str("\r\n");
    }
    requests.into_bytes()
}

fn forwarded(head: &mut String, number: u32) -> Result<(), std::fmt::Error> {
    let [_, a, b, c] = number.to_be_bytes();
    write!(
        head,
        "X-Forwarded-For: 203.{a}.{b}.{c}\r\nForwarded: for=198.{a}.{b}.{c}\r\n\
         X-Real-IP: 192.{a}.{b}.{c}\r\n"
    )
}
