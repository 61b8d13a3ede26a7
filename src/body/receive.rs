//! Receives a body in one pass, and turns it into a signed request.
//!
//! Each piece that stays is held and signed at once, large ones without a copy. Nothing is ever
//! written to a file.

use bytes::Bytes;
use hyper::body::Incoming;

use super::{
    BodyRefusal, BodyRules, ReceivedBody,
    incoming::{BodyAdmission, IncomingBody},
    pieces::BodyPieces,
    raw_video::{self, RawVideoFields},
};
use crate::{
    json::{cut::JsonCut, sink::CapturedValue},
    qiniu::request::RequestDraft,
    session::ticket::SessionOwner,
};

/// The form of a body, from the head of its request.
pub enum BodyForm {
    /// JSON, as Qiniu defines it.
    Json,
    /// The video itself; the other members are in header fields.
    Video(RawVideoFields),
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
    admission: &BodyAdmission,
    draft: RequestDraft,
    owner: Option<SessionOwner>,
    count: &'a mut u64,
) -> impl Future<Output = Result<ReceivedBody, BodyRefusal>> {
    // Boxed here and not in the future: a future holds all its arguments for its whole life.
    let mut pieces = Box::new(BodyPieces::new(draft).with(&rules.pins, owner));
    pieces.digest = rules.video_digest();
    let held = match form {
        BodyForm::Json => |bytes| bytes,
        BodyForm::Video(_) => raw_video::held,
    };
    let incoming = IncomingBody::admit(body, admission, rules.max_body, held, count);
    async {
        match form {
            BodyForm::Json => json(incoming?, rules, pieces).await,
            // Boxed: the future is large, and most bodies are JSON.
            BodyForm::Video(video) => {
                Box::pin(raw_video::receive(incoming?, video, rules, pieces)).await
            }
        }
    }
}

async fn json(
    mut incoming: IncomingBody<'_>,
    rules: &BodyRules,
    mut pieces: Box<BodyPieces>,
) -> Result<ReceivedBody, BodyRefusal> {
    let mut cut = Box::new(JsonCut::new(&rules.rules));
    while let Some(chunk) = incoming.next().await? {
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
    let length = match rules.video {
        Some(_) => Some(pieces.check.finish().map_err(BodyRefusal::Video)?),
        None => None,
    };
    let asked = rules.asked(|slot| values.get(slot).unwrap_or(&CapturedValue::Absent));
    ReceivedBody::new(pieces, incoming.into_permit(), length, &asked)
}
