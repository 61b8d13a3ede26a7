//! What a call to Qiniu holds: the lease of its session, a slot of the caller's concurrency,
//! and a call of the caller's quota.
//!
//! All three are acquired here and settled in one place, by the outcome of the call. Never
//! calls Qiniu itself.

use std::sync::Arc;

use bytes::Bytes;

use super::{access_record::UpstreamFacts, admit::Admitted, gateway::Gateway, refusal::Refusal};
use crate::{
    limit::{concurrency::ConcurrencyPermit, quota::shared::Reserved},
    session::{Sessions, cached::CachedResponse, ledger::VerifyLease},
};

/// What a call to Qiniu holds. Dropped without [`CallPermits::settle`], it counts as a call
/// whose outcome is unknown.
pub(super) struct CallPermits {
    sessions: Option<Arc<Sessions>>,
    lease: Option<VerifyLease>,
    concurrency: Option<ConcurrencyPermit>,
    quota: Option<Reserved>,
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
            sessions: gateway.sessions.clone(),
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
        let name = lease.name();
        match outcome {
            CallOutcome::NotTaken => lease.not_sent(),
            CallOutcome::Answered(body, facts) => drop(lease.answered(CachedResponse {
                // A copy: the buffer behind `body` may be many times larger, and the cache
                // counts only its length.
                body: Bytes::copy_from_slice(body),
                error_code: facts.error_code,
                serverlogid: facts.serverlogid.clone(),
                reqid: facts.reqid.clone(),
            })),
            CallOutcome::Unknown => lease.lost(),
        }
        if let Some(sessions) = &self.sessions {
            Box::pin(sessions.tell(&name)).await;
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::{
        body::attempt::VerifyAttempt,
        session::{SessionSettings, ledger::Claim},
    };

    pub(in crate::relay) fn sessions() -> Arc<Sessions> {
        let settings = SessionSettings {
            seal_key: None,
            previous_seal_key: None,
        };
        Sessions::new(&settings, "qiniu.example").unwrap()
    }

    /// The same attempt each time.
    pub(in crate::relay) fn attempt(sessions: &Arc<Sessions>) -> VerifyAttempt {
        let owner = sessions.owner("issuer", "user");
        let id = owner.seal("S1", SystemTime::now()).unwrap();
        let ticket = owner.open(&id, SystemTime::now()).ok().unwrap();
        let fingerprint = owner.fingerprint().finish(&ticket, b"");
        VerifyAttempt {
            ticket,
            fingerprint,
        }
    }

    async fn claim(sessions: &Arc<Sessions>) -> Claim {
        let attempt = attempt(sessions);
        let claim = sessions.claim(&attempt.ticket, attempt.fingerprint).await;
        claim.ok().unwrap()
    }

    pub(in crate::relay) async fn lease(sessions: &Arc<Sessions>) -> VerifyLease {
        match claim(sessions).await {
            Claim::Acquired(lease) => lease,
            Claim::Replayed(_) => panic!("the session was used before"),
        }
    }

    #[tokio::test]
    async fn a_cached_response_takes_no_more_memory_than_its_length() {
        let sessions = sessions();
        let permits = CallPermits {
            lease: Some(lease(&sessions).await),
            sessions: Some(Arc::clone(&sessions)),
            concurrency: None,
            quota: None,
        };
        let mut body = Vec::with_capacity(1 << 20);
        body.extend_from_slice(b"{\"error_code\":0}");
        let body = Bytes::from(body);
        let facts = UpstreamFacts::default();
        permits.settle(CallOutcome::Answered(&body, &facts)).await;
        let Claim::Replayed(cached) = claim(&sessions).await else {
            panic!("the response was not cached");
        };
        assert_eq!(cached.body, body);
        drop((body, sessions));
        let body = Arc::into_inner(cached).unwrap().body;
        let length = body.len();
        assert_eq!(body.try_into_mut().unwrap().capacity(), length);
    }
}
