//! What is counted and recorded of a call to Qiniu, once it has ended.

use std::{sync::Arc, time::Duration};

use super::record::UpstreamFacts;
use crate::{
    qiniu::{
        response::UpstreamResponse,
        upstream_call::{UpstreamFailure, UpstreamFailureKind},
    },
    telemetry::Telemetry,
};

/// Counts a call that has ended.
pub(super) fn observe(
    telemetry: &Telemetry,
    route: &Arc<str>,
    result: &Result<UpstreamResponse, UpstreamFailure>,
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
            UpstreamFailureKind::PoolExhausted => "no_connection_free",
            UpstreamFailureKind::Unreachable(_) => "unreachable",
            UpstreamFailureKind::Timeout => "timeout",
            UpstreamFailureKind::RejectedCredentials => "rejected_credentials",
            UpstreamFailureKind::RejectedRequest => "rejected_request",
            UpstreamFailureKind::TooLarge => "too_large",
            UpstreamFailureKind::Busy => "busy",
            UpstreamFailureKind::Error => "error",
            UpstreamFailureKind::NoResponse(_) => "no_answer",
            UpstreamFailureKind::Invalid(_) => "invalid_response",
        },
    };
    metrics.record_upstream_call(route, outcome, duration);
}

/// What a record keeps of a call; the names in an answer are taken out of it, nothing else asks for them.
pub(super) fn facts(
    result: &mut Result<UpstreamResponse, UpstreamFailure>,
    duration: Duration,
) -> UpstreamFacts {
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
