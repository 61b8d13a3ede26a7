//! Standard base64 (RFC 4648 section 4, with padding): checked while it arrives, without decoding
//! it, and encoded.
//!
//! Encodes twelve bits at a time, since a video that arrives as it is must not cost more than its
//! signature. Holds nothing but counters, and what it was given to encode.

use data_encoding::BASE64;

use super::VideoFinding;
use crate::json::letters::all_letters;

/// Maximum size of a decoded video, in bytes: Qiniu's limit, 20 MiB.
pub const MAX_VIDEO: u64 = 20 * 1024 * 1024;
/// [`MAX_VIDEO`] in characters of base64.
const MAX_CHARACTERS: u64 = MAX_VIDEO.div_ceil(3) * 4;

const DATA_PREFIX: &[u8] = b"data:";

/// Checks a text while it arrives.
#[derive(Debug, Default)]
pub struct Base64Check {
    /// The first characters, as many as [`DATA_PREFIX`] has.
    start: Vec<u8>,
    characters: u64,
    /// Padding characters at the end so far.
    padding: u8,
    /// Whether a character is not base64, or follows padding.
    wrong: bool,
}

impl Base64Check {
    /// Takes the next characters.
    pub fn feed(&mut self, text: &[u8]) {
        self.count(text);
        // A `=` before other characters stays among them and is rejected like any foreign one.
        let padding = text.iter().rev().take_while(|&&byte| byte == b'=').count();
        let (characters, _) = text.split_at(text.len().saturating_sub(padding));
        self.wrong |= !all_letters(characters) || (self.padding > 0 && !characters.is_empty());
        self.padding = self
            .padding
            .saturating_add(u8::try_from(padding).unwrap_or(u8::MAX));
    }

    /// Takes the next characters, which are known to be letters of base64.
    pub fn feed_letters(&mut self, text: &[u8]) {
        self.count(text);
        self.wrong |= self.padding > 0 && !text.is_empty();
    }

    fn count(&mut self, text: &[u8]) {
        let missing = DATA_PREFIX.len().saturating_sub(self.start.len());
        self.start.extend(text.iter().take(missing));
        self.characters = self.characters.saturating_add(text.len() as u64);
    }

    /// Checks the characters so far, so that an invalid text is refused early.
    ///
    /// # Errors
    /// The text is invalid, whatever follows.
    pub fn so_far(&self) -> Result<(), VideoFinding> {
        if self.start == DATA_PREFIX {
            Err(VideoFinding::DataUrl)
        } else if self.wrong
            && (self.start.len() == DATA_PREFIX.len() || !DATA_PREFIX.starts_with(&self.start))
        {
            Err(VideoFinding::NotBase64)
        } else if self.characters > MAX_CHARACTERS {
            Err(VideoFinding::TooLarge)
        } else {
            Ok(())
        }
    }

    /// Finishes the check, and returns the length of the decoded video in bytes.
    ///
    /// # Errors
    /// The text is invalid.
    pub fn finish(&self) -> Result<u64, VideoFinding> {
        self.so_far()?;
        if self.characters == 0 {
            return Err(VideoFinding::Empty);
        }
        if self.wrong || self.padding > 2 || !self.characters.is_multiple_of(4) {
            return Err(VideoFinding::NotBase64);
        }
        let length = (self.characters / 4 * 3).saturating_sub(u64::from(self.padding));
        if length > MAX_VIDEO {
            Err(VideoFinding::TooLarge)
        } else {
            Ok(length)
        }
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The two characters of each twelve bits: 8 KiB, which fit into the processor's first cache.
static PAIRS: [[u8; 2]; 4096] = pairs();

#[allow(
    clippy::indexing_slicing,
    reason = "at compile time, where a wrong index is an error"
)]
const fn pairs() -> [[u8; 2]; 4096] {
    let mut pairs = [[0; 2]; 4096];
    let mut bits = 0;
    while bits < 4096 {
        pairs[bits] = [ALPHABET[bits >> 6], ALPHABET[bits & 63]];
        bits += 1;
    }
    pairs
}

/// Encodes `bytes` as base64, with padding.
pub fn encode(bytes: &[u8]) -> Vec<u8> {
    let mut text = vec![0; BASE64.encode_len(bytes.len())];
    let (groups, rest) = bytes.as_chunks::<6>();
    let (places, last) = text.split_at_mut(groups.len() * 8);
    let (places, _) = places.as_chunks_mut::<8>();
    for (&[a, b, c, d, e, f], place) in groups.iter().zip(places) {
        let bits = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        let pair = |shift: u32| {
            let index = usize::from((bits >> shift) as u16 & 0xfff);
            PAIRS.get(index).copied().unwrap_or_default()
        };
        let ([s, t], [u, v], [w, x], [y, z]) = (pair(36), pair(24), pair(12), pair(0));
        *place = [s, t, u, v, w, x, y, z];
    }
    BASE64.encode_mut(rest, last);
    text
}

/// The value of a character of the standard alphabet.
pub(super) fn value(character: u8) -> Option<u32> {
    Some(u32::from(match character {
        b'A'..=b'Z' => character - b'A',
        b'a'..=b'z' => character - b'a' + 26,
        b'0'..=b'9' => character - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::{super::VideoFinding, *};
    use proptest::prelude::*;

    fn check(parts: &[&[u8]]) -> Result<u64, VideoFinding> {
        let mut check = Base64Check::default();
        parts.iter().for_each(|part| check.feed(part));
        check.finish()
    }

    #[test]
    fn each_invalid_text_has_its_finding_however_it_is_split() {
        for (text, wanted) in [
            ("", Err(VideoFinding::Empty)),
            ("AAAA", Ok(3)),
            ("AAA=", Ok(2)),
            ("AA==", Ok(1)),
            ("A===", Err(VideoFinding::NotBase64)),
            ("====", Err(VideoFinding::NotBase64)),
            ("AAAA====", Err(VideoFinding::NotBase64)),
            ("AAA", Err(VideoFinding::NotBase64)),
            ("AA=A", Err(VideoFinding::NotBase64)),
            ("AA A", Err(VideoFinding::NotBase64)),
            ("AA-_", Err(VideoFinding::NotBase64)),
            ("AAA\n", Err(VideoFinding::NotBase64)),
            ("data:video/mp4;base64,AAAA", Err(VideoFinding::DataUrl)),
            ("dataAAAA", Ok(6)),
        ] {
            assert_eq!(check(&[text.as_bytes()]), wanted, "{text}");
            assert_eq!(
                check(&text.as_bytes().chunks(1).collect::<Vec<_>>()),
                wanted,
                "{text}"
            );
        }
    }

    #[test]
    fn twenty_mebibytes_pass_and_one_byte_more_does_not() {
        let whole = vec![b'A'; 27_962_024];
        assert_eq!(check(&[&whole, b"AAA="]), Ok(MAX_VIDEO));
        assert_eq!(check(&[&whole, b"AAAA"]), Err(VideoFinding::TooLarge));
        let mut early = Base64Check::default();
        early.feed(&whole);
        early.feed(b"AAAAAAAA");
        assert_eq!(early.so_far(), Err(VideoFinding::TooLarge));
    }

    proptest! {
        #[test]
        fn the_check_agrees_with_a_decoder(text in "[A-Za-z0-9+/=_ ]{0,40}", split in 1usize..9) {
            let mut lenient = data_encoding::Specification::new();
            lenient.symbols.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
            lenient.symbols.push_str("0123456789+/");
            lenient.padding = Some('=');
            lenient.check_trailing_bits = false;
            let decoded = lenient.encoding().unwrap().decode(text.as_bytes());
            let decoded = decoded.ok().map(|bytes| bytes.len() as u64);
            let ours = check(&text.as_bytes().chunks(split).collect::<Vec<_>>()).ok();
            // data-encoding accepts concatenated padded texts; one text has padding only at its
            // end.
            let concatenated = text.trim_end_matches('=').contains('=');
            prop_assert_eq!(ours, decoded.filter(|length| *length > 0 && !concatenated));
        }
    }

    #[test]
    fn all_groups_of_twelve_bits_are_encoded_correctly() {
        let bytes: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_be_bytes).collect();
        assert_eq!(encode(&bytes), BASE64.encode(&bytes).into_bytes());
    }

    proptest! {
        #[test]
        fn the_encoder_agrees_with_another_one(
            bytes in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            prop_assert_eq!(encode(&bytes), BASE64.encode(&bytes).into_bytes());
        }
    }
}
