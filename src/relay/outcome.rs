//! What is counted and recorded of a call to Qiniu, once it has ended.

use std::{sync::Arc, time::Duration};

use super::record::UpstreamFacts;
use crate::{
    qiniu::answer::{Answer, Failure, FailureKind},
    telemetry::Telemetry,
};

/// Counts a call that has ended.
pub(super) fn observe(
    telemetry: &Telemetry,
    route: &Arc<str>,
    result: &Result<Answer, Failure>,
    duration: Duration,
) {
    let metrics = &telemetry.metrics;
    let outcome = match result {
        Ok(answer) => {
            metrics.add_removed_bytes(answer.removed);
            match answer.error_code {
                None | Some(0) => "success",
                Some(code) => {
                    metrics.count_qiniu_error(route, code);
                    "qiniu_error"
                }
            }
        }
        Err(failure) => match failure.kind {
            FailureKind::NoPlace => "no_connection_free",
            FailureKind::Unreachable(_) => "unreachable",
            FailureKind::Timeout => "timeout",
            FailureKind::RejectedCredentials => "rejected_credentials",
            FailureKind::RejectedRequest => "rejected_request",
            FailureKind::TooLarge => "too_large",
            FailureKind::Busy => "busy",
            FailureKind::Error => "error",
            FailureKind::NoAnswer(_) => "no_answer",
            FailureKind::Invalid(_) => "invalid_response",
        },
    };
    metrics.record_upstream_call(route, outcome, duration);
}

/// What a record keeps of a call; the names in an answer are taken out of it, nothing else asks for them.
pub(super) fn facts(result: &mut Result<Answer, Failure>, duration: Duration) -> UpstreamFacts {
    match result {
        Ok(answer) => UpstreamFacts {
            duration: Some(duration),
            status: Some(200),
            error_code: answer.error_code,
            serverlogid: answer.serverlogid.take(),
            reqid: answer.reqid.take(),
            removed: Some(answer.removed),
        },
        Err(failure) => UpstreamFacts {
            duration: Some(duration),
            status: failure.status,
            reqid: failure.reqid.clone(),
            ..UpstreamFacts::default()
        },
    }
}
