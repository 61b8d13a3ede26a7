//! The third step: from a [`Prepared`] request to the response's body.
//!
//! Acquires the permits of the call, calls Qiniu, finalizes its response, and settles the
//! permits. Once started, it runs to its end even if the caller disconnects: a billed call
//! is worth finishing. Never sends a `verify` twice.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{
    access_record::UpstreamFacts,
    admit::Admitted,
    finalize::VerdictContext,
    gateway::Gateway,
    in_flight::{DetachOnDrop, Forwarded, InFlightCall},
    permits::{CallOutcome, CallPermits},
    refusal::Refusal,
    request_id::RequestId,
    upload::Prepared,
};
use crate::{
    qiniu::{
        response::UpstreamResponse,
        upstream_call::{UpstreamFailure, UpstreamFailureKind},
    },
    route::RouteKind,
    telemetry::Telemetry,
};

/// Forwards a request. It fails only by a defect of ours.
///
/// Not an `async fn`: what it is given moves into the detachable future at once, and is no
/// part of the future that waits for it.
pub(super) fn forward(
    gateway: &Arc<Gateway>,
    admitted: Admitted,
    prepared: Prepared,
    request_id: RequestId,
) -> impl Future<Output = Result<Forwarded, Refusal>> {
    let in_flight = gateway.calls.begin();
    let work = call(
        Arc::clone(gateway),
        admitted,
        prepared,
        request_id,
        in_flight,
    );
    let work = DetachOnDrop::new(work, &gateway.calls.pool);
    async { work.await.map_err(|_| Refusal::Internal) }
}

async fn call(
    gateway: Arc<Gateway>,
    admitted: Admitted,
    prepared: Prepared,
    request_id: RequestId,
    _in_flight: InFlightCall,
) -> Forwarded {
    let received = prepared.received;
    // Acquired here, where no disconnect of the caller can come between them and the call.
    let mut permits = match CallPermits::acquire(&gateway, &admitted, prepared.lease).await {
        Ok(permits) => permits,
        Err(refusal) => {
            return Forwarded {
                body: Err(refusal),
                facts: None,
            };
        }
    };
    let (endpoint, telemetry) = (&admitted.endpoint, &gateway.telemetry);
    let started = Instant::now();
    let mut result = gateway
        .upstream
        .call(
            received.outgoing,
            &endpoint.answer,
            endpoint.settings.timeout,
            endpoint.settings.kind == RouteKind::Session,
            admitted.owner.as_ref(),
        )
        .await;
    drop(received.permit);
    permits.call_ended();
    let duration = started.elapsed();
    observe(telemetry, &endpoint.path, &result, duration);
    let facts = facts(&mut result, duration);
    let (body, not_taken) = match result {
        Ok(response) => {
            let context = VerdictContext {
                caller: &admitted.caller,
                request_id,
                scores_hidden: endpoint.settings.scores_hidden,
                video_sha256: received.video_sha256,
            };
            let body = gateway.finalizer.finalize(response, &context, telemetry);
            (body.await.map(Bytes::from), false)
        }
        Err(failure) => {
            let not_taken = failure.nothing_was_taken();
            (Err(failure.into()), not_taken)
        }
    };
    permits
        .settle(match &body {
            Ok(body) => CallOutcome::Answered(body, &facts),
            Err(_) if not_taken => CallOutcome::NotTaken,
            // A response that could not be finalized was billed all the same.
            Err(_) => CallOutcome::Unknown,
        })
        .await;
    Forwarded {
        body,
        facts: Some(facts),
    }
}

/// Counts a call that has ended.
fn observe(
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

/// What the access record keeps of a call. Takes Qiniu's ids out of the response, since
/// nothing else needs them.
fn facts(
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
