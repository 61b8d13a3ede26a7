//! What became of each session, so that one is billed once however often its upload is sent.
//!
//! The first upload of a session gets a [`VerifyLease`], the right and the duty to call Qiniu; the same upload again waits for its
//! outcome or gets the answer that is kept; another video is refused. A turn ends in one of three ways, and one that is dropped
//! without a word counts as a call whose outcome nobody knows: such a session is never sent again.
//!
//! All in memory. What is known of a session is forgotten six minutes after its first upload, a minute after it can't be
//! opened any more. Memory is bounded: beyond [`MOST_SESSIONS`] new ones are refused until others have been forgotten, and
//! beyond [`MOST_KEPT`] bytes the oldest answers are let go, whose sessions stay used. Nothing is ever billed twice for want of room.
//! Never knows a caller, a session id or a key: only names and fingerprints, which are keyed hashes. Where replicas share sessions, it
//! also knows what of each the others have been told (`outbox`); it never asks them itself.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{
    cached::CachedResponse,
    fingerprint::Fingerprint,
    outbox::{Mark, Outbox},
    ticket::{LIFETIME, SessionDigest},
};

/// Sessions known at once; each takes about 200 bytes.
const MOST_SESSIONS: usize = 1 << 18;
/// Bytes of kept answers.
const MOST_KEPT: usize = 64 * 1024 * 1024;
/// How much longer than a session lives it is remembered: clocks of replicas differ.
pub(super) const GRACE: Duration = Duration::from_secs(60);
/// How long after its call a session may still be asked for its answer, at the most.
pub const REMEMBERED: Duration = LIFETIME.saturating_add(GRACE);

/// Every session that was used of late.
pub struct VerifyLedger {
    pages: Mutex<Pages>,
    most_sessions: usize,
    most_kept: usize,
}

/// What a claim comes to.
pub enum Claim {
    /// The caller is the first: Qiniu is to be called.
    Acquired(VerifyLease),
    /// It was answered before; this is the answer.
    Replayed(Arc<CachedResponse>),
}

/// Why a session can't be used for an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimError {
    /// Another video of it is under way.
    InUse,
    /// Another video of it was answered.
    Used,
    /// It was sent to Qiniu, and what came of it can't be known.
    OutcomeUnknown,
    /// Its time is over.
    Expired,
    /// Too many sessions are known.
    Full,
}

/// The one upload of a session that may call Qiniu. To be ended by one of its methods.
#[must_use = "a turn that is dropped uses the session up"]
pub struct VerifyLease {
    ledger: Arc<VerifyLedger>,
    name: SessionDigest,
    elsewhere: bool,
    ended: bool,
}

#[derive(Default)]
pub(super) struct Pages {
    pub(super) sessions: HashMap<SessionDigest, Entry>,
    /// In the order in which they will be forgotten.
    by_age: VecDeque<(Instant, SessionDigest)>,
    /// Those with a kept answer, in the order of the answers. Forgotten ones stand in it until they come to the front.
    answered: VecDeque<SessionDigest>,
    /// Bytes of the kept answers.
    kept: usize,
    /// What other replicas have to hear.
    pub(super) outbox: Outbox,
}

pub(super) struct Entry {
    pub(super) fingerprint: Fingerprint,
    pub(super) state: State,
    /// Where replicas share sessions: what they know of it.
    pub(super) mark: Option<Mark>,
}

pub(super) enum State {
    /// Claimed once, and Qiniu did not get to see it.
    Free,
    /// Another replica has, or had, it; nothing of it was sent from here.
    Elsewhere,
    /// Being called for. Those who wait hear that it is over when the sender goes away.
    UnderWay(watch::Sender<()>),
    Answered(Arc<CachedResponse>),
    /// Also an answer that was let go.
    Unknown,
}

/// One look at the ledger.
enum Looked {
    Here(Claim),
    Wait(watch::Receiver<()>),
}

impl VerifyLedger {
    /// Knows nothing yet.
    pub fn new() -> Arc<Self> {
        Self::with_room(MOST_SESSIONS, MOST_KEPT)
    }

    fn with_room(most_sessions: usize, most_kept: usize) -> Arc<Self> {
        Arc::new(Self {
            pages: Mutex::default(),
            most_sessions,
            most_kept,
        })
    }

    /// Claims a session for an upload; waits while the same upload is under way. It may be given up at any time: who only
    /// waits holds nothing.
    ///
    /// # Errors
    /// Why it can't be used.
    pub async fn claim(
        self: &Arc<Self>,
        name: SessionDigest,
        fingerprint: Fingerprint,
        ends: Instant,
    ) -> Result<Claim, ClaimError> {
        loop {
            match self.look(name, fingerprint, ends, Instant::now())? {
                Looked::Here(claim) => return Ok(claim),
                // An error is the news: the sender is gone. When nothing was sent, one of those who waited is first now.
                Looked::Wait(mut over) => while over.changed().await.is_ok() {},
            }
        }
    }

    /// Forgets what is old enough; to be called every second or so.
    pub fn sweep(&self) {
        self.pages().forget(Instant::now());
    }

    fn look(
        self: &Arc<Self>,
        name: SessionDigest,
        fingerprint: Fingerprint,
        ends: Instant,
        now: Instant,
    ) -> Result<Looked, ClaimError> {
        let mut pages = self.pages();
        pages.forget(now);
        let full = pages.sessions.len() >= self.most_sessions;
        let mut elsewhere = false;
        match pages.sessions.get(&name) {
            None if ends <= now => return Err(ClaimError::Expired),
            None if full => return Err(ClaimError::Full),
            None => pages.by_age.push_back((now + REMEMBERED, name)),
            Some(entry) => match &entry.state {
                State::Free | State::Elsewhere if ends <= now => {
                    return Err(ClaimError::Expired);
                }
                State::Free => {}
                State::Elsewhere => elsewhere = true,
                State::UnderWay(over) if entry.fingerprint == fingerprint => {
                    return Ok(Looked::Wait(over.subscribe()));
                }
                State::UnderWay(_) => return Err(ClaimError::InUse),
                State::Answered(kept) if entry.fingerprint == fingerprint => {
                    return Ok(Looked::Here(Claim::Replayed(Arc::clone(kept))));
                }
                State::Answered(_) => return Err(ClaimError::Used),
                State::Unknown => return Err(ClaimError::OutcomeUnknown),
            },
        }
        let state = State::UnderWay(watch::Sender::new(()));
        let mark = None;
        pages.sessions.insert(
            name,
            Entry {
                fingerprint,
                state,
                mark,
            },
        );
        Ok(Looked::Here(Claim::Acquired(VerifyLease {
            ledger: Arc::clone(self),
            name,
            elsewhere,
            ended: false,
        })))
    }

    fn end(&self, name: SessionDigest, state: State) {
        let mut pages = self.pages();
        let size = match &state {
            State::Answered(kept) => kept.size(),
            _ => 0,
        };
        let Pages {
            sessions, outbox, ..
        } = &mut *pages;
        // The sender in the old state goes here, under the lock: who waited looks again and finds the new one.
        if let Some(entry) = sessions.get_mut(&name) {
            entry.state = state;
            if let Some(mark) = &mut entry.mark {
                outbox.note(name, mark);
            }
            if size > 0 {
                pages.kept = pages.kept.saturating_add(size);
                pages.answered.push_back(name);
                pages.let_go(self.most_kept);
            }
        }
    }

    pub(super) fn pages(&self) -> MutexGuard<'_, Pages> {
        // Each change is complete before anything that could panic.
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    fn forget(&mut self, now: Instant) {
        while let Some((when, name)) = self.by_age.front().copied()
            && when <= now
        {
            self.by_age.pop_front();
            match self.sessions.get(&name).map(|entry| &entry.state) {
                // Its call outlives it; a turn always ends, and then it is forgotten.
                Some(State::UnderWay(_)) => self.by_age.push_back((now + REMEMBERED, name)),
                Some(State::Answered(kept)) => {
                    self.kept = self.kept.saturating_sub(kept.size());
                    self.sessions.remove(&name);
                }
                Some(State::Free | State::Elsewhere | State::Unknown) => {
                    drop(self.sessions.remove(&name))
                }
                None => {}
            }
        }
        while let Some(name) = self.answered.front()
            && !matches!(
                self.sessions.get(name).map(|entry| &entry.state),
                Some(State::Answered(_))
            )
        {
            self.answered.pop_front();
        }
    }

    /// Lets the oldest answers go until the rest fits.
    fn let_go(&mut self, most: usize) {
        while self.kept > most
            && let Some(name) = self.answered.pop_front()
        {
            if let Some(entry) = self.sessions.get_mut(&name)
                && let State::Answered(kept) = &entry.state
            {
                self.kept = self.kept.saturating_sub(kept.size());
                entry.state = State::Unknown;
            }
        }
    }
}

impl VerifyLease {
    /// Qiniu answered, be it with an error of its own: the answer is kept for retries.
    pub fn answered(self, kept: CachedResponse) -> Arc<CachedResponse> {
        let kept = Arc::new(kept);
        self.end(State::Answered(Arc::clone(&kept)));
        kept
    }

    /// Qiniu did not take the request: the session is as good as before.
    pub fn not_sent(self) {
        self.end(State::Free);
    }

    /// It was sent, and no whole answer came: nobody can know what Qiniu made of it.
    pub fn lost(self) {
        self.end(State::Unknown);
    }

    /// Another replica has the session: whoever asks for it next has to ask there again.
    pub(super) fn elsewhere(self) {
        self.end(State::Elsewhere);
    }

    /// The session's name.
    pub fn name(&self) -> SessionDigest {
        self.name
    }

    /// Whether it was known before that another replica has, or had, the session.
    pub(super) fn was_elsewhere(&self) -> bool {
        self.elsewhere
    }

    /// Says by what the others know this turn.
    pub(super) fn mark(&self, mark: Mark) {
        if let Some(entry) = self.ledger.pages().sessions.get_mut(&self.name) {
            entry.mark = Some(mark);
        }
    }

    fn end(mut self, state: State) {
        self.ended = true;
        self.ledger.end(self.name, state);
    }
}

impl Drop for VerifyLease {
    fn drop(&mut self) {
        if !self.ended {
            self.ledger.end(self.name, State::Unknown);
        }
    }
}

#[cfg(test)]
#[path = "tests/ledger.rs"]
mod tests;
