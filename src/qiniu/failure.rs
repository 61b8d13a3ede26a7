//! Why a call to Qiniu yielded no answer that may be passed on.

use std::{fmt, io};

use super::pool::LeaseError;
use crate::{json::cut::CutError, outbound::exchange::ExchangeError};

/// Why there is no answer to pass on.
#[derive(Debug)]
pub struct UpstreamFailure {
    /// What happened.
    pub kind: UpstreamFailureKind,
    /// The HTTP status, where there was one.
    pub status: Option<u16>,
    /// Qiniu's `X-Reqid`, where there was one.
    pub reqid: Option<String>,
    /// Whether the request had been begun to be written.
    pub begun: bool,
}

/// What went wrong with a call.
#[derive(Debug)]
pub enum UpstreamFailureKind {
    /// All connections were taken.
    PoolExhausted,
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
    NoResponse(io::Error),
    /// An answer that can't be believed.
    Invalid(InvalidResponse),
}

/// What makes an answer unfit.
#[derive(Debug, PartialEq, Eq)]
pub enum InvalidResponse {
    /// Its framing, length or coding.
    Transfer(&'static str),
    /// Its JSON.
    Json(CutError),
}

impl UpstreamFailure {
    /// Whether Qiniu surely did not take the request on, so that its session is as good as before and nothing is billed.
    ///
    /// Before the first byte is written, nothing can have been. An answer of 4xx, 429, 503 or 573 is Qiniu's own word that it did not take
    /// the request. Another 5xx may come from a machine that broke down in the middle of it or from one that lost
    /// touch with it, and a redirect from nobody knows whom: like no answer at all, they leave the outcome unknown.
    pub fn nothing_was_taken(&self) -> bool {
        match self.kind {
            UpstreamFailureKind::PoolExhausted
            | UpstreamFailureKind::Unreachable(_)
            | UpstreamFailureKind::Timeout => !self.begun,
            UpstreamFailureKind::RejectedCredentials
            | UpstreamFailureKind::RejectedRequest
            | UpstreamFailureKind::TooLarge
            | UpstreamFailureKind::Busy => true,
            UpstreamFailureKind::Error
            | UpstreamFailureKind::NoResponse(_)
            | UpstreamFailureKind::Invalid(_) => false,
        }
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

impl From<UpstreamFailureKind> for UpstreamFailure {
    fn from(kind: UpstreamFailureKind) -> Self {
        Self {
            kind,
            status: None,
            reqid: None,
            begun: false,
        }
    }
}

impl From<LeaseError> for UpstreamFailure {
    fn from(error: LeaseError) -> Self {
        match error {
            LeaseError::PoolExhausted => UpstreamFailureKind::PoolExhausted.into(),
            LeaseError::Unreachable(error) => UpstreamFailureKind::Unreachable(error).into(),
        }
    }
}

impl From<ExchangeError> for UpstreamFailure {
    fn from(broken: ExchangeError) -> Self {
        match broken {
            ExchangeError::NoResponse(error) => UpstreamFailureKind::NoResponse(error).into(),
            ExchangeError::Response(what) => {
                UpstreamFailureKind::Invalid(InvalidResponse::Transfer(what)).into()
            }
        }
    }
}
