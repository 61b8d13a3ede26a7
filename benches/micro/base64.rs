//! Checking that a text is base64, compared with decoding it.

use std::sync::Arc;

use data_encoding::BASE64;
use liveness_gateway::media::base64::Base64Check;

use crate::measure::Comparison;

const NAME: &str = "base64 check";
const CHUNK: usize = 417_792;

/// Pseudo-random bytes as base64.
pub(crate) fn video(bytes: usize) -> String {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    BASE64.encode(&(0..bytes).map(|_| next()).collect::<Vec<_>>())
}

pub(crate) fn comparisons(is_wanted: &dyn Fn(&str) -> bool) -> Vec<Comparison> {
    if !is_wanted(NAME) {
        return Vec::new();
    }
    let text = Arc::new(video(2 * 1024 * 1024).into_bytes());
    let (decoded, into) = (Arc::clone(&text), Arc::clone(&text));
    let mut buffer = vec![0; BASE64.decode_len(text.len()).unwrap()];
    vec![
        Comparison::new(NAME, Some(text.len()))
            .candidate("Base64Check, in chunks", move || {
                let mut check = Base64Check::default();
                text.chunks(CHUNK).for_each(|part| check.feed(part));
                check.finish().unwrap()
            })
            .candidate("data-encoding, decode", move || {
                BASE64.decode(&decoded).unwrap()
            })
            .candidate("data-encoding, decode_mut", move || {
                BASE64.decode_mut(&into, &mut buffer).unwrap()
            }),
    ]
}
