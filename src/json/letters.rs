//! What whole blocks of a string are: letters of base64 (RFC 4648 section 4, without padding), or at least what JSON takes as
//! it is. The longest strings by far are base64, here as in every request and answer of Qiniu's, so this is where each byte
//! of a video is looked at.
//!
//! Written without a branch for each byte, so that the compiler judges as many at once as the processor it runs on can.

use fearless_simd::{Level, Simd, dispatch};

/// Bytes of a block.
const BLOCK: usize = 64;

/// Whether all bytes are letters of base64.
pub fn all_letters(text: &[u8]) -> bool {
    let blocks = letter_blocks(text);
    all(text.get(blocks..).unwrap_or_default(), is_letter)
}

/// How many bytes the whole blocks have that are nothing but letters, up to the first that is not.
pub(super) fn letter_blocks(text: &[u8]) -> usize {
    dispatch!(Level::new(), simd => blocks(simd, text, is_letter))
}

/// The same of blocks that JSON takes in a string as they are, if they are ASCII.
pub(super) fn plain_blocks(text: &[u8]) -> usize {
    dispatch!(Level::new(), simd => blocks(simd, text, is_plain))
}

#[inline(always)]
pub(super) fn is_letter(byte: u8) -> bool {
    // `/` stands right before the digits.
    ((byte | 0x20).wrapping_sub(b'a') < 26) | (byte.wrapping_sub(b'/') < 11) | (byte == b'+')
}

#[inline(always)]
pub(super) fn is_plain(byte: u8) -> bool {
    (byte.wrapping_sub(0x20) < 0x60) & (byte != b'"') & (byte != b'\\')
}

/// For a few.
#[inline(always)]
pub(super) fn all(bytes: &[u8], is: impl Fn(u8) -> bool) -> bool {
    bytes.iter().fold(true, |good, &byte| good & is(byte))
}

/// To be compiled into the code for each kind of processor, hence the attributes.
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
    fn each_byte_at_each_place() {
        for byte in 0..=u8::MAX {
            let plain = matches!(byte, 0x20..0x80) && byte != b'"' && byte != b'\\';
            let letter = LETTERS.contains(&byte);
            assert_eq!((is_letter(byte), is_plain(byte)), (letter, plain), "{byte}");
            for place in 0..131 {
                let mut text = [b'A'; 131];
                text[place] = byte;
                let whole = |good: bool| match good {
                    true => 128,
                    false => (place / 64 * 64).min(128),
                };
                assert_eq!(all_letters(&text), letter, "{byte} at {place}");
                assert_eq!(letter_blocks(&text), whole(letter), "{byte} at {place}");
                assert_eq!(plain_blocks(&text), whole(plain), "{byte} at {place}");
            }
        }
    }
}
