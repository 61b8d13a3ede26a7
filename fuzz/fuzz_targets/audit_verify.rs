//! Arbitrary lines in the place of an audit log, some of them sealed as the gateway seals them.
//! What is accepted is a chain by a slow and plain reading, no change of it is accepted, and
//! nothing is taken for signed.

#![no_main]

use std::{
    collections::HashMap,
    io::{BufReader, Cursor},
};

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use libfuzzer_sys::fuzz_target;
use liveness_gateway::audit::{CheckpointKeys, verify::AuditVerifier};
use serde_json::value::RawValue;

/// The key of RFC 8037 appendix A.1, which signs nothing here.
const KEYS: &[u8] = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","alg":"EdDSA","use":"sig",
"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

// A line that begins with `!` has the members of the next record of one chain. One that begins with
// `=` gets the hash that its content has. All others stand as they are. Two digits before the first
// line say what is changed afterwards: which line, and how.
fuzz_target!(|data: &[u8]| {
    let (change, lines) = data.split_at(data.len().min(2));
    let lines: Vec<_> = lines.split(|&byte| byte == b'\n').collect();
    let (mut file, mut next, mut hash) = (Vec::new(), 0_u64, "0".repeat(64));
    for line in lines {
        match line.split_first() {
            Some((b'!', members)) => {
                let id = "0f".repeat(16);
                let begun = format!("{{\"chain\":\"{id}\",\"seq\":{next},\"prev\":\"{hash}\",");
                hash = seal(&mut file, &[begun.as_bytes(), members].concat());
                next += 1;
            }
            Some((b'=', content)) => drop(seal(&mut file, content)),
            Some(_) => file.extend([line, b"\n"].concat()),
            None => {}
        }
    }
    let accepted = verified(&file);
    let mut small = AuditVerifier::default();
    let read = small.read(BufReader::with_capacity(7, Cursor::new(&file)));
    assert_eq!(read.is_ok() && small.finish().is_ok(), accepted);
    let keys = CheckpointKeys::parse(KEYS).expect("a key");
    let mut signed = AuditVerifier::default().with_keys(Some(keys));
    assert!(signed.read(Cursor::new(&file)).is_err() || signed.finish().is_err());
    if accepted {
        assert!(is_chain(&file));
        changed(&file, change);
    }
});

/// Appends a line with its hash, which is returned.
fn seal(file: &mut Vec<u8>, content: &[u8]) -> String {
    let hash = HEXLOWER.encode(digest(&SHA256, content).as_ref());
    file.extend([content, b",\"hash\":\"", hash.as_bytes(), b"\"}\n"].concat());
    hash
}

fn verified(file: &[u8]) -> bool {
    let mut verifier = AuditVerifier::default();
    let read = verifier.read(Cursor::new(file));
    if let Err((line, _)) = &read {
        let lines = file.split(|&byte| byte == b'\n').count();
        assert!((1..=lines as u64).contains(line));
    }
    read.is_ok() && verifier.finish().is_ok()
}

/// Whether each line is an object whose hash is right and that continues its chain.
fn is_chain(file: &[u8]) -> bool {
    let mut heads: HashMap<String, (u64, String)> = HashMap::new();
    let lines = file.strip_suffix(b"\n").expect("a last line");
    lines.split(|&byte| byte == b'\n').all(|line| {
        let members: HashMap<String, Box<RawValue>> = serde_json::from_slice(line).expect("JSON");
        let raw = |name: &str| members.get(name).map_or("null", |value| value.get());
        let text = |name: &str| serde_json::from_str(raw(name)).unwrap_or_else(|_| String::new());
        // A name, a colon, 64 digits in quotes and a brace.
        let content = line.len() - (",\"hash\":\"".len() + 64 + "\"}".len());
        let hash = HEXLOWER.encode(digest(&SHA256, &line[..content]).as_ref());
        let beginning = (0, "0".repeat(64));
        let (number, previous) = heads.get(&text("chain")).cloned().unwrap_or(beginning);
        let continues = raw("seq") == number.to_string()
            && text("prev").eq_ignore_ascii_case(&previous)
            && text("hash") == hash;
        heads.insert(text("chain"), (number + 1, hash));
        continues
            && ["time", "event"]
                .iter()
                .all(|name| raw(name).starts_with('"'))
    })
}

/// A line that is removed, repeated, cut or changed is found, but for one that is the last of its
/// chain and is gone.
fn changed(file: &[u8], change: &[u8]) {
    let [which, how] = change else { return };
    let lines: Vec<_> = file.split_inclusive(|&byte| byte == b'\n').collect();
    let at = usize::from(*which) % lines.len();
    let mut other: Vec<Vec<u8>> = lines.iter().map(|line| line.to_vec()).collect();
    match how % 4 {
        0 => {
            let chain = |line: &[u8]| line[..line.len().min(44)].to_vec();
            let (removed, behind) = (chain(lines[at]), &lines[at + 1..]);
            if !behind.iter().any(|line| chain(line) == removed) {
                return;
            }
            other.remove(at);
        }
        1 => other.insert(at, lines[at].to_vec()),
        2 => other[at].truncate(lines[at].len() / 2),
        _ => {
            let middle = lines[at].len() / 2;
            other[at][middle] ^= 1 + how / 4 % 127;
        }
    }
    assert!(!verified(&other.concat()), "{change:?}");
}
