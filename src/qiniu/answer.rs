//! One answer of Qiniu's: judged by status, cut while it arrives, and believed only when it is whole.
//!
//! A picture is never held longer than the read buffer it came in, and nothing of an answer leaves this module before
//! its last byte has proved it complete and valid.

use std::{fmt, io, time::Duration};

use tokio::time::timeout;

use super::{
    outgoing::Outgoing,
    pool::{Lease, NoConnection, Upstream},
};
use crate::{
    json::{
        cut::{Cut, CutError},
        pointer::Pointer,
        rules::{Rules, Slot},
        sink::Buffer,
        value::Value,
    },
    outbound::exchange::{Broken, Reading, exchange},
};

/// Bytes that may be left of an answer when the pictures are gone.
const MAX_KEPT: usize = 1024 * 1024;
/// Bytes that are left of most.
const USUALLY_KEPT: usize = 512;
/// Bytes of an answer, pictures included.
const MAX_ANSWER: u64 = 256 * 1024 * 1024;

/// What is done to a route's answers.
pub struct AnswerRules {
    rules: Rules,
    error_code: Slot,
    serverlogid: Slot,
    session_id: Option<Slot>,
    needs_error_code: bool,
}

/// What an answer of this kind must have to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Any JSON object.
    Object,
    /// Qiniu's envelope: a numeric `error_code`.
    Envelope,
    /// The envelope, and a session id where `error_code` is 0.
    Session,
}

/// An answer that may be passed on.
pub struct Answer {
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
}

/// Why there is no answer to pass on.
#[derive(Debug)]
pub struct Failure {
    /// What happened.
    pub kind: FailureKind,
    /// The HTTP status, where there was one.
    pub status: Option<u16>,
    /// Qiniu's `X-Reqid`, where there was one.
    pub reqid: Option<String>,
}

/// What went wrong with a call.
#[derive(Debug)]
pub enum FailureKind {
    /// All connections were taken.
    NoPlace,
    /// No connection could be made.
    Unreachable(io::Error),
    /// Not done in the route's time.
    Timeout,
    /// 401, 403 or 419: the operator's credentials.
    RejectedCredentials,
    /// Another 4xx.
    RejectedRequest,
    /// 413.
    TooLarge,
    /// 429, 503 or 573.
    Busy,
    /// Another 5xx, or a redirect.
    Error,
    /// The connection ended before an answer.
    NoAnswer(io::Error),
    /// An answer that can't be believed.
    Invalid(Invalid),
}

/// What makes an answer unfit.
#[derive(Debug, PartialEq, Eq)]
pub enum Invalid {
    /// Its framing, length or coding.
    Transfer(&'static str),
    /// Its JSON.
    Json(CutError),
}

impl From<&'static str> for Invalid {
    fn from(what: &'static str) -> Self {
        Self::Transfer(what)
    }
}

impl From<CutError> for Invalid {
    fn from(error: CutError) -> Self {
        Self::Json(error)
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transfer(what) => f.write_str(what),
            Self::Json(error) => error.fmt(f),
        }
    }
}

impl AnswerRules {
    /// The rules of a route.
    pub fn new(remove: &[Pointer], max_string: Option<usize>, expected: Expected) -> Self {
        let mut rules = Rules::new();
        let mut capture = |path: &str| {
            Pointer::parse(path)
                .map(|pointer| rules.capture(&pointer))
                .unwrap_or_default()
        };
        let error_code = capture("error_code");
        let serverlogid = capture("serverlogid");
        let session_id = (expected == Expected::Session).then(|| capture("result.session_id"));
        remove.iter().for_each(|pointer| rules.remove(pointer));
        if let Some(bytes) = max_string {
            rules.remove_longer(bytes);
        }
        Self {
            rules,
            error_code,
            serverlogid,
            session_id,
            needs_error_code: expected != Expected::Object,
        }
    }

    async fn read(&self, reading: &mut Reading, lease: &mut Lease) -> Result<Answer, Invalid> {
        if reading.is_encoded() {
            return Err("the answer has a content coding that was not asked for".into());
        }
        let mut cut = Cut::new(&self.rules);
        let mut kept = Buffer::with_capacity(USUALLY_KEPT);
        let mut received = 0_u64;
        reading
            .body(&mut lease.connection, |bytes| {
                received = received.saturating_add(bytes.len() as u64);
                cut.feed(bytes, &mut kept)?;
                if kept.len() > MAX_KEPT || received > MAX_ANSWER {
                    return Err(Invalid::Transfer("the answer is too large"));
                }
                Ok(())
            })
            .await?;
        let values = cut.finish()?;
        let body = kept.into_bytes();
        let answer = Answer {
            removed: received.saturating_sub(body.len() as u64),
            error_code: integer(values.get(self.error_code)),
            serverlogid: short_text(values.get(self.serverlogid)),
            reqid: reading.reqid().map(str::to_owned),
            body,
        };
        self.believe(answer, &values)
    }

    fn believe(&self, answer: Answer, values: &[Value]) -> Result<Answer, Invalid> {
        if self.needs_error_code && answer.error_code.is_none() {
            return Err("the answer has no numeric error_code".into());
        }
        if let (Some(slot), Some(0)) = (self.session_id, answer.error_code)
            && !matches!(values.get(slot), Some(Value::String(id)) if !id.is_empty())
        {
            return Err("the answer has no session id".into());
        }
        Ok(answer)
    }
}

impl Upstream {
    /// Makes one call. With `resend` a request is sent once more when a kept connection turns out to have been closed
    /// before it was answered; a billed request must never be.
    ///
    /// # Errors
    /// Why there is no answer to pass on.
    pub async fn call(
        &self,
        request: Outgoing,
        rules: &AnswerRules,
        limit: Duration,
        resend: bool,
    ) -> Result<Answer, Failure> {
        match timeout(limit, self.call_without_limit(request, rules, resend)).await {
            Ok(result) => result,
            Err(_) => Err(FailureKind::Timeout.into()),
        }
    }

    async fn call_without_limit(
        &self,
        request: Outgoing,
        rules: &AnswerRules,
        resend: bool,
    ) -> Result<Answer, Failure> {
        let mut lease = self.lease(false).await?;
        let first = exchange(&mut lease.connection, &request.request()).await;
        let mut reading = match first {
            Err(Broken::NoAnswer(_)) if resend && lease.reused => {
                drop(lease);
                lease = self.lease(true).await?;
                exchange(&mut lease.connection, &request.request()).await?
            }
            other => other?,
        };
        let status = reading.status();
        if let Some(kind) = judge(status) {
            return Err(Failure {
                kind,
                status: Some(status),
                reqid: reading.reqid().map(str::to_owned),
            });
        }
        match rules.read(&mut reading, &mut lease).await {
            Ok(answer) => {
                if reading.is_reusable() {
                    self.keep(lease);
                }
                Ok(answer)
            }
            Err(invalid) => Err(Failure {
                kind: FailureKind::Invalid(invalid),
                status: Some(status),
                reqid: reading.reqid().map(str::to_owned),
            }),
        }
    }
}

/// What a status says without its body; `None`: the body is worth reading.
fn judge(status: u16) -> Option<FailureKind> {
    match status {
        200 => None,
        401 | 403 | 419 => Some(FailureKind::RejectedCredentials),
        413 => Some(FailureKind::TooLarge),
        429 | 503 | 573 => Some(FailureKind::Busy),
        400..=499 => Some(FailureKind::RejectedRequest),
        300..=399 | 500.. => Some(FailureKind::Error),
        _ => Some(FailureKind::Invalid(Invalid::Transfer(
            "the answer has an unexpected status",
        ))),
    }
}

fn integer(value: Option<&Value>) -> Option<i64> {
    match value {
        Some(Value::Number(text)) => text.parse().ok(),
        _ => None,
    }
}

fn short_text(value: Option<&Value>) -> Option<String> {
    match value {
        Some(Value::Number(text) | Value::String(text)) if text.len() <= 64 => Some(text.clone()),
        _ => None,
    }
}

impl From<FailureKind> for Failure {
    fn from(kind: FailureKind) -> Self {
        Self {
            kind,
            status: None,
            reqid: None,
        }
    }
}

impl From<NoConnection> for Failure {
    fn from(error: NoConnection) -> Self {
        match error {
            NoConnection::Busy => FailureKind::NoPlace.into(),
            NoConnection::Unreachable(error) => FailureKind::Unreachable(error).into(),
        }
    }
}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::NoAnswer(error) => FailureKind::NoAnswer(error).into(),
            Broken::Answer(what) => FailureKind::Invalid(Invalid::Transfer(what)).into(),
        }
    }
}
