//! Why a call to Qiniu yielded no answer that may be passed on.

use std::{fmt, io};

use super::pool::NoConnection;
use crate::{json::cut::CutError, outbound::exchange::Broken};

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
