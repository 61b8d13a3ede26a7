//! Receives a body in one pass. What stays of each piece is held and signed at once, the large ones as they came,
//! and nothing is ever written to a file.

use std::sync::Arc;

use bytes::Bytes;
use hyper::body::Incoming;

use super::{
    BodyRules,
    arrival::Arrival,
    memory::{BodyMemory, Permit},
    pieces::{Pieces, VideoPlace},
    raw::{self, RawVideo},
    upload::Upload,
};
use crate::{
    json::{
        cut::{Cut, CutError},
        value::Value,
    },
    media::{Finding, digest::VideoDigest, held::HeldVideo, judge, mp4},
    qiniu::outgoing::{Draft, Outgoing},
    session::ticket::{Holder, NotOpened},
};

/// What all bodies have in common.
#[derive(Clone)]
pub struct Admission {
    /// The memory for all bodies.
    pub memory: Arc<BodyMemory>,
    /// Bytes per second that a body must keep up.
    pub min_rate: u64,
}

/// What a body is, by its request's head.
pub enum BodyForm {
    /// JSON, as Qiniu takes it.
    Json,
    /// The video itself; the rest of what Qiniu wants stands in header fields.
    Video(RawVideo),
}

/// A body that may go upstream.
pub struct Received {
    /// The signed request.
    pub outgoing: Outgoing,
    /// Holds the memory for as long as the request lives.
    pub permit: Permit,
    /// What may claim its session, where sessions are bound to callers.
    pub upload: Option<Upload>,
    /// SHA-256 of the video, where that was asked for.
    pub video_sha256: Option<[u8; 32]>,
    /// The video in it, where there is one.
    video: Option<Video>,
}

struct Video {
    place: VideoPlace,
    /// Bytes, decoded.
    length: u64,
}

/// Why a body was refused.
#[derive(Debug)]
pub enum BodyRefusal {
    /// Over the route's cap.
    TooLarge,
    /// No memory for it now.
    NoRoom,
    /// Under the minimum rate.
    TooSlow,
    /// The connection or its framing broke.
    Broken,
    /// Not JSON, or ambiguous.
    Json(CutError),
    /// A member is missing or of a wrong type.
    Field(String),
    /// Not a video that Qiniu would look at.
    Video(Finding),
    /// The session is not this caller's, or over.
    Session(NotOpened),
}

impl Received {
    pub(super) fn new(
        mut pieces: Pieces,
        permit: Permit,
        video_length: Option<u64>,
        face_field: Option<&str>,
    ) -> Result<Self, BodyRefusal> {
        let video_sha256 = pieces.digest.take().map(VideoDigest::finish);
        let upload = pieces.upload.take();
        let upload = upload.map(|upload| upload.finish(face_field)).transpose();
        let (outgoing, place) = pieces.finish();
        let video = place
            .zip(video_length)
            .map(|(place, length)| Video { place, length });
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
    pub fn inspect(&self) -> Result<(), Finding> {
        let Some(Video { place, length }) = &self.video else {
            return Ok(());
        };
        let mut held = HeldVideo::new(self.outgoing.body(), place.start, *length, place.escaped);
        judge(mp4::read(*length, |offset, into| held.read(offset, into)))
    }
}

/// Receives `body`, for a session of `holder`'s where sessions are bound to callers; `count` is told how many bytes have
/// arrived, also when it ends in a refusal.
///
/// # Errors
/// The refusal; what is left of the body has not been read.
pub async fn receive(
    body: &mut Incoming,
    form: &BodyForm,
    rules: &BodyRules,
    admission: &Admission,
    draft: Draft,
    holder: Option<Holder>,
    count: &mut u64,
) -> Result<Received, BodyRefusal> {
    let held = match form {
        BodyForm::Json => |bytes| bytes,
        BodyForm::Video(_) => raw::held,
    };
    let arrival = Arrival::admit(body, admission, rules.max_body, held, count)?;
    let mut pieces = Pieces::new(draft).with(&rules.pins, holder);
    pieces.digest = rules.video_digest();
    match form {
        BodyForm::Json => json(arrival, rules, pieces).await,
        BodyForm::Video(video) => raw::receive(arrival, video, rules, pieces).await,
    }
}

async fn json(
    mut arrival: Arrival<'_>,
    rules: &BodyRules,
    mut pieces: Pieces,
) -> Result<Received, BodyRefusal> {
    let mut cut = Cut::new(&rules.rules);
    while let Some(chunk) = arrival.next().await? {
        pieces.begin_chunk(chunk.clone());
        cut.feed(&chunk, &mut pieces).map_err(BodyRefusal::Json)?;
        pieces.session_so_far()?;
        pieces.check.so_far().map_err(BodyRefusal::Video)?;
    }
    if arrival.count() == 0 && rules.empty_is_object {
        pieces.begin_chunk(Bytes::from_static(b"{}"));
        cut.feed(b"{}", &mut pieces).map_err(BodyRefusal::Json)?;
    }
    let values = cut.finish().map_err(BodyRefusal::Json)?;
    rules.check(&values).map_err(BodyRefusal::Field)?;
    let length = match rules.video {
        Some(_) => Some(pieces.check.finish().map_err(BodyRefusal::Video)?),
        None => None,
    };
    let face_field = rules.face_field.and_then(|slot| values.get(slot));
    let face_field = match face_field {
        Some(Value::String(text)) => Some(text.as_str()),
        _ => None,
    };
    Received::new(pieces, arrival.into_permit(), length, face_field)
}
