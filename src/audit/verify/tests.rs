//! Whatever is done to a file, it is found, at its line.

use std::{
    io::Cursor,
    sync::Arc,
    time::{Duration, SystemTime},
};

use proptest::prelude::*;

use super::*;
use crate::{
    audit::checkpoint::sign_checkpoint,
    secret::Secret,
    verdict::{
        VerdictKeys, VerdictSettings,
        judge::{PassRule, ScoreThreshold},
        key::VerdictSigningKey,
        sign::VerdictSigner,
    },
};

const TIME: &str = "\"time\":\"2026-01-02T03:04:05.678Z\"";

fn signer() -> VerdictSigner {
    let key = crate::generate::verdict_key_pair(crate::generate::VerdictKeyKind::Ed25519).unwrap();
    VerdictSigner::new(VerdictSettings {
        keys: VerdictKeys {
            signing_key: VerdictSigningKey::from_pem(&Secret::new(key.private.as_str())).unwrap(),
            previous_keys: Vec::new(),
        },
        issuer: "https://gateway.example.com".into(),
        audience: "backend".into(),
        lifetime: Duration::from_secs(60),
        rule: PassRule {
            threshold: ScoreThreshold::Frr1e3,
            max_spoofing: 1.0,
        },
        video_digest: false,
        copy_claims: Vec::new(),
    })
}

/// A chain of `count` records, some of them signed.
fn chain(count: u64, signer: Option<&VerdictSigner>) -> Vec<String> {
    let mut head = ChainHead::begin().unwrap();
    (0..count)
        .map(|number| {
            let signed = signer.filter(|_| number % 3 == 0);
            let event = if signed.is_some() {
                "checkpoint"
            } else {
                "verify"
            };
            let mut content = format!("{TIME},\"event\":\"{event}\",\"user\":\"u{number}\"");
            if let Some(signer) = signed {
                let token = sign_checkpoint(signer, &head, event, SystemTime::now()).unwrap();
                content.push_str(&format!(",\"checkpoint\":\"{token}\""));
            }
            let mut line = String::new();
            head.append(&mut line, &content);
            line
        })
        .collect()
}

fn read(verifier: &mut AuditVerifier, bytes: &[u8]) -> Result<(), (u64, String)> {
    let read = verifier.read(Cursor::new(bytes));
    read.map_err(|(line, defect)| (line, defect.to_string()))
}

fn check(bytes: &[u8]) -> Result<Vec<VerifiedChain>, (u64, String)> {
    let mut verifier = AuditVerifier::default();
    read(&mut verifier, bytes)?;
    verifier.finish().map_err(|error| (0, error.to_string()))
}

/// The line of the defect, and the start of what is said about it.
fn defect(lines: &[String], line: u64, said: &str) {
    let found = check(lines.concat().as_bytes()).map(|_| ()).unwrap_err();
    assert!(found.0 == line && found.1.starts_with(said), "{found:?}");
}

#[test]
fn a_whole_chain_is_accepted_and_summed_up() {
    let chains = check(chain(7, None).concat().as_bytes()).unwrap();
    let [found] = chains.as_slice() else {
        panic!("{chains:?}")
    };
    assert_eq!((found.records, found.first, found.unproven), (7, 0, 7));
    let summary = found.to_string();
    assert!(
        summary.contains("7 records, 0 to 6, from 2026-01-02T03:04:05.678Z"),
        "{summary}"
    );
    assert!(summary.contains("ends with \"verify\""), "{summary}");
}

#[test]
fn each_kind_of_change_is_named_with_its_line() {
    let whole = chain(6, None);
    let without = |at: usize| {
        let mut lines = whole.clone();
        lines.remove(at);
        lines
    };
    defect(&without(2), 3, "record 2 is missing before record 3");
    let mut two = without(2);
    two.remove(2);
    defect(&two, 3, "records 2 to 3 are missing before record 4");
    defect(&without(0), 1, "the chain begins with record 1");
    let mut swapped = whole.clone();
    swapped.swap(2, 3);
    defect(&swapped, 3, "record 2 is missing");
    let mut repeated = whole.clone();
    repeated.insert(3, whole[2].clone());
    defect(&repeated, 4, "record 2 was there before");
    let mut changed = whole.clone();
    changed[4] = changed[4].replace("u4", "u5");
    defect(&changed, 5, "the record was changed");
    let mut torn = whole.clone();
    torn[5].truncate(40);
    defect(&torn, 6, "the record is cut off");
    let mut foreign = whole.clone();
    foreign.insert(1, "{\"time\":1}\n".into());
    defect(&foreign, 2, "this is no record");
    let mut long = whole.clone();
    long.insert(1, "x".repeat(MAX_LINE * 2));
    defect(&long, 2, "this is no record");
    defect(&[], 0, "there is no record");
}

/// Somebody who computes the hashes anew is found where the next record does not fit.
#[test]
fn a_record_that_was_made_anew_is_found_at_the_next_one() {
    let whole = chain(6, None);
    let record = SealedRecord::parse(whole[2].trim_end().as_bytes()).unwrap();
    let mut head = record.head();
    (head.next, head.hash) = (record.number, record.previous);
    let mut lines = whole.clone();
    lines[2].clear();
    head.append(
        &mut lines[2],
        &format!("{TIME},\"event\":\"verify\",\"user\":\"nobody\""),
    );
    defect(&lines, 4, "record 3 does not continue the record before it");
}

#[test]
fn files_are_checked_in_their_order_and_chains_apart() {
    let (one, other) = (chain(6, None), chain(4, None));
    let mut verifier = AuditVerifier::default();
    read(&mut verifier, one[..2].concat().as_bytes()).unwrap();
    read(&mut verifier, b"").unwrap();
    let mixed = [&other[..1], &one[2..4], &other[1..], &one[4..]].concat();
    read(&mut verifier, mixed.concat().as_bytes()).unwrap();
    let chains = verifier.finish().unwrap();
    let counts: Vec<_> = chains.iter().map(|chain| chain.records).collect();
    assert_eq!(counts, [6, 4]);
    let mut wrong = AuditVerifier::default();
    let later = read(&mut wrong, one[3..].concat().as_bytes()).unwrap_err();
    assert!(
        later.0 == 1 && later.1.contains("begins with record 3"),
        "{later:?}"
    );
    let mut later = AuditVerifier::default().accepting_later_beginnings(true);
    read(&mut later, one[3..].concat().as_bytes()).unwrap();
    assert_eq!(later.finish().unwrap()[0].first, 3);
}

#[test]
fn a_head_that_was_kept_elsewhere_finds_records_that_were_cut_off() {
    let lines = chain(5, None);
    let last = SealedRecord::parse(lines[4].trim_end().as_bytes()).unwrap();
    let expected = ExpectedHead {
        number: 4,
        hash: last.hash,
    };
    let with = |bytes: &[u8]| {
        let mut verifier = AuditVerifier::default().expecting(Some(expected));
        read(&mut verifier, bytes).unwrap();
        verifier.finish().map(|_| ())
    };
    assert!(with(lines.concat().as_bytes()).is_ok());
    let cut = with(lines[..4].concat().as_bytes());
    assert!(matches!(cut, Err(IncompleteAudit::NoHead(_))));
}

#[test]
fn signatures_prove_who_wrote_a_chain() {
    let (ours, theirs) = (signer(), signer());
    let keys = |signer: &VerdictSigner| {
        let published = Arc::clone(signer.published());
        let parsed = CheckpointKeys::parse(&published.load()).unwrap();
        AuditVerifier::default().with_keys(Some(parsed))
    };
    let lines = chain(8, Some(&ours)).concat();
    let mut verifier = keys(&ours);
    read(&mut verifier, lines.as_bytes()).unwrap();
    let chains = verifier.finish().unwrap();
    assert_eq!((chains[0].checkpoints, chains[0].unproven), (3, 1));
    assert!(chains[0].to_string().contains("their signatures are right"));

    let unknown = read(&mut keys(&theirs), lines.as_bytes()).unwrap_err();
    assert!(
        unknown.0 == 1 && unknown.1.contains("not in the key set"),
        "{unknown:?}"
    );

    // A checkpoint of the same key that was made for another record.
    let mut head = ChainHead::begin().unwrap();
    let mut moved = String::new();
    for event in ["verify", "checkpoint"] {
        let mut content = format!("{TIME},\"event\":\"{event}\"");
        if event == "checkpoint" {
            let other = ChainHead {
                next: 7,
                ..head.clone()
            };
            let token = sign_checkpoint(&ours, &other, event, SystemTime::now()).unwrap();
            content.push_str(&format!(",\"checkpoint\":\"{token}\""));
        }
        head.append(&mut moved, &content);
    }
    let found = read(&mut keys(&ours), moved.as_bytes()).unwrap_err();
    assert!(
        found.0 == 2 && found.1.contains("for another record"),
        "{found:?}"
    );

    // A chain made anew, without signatures.
    let mut unsigned = keys(&ours);
    read(&mut unsigned, chain(3, None).concat().as_bytes()).unwrap();
    let missing = unsigned.finish().map(|_| ());
    assert!(matches!(missing, Err(IncompleteAudit::NoCheckpoint(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// One random change of the bytes: any is found, and no later than a line behind it.
    #[test]
    fn any_changed_removed_or_added_byte_is_found(
        count in 1_u64..8,
        place in any::<prop::sample::Index>(),
        kind in 0..4,
        byte in any::<u8>(),
    ) {
        let mut bytes = chain(count, None).concat().into_bytes();
        let at = place.index(bytes.len());
        let line = bytes[..at].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
        match kind {
            0 if bytes[at] != byte => bytes[at] = byte,
            1 => drop(bytes.remove(at)),
            // A line may have been added, which has no record.
            2 => bytes.insert(at, byte),
            _ if at > 0 && bytes[at - 1] != b'\n' => bytes.truncate(at),
            _ => return Ok(()),
        }
        let found = check(&bytes).map(|_| ());
        // The end of a line may be found wrong on the next one.
        prop_assert!(found.is_err(), "{}", String::from_utf8_lossy(&bytes));
        let (found, said) = found.unwrap_err();
        prop_assert!(found == line || found == line + 1, "{found} {line} {said}");
    }

    /// Lines that are removed, repeated or exchanged.
    #[test]
    fn any_removed_repeated_or_exchanged_line_is_found(
        count in 3_u64..12,
        one in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
        kind in 0..3,
    ) {
        let mut lines = chain(count, None);
        let (one, other) = (one.index(lines.len()), other.index(lines.len()));
        match kind {
            // The last record alone can't be missed.
            0 if one + 1 < lines.len() => drop(lines.remove(one)),
            1 => lines.insert(other.max(one + 1).min(lines.len()), lines[one].clone()),
            2 if one != other => lines.swap(one, other),
            _ => return Ok(()),
        }
        prop_assert!(check(lines.concat().as_bytes()).is_err());
    }
}
