//! Arbitrary files: never a panic, and the same facts whether a file is in one piece or in pieces
//! of base64 with some characters written as JSON escapes.

#![no_main]

use bytes::Bytes;
use data_encoding::BASE64;
use libfuzzer_sys::fuzz_target;
use liveness_gateway::media::{held::HeldVideo, mp4};

const FRONT: &str = "{\"video_base64\":\"";

fuzz_target!(|data: &[u8]| {
    // The first bytes say how the file is written and split; the rest is the file.
    let Some(([escape, split], file)) = data.split_first_chunk::<2>() else {
        return;
    };
    let wanted = mp4::read_slice(file);
    let text: String = FRONT
        .chars()
        .chain(BASE64.encode(file).chars())
        .chain("\"}".chars())
        .enumerate()
        .map(|(at, character)| match escape % 3 {
            1 if character == '/' => "\\/".to_owned(),
            2 if at > FRONT.len() && character.is_ascii_alphanumeric() && at % 7 == 0 => {
                format!("\\u{:04x}", u32::from(character))
            }
            _ => character.to_string(),
        })
        .collect();
    let pieces: Vec<Bytes> = text
        .as_bytes()
        .chunks(usize::from(*split) * 7 + 1)
        .map(Bytes::copy_from_slice)
        .collect();
    let length = file.len() as u64;
    let mut held = HeldVideo::new(&pieces, FRONT.len(), length, escape % 3 > 0);
    let read = mp4::read(length, |offset, into| held.read(offset, into));
    assert_eq!(read, wanted);
});
