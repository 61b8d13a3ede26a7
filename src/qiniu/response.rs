//! One answer of Qiniu's: judged by status, cut while it arrives, and believed only when it is whole.
//!
//! A picture is never held longer than the read buffer it came in, unless the whole was asked for, and nothing of an answer leaves this module before
//! its last byte has proved it complete and valid.

use std::{fmt, sync::Arc, time::SystemTime};

use super::{
    retained::{ResponseCollector, RetainedResponse, RetentionError},
    scores::{LivenessScores, ScoreSlots},
};
use crate::{
    json::{
        CutError,
        cut::JsonCut,
        rules::{CaptureSlot, CutRules, MemberPath},
        sink::{BufferSink, CapturedValue, CutSink},
    },
    memory::BodyMemory,
    outbound::{connection::OutboundConnection, exchange::ResponseReader},
    session::ticket::SessionOwner,
};

/// Bytes that may be left of an answer when the pictures are gone.
const MAX_KEPT: usize = 1024 * 1024;
/// Bytes that are left of most.
const USUALLY_KEPT: usize = 512;
/// Bytes of an answer, pictures included.
const MAX_ANSWER: u64 = 256 * 1024 * 1024;
/// What is left of an answer whose scores are hidden.
const WITHOUT_SCORES: [&str; 4] = [
    "error_code",
    "error_msg",
    "serverlogid",
    "result.action_verify",
];

/// What is done to a route's answers.
pub struct ResponseRules {
    rules: CutRules,
    error_code: CaptureSlot,
    serverlogid: CaptureSlot,
    session_id: Option<CaptureSlot>,
    needs_error_code: bool,
    marks: Option<ScoreSlots>,
    /// The memory that whole answers take, where they are to be held.
    whole: Option<Arc<BodyMemory>>,
}

/// What an answer of this kind must have to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectedResponse {
    /// Any JSON object.
    Object,
    /// Qiniu's envelope: a numeric `error_code`.
    Envelope,
    /// The envelope, and a session id where `error_code` is 0.
    Session,
}

/// What makes an answer unfit.
#[derive(Debug, PartialEq, Eq)]
pub enum InvalidResponse {
    /// Its framing, length or coding.
    Transfer(&'static str),
    /// Its JSON.
    Json(CutError),
}

/// An answer that may be passed on.
pub struct UpstreamResponse {
    /// What is left of the body, byte for byte as Qiniu wrote it.
    pub body: Vec<u8>,
    /// Bytes that were taken out.
    pub removed: u64,
    /// Qiniu's verdict on the request; 0 is success.
    pub error_code: Option<i64>,
    /// Qiniu's number for the request, as written.
    pub serverlogid: Option<String>,
    /// Qiniu's `X-Reqid`.
    pub reqid: Option<String>,
    /// What it says about the person, where that was asked for.
    pub marks: Option<Box<LivenessScores>>,
    /// All of it, pictures included, where that was asked for.
    pub whole: Option<Result<RetainedResponse, RetentionError>>,
}

impl ResponseRules {
    /// The rules of a route.
    pub fn new(
        remove: &[MemberPath],
        max_string: Option<usize>,
        expected: ExpectedResponse,
    ) -> Self {
        let mut rules = CutRules::new();
        let mut capture = |path: &str| {
            MemberPath::parse(path)
                .map(|pointer| rules.capture(&pointer))
                .unwrap_or_default()
        };
        let error_code = capture("error_code");
        let serverlogid = capture("serverlogid");
        let session_id =
            (expected == ExpectedResponse::Session).then(|| capture("result.session_id"));
        remove.iter().for_each(|pointer| rules.remove(pointer));
        if let Some(bytes) = max_string {
            rules.remove_longer(bytes);
        }
        Self {
            rules,
            error_code,
            serverlogid,
            session_id,
            needs_error_code: expected != ExpectedResponse::Object,
            marks: None,
            whole: None,
        }
    }

    /// Has the session id sealed for whom the call is made.
    pub fn sealed(mut self) -> Self {
        if self.session_id.is_some() {
            let pointer = MemberPath::parse("result.session_id");
            self.session_id = pointer.map(|pointer| self.rules.replace(&pointer)).ok();
        }
        self
    }

    /// Picks up what a verdict is made of, with this one of Qiniu's thresholds. A member `verdict` of Qiniu's own goes,
    /// so that a caller finds ours or none.
    pub fn judged(mut self, threshold: &str) -> Self {
        let slots = ScoreSlots::new(
            &mut self.rules,
            self.error_code,
            self.serverlogid,
            threshold,
        );
        self.marks = Some(slots);
        if let Ok(pointer) = MemberPath::parse("verdict") {
            self.rules.remove(&pointer);
        }
        self
    }

    /// Leaves nothing but whether the actions were seen, and the envelope's own members.
    pub fn without_scores(mut self) -> Self {
        let kept = WITHOUT_SCORES.map(MemberPath::parse);
        self.rules.keep_alone(kept.iter().flatten());
        self
    }

    /// Holds whole answers too, counted in `memory`.
    pub fn held_whole(mut self, memory: &Arc<BodyMemory>) -> Self {
        self.whole = Some(Arc::clone(memory));
        self
    }

    /// Reads the body to its end.
    pub(super) async fn read(
        &self,
        reading: &mut ResponseReader,
        connection: &mut OutboundConnection,
        seal: Option<(&SessionOwner, SystemTime)>,
    ) -> Result<UpstreamResponse, InvalidResponse> {
        if reading.is_encoded() {
            return Err("the answer has a content coding that was not asked for".into());
        }
        let mut cut = Box::new(JsonCut::new(&self.rules));
        let mut kept = SealingSink::new(seal, USUALLY_KEPT);
        let mut received = 0_u64;
        let mut whole = self.whole.as_ref().map(ResponseCollector::new);
        reading
            .body(connection, |bytes| {
                received = received.saturating_add(bytes.len() as u64);
                if let Some(whole) = &mut whole {
                    whole.take(bytes);
                }
                cut.feed(bytes, &mut kept)?;
                if kept.len() > MAX_KEPT || received > MAX_ANSWER {
                    return Err(InvalidResponse::Transfer("the answer is too large"));
                }
                Ok(())
            })
            .await?;
        let mut values = cut.finish()?;
        let body = kept.into_bytes()?;
        let error_code = integer(values.get(self.error_code));
        if reading.is_early() && matches!(error_code, None | Some(0)) {
            // Nobody can have judged a video before it was there: this is an answer to something else.
            return Err("the answer came before the request was out".into());
        }
        self.believe(error_code, &values)?;
        // Scores are read before anything is taken out of the values.
        let marks = self.marks.as_ref();
        let marks = marks.map(|marks| Box::new(marks.read(&values)));
        Ok(UpstreamResponse {
            removed: received.saturating_sub(body.len() as u64),
            error_code,
            serverlogid: short_text(values.get_mut(self.serverlogid)),
            reqid: reading.take_reqid(),
            marks,
            whole: whole.map(ResponseCollector::finish),
            body,
        })
    }

    fn believe(
        &self,
        error_code: Option<i64>,
        values: &[CapturedValue],
    ) -> Result<(), InvalidResponse> {
        if self.needs_error_code && error_code.is_none() {
            return Err("the answer has no numeric error_code".into());
        }
        if let (Some(slot), Some(0)) = (self.session_id, error_code)
            && !matches!(values.get(slot), Some(CapturedValue::String(id)) if !id.is_empty())
        {
            return Err("the answer has no session id".into());
        }
        Ok(())
    }
}

impl From<&'static str> for InvalidResponse {
    fn from(what: &'static str) -> Self {
        Self::Transfer(what)
    }
}

impl From<CutError> for InvalidResponse {
    fn from(error: CutError) -> Self {
        Self::Json(error)
    }
}

impl fmt::Display for InvalidResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transfer(what) => f.write_str(what),
            Self::Json(error) => error.fmt(f),
        }
    }
}

fn integer(value: Option<&CapturedValue>) -> Option<i64> {
    match value {
        Some(CapturedValue::Number(text)) => text.parse().ok(),
        _ => None,
    }
}

/// Takes a text out that can stand in a record.
fn short_text(value: Option<&mut CapturedValue>) -> Option<String> {
    match value.map(std::mem::take) {
        Some(CapturedValue::Number(text) | CapturedValue::String(text)) if text.len() <= 64 => {
            Some(text)
        }
        _ => None,
    }
}

/// Collects what stays of an answer.
pub(super) struct SealingSink<'h> {
    kept: BufferSink,
    /// Whom a session is for, and when it was asked for.
    seal: Option<(&'h SessionOwner, SystemTime)>,
    failed: bool,
}

impl<'h> SealingSink<'h> {
    /// With room for so many bytes.
    pub(super) fn new(seal: Option<(&'h SessionOwner, SystemTime)>, room: usize) -> Self {
        Self {
            kept: BufferSink::with_capacity(room),
            seal,
            failed: false,
        }
    }

    /// How much is held.
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// What stayed.
    ///
    /// # Errors
    /// A session id could not be sealed.
    pub(super) fn into_bytes(self) -> Result<Vec<u8>, &'static str> {
        if self.failed {
            return Err("the session id can't be sealed");
        }
        Ok(self.kept.into_bytes())
    }
}

impl CutSink for SealingSink<'_> {
    fn keep(&mut self, bytes: &[u8]) {
        self.kept.keep(bytes);
    }

    fn insert(&mut self, bytes: &'static [u8]) {
        self.kept.insert(bytes);
    }

    fn mark(&mut self) {
        self.kept.mark();
    }

    fn rollback(&mut self) {
        self.kept.rollback();
    }

    fn text(&mut self, _bytes: &[u8], _letters: bool) {}

    fn replace(&mut self, _slot: CaptureSlot, value: &CapturedValue) {
        let sealed = match (value, self.seal) {
            (CapturedValue::String(id), Some((owner, sent))) => owner.seal(id, sent),
            // No session, which is right beside an error of Qiniu's.
            _ => return self.kept.keep(b"null"),
        };
        match sealed {
            // It needs no escapes.
            Some(sealed) => {
                self.kept.keep(b"\"");
                self.kept.keep(sealed.as_bytes());
                self.kept.keep(b"\"");
            }
            None => self.failed = true,
        }
    }
}

#[cfg(test)]
mod tests;
