//! Bytes that are overwritten as soon as they are no longer needed: heads, bodies, pictures.
//!
//! The allocator does not clear what it frees, so what a buffer held would stay in the process's
//! memory until something else happens to take its place. [`WipedVec`] wipes one buffer when it
//! is dropped. What is here wipes what that leaves out: the old place of a buffer that grows, what
//! was decoded before a wrong character, and [`Bytes`]. Never wipes bytes that somebody else still
//! refers to.

use std::ops::{Deref, DerefMut};

use bytes::{Buf, Bytes};
use data_encoding::BASE64URL_NOPAD;
use zeroize::Zeroize;

/// Bytes that are wiped when they are dropped, the spare capacity included. That of
/// [`Zeroizing`](zeroize::Zeroizing) wipes a vector byte by byte, which takes many times as long.
#[derive(Default, PartialEq, Eq)]
pub struct WipedVec(Vec<u8>);

impl WipedVec {
    /// Takes these bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Wipes the bytes and removes them. The capacity stays.
    pub fn wipe(&mut self) {
        self.0.as_mut_slice().zeroize();
        self.0.spare_capacity_mut().zeroize();
        self.0.clear();
    }
}

impl From<Vec<u8>> for WipedVec {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Deref for WipedVec {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for WipedVec {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl Drop for WipedVec {
    fn drop(&mut self) {
        if self.0.capacity() > 0 {
            self.wipe();
        }
    }
}

/// Appends `bytes`. If the buffer has to move, its old place is wiped.
pub fn append(buffer: &mut WipedVec, bytes: &[u8]) {
    let needed = buffer.len().saturating_add(bytes.len());
    if needed > buffer.capacity() {
        grow(buffer, needed.max(buffer.capacity().saturating_mul(2)));
    }
    buffer.extend_from_slice(bytes);
}

/// Decodes base64url without padding. If it is invalid, what precedes the wrong character is
/// wiped.
pub fn base64url(text: &[u8]) -> Option<WipedVec> {
    let length = BASE64URL_NOPAD.decode_len(text.len()).ok()?;
    let mut decoded = WipedVec::new(vec![0; length]);
    BASE64URL_NOPAD.decode_mut(text, &mut decoded).ok()?;
    Some(decoded)
}

/// Moves the buffer to a place with so much capacity, and wipes the old one.
pub fn grow(buffer: &mut WipedVec, capacity: usize) {
    let mut larger = WipedVec::new(Vec::with_capacity(capacity));
    larger.extend_from_slice(buffer);
    *buffer = larger;
}

/// Bytes that are wiped when they are dropped, unless somebody else refers to them.
pub struct WipedBytes {
    bytes: Bytes,
    /// How many of them were taken through [`Buf`].
    taken: usize,
}

impl From<Bytes> for WipedBytes {
    fn from(bytes: Bytes) -> Self {
        Self { bytes, taken: 0 }
    }
}

impl Buf for WipedBytes {
    fn remaining(&self) -> usize {
        self.bytes.len().saturating_sub(self.taken)
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.get(self.taken..).unwrap_or_default()
    }

    fn advance(&mut self, count: usize) {
        self.taken = self.taken.saturating_add(count);
    }
}

impl Drop for WipedBytes {
    fn drop(&mut self) {
        wipe(std::mem::take(&mut self.bytes));
    }
}

/// Wipes the bytes, if nothing else refers to their buffer.
fn wipe(bytes: Bytes) {
    if let Ok(mut bytes) = bytes.try_into_mut() {
        bytes.as_mut().zeroize();
    }
}

/// Pieces that are longer are as they were received, in bytes. Wiping a whole video of 2 MiB would
/// cost 3 % of its processor time.
const LONGEST: usize = 64 * 1024;

/// The pieces of a text. Those of up to 64 KiB, which the gateway has copied or made, are wiped
/// when they are removed.
#[derive(Debug, Default)]
pub struct WipedPieces(Vec<Bytes>);

impl WipedPieces {
    /// How many pieces there is room for.
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Adds a piece at the end.
    pub fn push(&mut self, piece: Bytes) {
        self.0.push(piece);
    }

    /// Removes all pieces but the first `length`.
    pub fn truncate(&mut self, length: usize) {
        self.0
            .drain(length.min(self.0.len())..)
            .for_each(wipe_piece);
    }

    /// Shortens the last piece.
    pub fn truncate_last(&mut self, length: usize) {
        if let Some(last) = self.0.last_mut() {
            wipe(last.split_off(length.min(last.len())));
        }
    }
}

/// Wipes a piece, as [`WipedPieces`] does.
pub fn wipe_piece(piece: Bytes) {
    if piece.len() <= LONGEST {
        wipe(piece);
    }
}

impl Deref for WipedPieces {
    type Target = [Bytes];

    fn deref(&self) -> &[Bytes] {
        &self.0
    }
}

impl DerefMut for WipedPieces {
    fn deref_mut(&mut self) -> &mut [Bytes] {
        &mut self.0
    }
}

impl From<Vec<Bytes>> for WipedPieces {
    fn from(pieces: Vec<Bytes>) -> Self {
        Self(pieces)
    }
}

impl Drop for WipedPieces {
    fn drop(&mut self) {
        self.truncate(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_grows_as_a_vec_does() {
        let mut buffer = WipedVec::new(Vec::new());
        let mut plain = Vec::new();
        for length in 0..300 {
            let bytes = vec![7; length];
            append(&mut buffer, &bytes);
            plain.extend_from_slice(&bytes);
            assert_eq!(*buffer, plain);
        }
    }

    #[test]
    fn base64url_is_decoded_as_a_whole_or_not_at_all() {
        assert_eq!(
            base64url(b"AQI-_w").map(|it| it.to_vec()),
            Some(vec![1, 2, 0x3e, 0xff])
        );
        assert_eq!(base64url(b"").map(|it| it.len()), Some(0));
        for wrong in ["AQID.", "AQIDA", "AQID====", "AQ==", "AR", "AQ+_"] {
            assert!(base64url(wrong.as_bytes()).is_none(), "{wrong}");
        }
    }

    #[test]
    fn pieces_are_removed_from_the_end() {
        let mut pieces = WipedPieces::default();
        for piece in ["one", "two", "three"] {
            pieces.push(Bytes::from(piece));
        }
        pieces.truncate(2);
        pieces.truncate_last(1);
        assert_eq!(pieces.concat(), b"onet");
        pieces.truncate(5);
        assert_eq!(pieces.len(), 2);
    }

    #[test]
    fn what_somebody_else_refers_to_is_not_wiped() {
        let whole = Bytes::from(vec![7; 100]);
        let mut pieces = WipedPieces::default();
        pieces.push(whole.slice(..50));
        drop(pieces);
        assert_eq!(whole, vec![7; 100]);
    }
}
