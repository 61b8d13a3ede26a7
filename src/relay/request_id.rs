//! Names for requests: 128 bits, different for every request of every process, in an order that tells nobody how many
//! there were.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

use data_encoding::HEXLOWER;

/// Bytes of an id at the most; one that a trusted proxy gives may be so long.
const MAX: usize = 64;

/// The name of a request: letters, digits, `.`, `_` and `-`. Held in place, since each request has one in several places.
#[derive(Clone, Copy)]
pub struct RequestId {
    bytes: [u8; MAX],
    length: usize,
}

impl RequestId {
    /// One that was given; nothing if it is empty, too long, or has other characters.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if text.is_empty() || !text.bytes().all(plain) {
            return None;
        }
        let mut bytes = [0; MAX];
        bytes
            .get_mut(..text.len())?
            .copy_from_slice(text.as_bytes());
        Some(Self {
            bytes,
            length: text.len(),
        })
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..self.length).unwrap_or_default();
        // It is ASCII.
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Makes request ids. A keyed hash of a counter costs a fraction of what the system's randomness would, for each request.
#[derive(Default)]
pub struct RequestIds {
    keys: [RandomState; 2],
    made: AtomicU64,
}

impl RequestIds {
    /// Thirty-two hexadecimal digits.
    pub fn next(&self) -> RequestId {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let mut bytes = [0; MAX];
        let mut length = 0;
        for (half, keys) in bytes.chunks_exact_mut(16).zip(&self.keys) {
            HEXLOWER.encode_mut(&keys.hash_one(number).to_be_bytes(), half);
            length += half.len();
        }
        RequestId { bytes, length }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_differ_within_a_process_and_between_two() {
        let (one, other) = (RequestIds::default(), RequestIds::default());
        let ids: HashSet<String> = (0..1000)
            .flat_map(|_| [one.next(), other.next()])
            .map(|id| id.to_string())
            .collect();
        assert_eq!(ids.len(), 2000);
        let hex = |id: &String| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(ids.iter().all(hex));
    }

    #[test]
    fn a_given_id_is_taken_as_it_is_or_not_at_all() {
        for good in ["a", "A-1._z", &"x".repeat(MAX)] {
            assert_eq!(RequestId::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "a b", "a\"", "\u{e9}", &"x".repeat(MAX + 1)] {
            assert!(RequestId::parse(bad).is_none(), "{bad}");
        }
    }
}
