//! The pieces of a body that go upstream: held as they arrived, and signed as soon as they can't be
//! rolled back.
//!
//! A large piece is a slice of the chunk it arrived in, so nothing is copied. But a slice keeps the
//! whole buffer of its chunk in memory, and the sender decides how much of that buffer is body: it
//! may send other frames in between. So small pieces are
//! copied together into blocks, and so are large ones once their buffers could take much more
//! memory than the kept bytes. However it is chunked, a body takes at most a tenth more than its
//! bytes, and one buffer.
//!
//! Blocks are wiped when they are dropped. Slices are not: what they refer to is hyper's buffer.

use bytes::Bytes;

use super::{BodyRefusal, attempt::ArrivingAttempt};
use crate::{
    json::{
        rules::CaptureSlot,
        sink::{CapturedValue, CutSink},
    },
    media::{base64::Base64Check, digest::VideoDigest},
    qiniu::request::{RequestDraft, SignedRequest},
    session::ticket::SessionOwner,
    wipe::{self, WipedPieces, WipedVec},
};

/// Shorter pieces are copied, which is cheap while they are in the processor's cache. Buffers grow
/// while a body arrives fast, so after the first few reads its pieces are longer. In bytes.
const SMALL: usize = 96 * 1024;
/// Shorter pieces made by the gateway are copied, too: a piece costs 32 bytes by itself. In bytes.
const TINY: usize = 4 * 1024;
/// Size of a block of copied pieces, in bytes.
const BLOCK: usize = 64 * 1024;
/// Maximum size of the buffer behind a chunk, in bytes: hyper's largest read. (hyper may double a
/// buffer that it reuses because nothing refers to it; that rare case is not worth copying all.)
const BUFFER: usize = 8 * 1024 + 100 * 4 * 1024;

/// Collects the pieces of a body, signs them, and checks its video.
pub(super) struct BodyPieces {
    /// The current chunk.
    chunk: Bytes,
    /// Whether a slice of the current chunk is kept.
    sliced: bool,
    /// Checks the video's base64.
    pub(super) check: Base64Check,
    /// Hashes the video, if the route's rules ask for it.
    pub(super) digest: Option<VideoDigest>,
    kept: WipedPieces,
    /// Copied small pieces that follow those of `kept`.
    block: WipedVec,
    /// Everything before it is signed.
    mark: RollbackPoint,
    /// Bytes kept.
    length: usize,
    /// Upper bound of the memory taken, in bytes: blocks by their length, and whole buffers.
    taken: usize,
    draft: RequestDraft,
    video: Option<VideoLocation>,
    /// Members that the operator adds.
    pins: Bytes,
    /// Opens the session of the upload, if sessions are bound to callers.
    pub(super) attempt: Option<Box<ArrivingAttempt>>,
}

/// A position between two kept bytes.
#[derive(Clone, Copy, Default)]
struct RollbackPoint {
    pieces: usize,
    block: usize,
    length: usize,
    taken: usize,
}

/// Where the video's base64 is in the outgoing body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct VideoLocation {
    /// Offset in the outgoing body, in bytes.
    pub(super) start: usize,
    /// Whether some of its characters are written as JSON escapes.
    pub(super) escaped: bool,
}

impl BodyPieces {
    pub(super) fn new(draft: RequestDraft) -> Self {
        Self {
            chunk: Bytes::new(),
            sliced: false,
            check: Base64Check::default(),
            digest: None,
            kept: WipedPieces::default(),
            block: WipedVec::default(),
            mark: RollbackPoint::default(),
            length: 0,
            taken: 0,
            draft,
            video: None,
            pins: Bytes::new(),
            attempt: None,
        }
    }

    /// Appends `pins` as members at the end, and opens the session for `owner`.
    pub(super) fn with(self, pins: &Bytes, owner: Option<SessionOwner>) -> Self {
        Self {
            pins: pins.clone(),
            attempt: owner.map(|owner| Box::new(ArrivingAttempt::new(owner))),
            ..self
        }
    }

    /// Notes how much of the caller's body has arrived; `declared` is its length, if known.
    pub(super) fn arrived(&mut self, received: u64, declared: Option<u64>) {
        if let Some(length) = declared {
            self.draft.arrived(received, length);
        }
    }

    /// Sets the chunk that the next pieces are slices of.
    pub(super) fn begin_chunk(&mut self, chunk: Bytes) {
        self.chunk = chunk;
        self.sliced = false;
    }

    /// Adds bytes made by the gateway, which are never rolled back.
    pub(super) fn append(&mut self, mut bytes: WipedVec) {
        if bytes.len() < TINY {
            self.gather(&bytes);
        } else {
            self.taken += bytes.len();
            self.push(std::mem::take(&mut *bytes).into());
        }
        self.settle();
    }

    /// Adds base64 of the video that the gateway encoded.
    pub(super) fn append_video(&mut self, base64: WipedVec) {
        if let Some(attempt) = &mut self.attempt {
            attempt.video(&base64);
        }
        self.append(base64);
    }

    /// Marks the position where the video's base64 begins.
    pub(super) fn video_begins(&mut self) {
        self.video = Some(VideoLocation {
            start: self.length,
            escaped: false,
        });
    }

    /// Checks the session id, if it has arrived.
    ///
    /// # Errors
    /// The session id was rejected.
    pub(super) fn session_so_far(&self) -> Result<(), BodyRefusal> {
        let Some(attempt) = &self.attempt else {
            return Ok(());
        };
        attempt.so_far().map_err(BodyRefusal::Session)
    }

    /// Completes the request. Also returns where the video is in its body.
    pub(super) fn finish(mut self: Box<Self>) -> (SignedRequest, Option<VideoLocation>) {
        self.settle();
        if self.video.is_some() {
            // The video is inspected in the pieces.
            self.close_block();
        }
        let (kept, block) = (
            std::mem::take(&mut self.kept),
            std::mem::take(&mut self.block),
        );
        (self.draft.complete(kept, block), self.video)
    }

    fn push(&mut self, piece: Bytes) {
        self.close_block();
        self.length += piece.len();
        self.kept.push(piece);
    }

    /// Copies `bytes` into blocks.
    fn gather(&mut self, mut bytes: &[u8]) {
        self.length += bytes.len();
        self.taken += bytes.len();
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK - self.block.len()));
            let needed = self.block.len() + now.len();
            if needed > self.block.capacity() {
                // Grows with the body, so that the spare capacity of a block never matters.
                let room = needed + self.length / 8 + 256;
                wipe::grow(&mut self.block, room.min(BLOCK));
            }
            self.block.extend_from_slice(now);
            if self.block.len() == BLOCK {
                self.close_block();
            }
            bytes = later;
        }
    }

    /// Whether a piece of the current chunk may stay a slice, which keeps the chunk's buffer.
    fn may_stay(&mut self, length: usize) -> bool {
        let buffer = if self.sliced { 0 } else { BUFFER };
        let whole = self.length + length;
        let stays = length >= SMALL && self.taken + buffer <= whole + whole / 10 + BUFFER;
        if stays {
            self.taken += buffer;
            self.sliced = true;
        }
        stays
    }

    fn close_block(&mut self) {
        if !self.block.is_empty() {
            if self.block.len() < self.block.capacity() {
                // Without its spare capacity.
                let length = self.block.len();
                wipe::grow(&mut self.block, length);
            }
            self.kept.push(std::mem::take(&mut *self.block).into());
        }
    }

    /// Signs everything since the mark, and moves the mark to the end.
    fn settle(&mut self) {
        // The block that was open at the mark may have been closed since.
        let mut signed = self.mark.block;
        for piece in self.kept.get(self.mark.pieces..).unwrap_or_default() {
            self.draft.sign(piece.get(signed..).unwrap_or_default());
            signed = 0;
        }
        self.draft
            .sign(self.block.get(signed..).unwrap_or_default());
        self.mark = RollbackPoint {
            pieces: self.kept.len(),
            block: self.block.len(),
            length: self.length,
            taken: self.taken,
        };
    }
}

impl CutSink for BodyPieces {
    fn keep(&mut self, bytes: &[u8]) {
        if self.may_stay(bytes.len()) {
            self.push(self.chunk.slice_ref(bytes));
        } else {
            self.gather(bytes);
        }
    }

    fn insert(&mut self, bytes: &'static [u8]) {
        self.gather(bytes);
    }

    fn mark(&mut self) {
        self.settle();
    }

    fn rollback(&mut self) {
        if self.kept.len() == self.mark.pieces {
            self.block.truncate(self.mark.block);
        } else {
            let whole = self.mark.pieces + usize::from(self.mark.block > 0);
            self.kept.truncate(whole);
            self.block.clear();
            if self.mark.block > 0 && whole > 0 {
                self.kept.truncate_last(self.mark.block);
                self.mark.pieces = whole;
                self.mark.block = 0;
            }
        }
        self.length = self.mark.length;
        self.taken = self.mark.taken;
        // The slices of the current chunk may be among the removed ones.
        self.sliced = false;
    }

    fn text(&mut self, bytes: &[u8], letters: bool) {
        if self.video.is_none() {
            // The cut has passed on everything before the text, including the opening quote.
            self.video_begins();
        }
        if let Some(video) = &mut self.video {
            video.escaped |= !self.chunk.as_ptr_range().contains(&bytes.as_ptr());
        }
        match letters {
            true => self.check.feed_letters(bytes),
            false => self.check.feed(bytes),
        }
        if let Some(attempt) = &mut self.attempt {
            attempt.video(bytes);
        }
        if let Some(digest) = &mut self.digest {
            digest.base64(bytes);
        }
    }

    fn replace(&mut self, _slot: CaptureSlot, value: &CapturedValue) {
        // Any other value has the wrong type, which ends the request later.
        let id = match (&mut self.attempt, value) {
            (Some(attempt), CapturedValue::String(text)) if !text.is_empty() => attempt.open(text),
            (Some(attempt), CapturedValue::TooLong) => {
                attempt.reject();
                WipedVec::new(b"null".to_vec())
            }
            _ => WipedVec::new(b"null".to_vec()),
        };
        self.gather(&id);
    }

    fn end(&mut self, empty: bool) {
        if self.pins.is_empty() {
            return;
        }
        if !empty {
            self.gather(b",");
        }
        let pins = self.pins.clone();
        self.gather(&pins);
    }
}

#[cfg(test)]
mod tests;
