//! Publishes this replica's sessions to the others through the store: what ended while the store
//! was unavailable, and everything still of use when a store comes back, because it may have lost
//! its data.
//!
//! The ledger queues the sessions whose state has changed. A publication that fails stays queued
//! and is retried. Cached responses leave the process sealed. Relies on [`super::ledger`] and
//! [`crate::store`].

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::Notify, task::JoinSet, time::sleep};

use super::{
    cached::CachedResponse,
    ledger::{Publication, SessionState, Sessions, VerifyLedger},
};
use crate::{
    session::{fingerprint::Fingerprint, ticket::SessionDigest},
    store::{ClaimRequest, PublishedState, Store, Unavailable, jittered},
};

/// Until a failed publication is retried, while the store is available.
const RETRY: Duration = Duration::from_millis(200);
/// Maximum number of concurrent publications: the sooner a store that lost its data knows a session
/// again, the fewer uploads wait for it.
const CONCURRENCY: usize = 32;
/// Between looks for changes that nobody announced.
const POLL: Duration = Duration::from_secs(2);

/// Publishes what became of this replica's sessions.
pub(super) struct Outbox {
    pub(super) store: Arc<Store>,
    pub(super) ledger: Arc<VerifyLedger>,
    wake: Notify,
}

/// What is to be published of a session.
pub(super) struct SessionUpdate {
    pub(super) digest: SessionDigest,
    pub(super) fingerprint: Fingerprint,
    pub(super) publication: Publication,
    pub(super) state: UpdateState,
}

/// The state of a session, as other replicas are to know it.
pub(super) enum UpdateState {
    InProgress,
    Answered(Arc<CachedResponse>),
    Unknown,
    Free,
    /// The upload that asked for the session left before a lease was granted.
    Withdrawn,
}

impl Outbox {
    pub(super) fn new(store: Arc<Store>, ledger: Arc<VerifyLedger>) -> Arc<Self> {
        Arc::new(Self {
            store,
            ledger,
            wake: Notify::new(),
        })
    }

    /// Has unpublished changes looked for soon.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Publishes a session if it has changed and the store is available; otherwise it is published
    /// later. Retried once.
    pub(super) async fn publish(&self, digest: SessionDigest) {
        for _ in 0..2 {
            match self.ledger.update(digest) {
                None => return,
                Some(update) if self.send(&update).await.is_ok() => return,
                Some(_) if !self.store.link.is_up() => return,
                Some(_) => {}
            }
        }
        self.wake();
    }

    /// Publishes what is queued, and everything when the store comes back. Never ends.
    pub(super) async fn run(self: &Arc<Self>) {
        let mut changes = self.store.link.changes();
        loop {
            tokio::select! {
                changed = changes.changed() => match changed {
                    Ok(()) if changes.borrow_and_update().is_some() => self.ledger.queue_all(),
                    Ok(()) => continue,
                    Err(_) => return,
                },
                () = self.wake.notified() => {}
                // A lease that was dropped instead of settled does not wake this task.
                () = sleep(POLL) => {}
            }
            let mut publishers = JoinSet::new();
            while publishers.len() < CONCURRENCY
                && let Some(update) = self.ledger.next_update()
            {
                let outbox = Arc::clone(self);
                publishers.spawn(async move { outbox.drain(update).await });
            }
            let all_sent = publishers.join_all().await.iter().all(Result::is_ok);
            if !all_sent && self.store.link.is_up() {
                sleep(jittered(RETRY)).await;
                self.wake();
            }
        }
    }

    /// Publishes this update and then others, until none is queued or one fails.
    async fn drain(&self, mut update: SessionUpdate) -> Result<(), Unavailable> {
        loop {
            if let Err(unavailable) = self.send(&update).await {
                self.ledger.requeue(&update);
                return Err(unavailable);
            }
            match self.ledger.next_update() {
                Some(next) => update = next,
                None => return Ok(()),
            }
        }
    }

    async fn send(&self, update: &SessionUpdate) -> Result<(), Unavailable> {
        let SessionUpdate {
            digest,
            publication,
            ..
        } = update;
        let sealed = match &update.state {
            // A response that can't be sealed is published without it: to the other replicas the
            // session is used and its response unknown.
            UpdateState::Answered(response) => {
                let sealed = response.seal(&publication.keys, *digest);
                sealed.unwrap_or_default()
            }
            _ => Vec::new(),
        };
        let state = match &update.state {
            UpdateState::InProgress => PublishedState::InProgress,
            UpdateState::Answered(_) => PublishedState::Answered(&sealed),
            UpdateState::Unknown => PublishedState::Unknown,
            UpdateState::Free => PublishedState::Free,
            UpdateState::Withdrawn => PublishedState::Withdrawn,
        };
        let request = ClaimRequest {
            digest: digest.to_bytes(),
            fingerprint: update.fingerprint.to_bytes(),
            lease: publication.lease,
            remember: publication.remember(),
        };
        self.store.publish(&request, state).await?;
        self.ledger.mark_sent(update);
        Ok(())
    }
}

impl VerifyLedger {
    /// What is to be published of a session; `None` if the other replicas know its state or need
    /// not.
    pub(super) fn update(&self, digest: SessionDigest) -> Option<SessionUpdate> {
        let sessions = self.lock();
        let entry = sessions.by_digest.get(&digest)?;
        let publication = entry.publication.clone().filter(|it| !it.published)?;
        let granted = publication.granted;
        let state = match &entry.state {
            // Publishing a pending claim would make this replica look like the owner of the call.
            SessionState::InProgress(_) if !granted => return None,
            SessionState::InProgress(_) => UpdateState::InProgress,
            SessionState::Answered(response) => UpdateState::Answered(Arc::clone(response)),
            SessionState::Unknown => UpdateState::Unknown,
            SessionState::Free if granted => UpdateState::Free,
            // Without a lease this replica can withdraw its claim, and knows nothing else.
            SessionState::Free | SessionState::Elsewhere => UpdateState::Withdrawn,
        };
        Some(SessionUpdate {
            digest,
            fingerprint: entry.fingerprint,
            publication,
            state,
        })
    }

    /// Takes the next update from the queue.
    fn next_update(&self) -> Option<SessionUpdate> {
        loop {
            let digest = self.lock().unpublished.pop_front()?;
            if let Some(update) = self.update(digest) {
                return Some(update);
            }
        }
    }

    /// Notes that an update was published. A state that has changed meanwhile stays unpublished.
    fn mark_sent(&self, update: &SessionUpdate) {
        let mut sessions = self.lock();
        if let Some(entry) = sessions.by_digest.get_mut(&update.digest)
            && let Some(publication) = entry.publication.as_mut()
            && publication.lease == update.publication.lease
            && update.state.is(&entry.state)
        {
            publication.published = true;
        }
        sessions.drop_published();
    }

    /// Notes that the store has the current state of a session.
    pub(super) fn mark_known(&self, digest: SessionDigest) {
        let mut sessions = self.lock();
        let entry = sessions.by_digest.get_mut(&digest);
        if let Some(publication) = entry.and_then(|entry| entry.publication.as_mut()) {
            publication.published = true;
        }
        sessions.drop_published();
    }

    /// Puts an update that failed back, to be the next.
    fn requeue(&self, update: &SessionUpdate) {
        self.lock().unpublished.push_front(update.digest);
    }

    /// Queues everything that can still be of use: the store may have lost all its data.
    fn queue_all(&self) {
        let now = Instant::now();
        let mut sessions = self.lock();
        let Sessions {
            by_digest,
            unpublished,
            ..
        } = &mut *sessions;
        unpublished.clear();
        for (digest, entry) in by_digest {
            let Some(publication) = entry.publication.as_mut().filter(|it| it.ends > now) else {
                continue;
            };
            // That a session is free, or elsewhere, need not be published twice.
            let lasting = !matches!(entry.state, SessionState::Free | SessionState::Elsewhere);
            if lasting || !publication.published {
                publication.queue(*digest, unpublished);
            }
        }
    }
}

impl Sessions {
    /// Keeps sessions that were published directly from piling up in the queue.
    fn drop_published(&mut self) {
        while let Some(digest) = self.unpublished.front()
            && self
                .by_digest
                .get(digest)
                .and_then(|entry| entry.publication.as_ref())
                .is_none_or(|publication| publication.published)
        {
            self.unpublished.pop_front();
        }
    }
}

impl UpdateState {
    fn is(&self, state: &SessionState) -> bool {
        matches!(
            (self, state),
            (Self::InProgress, SessionState::InProgress(_))
                | (Self::Answered(_), SessionState::Answered(_))
                | (Self::Unknown, SessionState::Unknown)
                | (Self::Free, SessionState::Free)
                | (
                    Self::Withdrawn,
                    SessionState::Elsewhere | SessionState::Free
                )
        )
    }
}

#[cfg(test)]
#[path = "tests/outbox.rs"]
mod tests;
