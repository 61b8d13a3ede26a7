//! The whole of an answer, pictures included, held in memory for as long as its delivery takes.
//!
//! Held only where the operator asked for evidence, in pieces of which each is counted in the memory that all bodies
//! share before it is filled. Never written anywhere; never longer than [`MAX_WHOLE`].

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::memory::{BodyMemory, MemoryPermit};

/// Bytes of an answer that are held at the most: eight pictures of 2 MiB.
pub const MAX_WHOLE: usize = 16 * 1024 * 1024;
const PIECE: usize = 64 * 1024;

/// An answer as it came.
#[derive(Debug)]
pub struct RetainedResponse {
    pieces: Vec<Bytes>,
    length: usize,
    /// Given back when the answer is dropped.
    _permit: MemoryPermit,
}

/// Why an answer is not held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetentionError {
    /// Over [`MAX_WHOLE`].
    TooLarge,
    /// The memory for bodies is used up.
    NoRoom,
}

impl RetainedResponse {
    /// The bytes, in order.
    pub fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

/// An answer that is still arriving.
pub(crate) struct ResponseCollector {
    full: Vec<Bytes>,
    filling: BytesMut,
    length: usize,
    permit: MemoryPermit,
    failed: Option<RetentionError>,
}

impl ResponseCollector {
    pub(crate) fn new(memory: &Arc<BodyMemory>) -> Self {
        Self {
            full: Vec::new(),
            filling: BytesMut::new(),
            length: 0,
            permit: memory.permit(),
            failed: None,
        }
    }

    /// Takes the next bytes. When they can't be held, all is let go: a part of an answer is of no use.
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

    /// Makes room for more; `false` when there is none.
    fn next_piece(&mut self) -> bool {
        let reserved = self.length.saturating_add(PIECE);
        self.failed = if reserved > MAX_WHOLE {
            Some(RetentionError::TooLarge)
        } else if !self.permit.raise_to(reserved as u64) {
            Some(RetentionError::NoRoom)
        } else {
            let full = std::mem::replace(&mut self.filling, BytesMut::with_capacity(PIECE));
            if !full.is_empty() {
                self.full.push(full.freeze());
            }
            return true;
        };
        self.full = Vec::new();
        self.filling = BytesMut::new();
        false
    }

    /// The whole, once the last byte has come.
    pub(crate) fn finish(mut self) -> Result<RetainedResponse, RetentionError> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        if !self.filling.is_empty() {
            self.full.push(self.filling.freeze());
        }
        Ok(RetainedResponse {
            pieces: self.full,
            length: self.length,
            _permit: self.permit,
        })
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::gauge::Gauge;

    use super::*;

    fn memory(limit: u64) -> Arc<BodyMemory> {
        BodyMemory::new(limit, Gauge::default())
    }

    #[test]
    fn every_byte_is_held_counted_and_given_back() {
        let memory = memory(1 << 20);
        let bytes: Vec<u8> = (0..200_000_u32).map(|at| (at % 251) as u8).collect();
        for split in [1, 7, PIECE - 1, PIECE, PIECE + 1, bytes.len()] {
            let mut collecting = ResponseCollector::new(&memory);
            bytes.chunks(split).for_each(|chunk| collecting.take(chunk));
            let whole = collecting.finish().unwrap();
            assert_eq!(whole.pieces().concat(), bytes, "{split}");
            assert!(memory.held() >= whole.len() as u64);
            assert!(whole.pieces().len() <= bytes.len().div_ceil(PIECE));
            drop(whole);
            assert_eq!(memory.held(), 0);
        }
    }

    #[test]
    fn what_has_no_room_is_let_go_at_once() {
        let small = memory(PIECE as u64 + 10);
        let mut collecting = ResponseCollector::new(&small);
        collecting.take(&vec![1; PIECE + 1]);
        assert!(collecting.full.is_empty() && collecting.filling.capacity() == 0);
        collecting.take(&[1]);
        assert_eq!(collecting.finish().err(), Some(RetentionError::NoRoom));
        assert_eq!(small.held(), 0);
        let large = memory(1 << 30);
        let mut collecting = ResponseCollector::new(&large);
        collecting.take(&vec![1; MAX_WHOLE]);
        collecting.take(&[1]);
        assert_eq!(collecting.finish().err(), Some(RetentionError::TooLarge));
    }
}
