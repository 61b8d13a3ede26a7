//! One response of Qiniu: cut while it arrives, and trusted only once it is complete.
//!
//! A picture is never held longer than the read buffer it arrived in, unless the complete response
//! is to be retained. Nothing of a response leaves this module before its last byte has proved it
//! complete and valid.

use std::{sync::Arc, time::SystemTime};

use super::{
    kept_back::KeptBackNames,
    retained::{self, ResponseCollector, RetainedResponse, RetentionError},
    scores::{LivenessScores, ScoreSlots},
    sealing_sink::SealingSink,
};
use crate::{
    json::{
        CutError,
        cut::JsonCut,
        rules::{CaptureSlot, CutRules, MemberPath},
        sink::CapturedValue,
    },
    memory::{MemoryBudget, MemoryPermit},
    outbound::{MalformedResponse, connection::OutboundConnection, exchange::ResponseReader},
    session::ticket::SessionOwner,
};

/// Maximum size of a response after the cut, in bytes.
const MAX_KEPT: usize = 1024 * 1024;
/// Maximum size of a response before the cut, in bytes.
const MAX_RESPONSE: u64 = 256 * 1024 * 1024;
/// The members that remain if scores are hidden.
const WITHOUT_SCORES: [&str; 4] = [
    "error_code",
    "error_msg",
    "serverlogid",
    "result.action_verify",
];

/// What is cut from the responses of a route, and what is captured.
pub struct ResponseRules {
    rules: CutRules,
    error_code: CaptureSlot,
    serverlogid: CaptureSlot,
    session_id: Option<CaptureSlot>,
    needs_error_code: bool,
    scores: Option<ScoreSlots>,
    kept_back: Arc<KeptBackNames>,
    /// The memory in which retained responses are counted, if they are to be retained.
    retain: Option<Arc<MemoryBudget>>,
}

/// The members without which a response is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectedResponse {
    /// Any JSON object.
    Object,
    /// Qiniu's envelope: a numeric `error_code`.
    Envelope,
    /// The envelope, and a session id if `error_code` is 0.
    Session,
}

/// Why a response can't be trusted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidResponse {
    /// It is not HTTP, or is truncated.
    #[error(transparent)]
    Malformed(#[from] MalformedResponse),
    /// The status is none that Qiniu sends.
    #[error("the response has an unexpected status")]
    Status,
    /// It has a `Content-Encoding` other than `identity`.
    #[error("the response has a content coding that was not requested")]
    Encoded,
    /// It exceeds a limit, before or after the cut.
    #[error("the response is too large")]
    TooLarge,
    /// It is not JSON, or ambiguous.
    #[error(transparent)]
    Json(#[from] CutError),
    /// It claims success, but came before the request was completely sent.
    #[error("the response came before the request was completely sent")]
    Early,
    /// It has no numeric `error_code`.
    #[error("the response has no numeric error_code")]
    NoErrorCode,
    /// It claims success, but has no session id.
    #[error("the response has no session id")]
    NoSessionId,
    /// Its session id can't be sealed.
    #[error("the session id can't be sealed")]
    NotSealed,
}

/// A response that may be passed on.
pub struct UpstreamResponse {
    /// The body after the cut; what remains is byte for byte as Qiniu wrote it.
    pub body: Vec<u8>,
    /// Number of bytes that were cut.
    pub removed: u64,
    /// Qiniu's `error_code`; 0 is success.
    pub error_code: Option<i64>,
    /// Qiniu's `serverlogid`, as written.
    pub serverlogid: Option<String>,
    /// Qiniu's `X-Reqid`.
    pub reqid: Option<String>,
    /// The scores, if the rules capture them.
    pub scores: Option<Box<LivenessScores>>,
    /// The complete response, pictures included, if the rules retain it.
    pub retained: Option<Result<RetainedResponse, RetentionError>>,
}

impl ResponseRules {
    /// Removes `remove` and strings longer than `max_string` bytes. Everything else passes, until
    /// [`ResponseRules::allowing`] says what may.
    pub fn new(
        remove: &[MemberPath],
        max_string: Option<usize>,
        expected: ExpectedResponse,
    ) -> Self {
        let mut rules = CutRules::new();
        let mut capture = |path: &str| {
            MemberPath::parse(path)
                .map(|path| rules.capture(&path))
                .unwrap_or_default()
        };
        let error_code = capture("error_code");
        let serverlogid = capture("serverlogid");
        let session_id =
            (expected == ExpectedResponse::Session).then(|| capture("result.session_id"));
        remove.iter().for_each(|path| rules.remove(path));
        if let Some(bytes) = max_string {
            rules.remove_longer(bytes);
        }
        Self {
            rules,
            error_code,
            serverlogid,
            session_id,
            needs_error_code: expected != ExpectedResponse::Object,
            scores: None,
            kept_back: Arc::default(),
            retain: None,
        }
    }

    /// Seals the session id for the owner of the call.
    pub fn sealed(mut self) -> Self {
        if self.session_id.is_some() {
            let path = MemberPath::parse("result.session_id");
            self.session_id = path.map(|path| self.rules.replace(&path)).ok();
        }
        self
    }

    /// Captures the scores that a verdict is based on, with this one of Qiniu's thresholds. Removes
    /// a member `verdict` of Qiniu's, so that callers find the gateway's verdict or none.
    pub fn judged(mut self, threshold: &str) -> Self {
        let slots = ScoreSlots::new(
            &mut self.rules,
            self.error_code,
            self.serverlogid,
            threshold,
        );
        self.scores = Some(slots);
        if let Ok(path) = MemberPath::parse("verdict") {
            self.rules.remove(&path);
        }
        self
    }

    /// Keeps only what is at `fields`; `None`: everything. With `scores_hidden`, of these only the
    /// envelope and whether the actions were recognized.
    pub fn allowing(mut self, fields: Option<&[MemberPath]>, scores_hidden: bool) -> Self {
        let visible = WITHOUT_SCORES.iter().map(|path| MemberPath::parse(path));
        let visible: Vec<_> = visible.flatten().collect();
        let allowed = match (fields, scores_hidden) {
            (None, false) => return self,
            (Some(fields), false) => fields.to_vec(),
            (None, true) => visible,
            (Some(fields), true) => {
                fields.iter().for_each(|path| self.rules.name(path));
                common(fields, &visible)
            }
        };
        self.rules.allow_only(&allowed);
        self
    }

    /// Logs the names of members that are kept back, if `names` does not have them yet.
    pub fn reporting(mut self, names: &Arc<KeptBackNames>) -> Self {
        self.kept_back = Arc::clone(names);
        self
    }

    /// Also retains complete responses, counted in `memory`.
    pub fn retained(mut self, memory: &Arc<MemoryBudget>) -> Self {
        self.retain = Some(Arc::clone(memory));
        self
    }

    /// Reserves the memory of a response that is to be retained, before its call. `None` if it is
    /// not.
    ///
    /// # Errors
    /// `NoRoom`.
    pub(super) fn reserve(&self) -> Result<Option<MemoryPermit>, RetentionError> {
        self.retain.as_ref().map(retained::reserve).transpose()
    }

    /// Reads the body of a response to its end. `seal` is the owner of a session id in it, and when
    /// the request was sent. `reserved` is what [`Self::reserve`] returned.
    ///
    /// # Errors
    /// See [`InvalidResponse`].
    pub(super) async fn read(
        &self,
        reader: &mut ResponseReader,
        connection: &mut OutboundConnection,
        seal: Option<(&SessionOwner, SystemTime)>,
        reserved: Option<MemoryPermit>,
    ) -> Result<UpstreamResponse, InvalidResponse> {
        if reader.is_encoded() {
            return Err(InvalidResponse::Encoded);
        }
        let mut cut = Box::new(JsonCut::new(&self.rules));
        let mut kept = SealingSink::new(seal, &self.kept_back);
        let mut received = 0_u64;
        let mut collector = reserved.map(ResponseCollector::new);
        reader
            .body(connection, |bytes| {
                received = received.saturating_add(bytes.len() as u64);
                if let Some(collector) = &mut collector {
                    collector.take(bytes);
                }
                cut.feed(bytes, &mut kept)?;
                if kept.len() > MAX_KEPT || received > MAX_RESPONSE {
                    return Err(InvalidResponse::TooLarge);
                }
                Ok(())
            })
            .await?;
        let mut values = cut.finish()?;
        let (body, kept_back) = kept.finish().ok_or(InvalidResponse::NotSealed)?;
        let error_code = integer(values.get(self.error_code));
        if reader.is_early() && matches!(error_code, None | Some(0)) {
            // A video can't be judged before it has arrived: this responds to something else.
            return Err(InvalidResponse::Early);
        }
        self.check(error_code, &values)?;
        kept_back.log();
        // Must come before `short_text`, which takes from the values.
        let scores = self.scores.as_ref();
        let scores = scores.map(|slots| Box::new(slots.read(&values)));
        Ok(UpstreamResponse {
            removed: received.saturating_sub(body.len() as u64),
            error_code,
            serverlogid: short_text(values.get_mut(self.serverlogid)),
            reqid: reader.take_reqid(),
            scores,
            retained: collector.map(ResponseCollector::finish),
            body,
        })
    }

    fn check(
        &self,
        error_code: Option<i64>,
        values: &[CapturedValue],
    ) -> Result<(), InvalidResponse> {
        if self.needs_error_code && error_code.is_none() {
            return Err(InvalidResponse::NoErrorCode);
        }
        if let (Some(slot), Some(0)) = (self.session_id, error_code)
            && !matches!(values.get(slot), Some(CapturedValue::String(id)) if !id.is_empty())
        {
            return Err(InvalidResponse::NoSessionId);
        }
        Ok(())
    }
}

/// What both lists allow.
fn common(some: &[MemberPath], others: &[MemberPath]) -> Vec<MemberPath> {
    let pairs = some
        .iter()
        .flat_map(|one| others.iter().map(move |other| (one, other)));
    let common = pairs.filter_map(
        |(one, other)| match (one.covers(other), other.covers(one)) {
            (true, _) => Some(other),
            (_, true) => Some(one),
            _ => None,
        },
    );
    common.cloned().collect()
}

fn integer(value: Option<&CapturedValue>) -> Option<i64> {
    match value {
        Some(CapturedValue::Number(text)) => text.parse().ok(),
        _ => None,
    }
}

/// Takes a value that is short enough for an access record.
fn short_text(value: Option<&mut CapturedValue>) -> Option<String> {
    match value {
        Some(CapturedValue::Number(text) | CapturedValue::String(text)) if text.len() <= 64 => {
            Some(std::mem::take(text))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
