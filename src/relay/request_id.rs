//! Names for requests: 128 bits, different for every request of every process, in an order that tells nobody how many
//! there were.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

/// Makes request ids. A keyed hash of a counter costs a fraction of what the system's randomness would, for each request.
#[derive(Default)]
pub struct RequestIds {
    keys: [RandomState; 2],
    made: AtomicU64,
}

impl RequestIds {
    /// Thirty-two hexadecimal digits.
    pub fn next(&self) -> String {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let [first, second] = &self.keys;
        let mut bytes = [0; 16];
        let (left, right) = bytes.split_at_mut(8);
        left.copy_from_slice(&first.hash_one(number).to_be_bytes());
        right.copy_from_slice(&second.hash_one(number).to_be_bytes());
        let mut id = String::with_capacity(2 * bytes.len());
        data_encoding::HEXLOWER.encode_append(&bytes, &mut id);
        id
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_differ_within_a_process_and_between_two() {
        let (one, other) = (RequestIds::default(), RequestIds::default());
        let ids: HashSet<String> = (0..1000).flat_map(|_| [one.next(), other.next()]).collect();
        assert_eq!(ids.len(), 2000);
        assert!(ids.iter().all(|id| id.len() == 32));
    }
}
