//! The fingerprint of an upload: tells whether two uploads of a session are the same, in the pass
//! that receives them.
//!
//! Two stages and a finish, after the pattern of UMAC and VMAC (RFC 4418 describes it). Blocks of
//! 512 bytes go through NH: for key words `k` and message words `m` of 64 bits, the sum of
//! `(m[2i] + k[2i]) * (m[2i+1] + k[2i+1])` modulo 2^128. The sums, cut in three, are the
//! coefficients of a polynomial over the integers modulo 2^61 - 1, which is evaluated at two secret
//! points. HMAC-SHA256 over the two values, the length and the request's other parameters gives 128
//! bits.
//!
//! The probability that two different texts of one length collide, for an attacker without the key:
//! NH at most 2^-64; the polynomials `(3n / 2^61)^2` for `n` blocks, which is 2^-87 for 20 MiB in
//! base64; the finish 2^-128. Together below 2^-63. Texts of different length differ in the input
//! of the finish. A fingerprint only decides between "the same response" and "another video":
//! nothing is gained by a forged one, and a fingerprint reveals nothing about the key.
//!
//! The value does not depend on how the bytes were split. Nothing here interprets the bytes. Keys
//! and the begun block of a video are wiped when they are dropped.

use std::sync::Arc;

use aws_lc_rs::hmac;
use zeroize::{Zeroize, Zeroizing};

/// Length of a block, in bytes.
const BLOCK: usize = 512;
const WORDS: usize = BLOCK / 8;
const POINTS: usize = 2;
const END_BYTES: usize = 32;
/// Length of the key material, in bytes.
pub(super) const KEY_BYTES: usize = BLOCK + POINTS * 8 + END_BYTES;
/// The prime modulus of the polynomials.
const PRIME: u64 = (1 << 61) - 1;
/// An NH sum is cut into parts of this many bits, each below [`PRIME`].
const PART_BITS: u32 = 43;

/// The key of fingerprints.
pub(super) struct FingerprintKey {
    words: [u64; WORDS],
    points: [u64; POINTS],
    /// Wiped by aws-lc.
    end: hmac::Key,
}

impl Drop for FingerprintKey {
    fn drop(&mut self) {
        self.words.zeroize();
        self.points.zeroize();
    }
}

impl FingerprintKey {
    pub(super) fn new(bytes: &[u8; KEY_BYTES]) -> Self {
        let (numbers, end) = bytes.split_at(KEY_BYTES - END_BYTES);
        let mut numbers = numbers
            .as_chunks()
            .0
            .iter()
            .copied()
            .map(u64::from_le_bytes);
        Self {
            words: std::array::from_fn(|_| numbers.next().unwrap_or_default()),
            points: std::array::from_fn(|_| numbers.next().unwrap_or_default() & PRIME),
            end: hmac::Key::new(hmac::HMAC_SHA256, end),
        }
    }
}

/// Identifies an upload of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(pub(crate) [u8; 16]);

impl Fingerprint {
    /// The bytes, for the store.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

/// Computes a fingerprint while the bytes arrive.
pub(super) struct FingerprintHasher {
    key: Arc<FingerprintKey>,
    values: [u64; POINTS],
    length: u64,
    /// The beginning of the next block.
    begun: [u8; BLOCK],
    filled: usize,
}

impl Drop for FingerprintHasher {
    fn drop(&mut self) {
        self.values.zeroize();
        self.begun.zeroize();
    }
}

impl FingerprintHasher {
    pub(super) fn new(key: &Arc<FingerprintKey>) -> Self {
        Self {
            key: Arc::clone(key),
            values: [0; POINTS],
            length: 0,
            begun: [0; BLOCK],
            filled: 0,
        }
    }

    /// Feeds the next bytes.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        self.length = self.length.saturating_add(bytes.len() as u64);
        if self.filled > 0 {
            bytes = self.fill(bytes);
            if self.filled < BLOCK {
                return;
            }
            absorb(&self.key, &mut self.values, &self.begun);
            self.filled = 0;
        }
        let (blocks, rest) = bytes.as_chunks();
        for block in blocks {
            absorb(&self.key, &mut self.values, block);
        }
        self.fill(rest);
    }

    /// The fingerprint of all bytes and of the request's other parameters.
    ///
    /// Takes a reference, since moving the hasher would leave a copy of its begun block behind.
    pub(super) fn finish(&self, parameters: &[u8]) -> Fingerprint {
        let mut values = self.values;
        if self.filled > 0 {
            let mut last = Zeroizing::new(self.begun);
            last.iter_mut().skip(self.filled).for_each(|byte| *byte = 0);
            absorb(&self.key, &mut values, &last);
        }
        let mut end = hmac::Context::with_key(&self.key.end);
        end.update(&self.length.to_le_bytes());
        for value in values {
            end.update(&(value % PRIME).to_le_bytes());
        }
        end.update(parameters);
        let tag = end.sign();
        let tag = tag.as_ref().first_chunk().copied();
        Fingerprint(tag.unwrap_or_default())
    }

    /// Appends to the next block, and returns the bytes that do not fit.
    fn fill<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let room = self.begun.get_mut(self.filled..).unwrap_or_default();
        let (fits, rest) = bytes.split_at(room.len().min(bytes.len()));
        for (to, from) in room.iter_mut().zip(fits) {
            *to = *from;
        }
        self.filled = self.filled.saturating_add(fits.len());
        rest
    }
}

/// Takes one block into the values of both points.
fn absorb(key: &FingerprintKey, values: &mut [u64; POINTS], block: &[u8; BLOCK]) {
    let sum = nh(&key.words, block);
    let part = |shift: u32| (sum >> shift) as u64 & ((1 << PART_BITS) - 1);
    for (value, point) in values.iter_mut().zip(key.points) {
        for part in [part(0), part(PART_BITS), part(2 * PART_BITS)] {
            *value = step(*value, point, part);
        }
    }
}

fn nh(key: &[u64; WORDS], block: &[u8; BLOCK]) -> u128 {
    let pairs = block.as_chunks::<8>().0.as_chunks::<2>().0;
    let keys = key.as_chunks::<2>().0;
    pairs.iter().zip(keys).fold(0, |sum, ([a, b], [j, k])| {
        let a = u64::from_le_bytes(*a).wrapping_add(*j);
        let b = u64::from_le_bytes(*b).wrapping_add(*k);
        sum.wrapping_add(u128::from(a).wrapping_mul(u128::from(b)))
    })
}

/// `value * point + part` modulo [`PRIME`], not fully reduced: below 2^61 + 4 for any input, so
/// nothing overflows.
fn step(value: u64, point: u64, part: u64) -> u64 {
    let product = u128::from(value)
        .wrapping_mul(u128::from(point))
        .wrapping_add(u128::from(part));
    let folded = (product as u64 & PRIME).wrapping_add((product >> 61) as u64);
    (folded & PRIME).wrapping_add(folded >> 61)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(seed: u8) -> Arc<FingerprintKey> {
        let mut state = u64::from(seed);
        let bytes = std::array::from_fn(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        });
        Arc::new(FingerprintKey::new(&bytes))
    }

    fn fingerprint(key: &Arc<FingerprintKey>, parts: &[&[u8]], also: &[u8]) -> Fingerprint {
        let mut running = FingerprintHasher::new(key);
        parts.iter().for_each(|part| running.feed(part));
        running.finish(also)
    }

    /// The definition of the module's head, with plain arithmetic on the whole text.
    fn by_definition(key: &FingerprintKey, text: &[u8], also: &[u8]) -> Fingerprint {
        let mut padded = text.to_vec();
        padded.resize(text.len().next_multiple_of(BLOCK), 0);
        let prime = u128::from(PRIME);
        let mut values = [0_u128; POINTS];
        for block in padded.chunks(BLOCK) {
            let words: Vec<u64> = block
                .chunks(8)
                .map(|word| u64::from_le_bytes(word.try_into().unwrap()))
                .collect();
            let mut sum = 0_u128;
            for i in (0..WORDS).step_by(2) {
                let a = words[i].wrapping_add(key.words[i]);
                let b = words[i + 1].wrapping_add(key.words[i + 1]);
                sum = sum.wrapping_add(u128::from(a) * u128::from(b));
            }
            for (value, point) in values.iter_mut().zip(key.points) {
                for shift in [0, 43, 86] {
                    let part = (sum >> shift) % (1 << 43);
                    *value = (*value * u128::from(point) + part) % prime;
                }
            }
        }
        let mut end = hmac::Context::with_key(&key.end);
        end.update(&(text.len() as u64).to_le_bytes());
        values
            .iter()
            .for_each(|value| end.update(&(*value as u64).to_le_bytes()));
        end.update(also);
        Fingerprint(end.sign().as_ref()[..16].try_into().unwrap())
    }

    #[test]
    fn the_key_the_length_and_the_parameters_all_matter() {
        let text = [0; 1300];
        let first = fingerprint(&key(1), &[&text], b"");
        assert_eq!(first, fingerprint(&key(1), &[&text], b""));
        assert_ne!(first, fingerprint(&key(2), &[&text], b""));
        assert_ne!(first, fingerprint(&key(1), &[&text[1..]], b""));
        assert_ne!(first, fingerprint(&key(1), &[&text, b"\0"], b""));
        assert_ne!(first, fingerprint(&key(1), &[&text], b"\0"));
        assert_ne!(
            fingerprint(&key(1), &[], b""),
            fingerprint(&key(1), &[b"\0"], b"")
        );
    }

    #[test]
    fn every_bit_matters() {
        let key = key(3);
        let mut text = vec![0x5a; 2 * BLOCK + 77];
        let mut seen = std::collections::HashSet::from([fingerprint(&key, &[&text], b"").0]);
        for bit in 0..text.len() * 8 {
            text[bit / 8] ^= 1 << (bit % 8);
            assert!(seen.insert(fingerprint(&key, &[&text], b"").0), "bit {bit}");
            text[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn swapped_blocks_or_words_change_the_fingerprint() {
        let key = key(4);
        let (one, two) = (vec![b'a'; BLOCK], vec![b'b'; BLOCK]);
        let swapped = fingerprint(&key, &[&two, &one], b"");
        assert_ne!(fingerprint(&key, &[&one, &two], b""), swapped);
        let (mut left, mut right) = (vec![0; BLOCK], vec![0; BLOCK]);
        left[0] = 1;
        right[16] = 1;
        assert_ne!(
            fingerprint(&key, &[&left], b""),
            fingerprint(&key, &[&right], b"")
        );
    }

    #[test]
    fn the_largest_values_do_not_overflow() {
        let mut bytes = [0xff; KEY_BYTES];
        bytes[0] = 0xfe;
        let key = Arc::new(FingerprintKey::new(&bytes));
        let text = vec![0xff; 40 * BLOCK];
        assert_eq!(
            fingerprint(&key, &[&text], b""),
            by_definition(&key, &text, b"")
        );
        let steps = (0..100).fold(u64::MAX, |value, _| step(value, PRIME, u64::MAX));
        assert!(steps < (1 << 61) + 4);
    }

    proptest! {
        #[test]
        fn any_split_gives_the_value_of_the_definition(
            text in proptest::collection::vec(any::<u8>(), 0..3000),
            cuts in proptest::collection::vec(0usize..700, 1..20),
            also in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let key = key(5);
            let mut running = FingerprintHasher::new(&key);
            let mut rest = text.as_slice();
            for cut in cuts.iter().cycle().take(5000) {
                let (part, more) = rest.split_at(rest.len().min(*cut));
                running.feed(part);
                rest = more;
            }
            running.feed(rest);
            prop_assert_eq!(running.finish(&also), by_definition(&key, &text, &also));
        }
    }
}
