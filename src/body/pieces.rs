//! What goes upstream of a body: the pieces that stay, held as they came and signed as soon as they can't be taken back.
//!
//! A large piece is a slice of the chunk it arrived in: nothing is copied. A slice keeps the whole buffer of its chunk in
//! memory, though, and how much of that is worth keeping is the sender's choice: he may put four hundred thousand blanks
//! between two chunks, or other frames. So small pieces are copied together into blocks, and large ones are as soon as the
//! buffers behind them could take much more than what is kept. Whatever the chunks, a body takes a tenth more than its
//! bytes and one buffer at the most.

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
};

/// A shorter piece is copied, which costs little while it is in the processor's cache. Buffers grow while a body comes in
/// fast, so beyond the first few reads its pieces are longer.
const SMALL: usize = 96 * 1024;
/// Fewer bytes of our own making are copied as well: a piece costs 32 bytes of its own.
const TINY: usize = 4 * 1024;
/// Bytes of a block of copied pieces.
const BLOCK: usize = 64 * 1024;
/// Bytes of the buffer behind a chunk at the most: hyper reads so many at once. (It reuses a buffer that nobody holds, and
/// then may double it; such a chance is not worth a copy of everything.)
const BUFFER: usize = 8 * 1024 + 100 * 4 * 1024;

/// The pieces of a body.
pub(super) struct BodyPieces {
    /// The chunk that is being looked at.
    chunk: Bytes,
    /// Whether a slice of it is kept.
    sliced: bool,
    /// The check of the video's base64.
    pub(super) check: Base64Check,
    /// Hashes the video, where that was asked for.
    pub(super) digest: Option<VideoDigest>,
    kept: Vec<Bytes>,
    /// Small pieces behind those of `kept`.
    block: Vec<u8>,
    /// All before it is signed.
    mark: RollbackPoint,
    length: usize,
    /// Memory that all of it takes at the most: blocks by their bytes, and whole buffers.
    taken: usize,
    draft: RequestDraft,
    video: Option<VideoLocation>,
    /// What the operator adds.
    pins: Bytes,
    /// The session that the upload is for, where sessions are bound to callers.
    pub(super) attempt: Option<Box<ArrivingAttempt>>,
}

/// A point between two bytes of what is kept.
#[derive(Clone, Copy, Default)]
struct RollbackPoint {
    pieces: usize,
    block: usize,
    length: usize,
    taken: usize,
}

/// Where the video's base64 is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct VideoLocation {
    /// Bytes of the outgoing body before it.
    pub(super) start: usize,
    /// Some of its characters are written as escapes.
    pub(super) escaped: bool,
}

impl BodyPieces {
    pub(super) fn new(draft: RequestDraft) -> Self {
        Self {
            chunk: Bytes::new(),
            sliced: false,
            check: Base64Check::default(),
            digest: None,
            kept: Vec::new(),
            block: Vec::new(),
            mark: RollbackPoint::default(),
            length: 0,
            taken: 0,
            draft,
            video: None,
            pins: Bytes::new(),
            attempt: None,
        }
    }

    /// With these members at the end, and for this caller's session.
    pub(super) fn with(self, pins: &Bytes, owner: Option<SessionOwner>) -> Self {
        Self {
            pins: pins.clone(),
            attempt: owner.map(|owner| Box::new(ArrivingAttempt::new(owner))),
            ..self
        }
    }

    /// The chunk that the next pieces are parts of.
    pub(super) fn begin_chunk(&mut self, chunk: Bytes) {
        self.chunk = chunk;
        self.sliced = false;
    }

    /// Adds bytes of our own making, for good.
    pub(super) fn append(&mut self, bytes: Vec<u8>) {
        if bytes.len() < TINY {
            self.gather(&bytes);
        } else {
            self.taken += bytes.len();
            self.push(bytes.into());
        }
        self.settle();
    }

    /// Adds base64 of the video that we made ourselves.
    pub(super) fn append_video(&mut self, base64: Vec<u8>) {
        if let Some(attempt) = &mut self.attempt {
            attempt.video(&base64);
        }
        self.append(base64);
    }

    /// Says that the video's base64 comes next.
    pub(super) fn video_begins(&mut self) {
        self.video = Some(VideoLocation {
            start: self.length,
            escaped: false,
        });
    }

    /// Whether the session may be good still.
    pub(super) fn session_so_far(&self) -> Result<(), BodyRefusal> {
        let Some(attempt) = &self.attempt else {
            return Ok(());
        };
        attempt.so_far().map_err(BodyRefusal::Session)
    }

    /// The signed request, and where in its body the video is.
    pub(super) fn finish(mut self: Box<Self>) -> (SignedRequest, Option<VideoLocation>) {
        self.settle();
        if self.video.is_some() {
            // It is looked at in the pieces.
            self.close_block();
        }
        (self.draft.finish(self.kept, self.block), self.video)
    }

    fn push(&mut self, piece: Bytes) {
        self.close_block();
        self.length += piece.len();
        self.kept.push(piece);
    }

    /// Copies bytes into blocks.
    fn gather(&mut self, mut bytes: &[u8]) {
        self.length += bytes.len();
        self.taken += bytes.len();
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK - self.block.len()));
            let needed = self.block.len() + now.len();
            if needed > self.block.capacity() {
                // Grows with the body, so that what is empty of a block never counts.
                let room = needed + self.length / 8 + 256;
                self.block.reserve_exact(room.min(BLOCK) - self.block.len());
            }
            self.block.extend_from_slice(now);
            if self.block.len() == BLOCK {
                self.close_block();
            }
            bytes = later;
        }
    }

    /// Whether a piece of the chunk may stay where it is, and its buffer with it.
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
            // A boxed slice has no room behind it.
            let block = std::mem::take(&mut self.block).into_boxed_slice();
            self.kept.push(block.into());
        }
    }

    /// Signs what came since the mark, and moves the mark behind it.
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
            if self.mark.block > 0
                && let Some(closed) = self.kept.last_mut()
            {
                closed.truncate(self.mark.block);
                self.mark.pieces = whole;
                self.mark.block = 0;
            }
        }
        self.length = self.mark.length;
        self.taken = self.mark.taken;
        // Its slices may be among those that are gone.
        self.sliced = false;
    }

    fn text(&mut self, bytes: &[u8], letters: bool) {
        if self.video.is_none() {
            // The cut has passed on all before the text, its opening quote included.
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
        // What is neither opened nor rejected here is of a wrong type, which ends the request.
        let id = match (&mut self.attempt, value) {
            (Some(attempt), CapturedValue::String(text)) if !text.is_empty() => attempt.open(text),
            (Some(attempt), CapturedValue::TooLong) => {
                attempt.reject();
                "null".to_owned()
            }
            _ => "null".to_owned(),
        };
        self.gather(id.as_bytes());
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
