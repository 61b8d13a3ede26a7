//! What a failed call to Qiniu means: to the caller, and in the log.
//!
//! Relies on the call for what happened. No match here has a catch-all arm, and no text of Qiniu's
//! reaches a caller.

use std::borrow::Cow;

use tracing::Level;

use crate::{
    outbound::advice::advice,
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

/// What the log says, if anything: what is wrong, and what to do.
pub(super) fn logged_upstream(failure: &UpstreamFailure) -> Option<(Level, Cow<'static, str>)> {
    let text = match &failure.kind {
        UpstreamFailureKind::RejectedCredentials => {
            return Some((Level::ERROR, rejected_credentials(failure.status)));
        }
        UpstreamFailureKind::PoolExhausted => {
            "no connection to Qiniu is free; raise qiniu.max_connections, or add a replica".into()
        }
        UpstreamFailureKind::NoEvidenceRoom => {
            "the memory for evidence is used up: the backend is slow to take it, or raise \
             qiniu.max_connections and server.body_memory"
                .into()
        }
        // The connection pool logs this, but not for each call.
        UpstreamFailureKind::NoDescriptor => return None,
        UpstreamFailureKind::Unreachable(error) => format!(
            "Qiniu (qiniu.endpoint) can't be reached: {error}; {}",
            advice(error)
        )
        .into(),
        UpstreamFailureKind::Timeout => {
            "Qiniu did not respond within the route's timeout; if it lasts, check the network and \
             ask Qiniu, or raise that timeout"
                .into()
        }
        UpstreamFailureKind::RejectedRequest => with_status(
            "Qiniu rejected the request",
            failure.status,
            "check the route's path and request.fields",
        ),
        UpstreamFailureKind::TooLarge => with_status(
            "Qiniu rejected the body as too large",
            failure.status,
            "lower the route's max_body",
        ),
        UpstreamFailureKind::Busy => with_status(
            "Qiniu is busy",
            failure.status,
            "if it lasts, lower the routes' rates, or ask Qiniu for more",
        ),
        UpstreamFailureKind::Error => with_status(
            "Qiniu failed",
            failure.status,
            "if it lasts, ask Qiniu, with the qiniu_reqid of access records",
        ),
        UpstreamFailureKind::NoResponse(error) => format!(
            "Qiniu closed the connection without a response: {error}; if it lasts, check what is \
             in between, and ask Qiniu"
        )
        .into(),
        UpstreamFailureKind::Invalid(invalid) => format!(
            "Qiniu's response was invalid: {invalid}; if it lasts, check that qiniu.endpoint is \
             Qiniu's, and ask Qiniu, with the qiniu_reqid of access records"
        )
        .into(),
    };
    Some((Level::WARN, text))
}

fn rejected_credentials(status: Option<u16>) -> Cow<'static, str> {
    let help = match status {
        Some(401) => {
            "check that qiniu.access_key and qiniu.secret_key are a pair, and enabled in Qiniu's \
             console"
        }
        Some(419) => "Qiniu has frozen the account: ask Qiniu, or pay its bill",
        _ => {
            "check qiniu.access_key and qiniu.secret_key, that the account may use this API, and \
             this machine's clock: Qiniu rejects one that is 15 minutes off"
        }
    };
    with_status("Qiniu rejected our credentials", status, help)
}

fn with_status(what: &str, status: Option<u16>, help: &str) -> Cow<'static, str> {
    match status {
        Some(status) => format!("{what} (HTTP {status}); {help}").into(),
        None => format!("{what}; {help}").into(),
    }
}
