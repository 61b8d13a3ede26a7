//! The user information of URLs: text in which `%XX` stands for a byte.
//!
//! What it decodes is wiped when it is dropped. Nothing of it is in an error.

use crate::wipe::WipedVec;

/// The bytes that a text with `%XX` stands for. `None` if a `%` is not followed by two digits, or a
/// byte is a control character.
pub fn decoded(text: &str) -> Option<WipedVec> {
    let mut bytes = WipedVec::new(Vec::with_capacity(text.len()));
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'%' => {
                let (high, low) = rest
                    .next()
                    .and_then(digit)
                    .zip(rest.next().and_then(digit))?;
                high << 4 | low
            }
            byte => byte,
        };
        if byte.is_ascii_control() {
            return None;
        }
        bytes.push(byte);
    }
    Some(bytes)
}

/// The value of a hexadecimal digit.
fn digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percent_sign_and_two_digits_are_a_byte() {
        let decoded = |text| decoded(text).map(|bytes| bytes.to_vec());
        assert_eq!(decoded("p%40s%2fs").as_deref(), Some(b"p@s/s".as_slice()));
        assert_eq!(decoded("").as_deref(), Some(b"".as_slice()));
        for wrong in ["%", "%4", "%4g", "a%0ab", "a\nb"] {
            assert_eq!(decoded(wrong), None, "{wrong:?}");
        }
    }
}
