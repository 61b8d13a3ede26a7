//! The SHA-256 of a video while it arrives, raw or as base64.
//!
//! Relies on [`super::base64`] to reject invalid base64, of which the digest is meaningless. Holds
//! at most four characters.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::BASE64;
use zeroize::Zeroize;

/// Number of characters that are decoded at once.
const BLOCK: usize = 4096;

/// A digest in progress.
pub struct VideoDigest {
    hash: Context,
    /// Up to four characters. The last group may be padded, and a group is known to be the last
    /// only at the end.
    held: Vec<u8>,
}

impl Default for VideoDigest {
    fn default() -> Self {
        Self {
            hash: Context::new(&SHA256),
            held: Vec::with_capacity(4),
        }
    }
}

/// Keeps the digest out of logs.
impl fmt::Debug for VideoDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VideoDigest")
    }
}

impl VideoDigest {
    /// Takes the next bytes of the video.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
    }

    /// Takes the next characters of its base64.
    pub fn base64(&mut self, text: &[u8]) {
        let missing = 4_usize.saturating_sub(self.held.len()).min(text.len());
        let (first, rest) = text.split_at(missing);
        self.held.extend_from_slice(first);
        if rest.is_empty() {
            return;
        }
        let held = std::mem::take(&mut self.held);
        self.groups(&held);
        // At least one character stays, so the last group is never among these.
        let groups = rest.len().saturating_sub(1) / 4 * 4;
        let (groups, last) = rest.split_at(groups);
        groups.chunks(BLOCK).for_each(|block| self.groups(block));
        self.held = held;
        self.held.clear();
        self.held.extend_from_slice(last);
    }

    fn groups(&mut self, text: &[u8]) {
        let mut decoded = [0; BLOCK / 4 * 3];
        if let Some(into) = decoded.get_mut(..text.len() / 4 * 3)
            && let Ok(length) = BASE64.decode_mut(text, into)
        {
            self.hash.update(into.get(..length).unwrap_or_default());
        }
        decoded.zeroize();
    }

    /// The digest, after the last byte of the video.
    pub fn finish(mut self) -> [u8; 32] {
        let padding = self.held.iter().filter(|byte| **byte == b'=').count();
        // The unused bits before the padding need not be zero; they are ignored.
        let group = self.held.iter().fold(0_u32, |group, character| {
            group << 6 | super::base64::value(*character).unwrap_or_default()
        });
        let [_, bytes @ ..] = group.to_be_bytes();
        if self.held.len() == 4 {
            let bytes = bytes.get(..3_usize.saturating_sub(padding));
            self.hash.update(bytes.unwrap_or_default());
        }
        let mut digest = [0; 32];
        let made = self.hash.finish();
        digest
            .iter_mut()
            .zip(made.as_ref())
            .for_each(|(to, from)| *to = *from);
        digest
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    use super::*;

    fn wanted(bytes: &[u8]) -> [u8; 32] {
        Sha256::digest(bytes).into()
    }

    fn of_text(text: &[u8], split: usize) -> [u8; 32] {
        let mut digest = VideoDigest::default();
        text.chunks(split).for_each(|part| digest.base64(part));
        digest.finish()
    }

    #[test]
    fn unused_bits_before_the_padding_are_ignored() {
        for (text, bytes) in [
            ("AA==", &[0][..]),
            ("AB==", &[0]),
            ("AAA=", &[0, 0]),
            ("AAB=", &[0, 0]),
            ("AAAAAA==", &[0, 0, 0, 0]),
            ("AAAAAP==", &[0, 0, 0, 0]),
            ("AAAA", &[0, 0, 0]),
        ] {
            for split in 1..=8 {
                assert_eq!(of_text(text.as_bytes(), split), wanted(bytes), "{text}");
            }
        }
    }

    /// Bytes without a pattern. To have proptest choose each of them takes a hundred times as long.
    fn noise(seed: u64, length: usize) -> Vec<u8> {
        let hashes = (0_u64..).map(|at| Sha256::digest([seed, at].map(u64::to_be_bytes).concat()));
        hashes.flatten().take(length).collect()
    }

    proptest! {
        #[test]
        fn raw_bytes_and_base64_have_the_same_digest_however_they_are_split(
            seed in any::<u64>(),
            length in 1_usize..20_000,
            split in 1_usize..10_000,
        ) {
            let video = noise(seed, length);
            let text = BASE64.encode(&video);
            prop_assert_eq!(of_text(text.as_bytes(), split), wanted(&video));
            // In small parts, so many of them that each of the states is met.
            let front = &video[..length.min(600)];
            let text = BASE64.encode(front);
            prop_assert_eq!(of_text(text.as_bytes(), split % 7 + 1), wanted(front));
            let mut digest = VideoDigest::default();
            video.chunks(split).for_each(|part| digest.bytes(part));
            prop_assert_eq!(digest.finish(), wanted(&video));
        }
    }
}
