//! One call to Qiniu: a connection, the request, the response judged by its status; and why a call has no response to pass on.

use std::{
    io,
    pin::pin,
    time::{Duration, SystemTime},
};

use tokio::time::timeout;

use super::{
    pool::{LeaseError, Upstream},
    request::SignedRequest,
    response::{InvalidResponse, ResponseRules, UpstreamResponse},
};
use crate::{
    outbound::exchange::{ExchangeError, exchange},
    session::ticket::SessionOwner,
};

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

impl Upstream {
    /// Makes one call. With `resend` a request is sent once more when a kept connection turns out to have been closed
    /// before it was answered; a billed request must never be. A session that it brings is sealed for `owner`.
    ///
    /// # Errors
    /// Why there is no answer to pass on.
    pub async fn call(
        &self,
        request: SignedRequest,
        rules: &ResponseRules,
        limit: Duration,
        resend: bool,
        owner: Option<&SessionOwner>,
    ) -> Result<UpstreamResponse, UpstreamFailure> {
        let mut begun = None;
        let result = {
            // Pinned where it is made: the limit around it would move it a few times.
            let call = pin!(self.call_without_limit(request, rules, resend, owner, &mut begun));
            timeout(limit, call).await
        };
        let result = result.unwrap_or_else(|_| Err(UpstreamFailureKind::Timeout.into()));
        result.map_err(|failure| UpstreamFailure {
            begun: begun.is_some(),
            ..failure
        })
    }

    async fn call_without_limit(
        &self,
        request: SignedRequest,
        rules: &ResponseRules,
        resend: bool,
        owner: Option<&SessionOwner>,
        begun: &mut Option<SystemTime>,
    ) -> Result<UpstreamResponse, UpstreamFailure> {
        let mut lease = self.lease(false).await?;
        let mut sent = *begun.insert(SystemTime::now());
        let first = exchange(&mut lease.connection, &request.request()).await;
        let mut reading = match first {
            Err(ExchangeError::NoResponse(_)) if resend && lease.reused => {
                drop(lease);
                lease = self.lease(true).await?;
                sent = *begun.insert(SystemTime::now());
                exchange(&mut lease.connection, &request.request()).await?
            }
            other => other?,
        };
        let status = reading.status();
        if let Some(kind) = judge(status) {
            return Err(UpstreamFailure {
                kind,
                status: Some(status),
                reqid: reading.take_reqid(),
                begun: true,
            });
        }
        let seal = owner.map(|owner| (owner, sent));
        match rules.read(&mut reading, &mut lease.connection, seal).await {
            Ok(answer) => {
                if reading.finish(&mut lease.connection) {
                    self.keep(lease);
                }
                Ok(answer)
            }
            Err(invalid) => Err(UpstreamFailure {
                kind: UpstreamFailureKind::Invalid(invalid),
                status: Some(status),
                reqid: reading.take_reqid(),
                begun: true,
            }),
        }
    }
}

/// What a status says without its body; `None`: the body is worth reading.
fn judge(status: u16) -> Option<UpstreamFailureKind> {
    match status {
        200 => None,
        401 | 403 | 419 => Some(UpstreamFailureKind::RejectedCredentials),
        413 => Some(UpstreamFailureKind::TooLarge),
        429 | 503 | 573 => Some(UpstreamFailureKind::Busy),
        400..=499 => Some(UpstreamFailureKind::RejectedRequest),
        300..=399 | 500.. => Some(UpstreamFailureKind::Error),
        _ => Some(UpstreamFailureKind::Invalid(InvalidResponse::Transfer(
            "the answer has an unexpected status",
        ))),
    }
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
