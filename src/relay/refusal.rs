//! Every reason to reject a request, and its meaning: status, code, detail and log line.
//!
//! The only module that knows the refusals of all steps. No match here has a catch-all arm,
//! so the compiler finds a refusal that was forgotten. A detail never contains a secret, a
//! token or text of Qiniu's.

use std::borrow::Cow;

use tracing::Level;

use super::problem::{ProblemDetails, ProblemField};
use crate::{
    auth::AuthRefusal,
    body::BodyRefusal,
    limit::rate::LimitExceeded,
    qiniu::upstream_call::{UpstreamFailure, UpstreamFailureKind},
    session::ticket::TicketError,
    verify_once::ClaimError,
};

/// Why a request is rejected.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The head is malformed, for this reason.
    #[error("malformed head: {0}")]
    Malformed(Cow<'static, str>),
    /// The head is over `server.max_head_bytes`.
    #[error("the head is too large")]
    HeadTooLarge,
    /// There is no route of this path.
    #[error("unknown route")]
    UnknownRoute,
    /// The route takes only these methods.
    #[error("method not allowed")]
    Method(&'static str),
    /// The token was not accepted.
    #[error("authentication failed")]
    Auth(#[source] AuthRefusal),
    /// The token lacks this scope.
    #[error("insufficient scope")]
    Scope(String),
    /// The rate limit of the client's address is exceeded.
    #[error("rate limit of the address exceeded")]
    AddressRate(LimitExceeded),
    /// The rate limit is exceeded.
    #[error("rate limit exceeded")]
    Rate(LimitExceeded),
    /// The quota is used up.
    #[error("quota exceeded")]
    Quota(LimitExceeded),
    /// The caller has too many calls in flight.
    #[error("too many concurrent calls")]
    Concurrent,
    /// The body's media type or coding is not supported, for this reason.
    #[error("unsupported media type: {0}")]
    MediaType(&'static str),
    /// The body was rejected.
    #[error("body rejected")]
    Body(BodyRefusal),
    /// The session can't be claimed.
    #[error("session not claimed")]
    Session(#[source] ClaimError),
    /// The call to Qiniu failed.
    #[error("upstream call failed")]
    Upstream(#[source] UpstreamFailure),
    /// A stop gives requests in flight no more time.
    #[error("shutting down")]
    ShuttingDown,
    /// A defect of the gateway.
    #[error("internal error")]
    Internal,
}

impl Refusal {
    /// What the caller gets.
    pub fn problem(&self) -> ProblemDetails {
        let problem = ProblemDetails::new;
        match self {
            Self::Malformed(detail) => malformed(detail.clone()),
            Self::HeadTooLarge => problem(431, "headers_too_large", "the head is too large"),
            Self::UnknownRoute => {
                problem(404, "unknown_route", "no such path; paths match exactly")
            }
            Self::Method(methods) => {
                let detail = format!("this path supports {methods}");
                ProblemDetails::new(405, "method_not_allowed", detail)
                    .field(ProblemField::Allow(methods))
            }
            Self::Auth(refusal) => auth(refusal),
            Self::Scope(scope) => {
                let detail = format!("the token lacks the scope `{scope}`");
                let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\"");
                ProblemDetails::new(403, "insufficient_scope", detail)
                    .field(ProblemField::Challenge(challenge))
            }
            Self::AddressRate(wait) => {
                let detail =
                    "too many requests from this address; retry after the time in Retry-After";
                limited("rate_limited", detail, wait)
            }
            Self::Rate(wait) => {
                let detail = "too many requests; retry after the time in Retry-After";
                limited("rate_limited", detail, wait)
            }
            Self::Quota(wait) => {
                let detail = "the user's quota is used up; it is renewed at Retry-After";
                limited("quota_exceeded", detail, wait)
            }
            Self::Concurrent => {
                let detail = "another request of this user is in flight; wait for its response";
                problem(429, "too_many_concurrent", detail).retry_after(1)
            }
            Self::MediaType(detail) => problem(415, "unsupported_media_type", detail),
            Self::Body(refusal) => body(refusal),
            Self::Session(error) => not_claimed(*error),
            Self::Upstream(failure) => upstream(&failure.kind),
            Self::ShuttingDown => {
                problem(503, "shutting_down", "the gateway is stopping; retry").retry_after(1)
            }
            Self::Internal => {
                let detail = "internal error; the gateway's log has the request id";
                problem(500, "internal_error", detail)
            }
        }
    }

    /// What the log says besides the access record; `None` if nothing.
    pub fn logged(&self) -> Option<(Level, String)> {
        let warning = |text: &str| Some((Level::WARN, text.to_owned()));
        match self {
            Self::Upstream(failure) => logged_upstream(failure),
            Self::Internal => Some((Level::ERROR, "a request failed by a defect".into())),
            Self::Body(BodyRefusal::NoRoom) => {
                warning("the memory for bodies is used up; raise server.body_memory")
            }
            Self::Session(ClaimError::Timeout) => {
                logged_upstream(&UpstreamFailureKind::Timeout.into())
            }
            Self::Session(ClaimError::Full) => {
                warning("too many sessions in memory; add a replica, or find who opens so many")
            }
            Self::Malformed(_)
            | Self::HeadTooLarge
            | Self::UnknownRoute
            | Self::Method(_)
            | Self::Auth(_)
            | Self::Scope(_)
            | Self::AddressRate(_)
            | Self::Rate(_)
            | Self::Quota(_)
            | Self::Concurrent
            | Self::MediaType(_)
            | Self::ShuttingDown
            | Self::Body(_)
            | Self::Session(_) => None,
        }
    }
}

fn malformed(detail: impl Into<Cow<'static, str>>) -> ProblemDetails {
    ProblemDetails::new(400, "malformed_request", detail)
}

fn limited(code: &'static str, detail: &'static str, wait: &LimitExceeded) -> ProblemDetails {
    ProblemDetails {
        retry_after: Some(wait.retry_after),
        ..ProblemDetails::new(429, code, detail)
    }
}

fn auth(refusal: &AuthRefusal) -> ProblemDetails {
    let (code, detail) = (refusal.code(), refusal.detail());
    match refusal {
        AuthRefusal::DuplicateHeader => malformed(detail),
        AuthRefusal::KeysUnavailable => ProblemDetails::new(503, code, detail).retry_after(5),
        // RFC 6750 section 3.1: without a token, the challenge names only the scheme.
        AuthRefusal::MissingToken | AuthRefusal::WrongScheme => {
            let challenge = ProblemField::Challenge("Bearer".into());
            ProblemDetails::new(401, code, detail).field(challenge)
        }
        AuthRefusal::TokenTooLong
        | AuthRefusal::Malformed
        | AuthRefusal::UnknownIssuer
        | AuthRefusal::UnknownKey
        | AuthRefusal::AlgorithmNotAllowed
        | AuthRefusal::BadSignature
        | AuthRefusal::Expired
        | AuthRefusal::NotYetValid
        | AuthRefusal::IssuedInFuture
        | AuthRefusal::WrongAudience
        | AuthRefusal::WrongType
        | AuthRefusal::UnknownCrit
        | AuthRefusal::DuplicateClaim
        | AuthRefusal::DuplicateHeaderParameter
        | AuthRefusal::BadClaim(_)
        | AuthRefusal::MissingClaim(_) => {
            let description = detail.replace(['"', '\\'], "'");
            let challenge =
                format!("Bearer error=\"invalid_token\", error_description=\"{description}\"");
            ProblemDetails::new(401, code, detail).field(ProblemField::Challenge(challenge))
        }
    }
}

fn body(refusal: &BodyRefusal) -> ProblemDetails {
    let problem = ProblemDetails::new;
    match refusal {
        BodyRefusal::TooLarge => problem(413, "body_too_large", "the body is too large"),
        BodyRefusal::NoRoom => {
            problem(503, "overloaded", "too many uploads in flight; retry").retry_after(1)
        }
        BodyRefusal::TooSlow => {
            problem(408, "body_too_slow", "the body arrived too slowly").retry_after(1)
        }
        BodyRefusal::Broken => malformed("the body is incomplete or its framing is invalid"),
        BodyRefusal::Json(error) => malformed(error.to_string()),
        BodyRefusal::Field(error) => malformed(error.to_string()),
        BodyRefusal::Session(TicketError::Rejected) => {
            // One error for all cases, so that nobody learns which ids exist.
            let detail = "the session does not belong to this user; start a new one";
            problem(403, "session_rejected", detail)
        }
        BodyRefusal::Session(TicketError::Expired) => expired(),
        BodyRefusal::Video(finding) => ProblemDetails {
            reason: Some(finding.name()),
            ..ProblemDetails::new(422, "video_rejected", finding.to_string())
        },
    }
}

fn not_claimed(error: ClaimError) -> ProblemDetails {
    let conflict = |code, detail: &'static str| ProblemDetails::new(409, code, detail);
    match error {
        ClaimError::InUse => conflict(
            "session_in_use",
            "another video of this session is being verified; a session takes one video",
        ),
        ClaimError::Used => conflict(
            "session_used",
            "another video of this session was verified; start a new session",
        ),
        ClaimError::OutcomeUnknown => conflict(
            "outcome_unknown",
            "the video was sent, but the response was lost; start a new session",
        ),
        ClaimError::Expired => expired(),
        // The call that this one waits for did not end in time.
        ClaimError::Timeout => upstream(&UpstreamFailureKind::Timeout),
        ClaimError::Full => {
            let detail = "too many sessions at once; retry";
            ProblemDetails::new(503, "overloaded", detail).retry_after(10)
        }
    }
}

fn expired() -> ProblemDetails {
    let detail = "the session is older than five minutes; start a new one";
    ProblemDetails::new(410, "session_expired", detail)
}

fn upstream(kind: &UpstreamFailureKind) -> ProblemDetails {
    let bad_gateway = |code, detail: &'static str| ProblemDetails::new(502, code, detail);
    match kind {
        UpstreamFailureKind::PoolExhausted | UpstreamFailureKind::Busy => {
            let detail = "the liveness service is busy; retry";
            ProblemDetails::new(503, "upstream_busy", detail).retry_after(5)
        }
        UpstreamFailureKind::NoDescriptor => {
            let detail = "too many connections at once; retry";
            ProblemDetails::new(503, "overloaded", detail).retry_after(1)
        }
        UpstreamFailureKind::Unreachable(_) => bad_gateway(
            "upstream_unreachable",
            "the liveness service can't be reached",
        ),
        UpstreamFailureKind::Timeout => {
            let detail = "the liveness service did not respond in time";
            ProblemDetails::new(504, "upstream_timeout", detail)
        }
        UpstreamFailureKind::RejectedCredentials => bad_gateway(
            "upstream_rejected_credentials",
            "the liveness service rejected the gateway's credentials",
        ),
        UpstreamFailureKind::RejectedRequest => bad_gateway(
            "upstream_rejected_request",
            "the liveness service rejected the gateway's request",
        ),
        UpstreamFailureKind::TooLarge => {
            let detail = "the body is too large for the liveness service";
            ProblemDetails::new(413, "body_too_large", detail)
        }
        UpstreamFailureKind::Error => bad_gateway("upstream_error", "the liveness service failed"),
        UpstreamFailureKind::NoResponse(_) | UpstreamFailureKind::Invalid(_) => bad_gateway(
            "upstream_invalid_response",
            "the liveness service's response was invalid",
        ),
    }
}

fn logged_upstream(failure: &UpstreamFailure) -> Option<(Level, String)> {
    let status = failure.status.map(|status| format!(" (HTTP {status})"));
    let status = status.unwrap_or_default();
    let text = match &failure.kind {
        UpstreamFailureKind::RejectedCredentials => {
            let text = format!(
                "Qiniu rejected our credentials{status}: check qiniu.access_key and \
                 qiniu.secret_key, the account, and this machine's clock"
            );
            return Some((Level::ERROR, text));
        }
        UpstreamFailureKind::PoolExhausted => {
            "no free connection to Qiniu; raise qiniu.max_connections".into()
        }
        // The connection pool logs this, but not for each call.
        UpstreamFailureKind::NoDescriptor => return None,
        UpstreamFailureKind::Unreachable(error) => format!("Qiniu can't be reached: {error}"),
        UpstreamFailureKind::Timeout => "Qiniu did not respond within the route's timeout".into(),
        UpstreamFailureKind::RejectedRequest => "Qiniu rejected the request".into(),
        UpstreamFailureKind::TooLarge => "Qiniu rejected the body as too large".into(),
        UpstreamFailureKind::Busy => "Qiniu is busy".into(),
        UpstreamFailureKind::Error => "Qiniu failed".into(),
        UpstreamFailureKind::NoResponse(error) => {
            format!("Qiniu closed the connection without a response: {error}")
        }
        UpstreamFailureKind::Invalid(invalid) => format!("Qiniu's response was invalid: {invalid}"),
    };
    Some((Level::WARN, text + &status))
}

impl From<AuthRefusal> for Refusal {
    fn from(refusal: AuthRefusal) -> Self {
        Self::Auth(refusal)
    }
}

impl From<BodyRefusal> for Refusal {
    fn from(refusal: BodyRefusal) -> Self {
        Self::Body(refusal)
    }
}

impl From<UpstreamFailure> for Refusal {
    fn from(failure: UpstreamFailure) -> Self {
        Self::Upstream(failure)
    }
}
