//! Claims a session for an upload, on this replica and among the others.
//!
//! The ledger decides first: only the upload that acquires the lease on this replica asks the other
//! replicas, through the store, and the uploads that wait here share its result. So a crowd of
//! retries is one request to the store, and without a store nothing is asked. While another replica
//! makes the call, the store is polled in growing intervals: a message that got lost would need the
//! poll as well, and one session is rarely tried on two replicas at once.
//!
//! While the store is unavailable for more than a moment, this replica's ledger decides alone;
//! Qiniu itself refuses a session that was used. But a session that another replica is known to
//! have had is not sent from here: its outcome is unknown until the store is back. A claim whose
//! reply gets lost blocks nothing: this replica's next upload takes it over, and an upload that
//! leaves withdraws it.
//!
//! Relies on [`super::lease`], [`super::outbox`] and [`crate::store`].

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::time::{sleep, timeout};

use super::{
    cached::CachedResponse,
    lease::{Claim, VerifyLease, acquire},
    ledger::{ClaimError, Publication, VerifyLedger},
    outbox::Outbox,
};
use crate::{
    session::{fingerprint::Fingerprint, ticket::Ticket},
    store::{ClaimReply, ClaimRequest, KnownClaim, Store, Unavailable, jittered},
};

/// Until the first poll of a session that is in progress on another replica. The pauses then grow.
const FIRST_POLL: Duration = Duration::from_millis(15);
/// The longest pause between polls.
const MAX_POLL: Duration = Duration::from_millis(250);
/// How long the wait for another replica goes on while the store is unavailable, beyond the time in
/// which most stores are back.
const UNAVAILABLE_WAIT: Duration = Duration::from_secs(2);
/// How much longer than a call and its finalization a retry waits: neither begins at once.
const START_DELAY: Duration = Duration::from_secs(5);

/// How long a retry waits for the first upload: a little more than the `call` and the
/// `finalization` of its response may take.
pub fn wait_timeout(call: Duration, finalization: Duration) -> Duration {
    call.saturating_add(finalization)
        .saturating_add(START_DELAY)
}

/// Grants one call for each session.
pub struct VerifyOnce {
    ledger: Arc<VerifyLedger>,
    replicas: Option<Replicas>,
}

/// The other replicas.
struct Replicas {
    outbox: Arc<Outbox>,
    /// How many leases this replica has asked for.
    leases: AtomicU64,
}

impl VerifyOnce {
    /// Knows no session yet. With a store, sessions are shared with other replicas.
    pub fn new(store: Option<Arc<Store>>) -> Arc<Self> {
        let ledger = VerifyLedger::new();
        let replicas = store.map(|store| Replicas {
            outbox: Outbox::new(store, Arc::clone(&ledger)),
            leases: AtomicU64::new(0),
        });
        Arc::new(Self { ledger, replicas })
    }

    /// Claims a session for an upload, on this replica and among the others. Waits while the same
    /// upload is in progress, for `wait_timeout` at most, and calls `waits` when it begins to. It
    /// can be cancelled at any time: an upload that waits holds nothing.
    ///
    /// # Errors
    /// The session can't be used for this upload.
    pub async fn claim(
        &self,
        ticket: &Ticket,
        fingerprint: Fingerprint,
        wait_timeout: Duration,
        waits: &(dyn Fn() + Sync),
    ) -> Result<Claim, ClaimError> {
        // Boxed, because a request's future is moved with all it can hold, and few requests wait.
        let claim = Box::pin(self.claim_or_wait(ticket, fingerprint, waits));
        let claimed = timeout(wait_timeout, claim).await;
        claimed.unwrap_or(Err(ClaimError::Timeout))
    }

    /// Forgets sessions that are old enough. Call it about every second.
    pub fn sweep(&self) {
        self.ledger.sweep();
    }

    /// Publishes to the other replicas what they do not know yet. Never ends where there are any.
    pub async fn publish_updates(&self) {
        if let Some(replicas) = &self.replicas {
            replicas.outbox.run().await;
        }
    }

    async fn claim_or_wait(
        &self,
        ticket: &Ticket,
        fingerprint: Fingerprint,
        waits: &(dyn Fn() + Sync),
    ) -> Result<Claim, ClaimError> {
        let outbox = self.replicas.as_ref().map(|replicas| &replicas.outbox);
        let Ticket { digest, ends, .. } = *ticket;
        let acquired = acquire(&self.ledger, outbox, digest, fingerprint, ends, waits);
        let claim = acquired.await?;
        match (claim, &self.replicas) {
            (Claim::Acquired(lease), Some(replicas)) => {
                replicas.ask(lease, ticket, fingerprint, waits).await
            }
            (claim, _) => Ok(claim),
        }
    }
}

impl Replicas {
    async fn ask(
        &self,
        lease: VerifyLease,
        ticket: &Ticket,
        fingerprint: Fingerprint,
        waits: &(dyn Fn() + Sync),
    ) -> Result<Claim, ClaimError> {
        let publication = Publication {
            lease: self.leases.fetch_add(1, Ordering::Relaxed),
            keys: Arc::clone(ticket.keys()),
            ends: ticket.ends,
            granted: false,
            published: false,
        };
        lease.set_publication(publication.clone());
        let mut pending = PendingClaim {
            inquiry: Inquiry::new(lease.was_elsewhere(), self.outbox.store.link.recovery()),
            lease: Some(lease),
            unsure: false,
            ticket,
            outbox: &self.outbox,
        };
        loop {
            let request = ClaimRequest {
                digest: ticket.digest.to_bytes(),
                fingerprint: fingerprint.to_bytes(),
                lease: publication.lease,
                remember: publication.remember(),
            };
            pending.unsure = true;
            let before = self.outbox.store.link.up_since();
            let reply = self.claim(&request, &pending.inquiry.known).await;
            pending.unsure = reply.is_err();
            let lost_recently = reply.is_err() && self.outbox.store.link.was_lost_recently();
            match pending.inquiry.next(reply, lost_recently) {
                Step::Acquired => return pending.grant(publication, before),
                Step::Answered(sealed) => return pending.replay(&sealed),
                Step::Refused(error) => return Err(error),
                Step::Retry => {}
                Step::Wait if ticket.ends <= Instant::now() => return Err(ClaimError::Expired),
                Step::Wait => {
                    if pending.inquiry.known.claimed {
                        waits();
                    }
                    sleep(pending.inquiry.pause()).await;
                }
            }
        }
    }

    /// Retried once if the store is available and only this reply was late.
    async fn claim(
        &self,
        request: &ClaimRequest,
        known: &KnownClaim,
    ) -> Result<ClaimReply, Unavailable> {
        let store = &self.outbox.store;
        match store.claim(request, known).await {
            Err(Unavailable) if store.link.is_up() => store.claim(request, known).await,
            reply => reply,
        }
    }
}

/// What is known of a session while the store is asked repeatedly.
struct Inquiry {
    known: KnownClaim,
    pause: Duration,
    unavailable_since: Option<Instant>,
    /// How soon a store that was lost is usually back.
    recovery: Duration,
}

/// What follows from a reply of the store.
enum Step {
    Acquired,
    Answered(Vec<u8>),
    Refused(ClaimError),
    Retry,
    Wait,
}

impl Inquiry {
    fn new(claimed: bool, recovery: Duration) -> Self {
        let known = KnownClaim {
            claimed,
            ..KnownClaim::default()
        };
        Self {
            known,
            pause: FIRST_POLL,
            unavailable_since: None,
            recovery,
        }
    }

    fn next(&mut self, reply: Result<ClaimReply, Unavailable>, lost_recently: bool) -> Step {
        match reply {
            Ok(ClaimReply::Acquired) => Step::Acquired,
            Ok(ClaimReply::Answered(sealed)) => {
                self.known.claimed = true;
                Step::Answered(sealed)
            }
            Ok(ClaimReply::Used) => self.refused(ClaimError::Used),
            Ok(ClaimReply::Unknown) => self.refused(ClaimError::OutcomeUnknown),
            Ok(ClaimReply::InUse(replica)) if replica == self.known.replica => {
                Step::Refused(ClaimError::InUse)
            }
            // Asked once more with the replica's name: it may be dead.
            Ok(ClaimReply::InUse(replica)) => {
                self.is_elsewhere(replica);
                Step::Retry
            }
            Ok(ClaimReply::Wait(replica)) => {
                self.is_elsewhere(replica);
                Step::Wait
            }
            Ok(ClaimReply::Settling) => Step::Wait,
            Err(Unavailable) => self.without_store(lost_recently),
        }
    }

    fn without_store(&mut self, lost_recently: bool) -> Step {
        let since = self.unavailable_since.get_or_insert_with(Instant::now);
        let waited = since.elapsed();
        match self.known.claimed {
            true if waited > self.recovery.saturating_add(UNAVAILABLE_WAIT) => {
                Step::Refused(ClaimError::OutcomeUnknown)
            }
            true => Step::Wait,
            // Most stores that are lost are back within a moment, and without the store nobody
            // knows whether another replica has sent the session.
            false if lost_recently && waited < self.recovery => Step::Wait,
            false => Step::Acquired,
        }
    }

    /// Another replica had the session: uploads after this one need to know.
    fn refused(&mut self, error: ClaimError) -> Step {
        self.known.claimed = true;
        Step::Refused(error)
    }

    fn is_elsewhere(&mut self, replica: String) {
        self.known = KnownClaim {
            replica,
            claimed: true,
        };
        self.unavailable_since = None;
    }

    /// How long to wait before the next poll. It grows with each.
    fn pause(&mut self) -> Duration {
        let pause = jittered(self.pause);
        self.pause = self.pause.saturating_mul(3).div_f64(2.0).min(MAX_POLL);
        pause
    }
}

/// A lease that the other replicas are asked for. Dropped before it is granted, it gives the
/// session back.
struct PendingClaim<'a> {
    /// Taken when the claim succeeds.
    lease: Option<VerifyLease>,
    inquiry: Inquiry,
    /// The store may have noted a claim whose reply got lost.
    unsure: bool,
    ticket: &'a Ticket,
    outbox: &'a Outbox,
}

impl PendingClaim<'_> {
    /// `before`: since when the store had been available when it was asked.
    fn grant(
        &mut self,
        mut publication: Publication,
        before: Option<Instant>,
    ) -> Result<Claim, ClaimError> {
        let lease = self.lease.take().ok_or(ClaimError::OutcomeUnknown)?;
        publication.granted = true;
        lease.set_publication(publication);
        // What was published to the primary that is in use now did not have this lease yet.
        if self.outbox.store.link.up_since() != before {
            self.outbox.ledger.lock().queue(self.ticket.digest);
            self.outbox.wake();
        }
        Ok(Claim::Acquired(lease))
    }

    fn replay(&mut self, sealed: &[u8]) -> Result<Claim, ClaimError> {
        let Ticket { digest, .. } = *self.ticket;
        let response = CachedResponse::open(self.ticket.keys(), digest, sealed)
            .ok_or(ClaimError::OutcomeUnknown)?;
        let lease = self.lease.take().ok_or(ClaimError::OutcomeUnknown)?;
        let response = lease.answered(response);
        self.outbox.ledger.mark_known(digest);
        Ok(Claim::Replayed(response))
    }
}

impl Drop for PendingClaim<'_> {
    fn drop(&mut self) {
        let Some(lease) = self.lease.take() else {
            return;
        };
        match self.inquiry.known.claimed {
            true => lease.elsewhere(),
            // No other replica is known to have it, and nothing was sent from here.
            false => lease.free(),
        }
        match self.unsure {
            true => self.outbox.wake(),
            false => self.outbox.ledger.mark_known(self.ticket.digest),
        }
    }
}

#[cfg(test)]
#[path = "tests/claim.rs"]
mod tests;
