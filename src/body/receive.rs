//! Receives a body in one pass. What stays of each piece is held and signed at once, the large ones as they came,
//! and nothing is ever written to a file.

use bytes::Bytes;
use hyper::body::Incoming;

use super::{
    BodyRefusal, BodyRules,
    attempt::VerifyAttempt,
    incoming::{BodyAdmission, IncomingBody},
    pieces::{BodyPieces, VideoLocation},
    raw_video::{self, RawVideoFields},
};
use crate::{
    json::{cut::JsonCut, sink::CapturedValue},
    media::{
        VideoFinding,
        digest::VideoDigest,
        held::HeldVideo,
        mp4::{self, judge},
    },
    memory::MemoryPermit,
    qiniu::request::{RequestDraft, SignedRequest},
    session::ticket::SessionOwner,
};

/// What a body is, by its request's head.
pub enum BodyForm {
    /// JSON, as Qiniu takes it.
    Json,
    /// The video itself; the rest of what Qiniu wants stands in header fields.
    Video(RawVideoFields),
}

/// Receives `body`, for a session of `owner`'s where sessions are bound to callers; `count` is told how many bytes have
/// arrived, also when it ends in a refusal.
///
/// # Errors
/// The refusal; what is left of the body has not been read.
pub fn receive<'a>(
    body: &'a mut Incoming,
    form: &'a BodyForm,
    rules: &'a BodyRules,
    admission: &BodyAdmission,
    draft: RequestDraft,
    owner: Option<SessionOwner>,
    count: &'a mut u64,
) -> impl Future<Output = Result<ReceivedBody, BodyRefusal>> {
    // Boxed, and before the first step: what a future is given stays a part of it for as long as it lives.
    let mut pieces = Box::new(BodyPieces::new(draft).with(&rules.pins, owner));
    pieces.digest = rules.video_digest();
    let held = match form {
        BodyForm::Json => |bytes| bytes,
        BodyForm::Video(_) => raw_video::held,
    };
    let arrival = IncomingBody::admit(body, admission, rules.max_body, held, count);
    async {
        match form {
            BodyForm::Json => json(arrival?, rules, pieces).await,
            // Boxed, for it is large, and most bodies are the other kind.
            BodyForm::Video(video) => {
                Box::pin(raw_video::receive(arrival?, video, rules, pieces)).await
            }
        }
    }
}

async fn json(
    mut arrival: IncomingBody<'_>,
    rules: &BodyRules,
    mut pieces: Box<BodyPieces>,
) -> Result<ReceivedBody, BodyRefusal> {
    let mut cut = Box::new(JsonCut::new(&rules.rules));
    while let Some(chunk) = arrival.next().await? {
        pieces.begin_chunk(chunk.clone());
        cut.feed(&chunk, &mut *pieces).map_err(BodyRefusal::Json)?;
        pieces.session_so_far()?;
        pieces.check.so_far().map_err(BodyRefusal::Video)?;
    }
    if arrival.count() == 0 && rules.empty_is_object {
        pieces.begin_chunk(Bytes::from_static(b"{}"));
        cut.feed(b"{}", &mut *pieces).map_err(BodyRefusal::Json)?;
    }
    let values = cut.finish().map_err(BodyRefusal::Json)?;
    rules.check(&values).map_err(BodyRefusal::Field)?;
    let length = match rules.video {
        Some(_) => Some(pieces.check.finish().map_err(BodyRefusal::Video)?),
        None => None,
    };
    let asked = rules.asked(|slot| values.get(slot).unwrap_or(&CapturedValue::Absent));
    ReceivedBody::new(pieces, arrival.into_permit(), length, &asked)
}

/// A body that may go upstream.
pub struct ReceivedBody {
    /// The signed request.
    pub outgoing: SignedRequest,
    /// Holds the memory for as long as the request lives.
    pub permit: MemoryPermit,
    /// What may claim its session, where sessions are bound to callers.
    pub attempt: Option<VerifyAttempt>,
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
