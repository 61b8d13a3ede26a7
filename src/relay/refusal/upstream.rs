//! What a failed call to Qiniu means: to the caller, and in the log.
//!
//! Relies on the call for what happened. No match here has a catch-all arm, and no text of Qiniu's
//! reaches a caller.

use tracing::Level;

use crate::{
    qiniu::upstream_call::{UpstreamFailure, UpstreamFailureKind},
    relay::problem::ProblemDetails,
};

/// What the caller gets.
pub(super) fn upstream(kind: &UpstreamFailureKind) -> ProblemDetails {
    let bad_gateway = |code, detail: &'static str| ProblemDetails::new(502, code, detail);
    match kind {
        UpstreamFailureKind::PoolExhausted | UpstreamFailureKind::Busy => {
            let detail = "the liveness service is busy; retry";
            ProblemDetails::new(503, "upstream_busy", detail).retry_after(5)
        }
        UpstreamFailureKind::NoEvidenceRoom => {
            let detail = "too many results wait for their delivery; retry";
            ProblemDetails::new(503, "overloaded", detail).retry_after(1)
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

/// What the log says, if anything.
pub(super) fn logged_upstream(failure: &UpstreamFailure) -> Option<(Level, String)> {
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
        UpstreamFailureKind::NoEvidenceRoom => {
            "the memory for evidence is used up: the backend is slow to take it, or raise \
             qiniu.max_connections and server.body_memory"
                .into()
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
