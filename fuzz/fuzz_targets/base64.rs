//! Arbitrary text in arbitrary pieces: the check, which does not decode, agrees with a decoder.

#![no_main]

use std::sync::LazyLock;

use data_encoding::{BASE64, Encoding, Specification};
use libfuzzer_sys::fuzz_target;
use liveness_gateway::media::{VideoFinding, base64::Base64Check};
use liveness_gateway_fuzz::arrival;

/// Standard base64 whose last character may have unused bits that are not zero.
static LENIENT: LazyLock<Encoding> = LazyLock::new(|| {
    let mut lenient = Specification::new();
    lenient
        .symbols
        .push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    lenient.padding = Some('=');
    lenient.check_trailing_bits = false;
    lenient.encoding().expect("the alphabet is complete")
});

fuzz_target!(|data: &[u8]| {
    let Some((parts, text)) = arrival(data) else {
        return;
    };
    agrees(&parts, text);
    // Arbitrary bytes are rarely base64, so also try their encoding, and that with one wrong
    // character.
    let mut good = BASE64.encode(text).into_bytes();
    let pieces: Vec<usize> = parts.iter().map(|part| part.len().max(1)).collect();
    agrees(&resplit(&good, &pieces), &good);
    if let (Some(&at), Some(&wrong)) = (text.first(), text.last()) {
        let at = usize::from(at) % good.len();
        good[at] = wrong;
        agrees(&resplit(&good, &pieces), &good);
    }
});

fn agrees(parts: &[&[u8]], text: &[u8]) {
    let mut check = Base64Check::default();
    let mut early = Ok(());
    for part in parts {
        check.feed(part);
        if early.is_err() {
            assert!(check.so_far().is_err(), "an early finding went away");
        }
        early = check.so_far();
    }
    let ours = check.finish();
    let mut whole = Base64Check::default();
    whole.feed(text);
    assert_eq!(ours, whole.finish(), "split and whole differ");
    if early.is_err() {
        assert!(ours.is_err(), "an early finding went away");
    }
    // The decoder accepts concatenated padded texts; a video is one text, with padding only at its
    // end.
    let padding = text.iter().rev().take_while(|&&byte| byte == b'=').count();
    let one = !text[..text.len() - padding].contains(&b'=');
    let theirs = LENIENT
        .decode(text)
        .ok()
        .filter(|bytes| one && !bytes.is_empty());
    assert_eq!(ours.ok(), theirs.map(|bytes| bytes.len() as u64));
    match ours {
        Err(VideoFinding::Empty) => assert!(text.is_empty()),
        Err(VideoFinding::DataUrl) => assert!(text.starts_with(b"data:")),
        Err(VideoFinding::NotBase64) => assert!(!text.starts_with(b"data:")),
        Err(other) => panic!("{other:?} of a text that is too short for it"),
        Ok(_) => {}
    }
}

fn resplit<'a>(text: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let (mut parts, mut left) = (Vec::new(), text);
    for &length in lengths {
        let (part, behind) = left.split_at(length.min(left.len()));
        parts.push(part);
        left = behind;
    }
    parts.push(left);
    parts
}
