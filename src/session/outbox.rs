//! What other replicas have not been told yet of this one's sessions: what ended while the store was away, and all that is still of use when
//! a store comes back, since it may have forgotten.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    cached::CachedResponse,
    fingerprint::Fingerprint,
    ledger::{GRACE, Pages, State, VerifyLedger},
    seal::Keys,
    ticket::SessionDigest,
};

/// Names that wait at the most; beyond, they are told when the store comes back the next time.
const MOST: usize = 1 << 18;

/// What other replicas know of a session.
#[derive(Clone)]
pub(super) struct Mark {
    /// Which of this replica's turns it is.
    pub(super) turn: u64,
    /// Whose keys its answer is sealed with.
    pub(super) keys: Arc<Keys>,
    /// When the session ends.
    pub(super) ends: Instant,
    /// It is this replica that calls for it; until then it only asks.
    pub(super) calls: bool,
    /// The last news has been told.
    pub(super) told: bool,
}

/// Sessions with news, in the order of the news; some stand in it twice, or were told meanwhile.
#[derive(Default)]
pub(super) struct Outbox(VecDeque<SessionDigest>);

/// What is to be told of a session.
pub(super) struct SessionUpdate {
    pub(super) name: SessionDigest,
    pub(super) fingerprint: Fingerprint,
    pub(super) mark: Mark,
    pub(super) state: Known,
}

/// A session's state, to be told.
pub(super) enum Known {
    UnderWay,
    Answered(Arc<CachedResponse>),
    Unknown,
    Free,
    Left,
}

impl Mark {
    /// How long the session is to be remembered.
    pub(super) fn remember(&self) -> Duration {
        self.ends.saturating_duration_since(Instant::now()) + GRACE
    }
}

impl Outbox {
    /// There is news of a session.
    pub(super) fn note(&mut self, name: SessionDigest, mark: &mut Mark) {
        mark.told = false;
        if self.0.len() < MOST {
            self.0.push_back(name);
        }
    }
}

impl VerifyLedger {
    /// What the others have not heard of a session; nothing when they know, or need not.
    pub(super) fn untold(&self, name: &SessionDigest) -> Option<SessionUpdate> {
        let pages = self.pages();
        let entry = pages.sessions.get(name)?;
        let mark = entry.mark.clone().filter(|mark| !mark.told)?;
        // Who only asks and says so would be taken for the one who calls.
        if matches!(entry.state, State::UnderWay(_)) && !mark.calls {
            return None;
        }
        Some(SessionUpdate {
            name: *name,
            fingerprint: entry.fingerprint,
            state: match &entry.state {
                State::UnderWay(_) => Known::UnderWay,
                State::Answered(kept) => Known::Answered(Arc::clone(kept)),
                State::Unknown => Known::Unknown,
                // Who only asked can take back a claim, and knows nothing else.
                State::Free if !mark.calls => Known::Left,
                State::Free => Known::Free,
                State::Elsewhere => Known::Left,
            },
            mark,
        })
    }

    /// The next session with news.
    pub(super) fn next_untold(&self) -> Option<SessionUpdate> {
        loop {
            let name = self.pages().outbox.0.pop_front()?;
            if let Some(item) = self.untold(&name) {
                return Some(item);
            }
        }
    }

    /// This was told. What has happened meanwhile is news still.
    pub(super) fn told(&self, item: &SessionUpdate) {
        let mut pages = self.pages();
        if let Some(entry) = pages.sessions.get_mut(&item.name)
            && let Some(mark) = entry.mark.as_mut()
            && mark.turn == item.mark.turn
            && item.state.is(&entry.state)
        {
            mark.told = true;
        }
        pages.drop_told();
    }

    /// The store knows as much as this replica.
    pub(super) fn heard(&self, name: &SessionDigest) {
        let mut pages = self.pages();
        if let Some(mark) = pages.sessions.get_mut(name).and_then(|it| it.mark.as_mut()) {
            mark.told = true;
        }
        pages.drop_told();
    }

    /// It could not be told; it is the next again.
    pub(super) fn not_told(&self, item: &SessionUpdate) {
        self.pages().outbox.0.push_front(item.name);
    }

    /// The store may have forgotten all: what can still be of use is news.
    pub(super) fn tell_all(&self) {
        let now = Instant::now();
        let mut pages = self.pages();
        let pages = &mut *pages;
        pages.outbox.0.clear();
        for (name, entry) in &mut pages.sessions {
            let Some(mark) = entry.mark.as_mut().filter(|mark| mark.ends > now) else {
                continue;
            };
            // Who is free, or elsewhere, need not be told twice.
            let lasting = !matches!(entry.state, State::Free | State::Elsewhere);
            if lasting || !mark.told {
                pages.outbox.note(*name, mark);
            }
        }
    }
}

impl Pages {
    /// So that names of what was told at once don't pile up.
    fn drop_told(&mut self) {
        while let Some(name) = self.outbox.0.front()
            && self
                .sessions
                .get(name)
                .and_then(|entry| entry.mark.clone())
                .is_none_or(|mark| mark.told)
        {
            self.outbox.0.pop_front();
        }
    }
}

impl Known {
    fn is(&self, state: &State) -> bool {
        matches!(
            (self, state),
            (Self::UnderWay, State::UnderWay(_))
                | (Self::Answered(_), State::Answered(_))
                | (Self::Unknown, State::Unknown)
                | (Self::Free, State::Free)
                | (Self::Left, State::Elsewhere | State::Free)
        )
    }
}

#[cfg(test)]
#[path = "tests/outbox.rs"]
mod tests;
