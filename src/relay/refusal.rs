//! Every reason to reject a request, and its meaning: status, code, detail and log line.
//!
//! The only module that knows the refusals of all steps. No match here has a catch-all arm,
//! so the compiler finds a refusal that was forgotten. A detail never contains a secret, a
//! token or text of Qiniu's.

use std::borrow::Cow;

use tracing::Level;

pub use self::address::LimitedAddress;
use self::{
    address::logged_address,
    token::{auth, logged_token},
    upstream::{logged_upstream, upstream},
};
use super::{
    head_fault::{HeadFault, MediaFault},
    problem::{ProblemDetails, ProblemField},
};
use crate::{
    auth::RejectedToken,
    body::BodyRefusal,
    limit::rate::LimitExceeded,
    qiniu::upstream_call::{UpstreamFailure, UpstreamFailureKind},
    session::ticket::TicketError,
    verify_once::ClaimError,
};

mod address;
mod token;
mod upstream;

/// Why a request is rejected.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The head is malformed.
    #[error("malformed head: {0}")]
    Malformed(#[source] HeadFault),
    /// The head names no host, or not exactly one, for this reason.
    #[error("wrong host: {0}")]
    Host(&'static str),
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
    Auth(#[source] RejectedToken),
    /// The token lacks this scope.
    #[error("insufficient scope")]
    Scope(String),
    /// The token lacks this claim, by which its user consents.
    #[error("no consent")]
    Consent(String),
    /// The rate limit of the client's address is exceeded.
    #[error("rate limit of the address exceeded")]
    AddressRate {
        /// When the next request may come.
        wait: LimitExceeded,
        /// Whose address is limited.
        of: LimitedAddress,
    },
    /// The rate limit is exceeded.
    #[error("rate limit exceeded")]
    Rate(LimitExceeded),
    /// The quota is used up.
    #[error("quota exceeded")]
    Quota(LimitExceeded),
    /// The caller has too many calls in flight.
    #[error("too many concurrent calls")]
    Concurrent,
    /// The body's media type or coding is not supported.
    #[error("unsupported media type: {0}")]
    MediaType(#[source] MediaFault),
    /// The body was rejected.
    #[error("body rejected")]
    Body(BodyRefusal),
    /// Too many uploads wait for the keys of their issuers.
    #[error("too many unread uploads")]
    UnreadUploads,
    /// The session can't be claimed.
    #[error("session not claimed")]
    Session(#[source] ClaimError),
    /// The audit log is required, and can't be written.
    #[error("the audit log can't be written")]
    Unaudited,
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
    /// Whether an HTTP/1.1 connection ends with it, even if there is no body: the peer is no client
    /// of this API, and may be trying how heads are read. Or the peer itself sends too much: on a
    /// kept connection, its requests are so cheap that the sheer number of refusals would cost us.
    pub(super) fn ends_connection(&self) -> bool {
        matches!(self, Self::AddressRate { of, .. } if of.is_peer())
            || matches!(self, Self::Host(_) | Self::HeadTooLarge | Self::Method(_))
    }

    /// What the caller gets.
    pub fn problem(&self) -> ProblemDetails {
        let problem = ProblemDetails::new;
        match self {
            Self::Malformed(fault) => malformed(fault.to_string()),
            Self::Host(detail) => malformed(*detail),
            Self::HeadTooLarge => problem(431, "headers_too_large", "the head is too large"),
            Self::UnknownRoute => {
                problem(404, "unknown_route", "no such path; paths match exactly")
            }
            Self::Method(methods) => {
                let detail = format!("this path supports {methods}");
                ProblemDetails::new(405, "method_not_allowed", detail)
                    .field(ProblemField::Allow(methods))
            }
            Self::Auth(rejected) => auth(&rejected.refusal),
            Self::Scope(scope) => {
                let detail = format!("the token lacks the scope `{scope}`");
                let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\"");
                ProblemDetails::new(403, "insufficient_scope", detail)
                    .field(ProblemField::Challenge(challenge))
            }
            Self::Consent(claim) => no_consent(claim),
            Self::AddressRate { wait, .. } => {
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
            Self::MediaType(fault) => {
                ProblemDetails::new(415, "unsupported_media_type", fault.to_string())
            }
            Self::Body(refusal) => body(refusal),
            Self::UnreadUploads => body(&BodyRefusal::NoRoom),
            Self::Session(error) => not_claimed(*error),
            Self::Unaudited => {
                let detail = "verifications can't be recorded at present; retry";
                problem(503, "not_ready", detail).retry_after(5)
            }
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

    /// What the log says besides the access record: what is wrong, and what to do. `None` if
    /// nothing is.
    pub fn logged(&self) -> Option<(Level, Cow<'static, str>)> {
        let warning = |text: &'static str| Some((Level::WARN, text.into()));
        match self {
            Self::Auth(rejected) => logged_token(rejected),
            Self::Upstream(failure) => logged_upstream(failure),
            Self::Internal => {
                let text = "a request failed by a defect of the gateway; report it, with this line \
                            and those before it";
                Some((Level::ERROR, text.into()))
            }
            Self::Body(BodyRefusal::NoRoom) => warning(
                "the memory for bodies is used up, and uploads get 503; raise server.body_memory, \
                 or add a replica",
            ),
            Self::UnreadUploads => warning(
                "too many uploads wait for the keys of their issuer, and others get 503; see the \
                 lines on fetching keys",
            ),
            Self::Session(ClaimError::Timeout) => {
                logged_upstream(&UpstreamFailureKind::Timeout.into())
            }
            Self::Session(ClaimError::Full) => {
                warning("too many sessions in memory; add a replica, or find who opens so many")
            }
            Self::AddressRate { of, .. } => logged_address(*of),
            Self::Body(BodyRefusal::Session(TicketError::Rejected)) => {
                // A stranger can cause this.
                let text = "a session id was refused: it was not given to this user, or it was \
                            sealed with another key; if users of yours get 403, compare \
                            sessions.seal_key of all replicas";
                Some((Level::INFO, text.into()))
            }
            Self::Malformed(_)
            | Self::Host(_)
            | Self::HeadTooLarge
            | Self::UnknownRoute
            | Self::Method(_)
            | Self::Scope(_)
            | Self::Consent(_)
            // The audit log says what is wrong with it, but not for each request.
            | Self::Unaudited
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

fn no_consent(claim: &str) -> ProblemDetails {
    let detail = format!("the token lacks the claim `{claim}`, the user's consent");
    let challenge = "Bearer error=\"insufficient_scope\"".to_owned();
    ProblemDetails::new(403, "insufficient_scope", detail).field(ProblemField::Challenge(challenge))
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

fn body(refusal: &BodyRefusal) -> ProblemDetails {
    let problem = ProblemDetails::new;
    match refusal {
        BodyRefusal::TooLarge => problem(413, "body_too_large", "the body is too large"),
        BodyRefusal::NoRoom => {
            problem(503, "overloaded", "too many uploads in flight; retry").retry_after(1)
        }
        BodyRefusal::UserShare => {
            let detail = "this user's uploads in flight take all the memory that one user may \
                          have; wait for one of them to end";
            problem(429, "too_many_concurrent", detail).retry_after(1)
        }
        BodyRefusal::TooSlow | BodyRefusal::Displaced => {
            ProblemDetails::new(408, "body_too_slow", refusal.to_string()).retry_after(1)
        }
        BodyRefusal::Broken => malformed("the body is incomplete or its framing is invalid"),
        BodyRefusal::Json(error) => malformed(error.to_string()),
        BodyRefusal::Form(error) => malformed(error.to_string()),
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
            "another video of this session, or this one with other members, is being verified",
        ),
        ClaimError::Used => conflict(
            "session_used",
            "another video of this session, or this one with other members, was verified; start a \
             new session",
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

impl From<HeadFault> for Refusal {
    fn from(fault: HeadFault) -> Self {
        Self::Malformed(fault)
    }
}

impl From<MediaFault> for Refusal {
    fn from(fault: MediaFault) -> Self {
        Self::MediaType(fault)
    }
}

impl From<RejectedToken> for Refusal {
    fn from(rejected: RejectedToken) -> Self {
        Self::Auth(rejected)
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
