//! Receives a body in one pass, and turns it into a signed request.
//!
//! Each piece that stays is held and signed at once, large ones without a copy. Nothing is ever
//! written to a file.

use bytes::Bytes;
use hyper::body::Incoming;

use super::{
    BodyRefusal, BodyRules,
    attempt::VerifyAttempt,
    incoming::{BodyAdmission, IncomingBody},
    memory::BodyPermit,
    multipart::{self as form, FormHead, ReceivedForm},
    nonce::Nonce,
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
    qiniu::request::{RequestDraft, SignedRequest},
    session::ticket::SessionOwner,
};

/// The form of a body, from the head of its request.
pub enum BodyForm {
    /// JSON, as Qiniu defines it.
    Json {
        /// Value of `Liveness-Nonce`.
        nonce: Option<Nonce>,
    },
    /// The video itself; the other members are in header fields.
    Video(RawVideoFields),
    /// A form with the video and the other members as its parts.
    Form(FormHead),
}

/// Receives `body`, for a session of `owner` if sessions are bound to callers. Keeps the number of
/// received bytes in `count`, also if the body is refused.
///
/// # Errors
/// The body was refused; the rest of it is unread.
pub fn receive<'a>(
    body: &'a mut Incoming,
    form: &'a BodyForm,
    rules: &'a BodyRules,
    admission: BodyAdmission<'a>,
    draft: RequestDraft,
    owner: Option<SessionOwner>,
    count: &'a mut u64,
) -> impl Future<Output = Result<ReceivedBody, BodyRefusal>> {
    // Boxed here and not in the future: a future holds all its arguments for its whole life.
    let mut pieces = Box::new(BodyPieces::new(draft).with(&rules.pins, owner));
    pieces.digest = rules.video_digest();
    let held = match form {
        BodyForm::Json { .. } => |bytes| bytes,
        BodyForm::Video(_) => raw_video::held,
        BodyForm::Form(_) => form::held,
    };
    let incoming = IncomingBody::admit(body, admission, rules.max_body, held, count);
    async {
        match form {
            BodyForm::Json { nonce } => json(incoming?, nonce.as_ref(), rules, pieces).await,
            // Boxed: the future is large, and most bodies are JSON.
            BodyForm::Video(fields) => Box::pin(video(incoming?, fields, rules, pieces)).await,
            BodyForm::Form(head) => Box::pin(multipart(incoming?, head, rules, pieces)).await,
        }
    }
}

async fn video(
    mut incoming: IncomingBody<'_>,
    fields: &RawVideoFields,
    rules: &BodyRules,
    mut pieces: Box<BodyPieces>,
) -> Result<ReceivedBody, BodyRefusal> {
    let asked = raw_video::receive(&mut incoming, fields, rules, &mut pieces).await?;
    let length = incoming.count();
    let nonce = fields.nonce.clone();
    ReceivedBody::new(pieces, incoming.into_permit(), Some(length), &asked, nonce)
}

async fn multipart(
    mut incoming: IncomingBody<'_>,
    head: &FormHead,
    rules: &BodyRules,
    mut pieces: Box<BodyPieces>,
) -> Result<ReceivedBody, BodyRefusal> {
    let received = form::receive(&mut incoming, head, rules, &mut pieces).await?;
    let ReceivedForm {
        asked,
        length,
        nonce,
    } = received;
    ReceivedBody::new(pieces, incoming.into_permit(), Some(length), &asked, nonce)
}

async fn json(
    mut incoming: IncomingBody<'_>,
    nonce: Option<&Nonce>,
    rules: &BodyRules,
    mut pieces: Box<BodyPieces>,
) -> Result<ReceivedBody, BodyRefusal> {
    let mut cut = Box::new(JsonCut::new(&rules.rules));
    while let Some(chunk) = incoming.next().await? {
        pieces.arrived(incoming.count(), incoming.declared());
        pieces.begin_chunk(chunk.clone());
        cut.feed(&chunk, &mut *pieces)?;
        pieces.session_so_far()?;
        pieces.check.so_far().map_err(BodyRefusal::Video)?;
    }
    if incoming.count() == 0 && rules.empty_is_object {
        pieces.begin_chunk(Bytes::from_static(b"{}"));
        cut.feed(b"{}", &mut *pieces)?;
    }
    let values = cut.finish()?;
    rules.check(&values)?;
    let nonce = rules.nonce(&values, nonce)?;
    let length = match rules.video {
        Some(_) => Some(pieces.check.finish().map_err(BodyRefusal::Video)?),
        None => None,
    };
    let value = |slot| values.get(slot).unwrap_or(CapturedValue::absent());
    let asked = rules.asked(value, nonce.as_ref());
    ReceivedBody::new(pieces, incoming.into_permit(), length, &asked, nonce)
}

/// A complete body, as a signed request that may go upstream.
pub struct ReceivedBody {
    /// The signed request.
    pub outgoing: SignedRequest,
    /// Keeps the memory reserved as long as the request exists.
    pub permit: BodyPermit,
    /// The attempt that may claim the session, if sessions are bound to callers.
    pub attempt: Option<VerifyAttempt>,
    /// SHA-256 of the video, if the route's rules ask for it.
    pub video_sha256: Option<[u8; 32]>,
    /// The nonce of the transaction, for the verdict.
    pub nonce: Option<Nonce>,
    /// Where the video is in the request, if there is one.
    video: Option<ReceivedVideo>,
}

struct ReceivedVideo {
    place: VideoLocation,
    /// Decoded length, in bytes.
    length: u64,
}

impl ReceivedBody {
    pub(super) fn new(
        mut pieces: Box<BodyPieces>,
        permit: BodyPermit,
        video_length: Option<u64>,
        asked: &[u8],
        nonce: Option<Nonce>,
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
            nonce,
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
