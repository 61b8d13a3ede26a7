//! Every way a request can be told no, and what each means: status, code, what the caller is told, what the log says.
//!
//! The only place that knows the refusals of all steps. The match has no catch-all arm, so a new refusal can't be
//! forgotten here. What a caller is told never holds a secret, a token, or text of Qiniu's.

mod session;

use std::{borrow::Cow, time::Duration};

use crate::{
    auth::AuthRefusal,
    body::BodyRefusal,
    limit::rate::LimitExceeded,
    media::VideoFinding,
    qiniu::upstream_call::{UpstreamFailure, UpstreamFailureKind},
    session::ledger::ClaimError,
};

const A_BUG: &str = "something went wrong here; the log has the request id";

/// Why a request is refused.
#[derive(Debug)]
pub enum Refusal {
    /// The head is wrong; a clause for the caller.
    Malformed(Cow<'static, str>),
    /// The head is too large.
    HeadTooLarge,
    /// No such path.
    UnknownRoute,
    /// Not this method; these are taken.
    Method(&'static str),
    /// The token.
    Auth(AuthRefusal),
    /// The keys of the token's issuer are not known.
    NotReady,
    /// The token lacks the route's scope, named here.
    Scope(String),
    /// Too often.
    Rate(LimitExceeded),
    /// All calls of this day, or whatever the quota is for.
    Quota(LimitExceeded),
    /// Too many calls at once.
    Concurrent,
    /// Not a body we take; a clause for the caller.
    MediaType(&'static str),
    /// The body.
    Body(BodyRefusal),
    /// The session can't be used for this upload.
    Session(ClaimError),
    /// The call to Qiniu.
    Upstream(UpstreamFailure),
    /// The gateway stops, and the time for requests under way is over.
    ShuttingDown,
    /// A bug of ours.
    Internal,
}

/// A refusal, as it is told.
pub struct Told {
    /// HTTP status.
    pub status: u16,
    /// Stable name.
    pub code: &'static str,
    /// Helps a person.
    pub detail: Cow<'static, str>,
    /// What exactly is wrong with a video.
    pub reason: Option<&'static str>,
    /// When to try again.
    pub retry_after: Option<Duration>,
}

impl Told {
    fn new(status: u16, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            reason: None,
            retry_after: None,
        }
    }

    fn later(self, seconds: u64) -> Self {
        Self {
            retry_after: Some(Duration::from_secs(seconds)),
            ..self
        }
    }
}

impl Refusal {
    /// What the caller is told.
    pub fn told(&self) -> Told {
        match self {
            Self::Malformed(detail) => Told::new(400, "malformed_request", detail.clone()),
            Self::HeadTooLarge => Told::new(
                431,
                "headers_too_large",
                "the request's header fields are too large",
            ),
            Self::UnknownRoute => Told::new(
                404,
                "unknown_route",
                "there is no such path here; paths match exactly",
            ),
            Self::Method(allowed) => Told::new(
                405,
                "method_not_allowed",
                format!("this path takes {allowed}"),
            ),
            Self::Auth(refusal) => {
                let code = refusal.code();
                Told::new(
                    if code == "malformed_request" {
                        400
                    } else {
                        401
                    },
                    code,
                    refusal.detail(),
                )
            }
            Self::NotReady => {
                Told::new(503, "not_ready", AuthRefusal::KeysUnavailable.detail()).later(5)
            }
            Self::Scope(scope) => Told::new(
                403,
                "insufficient_scope",
                format!("the token lacks the scope `{scope}`"),
            ),
            Self::Rate(wait) => used_up(
                wait,
                "rate_limited",
                "too many requests; wait as long as Retry-After says",
            ),
            Self::Quota(wait) => used_up(
                wait,
                "quota_exceeded",
                "the quota of this user is used up; it begins anew when Retry-After says",
            ),
            Self::Concurrent => Told::new(
                429,
                "too_many_concurrent",
                "another request of this user is still under way; wait for its answer",
            )
            .later(1),
            Self::MediaType(detail) => Told::new(415, "unsupported_media_type", *detail),
            Self::Body(refusal) => body(refusal),
            Self::Session(refusal) => session::not_claimed(*refusal),
            Self::Upstream(failure) => upstream(&failure.kind),
            Self::ShuttingDown => {
                Told::new(503, "shutting_down", "the gateway is stopping; try again").later(1)
            }
            Self::Internal => Told::new(500, "internal_error", A_BUG),
        }
    }

    /// What an operator should know beyond the access record: how bad it is, and what happened.
    pub fn logged(&self) -> Option<(tracing::Level, String)> {
        match self {
            Self::Upstream(failure) => Some(logged_upstream(failure)),
            Self::Internal => Some((tracing::Level::ERROR, "a request ended in a bug".into())),
            Self::Body(BodyRefusal::NoRoom) => Some((
                tracing::Level::WARN,
                "no body memory left; raise server.body_memory".into(),
            )),
            Self::Session(ClaimError::Full) => Some((
                tracing::Level::WARN,
                "too many sessions are remembered; add a replica, or look who uses so many".into(),
            )),
            Self::Malformed(_)
            | Self::HeadTooLarge
            | Self::UnknownRoute
            | Self::Method(_)
            | Self::Auth(_)
            | Self::NotReady
            | Self::Scope(_)
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

fn used_up(wait: &LimitExceeded, code: &'static str, detail: &'static str) -> Told {
    Told {
        retry_after: Some(wait.retry_after),
        ..Told::new(429, code, detail)
    }
}

fn body(refusal: &BodyRefusal) -> Told {
    match refusal {
        BodyRefusal::TooLarge => Told::new(
            413,
            "body_too_large",
            "the body is larger than this path takes",
        ),
        BodyRefusal::NoRoom => {
            Told::new(503, "overloaded", "too many uploads at once; try again").later(1)
        }
        BodyRefusal::TooSlow => {
            Told::new(408, "body_too_slow", "the body did not arrive fast enough")
        }
        BodyRefusal::Broken => Told::new(
            400,
            "malformed_request",
            "the body broke off or its framing is wrong",
        ),
        BodyRefusal::Json(error) => Told::new(400, "malformed_request", error.to_string()),
        BodyRefusal::Field(detail) => Told::new(400, "malformed_request", detail.clone()),
        BodyRefusal::Session(refusal) => session::not_opened(*refusal),
        BodyRefusal::Video(finding) => Told {
            reason: Some(finding.name()),
            ..Told::new(422, "video_rejected", video(*finding))
        },
    }
}

fn video(finding: VideoFinding) -> &'static str {
    match finding {
        VideoFinding::Empty => "the video is empty",
        VideoFinding::DataUrl => {
            "`video_base64` must be the base64 alone, without `data:video/mp4;base64,`"
        }
        VideoFinding::NotBase64 => {
            "`video_base64` must be standard base64 with padding and without white space"
        }
        VideoFinding::TooLarge => "the video is larger than 20 MiB",
        VideoFinding::NotMp4 => "the video is not a whole MP4 file",
        VideoFinding::NoVideoTrack => "the file holds no video track",
        VideoFinding::NotH264 => "the video must be encoded as H.264",
        VideoFinding::Duration => "the video must last 1 to 10 seconds",
        VideoFinding::Dimensions => "the video's width and height must be 16 to 2032 pixels",
    }
}

fn upstream(kind: &UpstreamFailureKind) -> Told {
    match kind {
        UpstreamFailureKind::PoolExhausted | UpstreamFailureKind::Busy => Told::new(
            503,
            "upstream_busy",
            "the liveness service is busy; try again",
        )
        .later(5),
        UpstreamFailureKind::Unreachable(_) => Told::new(
            502,
            "upstream_unreachable",
            "the liveness service can't be reached",
        ),
        UpstreamFailureKind::Timeout => Told::new(
            504,
            "upstream_timeout",
            "the liveness service did not answer in time",
        ),
        UpstreamFailureKind::RejectedCredentials => Told::new(
            502,
            "upstream_rejected_credentials",
            "the liveness service refused the gateway's own credentials",
        ),
        UpstreamFailureKind::RejectedRequest => Told::new(
            502,
            "upstream_rejected_request",
            "the liveness service refused the gateway's request",
        ),
        UpstreamFailureKind::TooLarge => Told::new(
            413,
            "body_too_large",
            "the liveness service found the body too large",
        ),
        UpstreamFailureKind::Error => {
            Told::new(502, "upstream_error", "the liveness service failed")
        }
        UpstreamFailureKind::NoResponse(_) | UpstreamFailureKind::Invalid(_) => Told::new(
            502,
            "upstream_invalid_response",
            "the liveness service's answer was broken",
        ),
    }
}

fn logged_upstream(failure: &UpstreamFailure) -> (tracing::Level, String) {
    let status = failure
        .status
        .map(|status| format!(" (HTTP {status})"))
        .unwrap_or_default();
    let what = match &failure.kind {
        UpstreamFailureKind::RejectedCredentials => {
            return (
                tracing::Level::ERROR,
                format!(
                    "Qiniu refused our credentials{status}: check qiniu.access_key and secret_key, the account, and this machine's clock"
                ),
            );
        }
        UpstreamFailureKind::PoolExhausted => {
            "no free connection to Qiniu: raise qiniu.max_connections".into()
        }
        UpstreamFailureKind::Unreachable(error) => format!("Qiniu can't be reached: {error}"),
        UpstreamFailureKind::Timeout => "Qiniu did not answer within the route's timeout".into(),
        UpstreamFailureKind::RejectedRequest => "Qiniu refused the request".into(),
        UpstreamFailureKind::TooLarge => "Qiniu found the body too large".into(),
        UpstreamFailureKind::Busy => "Qiniu is busy".into(),
        UpstreamFailureKind::Error => "Qiniu failed".into(),
        UpstreamFailureKind::NoResponse(error) => {
            format!("Qiniu closed the connection without an answer: {error}")
        }
        UpstreamFailureKind::Invalid(invalid) => format!("Qiniu's answer was unfit: {invalid}"),
    };
    (tracing::Level::WARN, what + &status)
}

impl From<AuthRefusal> for Refusal {
    fn from(refusal: AuthRefusal) -> Self {
        match refusal {
            AuthRefusal::KeysUnavailable => Self::NotReady,
            other => Self::Auth(other),
        }
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
