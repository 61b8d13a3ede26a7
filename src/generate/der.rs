//! A writer of DER (X.690), as far as a certificate needs it.
//!
//! Definite lengths of up to four bytes; nothing here reads DER.

/// A sequence of these elements.
pub(super) fn sequence(elements: &[&[u8]]) -> Vec<u8> {
    element(0x30, &elements.concat())
}

/// A set of one element.
pub(super) fn set(of: &[u8]) -> Vec<u8> {
    element(0x31, of)
}

/// An integer of these bytes, which must not be negative: the first one is below 0x80.
pub(super) fn integer(bytes: &[u8]) -> Vec<u8> {
    element(0x02, bytes)
}

pub(super) fn boolean_true() -> Vec<u8> {
    element(0x01, &[0xff])
}

/// A string of bits, of which the last `unused` are not part.
pub(super) fn bit_string(unused: u8, bytes: &[u8]) -> Vec<u8> {
    element(0x03, &[&[unused], bytes].concat())
}

pub(super) fn octet_string(bytes: &[u8]) -> Vec<u8> {
    element(0x04, bytes)
}

/// An object identifier, already encoded.
pub(super) fn object_identifier(encoded: &[u8]) -> Vec<u8> {
    element(0x06, encoded)
}

pub(super) fn utf8_string(text: &str) -> Vec<u8> {
    element(0x0c, text.as_bytes())
}

/// A time as `YYYYMMDDHHMMSSZ`.
pub(super) fn generalized_time(text: &str) -> Vec<u8> {
    element(0x18, text.as_bytes())
}

/// A time as `YYMMDDHHMMSSZ`, which is of the years 1950 to 2049.
pub(super) fn utc_time(text: &str) -> Vec<u8> {
    element(0x17, text.as_bytes())
}

/// An element with a tag of the context, such as `[0]`: around other elements, or a text itself.
pub(super) fn context(number: u8, constructed: bool, content: &[u8]) -> Vec<u8> {
    let form = if constructed { 0xa0 } else { 0x80 };
    element(form | number, content)
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut element = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => element.push(short),
        _ => {
            let length = content.len().to_be_bytes();
            let zeros = length.iter().take_while(|byte| **byte == 0).count();
            let significant = length.get(zeros..).unwrap_or_default();
            // At most eight bytes, so this does not wrap.
            element.push(0x80 | significant.len() as u8);
            element.extend_from_slice(significant);
        }
    }
    element.extend_from_slice(content);
    element
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of X.690, section 8.1.3, and the borders between the forms of a length.
    #[test]
    fn lengths_have_their_shortest_form() {
        for (length, head) in [
            (0, &[0x04, 0x00][..]),
            (38, &[0x04, 0x26]),
            (127, &[0x04, 0x7f]),
            (128, &[0x04, 0x81, 0x80]),
            (201, &[0x04, 0x81, 0xc9]),
            (255, &[0x04, 0x81, 0xff]),
            (256, &[0x04, 0x82, 0x01, 0x00]),
            (65_536, &[0x04, 0x83, 0x01, 0x00, 0x00]),
        ] {
            let element = octet_string(&vec![7; length]);
            assert_eq!(&element[..head.len()], head, "{length}");
            assert_eq!(element.len(), head.len() + length);
        }
    }
}
