//! The id of a request: one that a trusted proxy gave, or a new one.
//!
//! Relies on random keys, so that ids of two processes differ and nobody can guess the next one.
//! Never takes an id with other characters than those of a plain word, which needs no escapes in a
//! header field, in JSON or in a log line.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

use data_encoding::HEXLOWER;

/// Maximum length of an id, in bytes; a trusted proxy may set one of this length.
const MAX_ID_BYTES: usize = 64;

/// A request id: letters, digits, `.`, `_` and `-`. Stored inline, because each request
/// copies it several times.
#[derive(Clone, Copy)]
pub struct RequestId {
    bytes: [u8; MAX_ID_BYTES],
    length: usize,
}

impl RequestId {
    /// Parses an id; `None` if it is empty, too long, or has other characters.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if text.is_empty() || !text.bytes().all(plain) {
            return None;
        }
        let mut bytes = [0; MAX_ID_BYTES];
        bytes
            .get_mut(..text.len())?
            .copy_from_slice(text.as_bytes());
        Some(Self {
            bytes,
            length: text.len(),
        })
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..self.length).unwrap_or_default();
        // Always ASCII.
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Generates request ids as keyed hashes of a counter, which cost a fraction of the system's
/// random bytes.
#[derive(Default)]
pub struct RequestIds {
    keys: [RandomState; 2],
    counter: AtomicU64,
}

impl RequestIds {
    /// The next id: 32 hexadecimal digits.
    pub fn next(&self) -> RequestId {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        let mut bytes = [0; MAX_ID_BYTES];
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
        for good in ["a", "A-1._z", &"x".repeat(MAX_ID_BYTES)] {
            assert_eq!(RequestId::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "a b", "a\"", "\u{e9}", &"x".repeat(MAX_ID_BYTES + 1)] {
            assert!(RequestId::parse(bad).is_none(), "{bad}");
        }
    }
}
