//! The lease of a session: the right and the duty to make its one billed call.
//!
//! [`acquire`] grants it to the first upload of a session on this replica; the same upload again
//! waits for the outcome or gets the cached response, and another video is refused. A lease ends
//! with [`VerifyLease::settle`]. One that is dropped instead counts as a call with unknown outcome:
//! such a session is never sent again. Relies on [`super::ledger`] and [`super::outbox`].

use std::{sync::Arc, time::Instant};

use super::{
    cached::CachedResponse,
    ledger::{ClaimError, Lookup, Publication, SessionState, VerifyLedger},
    outbox::Outbox,
};
use crate::session::{fingerprint::Fingerprint, ticket::SessionDigest};

/// A session that an upload may use.
pub enum Claim {
    /// The upload is the first: Qiniu is to be called.
    Acquired(VerifyLease),
    /// The upload is a retry: this is the response of the first.
    Replayed(Arc<CachedResponse>),
}

/// The outcome of a call to Qiniu, as its session sees it.
pub enum VerifyOutcome {
    /// Qiniu did not take the request: the session can be used again.
    NotTaken,
    /// Qiniu answered, possibly with an error of its own: the response is cached for retries.
    Answered(CachedResponse),
    /// The request was sent and no complete response came: what Qiniu made of it is unknown.
    Unknown,
}

/// The right of one upload of a session to call Qiniu.
#[must_use = "a lease that is dropped uses its session up"]
pub struct VerifyLease {
    ledger: Arc<VerifyLedger>,
    /// Where replicas share sessions: publishes the outcome.
    outbox: Option<Arc<Outbox>>,
    digest: SessionDigest,
    elsewhere: bool,
    ended: bool,
}

/// Acquires the lease of a session on this replica; waits while the same upload is in progress, and
/// calls `waits` before. It can be cancelled at any time: an upload that waits holds nothing.
///
/// # Errors
/// The session can't be used for this upload.
pub(super) async fn acquire(
    ledger: &Arc<VerifyLedger>,
    outbox: Option<&Arc<Outbox>>,
    digest: SessionDigest,
    fingerprint: Fingerprint,
    ends: Instant,
    waits: &(dyn Fn() + Sync),
) -> Result<Claim, ClaimError> {
    loop {
        match ledger.look_up(digest, fingerprint, ends, Instant::now())? {
            Lookup::Acquired { elsewhere } => {
                return Ok(Claim::Acquired(VerifyLease {
                    ledger: Arc::clone(ledger),
                    outbox: outbox.cloned(),
                    digest,
                    elsewhere,
                    ended: false,
                }));
            }
            Lookup::Answered(response) => return Ok(Claim::Replayed(response)),
            // The sender is dropped when the lease ends. If nothing was sent, one of the uploads
            // that waited acquires the lease.
            Lookup::Wait(mut ended) => {
                waits();
                while ended.changed().await.is_ok() {}
            }
        }
    }
}

impl VerifyLease {
    /// Ends the lease with the outcome of the call, on this replica at once and then on the others:
    /// they know it before the caller gets the response, if the store is available.
    pub async fn settle(self, outcome: VerifyOutcome) {
        let (outbox, digest) = (self.outbox.clone(), self.digest);
        match outcome {
            VerifyOutcome::NotTaken => self.free(),
            VerifyOutcome::Answered(response) => drop(self.answered(response)),
            VerifyOutcome::Unknown => self.end(SessionState::Unknown),
        }
        if let Some(outbox) = outbox {
            // Boxed, because few gateways have a store and the future is moved with all it can
            // hold.
            Box::pin(outbox.publish(digest)).await;
        }
    }

    /// Ends the lease with a response, on this replica alone.
    pub(super) fn answered(self, response: CachedResponse) -> Arc<CachedResponse> {
        let response = Arc::new(response);
        self.end(SessionState::Answered(Arc::clone(&response)));
        response
    }

    /// Ends the lease unused, on this replica alone.
    pub(super) fn free(self) {
        self.end(SessionState::Free);
    }

    /// Ends the lease because another replica has the session: the next upload asks the others
    /// again.
    pub(super) fn elsewhere(self) {
        self.end(SessionState::Elsewhere);
    }

    /// Whether another replica was known to have, or have had, the session before this lease.
    pub(super) fn was_elsewhere(&self) -> bool {
        self.elsewhere
    }

    /// Sets what other replicas know of this lease.
    pub(super) fn set_publication(&self, publication: Publication) {
        self.ledger.set_publication(self.digest, publication);
    }

    fn end(mut self, state: SessionState) {
        self.ended = true;
        self.ledger.end(self.digest, state);
    }
}

impl Drop for VerifyLease {
    fn drop(&mut self) {
        if !self.ended {
            self.ledger.end(self.digest, SessionState::Unknown);
        }
    }
}
