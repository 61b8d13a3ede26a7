//! What became of each session on this replica, so that a session is billed once however often its
//! upload is sent.
//!
//! Each session is free, in progress, answered, or of unknown outcome; or another replica has it. A
//! session is forgotten six minutes after its first upload, a minute after it can no longer be
//! opened. Memory is bounded: beyond [`MAX_SESSIONS`] new sessions are refused until others are
//! forgotten, and beyond [`MAX_CACHED`] bytes the oldest responses are evicted, whose sessions stay
//! used. Nothing is ever billed twice for lack of memory.
//!
//! Never knows a caller or a session id, only digests and fingerprints, which are keyed hashes.
//! Where replicas share sessions, it also holds what was published of each session; it never
//! contacts the other replicas itself.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::cached::CachedResponse;
use crate::session::{
    fingerprint::Fingerprint,
    keyring::{CLOCK_GRACE, REMEMBERED},
    seal::DerivedKeys,
    ticket::SessionDigest,
};

/// Maximum number of sessions; each takes about 200 bytes.
const MAX_SESSIONS: usize = 1 << 18;
/// Maximum memory of cached responses, in bytes.
const MAX_CACHED: usize = 64 * 1024 * 1024;
/// Maximum number of sessions that wait to be published. Those beyond are published when the store
/// comes back the next time.
const MAX_UNPUBLISHED: usize = 1 << 18;

/// Why an upload can't use its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// Another video of the session is in progress.
    #[error("another video of the session is in progress")]
    InUse,
    /// Another video of the session was answered.
    #[error("another video of the session was answered")]
    Used,
    /// The session was sent to Qiniu, and the outcome is unknown.
    #[error("the session was sent and its outcome is unknown")]
    OutcomeUnknown,
    /// The session's lifetime is over.
    #[error("the session has expired")]
    Expired,
    /// Too many sessions are remembered.
    #[error("too many sessions are remembered")]
    Full,
    /// The same upload is in progress and did not finish within the wait timeout.
    #[error("the call in progress did not finish in time")]
    Timeout,
}

/// Every session that was used recently.
pub(super) struct VerifyLedger {
    sessions: Mutex<Sessions>,
    max_sessions: usize,
    max_cached: usize,
}

/// The sessions, and the orders in which they are forgotten, evicted and published.
#[derive(Default)]
pub(super) struct Sessions {
    pub(super) by_digest: HashMap<SessionDigest, Entry>,
    /// In the order in which they are forgotten.
    by_age: VecDeque<(Instant, SessionDigest)>,
    /// Those with a cached response, oldest response first. Forgotten ones are removed when they
    /// reach the front.
    answered: VecDeque<SessionDigest>,
    /// Memory of the cached responses, in bytes.
    cached: usize,
    /// Those with unpublished changes, oldest change first. A session may be queued twice, or may
    /// have been published since.
    pub(super) unpublished: VecDeque<SessionDigest>,
}

pub(super) struct Entry {
    pub(super) fingerprint: Fingerprint,
    pub(super) state: SessionState,
    /// Where replicas share sessions: what the others know of this one.
    pub(super) publication: Option<Publication>,
}

pub(super) enum SessionState {
    /// Claimed before, and Qiniu did not take the request.
    Free,
    /// Another replica has, or had, the session; nothing was sent from here.
    Elsewhere,
    /// A lease is held. Dropping the sender wakes the uploads that wait.
    InProgress(watch::Sender<()>),
    Answered(Arc<CachedResponse>),
    /// Sent with no known outcome, or the response was evicted.
    Unknown,
}

/// What other replicas know of a session.
#[derive(Clone)]
pub(super) struct Publication {
    /// Numbers this replica's leases.
    pub(super) lease: u64,
    /// The keys that seal the session's response.
    pub(super) keys: Arc<DerivedKeys>,
    /// When the session ends.
    pub(super) ends: Instant,
    /// The lease was granted: this replica makes the call. Before, it only asks the others.
    pub(super) granted: bool,
    /// The current state has been published.
    pub(super) published: bool,
}

/// The ledger's reply to an upload.
pub(super) enum Lookup {
    /// The upload is the first and holds the session now. `elsewhere`: another replica was known to
    /// have, or have had, the session.
    Acquired {
        elsewhere: bool,
    },
    /// The same upload is in progress; the channel closes when it ends.
    Wait(watch::Receiver<()>),
    Answered(Arc<CachedResponse>),
}

impl VerifyLedger {
    /// An empty ledger.
    pub(super) fn new() -> Arc<Self> {
        Self::with_capacity(MAX_SESSIONS, MAX_CACHED)
    }

    pub(super) fn with_capacity(max_sessions: usize, max_cached: usize) -> Arc<Self> {
        Arc::new(Self {
            sessions: Mutex::default(),
            max_sessions,
            max_cached,
        })
    }

    /// Looks a session up for an upload, and puts it in progress if the upload is the first.
    pub(super) fn look_up(
        &self,
        digest: SessionDigest,
        fingerprint: Fingerprint,
        ends: Instant,
        now: Instant,
    ) -> Result<Lookup, ClaimError> {
        let mut sessions = self.lock();
        sessions.forget(now);
        let full = sessions.by_digest.len() >= self.max_sessions;
        let mut elsewhere = false;
        match sessions.by_digest.get(&digest) {
            None if ends <= now => return Err(ClaimError::Expired),
            None if full => return Err(ClaimError::Full),
            None => sessions.by_age.push_back((now + REMEMBERED, digest)),
            Some(entry) => match &entry.state {
                SessionState::Free | SessionState::Elsewhere if ends <= now => {
                    return Err(ClaimError::Expired);
                }
                SessionState::Free => {}
                SessionState::Elsewhere => elsewhere = true,
                SessionState::InProgress(ended) if entry.fingerprint == fingerprint => {
                    return Ok(Lookup::Wait(ended.subscribe()));
                }
                SessionState::InProgress(_) => return Err(ClaimError::InUse),
                SessionState::Answered(response) if entry.fingerprint == fingerprint => {
                    return Ok(Lookup::Answered(Arc::clone(response)));
                }
                SessionState::Answered(_) => return Err(ClaimError::Used),
                SessionState::Unknown => return Err(ClaimError::OutcomeUnknown),
            },
        }
        let entry = Entry {
            fingerprint,
            state: SessionState::InProgress(watch::Sender::new(())),
            publication: None,
        };
        sessions.by_digest.insert(digest, entry);
        Ok(Lookup::Acquired { elsewhere })
    }

    /// Ends the lease of a session: it has another state now.
    pub(super) fn end(&self, digest: SessionDigest, state: SessionState) {
        let mut sessions = self.lock();
        let size = match &state {
            SessionState::Answered(response) => response.size(),
            _ => 0,
        };
        let Some(entry) = sessions.by_digest.get_mut(&digest) else {
            return;
        };
        // Drops the sender of the old state, under the lock: those who wait look again and find the
        // new state.
        entry.state = state;
        sessions.queue(digest);
        if size > 0 {
            sessions.cached = sessions.cached.saturating_add(size);
            sessions.answered.push_back(digest);
            sessions.evict(self.max_cached);
        }
    }

    /// Sets what other replicas know of a session whose lease is held.
    pub(super) fn set_publication(&self, digest: SessionDigest, publication: Publication) {
        if let Some(entry) = self.lock().by_digest.get_mut(&digest) {
            entry.publication = Some(publication);
        }
    }

    /// Forgets sessions that are old enough. Call it about every second.
    pub(super) fn sweep(&self) {
        self.lock().forget(Instant::now());
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Sessions> {
        // Each change is complete before anything can panic.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sessions {
    /// Queues a session to be published, where replicas share it.
    pub(super) fn queue(&mut self, digest: SessionDigest) {
        let entry = self.by_digest.get_mut(&digest);
        if let Some(publication) = entry.and_then(|entry| entry.publication.as_mut()) {
            publication.queue(digest, &mut self.unpublished);
        }
    }

    fn forget(&mut self, now: Instant) {
        while let Some((when, digest)) = self.by_age.front().copied()
            && when <= now
        {
            self.by_age.pop_front();
            match self.by_digest.get(&digest).map(|entry| &entry.state) {
                // The call outlives its session. A lease always ends, and then it is forgotten.
                Some(SessionState::InProgress(_)) => {
                    self.by_age.push_back((now + REMEMBERED, digest));
                }
                Some(SessionState::Answered(response)) => {
                    self.cached = self.cached.saturating_sub(response.size());
                    self.by_digest.remove(&digest);
                }
                Some(SessionState::Free | SessionState::Elsewhere | SessionState::Unknown) => {
                    drop(self.by_digest.remove(&digest));
                }
                None => {}
            }
        }
        while let Some(digest) = self.answered.front()
            && !matches!(
                self.by_digest.get(digest).map(|entry| &entry.state),
                Some(SessionState::Answered(_))
            )
        {
            self.answered.pop_front();
        }
    }

    /// Evicts the oldest responses until the rest takes no more than `max` bytes.
    fn evict(&mut self, max: usize) {
        while self.cached > max
            && let Some(digest) = self.answered.pop_front()
        {
            if let Some(entry) = self.by_digest.get_mut(&digest)
                && let SessionState::Answered(response) = &entry.state
            {
                self.cached = self.cached.saturating_sub(response.size());
                entry.state = SessionState::Unknown;
            }
        }
    }
}

impl Publication {
    /// Queues the session to be published.
    pub(super) fn queue(&mut self, digest: SessionDigest, queue: &mut VecDeque<SessionDigest>) {
        self.published = false;
        if queue.len() < MAX_UNPUBLISHED {
            queue.push_back(digest);
        }
    }

    /// How much longer the session is to be remembered.
    pub(super) fn remember(&self) -> Duration {
        self.ends.saturating_duration_since(Instant::now()) + CLOCK_GRACE
    }
}

#[cfg(test)]
#[path = "tests/ledger.rs"]
mod tests;
