//! What a call to Qiniu holds: the lease of its session, a slot of the caller's concurrency,
//! and a call of the caller's quota.
//!
//! All three are acquired here and settled in one place, by the outcome of the call. Never
//! calls Qiniu itself.

use bytes::Bytes;

use super::{access_record::UpstreamFacts, admit::Admitted, gateway::Gateway, refusal::Refusal};
use crate::{
    limit::{concurrency::ConcurrencyPermit, quota::shared::ReservedCall},
    verify_once::{CachedResponse, VerifyLease, VerifyOutcome},
};

/// What a call to Qiniu holds. Dropped without [`CallPermits::settle`], it counts as a call
/// whose outcome is unknown.
pub(super) struct CallPermits {
    lease: Option<VerifyLease>,
    concurrency: Option<ConcurrencyPermit>,
    quota: Option<ReservedCall>,
}

/// How a call ended, as its session and quota see it.
pub(super) enum CallOutcome<'a> {
    /// Qiniu certainly did not take the request: nothing was billed.
    NotTaken,
    /// The caller has this response, and gets it again for a retry.
    Answered(&'a Bytes, &'a UpstreamFacts),
    /// The request was sent, and there is no response to give.
    Unknown,
}

impl CallPermits {
    /// Takes a slot of the caller's concurrency and reserves a call of the quota. If one of
    /// them is used up, the lease is given back and its session stays usable.
    pub(super) async fn acquire(
        gateway: &Gateway,
        admitted: &Admitted,
        lease: Option<VerifyLease>,
    ) -> Result<Self, Refusal> {
        let mut permits = Self {
            lease,
            concurrency: None,
            quota: None,
        };
        match permits.take(admitted).await {
            Ok(()) => Ok(permits),
            Err(refusal) => {
                let limit = match refusal {
                    Refusal::Concurrent => "concurrent",
                    _ => "quota",
                };
                let metrics = &gateway.telemetry.metrics;
                metrics.count_limit_refusal(&admitted.endpoint.path, limit);
                permits.settle(CallOutcome::NotTaken).await;
                Err(refusal)
            }
        }
    }

    async fn take(&mut self, admitted: &Admitted) -> Result<(), Refusal> {
        if let Some(limit) = &admitted.endpoint.concurrency {
            let slot = limit.enter(admitted.caller_key);
            self.concurrency = Some(slot.ok_or(Refusal::Concurrent)?);
        }
        if let Some(quota) = admitted.limits.quota.clone() {
            let reserved = Box::pin(quota.reserve()).await.map_err(Refusal::Quota)?;
            self.quota.insert(reserved).begin();
        }
        Ok(())
    }

    /// The call has ended: the caller may make the next one.
    pub(super) fn call_ended(&mut self) {
        self.concurrency = None;
    }

    /// Ends all of them by the outcome of the call, and publishes the session's new state to
    /// the other replicas.
    pub(super) async fn settle(self, outcome: CallOutcome<'_>) {
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
