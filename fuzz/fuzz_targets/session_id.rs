//! Arbitrary session ids from frontends: none opens that was not sealed for its owner, and a sealed
//! one with a change does not open.

#![no_main]

use std::{
    sync::{Arc, LazyLock},
    time::{Duration, SystemTime},
};

use libfuzzer_sys::fuzz_target;
use liveness_gateway::{
    secret::Secret,
    session::{
        SessionKeys, SessionSettings,
        seal::SealKey,
        ticket::{SessionOwner, TicketError},
    },
};

static KEYS: LazyLock<Arc<SessionKeys>> = LazyLock::new(|| {
    let key = |text: &str| SealKey::from_base64(&Secret::new(text)).expect("32 bytes in base64");
    let settings = SessionSettings {
        seal_key: Some(key("QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=")),
        previous_seal_key: Some(key("QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI=")),
    };
    SessionKeys::new(&settings, "api.example.com").expect("randomness")
});

// The first digit says what the rest is: a session id from a frontend, or one of Qiniu's with a
// change: a position (two bytes) and the bits that flip there.
fuzz_target!(|data: &[u8]| {
    let Some((choice, text)) = data.split_first() else {
        return;
    };
    if choice % 2 == 0 {
        let text = String::from_utf8_lossy(text);
        let sealed = format!("lg1.{text}");
        for text in [&*text, sealed.as_str()] {
            let opened = owner("user").open(text, SystemTime::now());
            assert_eq!(opened.err(), Some(TicketError::Rejected));
        }
    } else if let Some(([low, high, flip], id)) = text.split_first_chunk() {
        let at = usize::from(u16::from_le_bytes([*low, *high]));
        sealed(&String::from_utf8_lossy(id), at, *flip);
    }
});

fn owner(user: &str) -> SessionOwner {
    SessionOwner::new(&KEYS, "https://login.example.com/", user)
}

fn sealed(id: &str, at: usize, flip: u8) {
    let now = SystemTime::now();
    let Some(sealed) = owner("user").seal(id, now) else {
        assert!(id.is_empty() || id.len() > 512);
        return;
    };
    let Ok(ticket) = owner("user").open(&sealed, now) else {
        panic!("an id must open for its owner");
    };
    assert_eq!(ticket.id.reveal(), id);
    let other = owner("use").open(&sealed, now);
    assert_eq!(other.err(), Some(TicketError::Rejected));
    let late = owner("user").open(&sealed, now + Duration::from_secs(301));
    assert_eq!(late.err(), Some(TicketError::Expired));
    let mut changed = sealed.into_bytes();
    let at = at % changed.len();
    changed[at] ^= flip;
    if flip != 0 {
        let changed = String::from_utf8_lossy(&changed);
        let opened = owner("user").open(&changed, now);
        assert_eq!(opened.err(), Some(TicketError::Rejected));
    }
}
