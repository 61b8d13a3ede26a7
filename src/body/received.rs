//! What has become of a body once its last byte is here: a signed request, the memory that it holds, and what the steps after it want
//! to know. Never a copy of it.

use super::{
    pieces::{BodyPieces, VideoLocation},
    refusal::BodyRefusal,
    upload::Upload,
};
use crate::memory::MemoryPermit;
use crate::{
    media::{VideoFinding, digest::VideoDigest, held::HeldVideo, judge, mp4},
    qiniu::request::SignedRequest,
};

/// A body that may go upstream.
pub struct ReceivedBody {
    /// The signed request.
    pub outgoing: SignedRequest,
    /// Holds the memory for as long as the request lives.
    pub permit: MemoryPermit,
    /// What may claim its session, where sessions are bound to callers.
    pub upload: Option<Upload>,
    /// SHA-256 of the video, where that was asked for.
    pub video_sha256: Option<[u8; 32]>,
    /// The video in it, where there is one.
    video: Option<ReceivedVideo>,
}

struct ReceivedVideo {
    place: VideoLocation,
    /// Bytes, decoded.
    length: u64,
}

impl ReceivedBody {
    pub(super) fn new(
        mut pieces: Box<BodyPieces>,
        permit: MemoryPermit,
        video_length: Option<u64>,
        asked: &[u8],
    ) -> Result<Self, BodyRefusal> {
        let video_sha256 = pieces.digest.take().map(VideoDigest::finish);
        let upload = pieces.upload.take();
        let upload = upload.map(|upload| upload.finish(asked)).transpose();
        let (outgoing, place) = pieces.finish();
        let video = place
            .zip(video_length)
            .map(|(place, length)| ReceivedVideo { place, length });
        Ok(Self {
            outgoing,
            permit,
            upload: upload.map_err(BodyRefusal::Session)?,
            video_sha256,
            video,
        })
    }

    /// Looks at the video's container.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn inspect(&self) -> Result<(), VideoFinding> {
        let Some(ReceivedVideo { place, length }) = &self.video else {
            return Ok(());
        };
        let mut held = HeldVideo::new(self.outgoing.body(), place.start, *length, place.escaped);
        judge(mp4::read(*length, |offset, into| held.read(offset, into)))
    }
}
