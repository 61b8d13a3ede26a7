//! A complete response, pictures included, held in memory until it is delivered as evidence.
//!
//! Held only if the operator configured evidence. An ordinary response's memory is reserved before
//! its call is made ([`reserve`]), and each piece beyond it is counted before it is filled, in a
//! budget that all responses share ([`room`]). It is not the one of bodies: uploads that fill
//! theirs must not make a billed pass fail. Never written anywhere, and never longer than
//! [`MAX_RETAINED`]. Wiped when it is dropped.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    memory::{MemoryBudget, MemoryPermit},
    wipe::{WipedPieces, WipedVec},
};

/// Maximum size of a retained response, in bytes: eight pictures of 2 MiB.
pub const MAX_RETAINED: usize = 16 * 1024 * 1024;
/// What a response takes in an ordinary case, in bytes: nine pictures of 80 KiB in base64.
const ORDINARY: u64 = 1024 * 1024;
/// What is kept for responses that are larger than that, in bytes.
const EXTRA: u64 = MAX_RETAINED as u64;
/// Size of a piece, in bytes.
const PIECE: usize = 64 * 1024;

/// The memory for all retained responses, in bytes: an ordinary one for each of `connections` to
/// Qiniu, at most half of what the bodies that cause them may take, and one of the largest in any
/// case. As much as one of the largest is beside that, for what is more than ordinary.
pub fn room(connections: usize, body_memory: u64) -> u64 {
    let ordinary = ORDINARY.saturating_mul(connections as u64);
    let ordinary = ordinary.min(body_memory / 2).max(EXTRA);
    ordinary.saturating_add(EXTRA)
}

/// Reserves the memory of an ordinary response, before the call that is billed.
///
/// # Errors
/// `NoRoom`: earlier responses wait for their delivery.
pub(crate) fn reserve(memory: &Arc<MemoryBudget>) -> Result<MemoryPermit, RetentionError> {
    let mut permit = memory.permit();
    match permit.raise_beside(ORDINARY, EXTRA) {
        true => Ok(permit),
        false => Err(RetentionError::NoRoom),
    }
}

/// A complete response as it arrived.
#[derive(Debug)]
pub struct RetainedResponse {
    pieces: WipedPieces,
    length: usize,
    /// Releases the memory when the response is dropped.
    _permit: MemoryPermit,
}

/// Why a response is not retained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RetentionError {
    /// It exceeds [`MAX_RETAINED`].
    #[error("the response is too large to be retained")]
    TooLarge,
    /// The memory for retained responses is exhausted.
    #[error("no memory left for the response; raise qiniu.max_connections and server.body_memory")]
    NoRoom,
}

impl RetainedResponse {
    /// The pieces, in order.
    pub fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }

    /// Size in bytes.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether the response has no bytes.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

/// Collects a response while it arrives.
pub(crate) struct ResponseCollector {
    full: WipedPieces,
    filling: WipedVec,
    length: usize,
    permit: MemoryPermit,
    failed: Option<RetentionError>,
}

impl ResponseCollector {
    /// Collects nothing yet; `permit` is what was [reserved](reserve).
    pub(crate) fn new(permit: MemoryPermit) -> Self {
        Self {
            full: WipedPieces::default(),
            filling: WipedVec::default(),
            length: 0,
            permit,
            failed: None,
        }
    }

    /// Takes the next bytes. If they can't be held, drops everything: a part of a response is
    /// useless.
    pub(crate) fn take(&mut self, mut bytes: &[u8]) {
        while self.failed.is_none() && !bytes.is_empty() {
            if self.filling.len() == self.filling.capacity() && !self.next_piece() {
                return;
            }
            let room = self.filling.capacity() - self.filling.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.filling.extend_from_slice(now);
            self.length = self.length.saturating_add(now.len());
            bytes = later;
        }
    }

    /// Makes room for another piece; `false` if there is none.
    fn next_piece(&mut self) -> bool {
        let reserved = self.length.saturating_add(PIECE);
        self.failed = if reserved > MAX_RETAINED {
            Some(RetentionError::TooLarge)
        } else if !self.permit.raise_to(reserved as u64) {
            Some(RetentionError::NoRoom)
        } else {
            let full = std::mem::replace(&mut *self.filling, Vec::with_capacity(PIECE));
            if !full.is_empty() {
                self.full.push(full.into());
            }
            return true;
        };
        self.full = WipedPieces::default();
        self.filling = WipedVec::default();
        false
    }

    /// The complete response, after its last byte.
    ///
    /// # Errors
    /// It could not be retained.
    pub(crate) fn finish(mut self) -> Result<RetainedResponse, RetentionError> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        if !self.filling.is_empty() {
            self.full.push(std::mem::take(&mut *self.filling).into());
        }
        self.permit
            .shrink_to(self.length.next_multiple_of(PIECE) as u64);
        Ok(RetainedResponse {
            pieces: self.full,
            length: self.length,
            _permit: self.permit,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instruments::Gauge;

    fn memory(limit: u64) -> Arc<MemoryBudget> {
        MemoryBudget::new(limit, Gauge::default())
    }

    #[test]
    fn the_room_follows_what_can_be_in_flight() {
        const MIB: u64 = 1024 * 1024;
        assert_eq!(room(256, 512 * MIB), 272 * MIB);
        assert_eq!(room(64, 512 * MIB), 80 * MIB);
        assert_eq!(room(256, 128 * MIB), 80 * MIB);
        assert_eq!(room(1, MIB), 32 * MIB);
    }

    #[test]
    fn every_byte_is_held_counted_and_released() {
        let memory = memory(room(1, 0));
        let bytes: Vec<u8> = (0..200_000_u32).map(|at| (at % 251) as u8).collect();
        for split in [1, 7, PIECE - 1, PIECE, PIECE + 1, bytes.len()] {
            let mut collector = ResponseCollector::new(reserve(&memory).unwrap());
            assert_eq!(memory.held(), ORDINARY);
            bytes.chunks(split).for_each(|chunk| collector.take(chunk));
            let retained = collector.finish().unwrap();
            assert_eq!(retained.pieces().concat(), bytes, "{split}");
            assert_eq!(memory.held(), 262_144);
            assert!(retained.pieces().len() <= bytes.len().div_ceil(PIECE));
            drop(retained);
            assert_eq!(memory.held(), 0);
        }
    }

    #[test]
    fn reservations_leave_room_for_a_response_that_is_larger_than_ordinary() {
        let memory = memory(room(16, 64 << 20));
        let mut reserved: Vec<_> = (0..16).map(|_| reserve(&memory).unwrap()).collect();
        assert_eq!(reserve(&memory).err(), Some(RetentionError::NoRoom));
        let mut collector = ResponseCollector::new(reserved.pop().unwrap());
        collector.take(&vec![1; MAX_RETAINED]);
        let retained = collector.finish().unwrap();
        // Nobody else's reservation is lost to it.
        let mut collector = ResponseCollector::new(reserved.pop().unwrap());
        collector.take(&vec![1; ORDINARY as usize]);
        assert!(collector.finish().is_ok());
        drop(retained);
        assert!(reserve(&memory).is_ok());
    }

    #[test]
    fn a_response_without_room_is_dropped_at_once() {
        let small = memory(PIECE as u64 + 10);
        let mut collector = ResponseCollector::new(small.permit());
        collector.take(&vec![1; PIECE + 1]);
        assert!(collector.full.is_empty() && collector.filling.capacity() == 0);
        collector.take(&[1]);
        assert_eq!(collector.finish().err(), Some(RetentionError::NoRoom));
        assert_eq!(small.held(), 0);
        let large = memory(1 << 30);
        let mut collector = ResponseCollector::new(large.permit());
        collector.take(&vec![1; MAX_RETAINED]);
        collector.take(&[1]);
        assert_eq!(collector.finish().err(), Some(RetentionError::TooLarge));
    }
}
