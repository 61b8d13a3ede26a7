//! Bytes to base64 (RFC 4648 section 4), twelve bits at a time: a video that arrives as it is must not cost more than the
//! signature over it. The last few bytes are left to `data_encoding`. Never decodes, and never holds more than it was given.

use data_encoding::BASE64;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The two characters of every twelve bits: 8 KiB, which stay in the processor's nearest cache.
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

/// The base64 of `bytes`, with padding.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_group_of_bits_has_its_characters() {
        let bytes: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_be_bytes).collect();
        assert_eq!(encode(&bytes), BASE64.encode(&bytes).into_bytes());
    }

    proptest! {
        #[test]
        fn agrees_with_another_encoder(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(encode(&bytes), BASE64.encode(&bytes).into_bytes());
        }
    }
}
