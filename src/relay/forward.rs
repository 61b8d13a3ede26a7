//! The third step: from a [`Prepared`] request to the response's body.
//!
//! Acquires the permits of the call (lease, concurrency, quota), calls Qiniu, finalizes its
//! response, and settles the permits in one place, by the outcome of the call. Once started, it
//! runs to its end even if the caller disconnects: a billed call is worth finishing. Never sends a
//! `verify` twice.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{
    access_record::{AccessRecord, UpstreamFacts},
    admit::Admitted,
    audited::AuditedVerify,
    endpoint::Endpoint,
    finalize::VerdictContext,
    gateway::Gateway,
    in_flight::{DetachOnDrop, Forwarded, InFlightCall},
    refusal::Refusal,
    request_id::RequestId,
    upload::Prepared,
};
use crate::{
    body::nonce::Nonce,
    limit::{
        concurrency::ConcurrencyPermit,
        quota::shared::{CallerQuota, ReservedCall},
    },
    qiniu::{response::UpstreamResponse, upstream_call::UpstreamFailure},
    route::RouteKind,
    telemetry::{
        Telemetry,
        metrics::labels::{RouteLimit, UpstreamOutcome},
        trace_context::OutgoingTrace,
    },
    verify_once::{CachedResponse, VerifyLease, VerifyOutcome},
};

/// Forwards a request. It fails only by a defect of ours. If the request goes away meanwhile,
/// `record` is written when the call ends, with its facts.
pub(super) fn forward<'a>(
    gateway: &'a Arc<Gateway>,
    admitted: Admitted,
    quota: Option<CallerQuota>,
    prepared: Prepared,
    record: &'a mut AccessRecord,
) -> impl Future<Output = Result<Forwarded, Refusal>> {
    let request_id = record.request_id;
    let evidence = gateway.finalizer.evidence();
    let trace = evidence.and_then(|_| record.trace.outgoing(gateway.tracer.as_ref()));
    let work = call(
        Arc::clone(gateway),
        admitted,
        quota,
        prepared,
        request_id,
        trace,
    );
    let leave = move || {
        let stopped = gateway.readiness.is_grace_period_over();
        let mut record = record.hand_on(stopped);
        move |forwarded: Forwarded| {
            record.upstream = forwarded.facts;
            if let Err(refusal) = &forwarded.body {
                record.refused(refusal, refusal.problem().code);
            }
            drop(record);
            drop(forwarded.in_flight);
        }
    };
    let work = DetachOnDrop::new(work, &gateway.calls.pool, leave);
    async { work.await.map_err(|_| Refusal::Internal) }
}

/// Makes the call.
///
/// Not an `async fn`: its future would store the arguments twice.
fn call(
    gateway: Arc<Gateway>,
    admitted: Admitted,
    quota: Option<CallerQuota>,
    prepared: Prepared,
    request_id: RequestId,
    trace: Option<Box<OutgoingTrace>>,
) -> impl Future<Output = Forwarded> {
    let in_flight = gateway.calls.begin();
    async move {
        let (endpoint, telemetry) = (&admitted.endpoint, &gateway.telemetry);
        // Acquired here, where no disconnect of the caller can come between them and the call.
        let permits = CallPermits::acquire(telemetry, &admitted, quota, prepared.lease);
        let mut permits = match permits.await {
            Ok(permits) => permits,
            Err(refusal) => return Forwarded::refused(refusal, in_flight),
        };
        let digest = prepared.received.video_sha256;
        let audited = AuditedVerify::new(&gateway, &admitted, request_id, digest);
        // Boxed: without an audit log, no request pays for the size of these futures.
        let audited = match audited {
            Some(audited) => match Box::pin(audited.begin()).await {
                Ok(call) => Some(Box::new(call)),
                Err(refusal) => return Box::pin(permits.give_back(refusal, in_flight)).await,
            },
            None => None,
        };
        let started = Instant::now();
        let mut result = gateway
            .upstream
            .call(
                prepared.received.outgoing,
                &endpoint.answer,
                endpoint.settings.timeout,
                endpoint.settings.kind == RouteKind::Session,
                admitted.owner.as_ref(),
            )
            .await;
        drop(prepared.received.permit);
        permits.call_ended();
        let duration = started.elapsed();
        observe(telemetry, endpoint, &result, duration);
        let mut facts = facts(&mut result, started, duration);
        let not_taken = matches!(&result, Err(failure) if failure.nothing_was_taken());
        let body = match result {
            Ok(response) => {
                let nonce = prepared.received.nonce.as_ref();
                let trace = trace.as_deref();
                let context = verdict_context(&admitted, request_id, digest, nonce, trace);
                let finalized = gateway.finalizer.finalize(response, &context, telemetry);
                finalized.await.map(|finalized| {
                    facts.verdict = finalized.verdict;
                    facts.evidence = finalized.evidence;
                    Bytes::from(finalized.body)
                })
            }
            Err(failure) => Err(failure.into()),
        };
        if let Some(audited) = audited {
            Box::pin(audited.end(&body, &facts)).await;
        }
        permits
            .settle(CallOutcome::of(&body, not_taken, &facts))
            .await;
        Forwarded {
            body,
            facts: Some(facts),
            in_flight,
        }
    }
}

fn verdict_context<'a>(
    admitted: &'a Admitted,
    request_id: RequestId,
    video_sha256: Option<[u8; 32]>,
    nonce: Option<&'a Nonce>,
    trace: Option<&'a OutgoingTrace>,
) -> VerdictContext<'a> {
    VerdictContext {
        caller: &admitted.caller,
        request_id,
        scores_hidden: admitted.endpoint.settings.scores_hidden,
        video_sha256,
        nonce,
        trace,
    }
}

/// Counts a call that has ended.
fn observe(
    telemetry: &Telemetry,
    endpoint: &Endpoint,
    result: &Result<UpstreamResponse, UpstreamFailure>,
    duration: Duration,
) {
    let (metrics, route) = (&telemetry.metrics, &endpoint.path);
    let (taken, error_code) = match result {
        Ok(answer) => (true, answer.error_code),
        Err(failure) => (!failure.nothing_was_taken(), None),
    };
    if taken && is_billed(endpoint.settings.kind, error_code) {
        metrics.count_billed_call(route);
    }
    let outcome = match result {
        Ok(answer) => {
            metrics.add_removed_bytes(answer.removed);
            match answer.error_code {
                None | Some(0) => UpstreamOutcome::Success,
                Some(code) => {
                    metrics.count_qiniu_error(route, code);
                    UpstreamOutcome::QiniuError
                }
            }
        }
        Err(failure) => failure.kind.outcome(),
    };
    metrics.record_upstream_call(route, outcome, duration);
}

/// Whether Qiniu bills a call that it took, or may have taken: a `verify` whose video was judged,
/// by its `error_code`, or that has no response to tell.
fn is_billed(kind: RouteKind, error_code: Option<i64>) -> bool {
    kind == RouteKind::Verify && matches!(error_code, None | Some(0 | 216_500 | 223_120))
}

/// What the access record keeps of a call. Takes Qiniu's ids out of the response, since
/// nothing else needs them.
fn facts(
    result: &mut Result<UpstreamResponse, UpstreamFailure>,
    started: Instant,
    duration: Duration,
) -> UpstreamFacts {
    match result {
        Ok(answer) => UpstreamFacts {
            started: Some(started),
            duration: Some(duration),
            status: Some(200),
            error_code: answer.error_code,
            serverlogid: answer.serverlogid.take(),
            reqid: answer.reqid.take(),
            removed: Some(answer.removed),
            verdict: None,
            evidence: None,
        },
        Err(failure) => UpstreamFacts {
            started: Some(started),
            duration: Some(duration),
            status: failure.status,
            reqid: failure.reqid.clone(),
            ..UpstreamFacts::default()
        },
    }
}

/// What a call to Qiniu holds. Dropped without [`CallPermits::settle`], it counts as a call
/// whose outcome is unknown.
struct CallPermits {
    lease: Option<VerifyLease>,
    concurrency: Option<ConcurrencyPermit>,
    quota: Option<ReservedCall>,
}

/// How a call ended, as its session and quota see it.
enum CallOutcome<'a> {
    /// Qiniu certainly did not take the request: nothing was billed.
    NotTaken,
    /// The caller has this response, and gets it again for a retry.
    Answered(&'a Bytes, &'a UpstreamFacts),
    /// The request was sent, and there is no response to give.
    Unknown,
}

impl<'a> CallOutcome<'a> {
    fn of(body: &'a Result<Bytes, Refusal>, not_taken: bool, facts: &'a UpstreamFacts) -> Self {
        match body {
            Ok(body) => Self::Answered(body, facts),
            Err(_) if not_taken => Self::NotTaken,
            // A response that could not be finalized was billed all the same.
            Err(_) => Self::Unknown,
        }
    }
}

impl CallPermits {
    /// Takes a slot of the caller's concurrency and reserves a call of the quota. If one of
    /// them is used up, the lease is given back and its session stays usable.
    async fn acquire(
        telemetry: &Telemetry,
        admitted: &Admitted,
        quota: Option<CallerQuota>,
        lease: Option<VerifyLease>,
    ) -> Result<Self, Refusal> {
        let mut permits = Self {
            lease,
            concurrency: None,
            quota: None,
        };
        match permits.take(telemetry, admitted, quota).await {
            Ok(()) => Ok(permits),
            Err(refusal) => {
                permits.settle(CallOutcome::NotTaken).await;
                Err(refusal)
            }
        }
    }

    async fn take(
        &mut self,
        telemetry: &Telemetry,
        admitted: &Admitted,
        quota: Option<CallerQuota>,
    ) -> Result<(), Refusal> {
        let path = &admitted.endpoint.path;
        let refused = |limit| telemetry.metrics.count_limit_refusal(path, limit);
        if let Some(limit) = &admitted.endpoint.concurrency {
            self.concurrency = limit.enter(admitted.caller_key);
            if self.concurrency.is_none() {
                refused(RouteLimit::Concurrent);
                return Err(Refusal::Concurrent);
            }
        }
        if let Some(quota) = quota {
            let reserved = Box::pin(quota.reserve()).await.map_err(|exceeded| {
                refused(RouteLimit::Quota);
                Refusal::Quota(exceeded)
            })?;
            self.quota.insert(reserved).begin();
        }
        Ok(())
    }

    /// Ends all of them without a call, for this reason.
    async fn give_back(self, refusal: Refusal, in_flight: InFlightCall) -> Forwarded {
        self.settle(CallOutcome::NotTaken).await;
        Forwarded::refused(refusal, in_flight)
    }

    /// The call has ended: the caller may make the next one.
    fn call_ended(&mut self) {
        self.concurrency = None;
    }

    /// Ends all of them by the outcome of the call, and publishes the session's new state to
    /// the other replicas.
    async fn settle(self, outcome: CallOutcome<'_>) {
        if let (Some(quota), CallOutcome::NotTaken) = (self.quota, &outcome) {
            Box::pin(quota.give_back()).await;
        }
        let Some(lease) = self.lease else { return };
        let outcome = match outcome {
            CallOutcome::NotTaken => VerifyOutcome::NotTaken,
            CallOutcome::Answered(body, facts) => VerifyOutcome::Answered(CachedResponse::new(
                body,
                facts.error_code,
                facts.serverlogid.clone(),
                facts.reqid.clone(),
            )),
            CallOutcome::Unknown => VerifyOutcome::Unknown,
        };
        lease.settle(outcome).await;
    }
}
