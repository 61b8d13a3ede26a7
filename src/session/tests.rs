//! Session ids from sealing to opening, and what must not open.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use data_encoding::{BASE64, BASE64URL_NOPAD};
use proptest::prelude::*;

use super::{
    SessionKeys, SessionSettings,
    fingerprint::Fingerprint,
    keyring::LIFETIME,
    seal::SealKey,
    ticket::{SessionOwner, TicketError},
};
use crate::secret::Secret;

const ID: &str = "S659e4a5cc8a91b1f2c33d0";

fn key(byte: u8) -> SealKey {
    SealKey::from_base64(&Secret::new(BASE64.encode(&[byte; 32]))).unwrap()
}

fn keys(current: u8, previous: Option<u8>) -> Arc<SessionKeys> {
    let settings = SessionSettings {
        seal_key: Some(key(current)),
        previous_seal_key: previous.map(key),
    };
    SessionKeys::new(&settings, "https://qiniu.example").unwrap()
}

fn owner(keys: &Arc<SessionKeys>, issuer: &str, user: &str) -> SessionOwner {
    SessionOwner::new(keys, issuer, user)
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn opened(owner: &SessionOwner, text: &str, at: SystemTime) -> Result<String, TicketError> {
    owner
        .open(text, at)
        .map(|ticket| ticket.id.reveal().to_owned())
}

#[test]
fn a_sealed_id_opens_for_its_owner_for_five_minutes() {
    let mine = owner(&keys(1, None), "issuer", "me");
    let sealed = mine.seal(ID, now()).unwrap();
    assert!(sealed.starts_with("lg1.") && !sealed.contains(ID) && sealed.len() < 100);
    let last = LIFETIME - Duration::from_millis(1);
    for age in [Duration::ZERO, last] {
        assert_eq!(opened(&mine, &sealed, now() + age).unwrap(), ID);
    }
    for age in [LIFETIME, 10 * LIFETIME] {
        assert_eq!(
            opened(&mine, &sealed, now() + age),
            Err(TicketError::Expired)
        );
    }
    assert!(
        sealed
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    );
}

#[test]
fn a_clock_that_was_set_back_prolongs_no_session() {
    let mine = owner(&keys(1, None), "issuer", "me");
    let sealed = mine.seal(ID, now() + 3 * LIFETIME).unwrap();
    let ends = mine.open(&sealed, now()).ok().unwrap().ends;
    assert!(ends <= Instant::now() + LIFETIME);
}

#[test]
fn a_foreign_or_forged_id_is_rejected_and_never_reported_as_expired() {
    let ours = keys(1, None);
    let sealed = owner(&ours, "issuer", "me").seal(ID, now()).unwrap();
    let elsewhere = SessionKeys::new(
        &SessionSettings {
            seal_key: Some(key(1)),
            previous_seal_key: None,
        },
        "https://test.example",
    );
    for other in [
        owner(&ours, "issuer", "you"),
        owner(&ours, "other", "me"),
        owner(&ours, "issuerm", "e"),
        owner(&ours, "issue", "rme"),
        owner(&ours, "", "issuerme"),
        owner(&keys(2, None), "issuer", "me"),
        owner(&keys(2, Some(3)), "issuer", "me"),
        owner(&elsewhere.unwrap(), "issuer", "me"),
    ] {
        for at in [now(), now() + 2 * LIFETIME] {
            assert_eq!(opened(&other, &sealed, at), Err(TicketError::Rejected));
        }
    }
}

#[test]
fn no_altered_id_opens() {
    let mine = owner(&keys(1, None), "issuer", "me");
    let sealed = mine.seal(ID, now()).unwrap();
    let mut wrong = vec![
        String::new(),
        "lg1.".into(),
        ID.into(),
        sealed[4..].into(),
        format!("lg2.{}", &sealed[4..]),
        format!("{sealed}="),
        format!(" {sealed}"),
        format!("{sealed}\n"),
        format!("lg1.{}", "A".repeat(100_000)),
        format!("lg1.{}", BASE64URL_NOPAD.encode(&[0; 64])),
    ];
    wrong.extend((0..sealed.len()).map(|end| sealed[..end].to_owned()));
    for at in 0..sealed.len() {
        let mut changed = sealed.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        wrong.push(String::from_utf8(changed).unwrap());
    }
    for text in wrong {
        assert_eq!(
            opened(&mine, &text, now()),
            Err(TicketError::Rejected),
            "{text}"
        );
    }
}

#[test]
fn keys_change_in_two_steps_without_losing_a_session() {
    let ids: HashSet<_> = [
        (keys(1, None), keys(1, Some(2))),
        (keys(1, Some(2)), keys(2, Some(1))),
        (keys(2, Some(1)), keys(2, None)),
    ]
    .into_iter()
    .enumerate()
    .map(|(step, (old, new))| {
        let (old, new) = (owner(&old, "issuer", "me"), owner(&new, "issuer", "me"));
        let sealers = if step == 2 {
            [&new, &new]
        } else {
            [&old, &new]
        };
        for sealer in sealers {
            let sealed = sealer.seal(ID, now()).unwrap();
            let digests: Vec<_> = [&old, &new]
                .map(|owner| owner.open(&sealed, now()).ok().unwrap().digest)
                .into();
            assert_eq!(
                digests[0], digests[1],
                "replicas compute the same digest for a session"
            );
        }
        step
    })
    .collect();
    assert_eq!(ids.len(), 3);
    let sealed = owner(&keys(1, None), "issuer", "me")
        .seal(ID, now())
        .unwrap();
    let late = owner(&keys(3, Some(2)), "issuer", "me");
    assert_eq!(opened(&late, &sealed, now()), Err(TicketError::Rejected));
}

#[test]
fn replicas_in_the_middle_of_a_change_of_keys_compute_the_same_fingerprint() {
    let (old, new) = (keys(1, Some(2)), keys(2, Some(1)));
    let sealed = owner(&old, "issuer", "me").seal(ID, now()).unwrap();
    let fingerprint = |keys: &Arc<SessionKeys>, parameters: &[u8]| {
        let ticket = owner(keys, "issuer", "me").open(&sealed, now());
        let mut upload = owner(keys, "issuer", "me").start_fingerprint();
        upload.feed(b"AAAA");
        upload.feed(b"BBBB");
        ticket.ok().unwrap().fingerprint(&upload, parameters)
    };
    assert_eq!(fingerprint(&old, b""), fingerprint(&new, b""));
    let parameters: [&[u8]; 4] = [b"", b"\0", b"quality", b"spoofing"];
    let different: HashSet<[u8; 16]> = parameters
        .into_iter()
        .map(|parameters| {
            let Fingerprint(fingerprint) = fingerprint(&old, parameters);
            fingerprint
        })
        .collect();
    assert_eq!(
        different.len(),
        4,
        "the other parameters of the request count"
    );
}

fn changed_to(keys: &SessionKeys, current: u8, previous: Option<u8>, at: Instant) {
    let settings = SessionSettings {
        seal_key: Some(key(current)),
        previous_seal_key: previous.map(key),
    };
    keys.change(&settings, at).unwrap();
}

#[test]
fn a_replaced_key_opens_for_a_session_s_lifetime_and_a_minute_and_never_seals() {
    let ours = keys(1, None);
    let before = owner(&ours, "issuer", "me");
    let old = before.seal(ID, now()).unwrap();
    // The keyring reads the system's clock, so the change is put into the past.
    let minutes = |count: u64| Instant::now() - Duration::from_secs(60 * count);
    changed_to(&ours, 2, None, minutes(5));
    let after = owner(&ours, "issuer", "me");
    let (one, two) = (before.open(&old, now()), after.open(&old, now()));
    assert_eq!(one.ok().unwrap().digest, two.ok().unwrap().digest);
    // A request that began before the change seals with the new key: its session outlives the old.
    for sealer in [&before, &after] {
        let new = sealer.seal(ID, now()).unwrap();
        assert_eq!(opened(&after, &new, now()).unwrap(), ID);
        let theirs = owner(&keys(2, None), "issuer", "me");
        assert_eq!(opened(&theirs, &new, now()).unwrap(), ID);
    }
    ours.retire(Instant::now());
    assert_eq!(
        opened(&owner(&ours, "issuer", "me"), &old, now()).unwrap(),
        ID
    );

    let late = keys(1, None);
    changed_to(&late, 2, None, minutes(6));
    let me = owner(&late, "issuer", "me");
    assert_eq!(opened(&me, &old, now()), Err(TicketError::Rejected));
    late.retire(Instant::now());
    assert_eq!(late.current.load().start_fingerprint().other_keys(), 0);
}

#[test]
fn frequent_changes_do_not_pile_up_keys_and_a_key_that_returns_is_the_same() {
    let ours = keys(1, Some(2));
    let first = owner(&ours, "issuer", "me").seal(ID, now()).unwrap();
    let digest = |keys: &Arc<SessionKeys>| {
        let ticket = owner(keys, "issuer", "me").open(&first, now());
        ticket.ok().unwrap().digest
    };
    let known = digest(&ours);
    changed_to(&ours, 3, Some(4), Instant::now());
    assert_eq!(digest(&ours), known);
    changed_to(&ours, 4, Some(1), Instant::now());
    assert_eq!(digest(&ours), known);
    changed_to(&ours, 1, None, Instant::now());
    assert_eq!(digest(&ours), known);
    for byte in 5..200 {
        changed_to(&ours, byte, None, Instant::now());
        assert!(ours.current.load().start_fingerprint().other_keys() <= 8);
    }
}

#[test]
fn a_retry_is_recognized_across_a_change_of_keys() {
    let ours = keys(1, None);
    let sealed = owner(&ours, "issuer", "me").seal(ID, now()).unwrap();
    let fingerprint = |video: &[u8]| {
        let owner = owner(&ours, "issuer", "me");
        let mut upload = owner.start_fingerprint();
        upload.feed(video);
        let ticket = owner.open(&sealed, now()).ok().unwrap();
        ticket.fingerprint(&upload, b"")
    };
    let (before, other) = (fingerprint(b"AAAA"), fingerprint(b"BBBB"));
    changed_to(&ours, 2, None, Instant::now());
    assert_eq!(fingerprint(b"AAAA"), before);
    assert_eq!(fingerprint(b"BBBB"), other);
    assert_ne!(before, other);
}

#[test]
fn an_empty_or_overlong_id_is_not_sealed() {
    let mine = owner(&keys(1, None), "issuer", "me");
    assert!(mine.seal("", now()).is_none());
    assert!(mine.seal(&"S".repeat(513), now()).is_none());
}

proptest! {
    #[test]
    fn any_id_opens_for_its_owner_and_for_no_other_caller(
        id in "\\PC{1,128}",
        mine in ("\\PC{0,20}", "\\PC{0,20}"),
        other in ("\\PC{0,20}", "\\PC{0,20}"),
    ) {
        let ours = keys(1, Some(2));
        let holder_of = |(issuer, user): &(String, String)| owner(&ours, issuer, user);
        let sealed = holder_of(&mine).seal(&id, now()).unwrap();
        prop_assert_eq!(opened(&holder_of(&mine), &sealed, now()), Ok(id));
        if mine != other {
            prop_assert_eq!(opened(&holder_of(&other), &sealed, now()), Err(TicketError::Rejected));
        }
    }

    #[test]
    fn no_text_of_a_stranger_opens(text in "(lg1\\.)?[A-Za-z0-9_-]{0,120}") {
        let mine = owner(&keys(1, Some(2)), "issuer", "me");
        prop_assert_eq!(opened(&mine, &text, now()), Err(TicketError::Rejected));
    }
}
