//! Base64's alphabet (RFC 4648 section 4), without padding. The longest strings by far are base64, here as in every request
//! and answer of Qiniu's: who looks at each of their bytes anyway can tell whether all of them are its letters.

/// Whether all bytes are letters. Whole blocks without a branch per byte, so that the compiler judges many at once.
pub fn all_letters(text: &[u8]) -> bool {
    let (blocks, rest) = text.as_chunks::<64>();
    blocks.iter().all(|block| all(block)) && all(rest)
}

/// For a few.
pub(super) fn all(bytes: &[u8]) -> bool {
    // `/` stands right before the digits.
    let letter = |byte: u8| {
        ((byte | 0x20).wrapping_sub(b'a') < 26) | (byte.wrapping_sub(b'/') < 11) | (byte == b'+')
    };
    bytes.iter().fold(true, |good, &byte| good & letter(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_at_each_place() {
        let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        for byte in 0..=u8::MAX {
            for place in [0, 63, 64, 70] {
                let mut text = [b'A'; 71];
                text[place] = byte;
                assert_eq!(all_letters(&text), letters.contains(&byte), "{byte}");
            }
        }
    }
}
