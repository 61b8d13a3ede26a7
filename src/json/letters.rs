//! Classifies whole blocks of a string: letters of base64 (RFC 4648 section 4, without padding), or
//! bytes that JSON allows unescaped.
//!
//! By far the longest strings are base64 in every request and response of Qiniu's, so each byte of
//! a video is examined here. The code has no branch per byte, so that the compiler processes as
//! many at once as the processor can. Never copies or decodes a byte.

use fearless_simd::{Level, Simd, dispatch};

/// Size of a block, in bytes.
const BLOCK: usize = 64;

/// Whether all bytes of `text` are letters of base64.
pub fn all_letters(text: &[u8]) -> bool {
    let blocks = letter_blocks(text);
    all(text.get(blocks..).unwrap_or_default(), is_letter)
}

/// The size of the blocks at the start of `text` that are all letters, in bytes.
pub(super) fn letter_blocks(text: &[u8]) -> usize {
    dispatch!(Level::new(), simd => blocks(simd, text, is_letter))
}

/// The size of the blocks at the start of `text` that are all plain ASCII, in bytes.
pub(super) fn plain_blocks(text: &[u8]) -> usize {
    dispatch!(Level::new(), simd => blocks(simd, text, is_plain))
}

#[inline(always)]
pub(super) fn is_letter(byte: u8) -> bool {
    // `/` precedes the digits.
    ((byte | 0x20).wrapping_sub(b'a') < 26) | (byte.wrapping_sub(b'/') < 11) | (byte == b'+')
}

#[inline(always)]
pub(super) fn is_plain(byte: u8) -> bool {
    (byte.wrapping_sub(0x20) < 0x60) & (byte != b'"') & (byte != b'\\')
}

/// Whether `is` holds for all of a few bytes.
#[inline(always)]
pub(super) fn all(bytes: &[u8], is: impl Fn(u8) -> bool) -> bool {
    bytes.iter().fold(true, |good, &byte| good & is(byte))
}

/// Inlined into the code that is compiled for each kind of processor.
#[inline(always)]
fn blocks<S: Simd>(_: S, text: &[u8], is: impl Fn(u8) -> bool + Copy) -> usize {
    let (blocks, _) = text.as_chunks::<BLOCK>();
    let good = blocks.iter().take_while(|block| all(*block, is)).count();
    good.saturating_mul(BLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    #[test]
    fn every_byte_at_every_position_is_classified_correctly() {
        for byte in 0..=u8::MAX {
            let plain = matches!(byte, 0x20..0x80) && byte != b'"' && byte != b'\\';
            let letter = LETTERS.contains(&byte);
            assert_eq!((is_letter(byte), is_plain(byte)), (letter, plain), "{byte}");
            for place in 0..131 {
                let mut text = [b'A'; 131];
                text[place] = byte;
                let expected = |good: bool| match good {
                    true => 128,
                    false => (place / 64 * 64).min(128),
                };
                assert_eq!(all_letters(&text), letter, "{byte} at {place}");
                assert_eq!(letter_blocks(&text), expected(letter), "{byte} at {place}");
                assert_eq!(plain_blocks(&text), expected(plain), "{byte} at {place}");
            }
        }
    }
}
