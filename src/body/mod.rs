//! A request body on its way in: counted, paced, checked, cut and signed while it arrives.
//!
//! [`receive`] is the entry point. `incoming` admits the body and yields its chunks, `pieces` holds
//! and signs what stays of them, [`raw_video`] handles a video that is not wrapped in JSON,
//! [`attempt`] opens the session, and `rules` says which members a route accepts. Relies on
//! [`crate::json`], [`crate::media`] and [`crate::qiniu::request`]. Nothing here writes a byte of a
//! body to a file, or reads one before [`receive::receive`] is called.

pub mod attempt;
pub mod incoming;
mod pieces;
pub mod raw_video;
pub mod receive;
mod rules;

pub use rules::{BodyRules, FieldError};

use self::{
    attempt::VerifyAttempt,
    pieces::{BodyPieces, VideoLocation},
};
use crate::{
    json::CutError,
    media::{
        VideoFinding,
        digest::VideoDigest,
        held::HeldVideo,
        mp4::{self, judge},
    },
    memory::MemoryPermit,
    qiniu::request::SignedRequest,
    session::ticket::TicketError,
};

/// Why a body was refused.
#[derive(Debug, thiserror::Error)]
pub enum BodyRefusal {
    /// It exceeds the route's maximum size.
    #[error("the body is too large")]
    TooLarge,
    /// The memory for bodies is exhausted.
    #[error("no body memory left")]
    NoRoom,
    /// It arrived slower than the minimum rate.
    #[error("the body arrived too slowly")]
    TooSlow,
    /// The connection or the framing broke.
    #[error("the body is incomplete or its framing is invalid")]
    Broken,
    /// It is not JSON, or ambiguous.
    #[error(transparent)]
    Json(#[from] CutError),
    /// A member is missing or has the wrong type.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The video is one that Qiniu rejects.
    #[error("the video was rejected: {0}")]
    Video(#[source] VideoFinding),
    /// The session id is not this caller's, or has expired.
    #[error("the session id was rejected")]
    Session(TicketError),
}

/// A complete body, as a signed request that may go upstream.
pub struct ReceivedBody {
    /// The signed request.
    pub outgoing: SignedRequest,
    /// Keeps the memory reserved as long as the request exists.
    pub permit: MemoryPermit,
    /// The attempt that may claim the session, if sessions are bound to callers.
    pub attempt: Option<VerifyAttempt>,
    /// SHA-256 of the video, if the route's rules ask for it.
    pub video_sha256: Option<[u8; 32]>,
    /// Where the video is in the request, if there is one.
    video: Option<ReceivedVideo>,
}

struct ReceivedVideo {
    place: VideoLocation,
    /// Decoded length, in bytes.
    length: u64,
}

impl ReceivedBody {
    fn new(
        mut pieces: Box<BodyPieces>,
        permit: MemoryPermit,
        video_length: Option<u64>,
        asked: &[u8],
    ) -> Result<Self, BodyRefusal> {
        let video_sha256 = pieces.digest.take().map(VideoDigest::finish);
        let attempt = pieces.attempt.take();
        let attempt = attempt.map(|attempt| attempt.finish(asked)).transpose();
        let (outgoing, place) = pieces.finish();
        let video = place
            .zip(video_length)
            .map(|(place, length)| ReceivedVideo { place, length });
        Ok(Self {
            outgoing,
            permit,
            attempt: attempt.map_err(BodyRefusal::Session)?,
            video_sha256,
            video,
        })
    }

    /// Inspects the video's container.
    ///
    /// # Errors
    /// Qiniu would reject the video.
    pub fn inspect(&self) -> Result<(), VideoFinding> {
        let Some(ReceivedVideo { place, length }) = &self.video else {
            return Ok(());
        };
        let mut held = HeldVideo::new(self.outgoing.body(), place.start, *length, place.escaped);
        judge(mp4::read(*length, |offset, into| held.read(offset, into)))
    }
}
