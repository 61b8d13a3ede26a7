//! What goes upstream of a body: the pieces that stay, held as they came and signed as soon as they can't be taken back.
//!
//! A large piece is a slice of the chunk it arrived in: nothing is copied. Small ones are copied together into blocks, so
//! that a body in a million chunks takes no more memory than one in a few, and none of them holds a large buffer in memory
//! for a few bytes.

use bytes::Bytes;

use super::{receive::BodyRefusal, upload::Uploading};
use crate::{
    json::{rules::Slot, sink::Sink, value::Value},
    media::{base64::Check, digest::VideoDigest},
    qiniu::outgoing::{Draft, Outgoing},
    session::ticket::Holder,
};

/// A shorter piece is copied: as a slice it would cost 32 bytes of its own and all of its buffer.
const SMALL: usize = 4 * 1024;
/// Bytes of a block of small pieces.
const BLOCK: usize = 64 * 1024;

/// The pieces of a body.
pub(super) struct Pieces {
    /// The chunk that is being looked at.
    pub(super) chunk: Bytes,
    /// The check of the video's base64.
    pub(super) check: Check,
    /// Hashes the video, where that was asked for.
    pub(super) digest: Option<VideoDigest>,
    kept: Vec<Bytes>,
    /// Small pieces behind those of `kept`.
    block: Vec<u8>,
    /// All before it is signed.
    mark: Mark,
    length: usize,
    draft: Draft,
    video: Option<VideoPlace>,
    /// What the operator adds.
    pins: Bytes,
    /// The session that the upload is for, where sessions are bound to callers.
    pub(super) upload: Option<Uploading>,
}

/// A point between two bytes of what is kept.
#[derive(Clone, Copy, Default)]
struct Mark {
    pieces: usize,
    block: usize,
    length: usize,
}

/// Where the video's base64 is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct VideoPlace {
    /// Bytes of the outgoing body before it.
    pub(super) start: usize,
    /// Some of its characters are written as escapes.
    pub(super) escaped: bool,
}

impl Pieces {
    pub(super) fn new(draft: Draft) -> Self {
        Self {
            chunk: Bytes::new(),
            check: Check::default(),
            digest: None,
            kept: Vec::new(),
            block: Vec::new(),
            mark: Mark::default(),
            length: 0,
            draft,
            video: None,
            pins: Bytes::new(),
            upload: None,
        }
    }

    /// With these members at the end, and for this caller's session.
    pub(super) fn with(self, pins: &Bytes, holder: Option<Holder>) -> Self {
        Self {
            pins: pins.clone(),
            upload: holder.map(Uploading::new),
            ..self
        }
    }

    /// Adds bytes of our own making, for good.
    pub(super) fn append(&mut self, bytes: Vec<u8>) {
        if bytes.len() < SMALL {
            self.gather(&bytes);
        } else {
            self.push(bytes.into());
        }
        self.settle();
    }

    /// Adds base64 of the video that we made ourselves.
    pub(super) fn append_video(&mut self, base64: String) {
        if let Some(upload) = &mut self.upload {
            upload.video(base64.as_bytes());
        }
        self.append(base64.into());
    }

    /// Says that the video's base64 comes next.
    pub(super) fn video_begins(&mut self) {
        self.video = Some(VideoPlace {
            start: self.length,
            escaped: false,
        });
    }

    /// Whether the session may be good still.
    pub(super) fn session_so_far(&self) -> Result<(), BodyRefusal> {
        let Some(upload) = &self.upload else {
            return Ok(());
        };
        upload.so_far().map_err(BodyRefusal::Session)
    }

    /// The signed request, and where in its body the video is.
    pub(super) fn finish(mut self) -> (Outgoing, Option<VideoPlace>) {
        self.settle();
        self.close_block();
        (self.draft.finish(self.kept), self.video)
    }

    fn push(&mut self, piece: Bytes) {
        self.close_block();
        self.length += piece.len();
        self.kept.push(piece);
    }

    fn gather(&mut self, bytes: &[u8]) {
        if self.block.len() + bytes.len() > BLOCK {
            self.close_block();
        }
        let needed = self.block.len() + bytes.len();
        if needed > self.block.capacity() {
            // Doubled, but never beyond what a block will hold.
            let room = (self.block.capacity() * 2).clamp(256, BLOCK).max(needed);
            self.block.reserve_exact(room - self.block.len());
        }
        self.block.extend_from_slice(bytes);
        self.length += bytes.len();
    }

    fn close_block(&mut self) {
        if !self.block.is_empty() {
            self.kept.push(std::mem::take(&mut self.block).into());
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
        self.mark = Mark {
            pieces: self.kept.len(),
            block: self.block.len(),
            length: self.length,
        };
    }
}

impl Sink for Pieces {
    fn keep(&mut self, bytes: &[u8]) {
        if bytes.len() < SMALL {
            self.gather(bytes);
        } else {
            self.push(self.chunk.slice_ref(bytes));
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
    }

    fn text(&mut self, bytes: &[u8]) {
        if self.video.is_none() {
            // The cut has passed on all before the text, its opening quote included.
            self.video_begins();
        }
        if let Some(video) = &mut self.video {
            video.escaped |= !self.chunk.as_ptr_range().contains(&bytes.as_ptr());
        }
        self.check.feed(bytes);
        if let Some(upload) = &mut self.upload {
            upload.video(bytes);
        }
        if let Some(digest) = &mut self.digest {
            digest.base64(bytes);
        }
    }

    fn replace(&mut self, _slot: Slot, value: &Value) {
        // What is neither opened nor rejected here is of a wrong type, which ends the request.
        let id = match (&mut self.upload, value) {
            (Some(upload), Value::String(text)) if !text.is_empty() => upload.open(text),
            (Some(upload), Value::TooLong) => {
                upload.reject();
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
mod tests {
    use std::time::SystemTime;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        config::secret::Secret,
        outbound::origin::Origin,
        qiniu::{Credentials, UpstreamSettings, outgoing::Template},
    };

    fn draft() -> Draft {
        let settings = UpstreamSettings {
            endpoint: Origin::parse("http://127.0.0.1:1").unwrap(),
            credentials: Credentials {
                access_key: Secret::new("ak"),
                secret_key: Secret::new("sk"),
            },
            sign_date: false,
            tls: None,
            connect_timeout: std::time::Duration::from_secs(1),
            max_connections: 1,
            idle_timeout: std::time::Duration::from_secs(1),
        };
        Template::new(&settings, "/a").draft(SystemTime::UNIX_EPOCH)
    }

    /// The body, its signed head, and how many pieces it is in.
    fn finished(pieces: Pieces) -> (Vec<u8>, Vec<u8>, usize) {
        let (outgoing, _) = pieces.finish();
        let body = outgoing.body();
        (body.concat(), outgoing.head().to_vec(), body.len())
    }

    fn in_one(bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let mut pieces = Pieces::new(draft());
        pieces.chunk = Bytes::copy_from_slice(bytes);
        let chunk = pieces.chunk.clone();
        pieces.keep(&chunk);
        let (body, head, _) = finished(pieces);
        (body, head)
    }

    #[test]
    fn many_small_pieces_become_few_blocks_of_exact_size() {
        let bytes = vec![b'x'; 1024 * 1024];
        let mut pieces = Pieces::new(draft());
        for part in bytes.chunks(7) {
            pieces.keep(part);
        }
        let capacity: usize = pieces.kept.capacity() * 32 + pieces.block.capacity();
        assert!(capacity < 2 * BLOCK, "{capacity}");
        let (body, head, count) = finished(pieces);
        assert!(count <= 17, "{count}");
        assert_eq!((body, head), in_one(&bytes));
    }

    proptest! {
        #[test]
        fn what_is_taken_back_is_neither_sent_nor_signed(
            steps in proptest::collection::vec((0_u8..5, 0_usize..6000), 1..60),
        ) {
            let mut pieces = Pieces::new(draft());
            let (mut wanted, mut marked) = (Vec::new(), 0);
            for (number, (what, length)) in steps.into_iter().enumerate() {
                match what {
                    0 => {
                        pieces.mark();
                        marked = wanted.len();
                    }
                    1 => {
                        pieces.rollback();
                        wanted.truncate(marked);
                    }
                    _ => {
                        let length = if what == 2 { length } else { length % 50 };
                        let bytes = vec![b'a' + u8::try_from(number % 26).unwrap(); length];
                        pieces.chunk = Bytes::from(bytes.clone());
                        let chunk = pieces.chunk.clone();
                        pieces.keep(&chunk);
                        wanted.extend(bytes);
                    }
                }
                prop_assert_eq!(pieces.length, wanted.len());
            }
            let (body, head, _) = finished(pieces);
            prop_assert_eq!((body, head), in_one(&wanted));
        }
    }
}
