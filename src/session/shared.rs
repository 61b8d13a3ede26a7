//! Sessions over several replicas. The ledger here is the first place asked; only who is first here asks the others, through the
//! store, and all who wait here get what the one learns.
//!
//! While the store is away, but for the first moment, this replica's ledger decides alone; Qiniu itself refuses a session that was
//! used. But who is known to have been elsewhere is not sent from here on a guess: its outcome is unknown until the store is back. What
//! ended meanwhile is told later, and everything still of use is told again to a store that comes back; claims wait a moment for that. A
//! claim holds nothing when its answer gets lost: this replica's next try takes it over, and a caller that leaves gives it back. Qiniu's
//! answers leave the process sealed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::Notify, task::JoinSet, time::sleep};

use super::{
    Sessions,
    cached::CachedResponse,
    fingerprint::Fingerprint,
    ledger::{Claim, ClaimError, VerifyLease},
    outbox::{Known, Mark, SessionUpdate},
    ticket::{SessionDigest, Ticket},
};
use crate::store::{
    ClaimReply, ClaimRequest, KnownClaim, PublishedState, Store, Unavailable,
    link::{MOMENT, jittered},
};

/// Between looks at a session that is under way elsewhere.
const PAUSE: Duration = Duration::from_millis(15);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// A wait for another replica goes on for so long while the store is away.
const PATIENCE: Duration = Duration::from_secs(5);
/// Until what could not be told is tried again, while the store is there.
const AGAIN: Duration = Duration::from_millis(200);
/// So many are told at once: a store that lost all is soon asked about what it has not been told again.
const TOGETHER: usize = 32;
/// Between looks for news that nobody spoke of.
const LOOK: Duration = Duration::from_secs(2);

/// The other replicas.
pub(super) struct Shared {
    store: Arc<Store>,
    turns: AtomicU64,
    news: Notify,
}

/// What is known while it is asked again and again.
struct Look {
    seen: KnownClaim,
    pause: Duration,
    away_since: Option<Instant>,
}

/// What follows from an answer of the store's.
enum Step {
    First,
    Answered(Vec<u8>),
    Refused(ClaimError),
    Again,
    Wait,
}

/// A turn that is being asked for. Whoever leaves in the middle gives it back.
struct Asking<'s> {
    turn: Option<VerifyLease>,
    look: Look,
    /// The store may have noted a claim that nobody heard of.
    unsure: bool,
    name: SessionDigest,
    sessions: &'s Sessions,
    shared: &'s Shared,
}

impl Shared {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self {
            store,
            turns: AtomicU64::new(0),
            news: Notify::new(),
        }
    }
}

impl Sessions {
    /// Claims a session for an upload, here and among the other replicas; waits while the same upload is under way. It may be
    /// given up at any time: who only waits holds nothing.
    ///
    /// # Errors
    /// Why it can't be used.
    pub async fn claim(
        &self,
        ticket: &Ticket,
        fingerprint: Fingerprint,
    ) -> Result<Claim, ClaimError> {
        match self
            .ledger
            .claim(ticket.name, fingerprint, ticket.ends)
            .await?
        {
            Claim::Acquired(turn) => match &self.shared {
                Some(shared) => self.ask(shared, turn, ticket, fingerprint).await,
                None => Ok(Claim::Acquired(turn)),
            },
            answered @ Claim::Replayed(_) => Ok(answered),
        }
    }

    async fn ask(
        &self,
        shared: &Shared,
        turn: VerifyLease,
        ticket: &Ticket,
        fingerprint: Fingerprint,
    ) -> Result<Claim, ClaimError> {
        let mark = Mark {
            turn: shared.turns.fetch_add(1, Ordering::Relaxed),
            keys: Arc::clone(&ticket.keys),
            ends: ticket.ends,
            calls: false,
            told: false,
        };
        turn.mark(mark.clone());
        let seen = KnownClaim {
            claimed: turn.was_elsewhere(),
            ..KnownClaim::default()
        };
        let mut asking = Asking {
            turn: Some(turn),
            look: Look {
                seen,
                pause: PAUSE,
                away_since: None,
            },
            unsure: false,
            name: ticket.name,
            sessions: self,
            shared,
        };
        loop {
            let it = ClaimRequest {
                name: &ticket.name,
                fingerprint,
                turn: mark.turn,
                remember: mark.remember(),
            };
            asking.unsure = true;
            let told = shared.claim(it, &asking.look.seen).await;
            asking.unsure = told.is_err();
            let just_went = told.is_err() && shared.store.link.went_just_now();
            match asking.look.next(told, just_went) {
                Step::First => return asking.first(mark),
                Step::Answered(sealed) => {
                    let kept = CachedResponse::open(&ticket.keys, &ticket.name, &sealed);
                    let kept = kept.ok_or(ClaimError::OutcomeUnknown)?;
                    let answered = asking.with(|turn| Claim::Replayed(turn.answered(kept)));
                    self.ledger.heard(&ticket.name);
                    return answered;
                }
                Step::Refused(why) => return Err(why),
                Step::Again => {}
                Step::Wait if ticket.ends <= Instant::now() => return Err(ClaimError::Expired),
                Step::Wait => sleep(asking.look.pause()).await,
            }
        }
    }

    /// Tells the others what became of a session, if there is news and the store is there; else it is told later.
    pub async fn tell(&self, name: &SessionDigest) {
        let Some(shared) = &self.shared else { return };
        for _ in 0..2 {
            match self.ledger.untold(name) {
                None => return,
                Some(item) if self.tell_item(shared, &item).await.is_ok() => return,
                Some(_) if !shared.store.link.is_up() => return,
                Some(_) => {}
            }
        }
        shared.news.notify_one();
    }

    /// Tells the others what they have not heard, and everything when the store was away. Never ends where replicas share.
    pub async fn keep_telling(self: &Arc<Self>) {
        let Some(shared) = &self.shared else { return };
        let mut changes = shared.store.link.changes();
        loop {
            tokio::select! {
                changed = changes.changed() => match changed {
                    Ok(()) if changes.borrow_and_update().is_some() => self.ledger.tell_all(),
                    Ok(()) => continue,
                    Err(_) => return,
                },
                () = shared.news.notified() => {}
                // A turn that was dropped without a word tells nobody.
                () = sleep(LOOK) => {}
            }
            let mut tellers = JoinSet::new();
            while tellers.len() < TOGETHER
                && let Some(item) = self.ledger.next_untold()
            {
                let sessions = Arc::clone(self);
                tellers.spawn(async move { sessions.tell_on(item).await });
            }
            let all_told = tellers.join_all().await.iter().all(Result::is_ok);
            if !all_told && shared.store.link.is_up() {
                sleep(jittered(AGAIN)).await;
                shared.news.notify_one();
            }
        }
    }

    /// Tells this, and what else has not been told, until there is nothing left or nobody to hear it.
    async fn tell_on(&self, mut item: SessionUpdate) -> Result<(), Unavailable> {
        let shared = self.shared.as_ref().ok_or(Unavailable)?;
        loop {
            if let Err(away) = self.tell_item(shared, &item).await {
                self.ledger.not_told(&item);
                return Err(away);
            }
            match self.ledger.next_untold() {
                Some(next) => item = next,
                None => return Ok(()),
            }
        }
    }

    async fn tell_item(&self, shared: &Shared, item: &SessionUpdate) -> Result<(), Unavailable> {
        let sealed = match &item.state {
            // What can't be sealed is known as answered all the same: the others say that they don't know what.
            Known::Answered(kept) => kept.seal(&item.mark.keys, &item.name).unwrap_or_default(),
            _ => Vec::new(),
        };
        let news = match &item.state {
            Known::UnderWay => PublishedState::UnderWay,
            Known::Answered(_) => PublishedState::Answered(&sealed),
            Known::Unknown => PublishedState::Unknown,
            Known::Free => PublishedState::Free,
            Known::Left => PublishedState::Left,
        };
        let it = ClaimRequest {
            name: &item.name,
            fingerprint: item.fingerprint,
            turn: item.mark.turn,
            remember: item.mark.remember(),
        };
        shared.store.publish(it, news).await?;
        self.ledger.told(item);
        Ok(())
    }
}

impl Shared {
    /// Asks; once more if the store is there and only this answer was late.
    async fn claim(
        &self,
        it: ClaimRequest<'_>,
        seen: &KnownClaim,
    ) -> Result<ClaimReply, Unavailable> {
        match self.store.claim(it, seen).await {
            Err(Unavailable) if self.store.link.is_up() => self.store.claim(it, seen).await,
            told => told,
        }
    }
}

impl Look {
    fn next(&mut self, told: Result<ClaimReply, Unavailable>, just_went: bool) -> Step {
        // Whoever leaves after this has heard of another replica that had the session.
        self.seen.claimed |= matches!(
            told,
            Ok(ClaimReply::Answered(_) | ClaimReply::Used | ClaimReply::Unknown)
        );
        match told {
            Ok(ClaimReply::First) => Step::First,
            Ok(ClaimReply::Answered(sealed)) => Step::Answered(sealed),
            Ok(ClaimReply::Used) => Step::Refused(ClaimError::Used),
            Ok(ClaimReply::Unknown) => Step::Refused(ClaimError::OutcomeUnknown),
            Ok(ClaimReply::InUse(owner)) if owner == self.seen.owner => {
                Step::Refused(ClaimError::InUse)
            }
            // Asked once more with the owner's name: it may be dead.
            Ok(ClaimReply::InUse(owner)) => {
                self.elsewhere(owner);
                Step::Again
            }
            Ok(ClaimReply::Wait(owner)) => {
                self.elsewhere(owner);
                Step::Wait
            }
            Ok(ClaimReply::Settling) => Step::Wait,
            Err(Unavailable) => {
                let since = self.away_since.get_or_insert_with(Instant::now).elapsed();
                match self.seen.claimed {
                    true if since > PATIENCE => Step::Refused(ClaimError::OutcomeUnknown),
                    true => Step::Wait,
                    // Worth a moment: without the store nobody knows whether another replica has sent it.
                    false if just_went && since < MOMENT => Step::Wait,
                    false => Step::First,
                }
            }
        }
    }

    fn elsewhere(&mut self, owner: String) {
        self.seen = KnownClaim {
            owner,
            claimed: true,
        };
        self.away_since = None;
    }

    /// Grows.
    fn pause(&mut self) -> Duration {
        let pause = jittered(self.pause);
        self.pause = self.pause.saturating_mul(3).div_f64(2.0).min(LONGEST_PAUSE);
        pause
    }
}

impl Asking<'_> {
    fn first(&mut self, mark: Mark) -> Result<Claim, ClaimError> {
        self.with(|turn| {
            turn.mark(Mark {
                calls: true,
                ..mark
            });
            Claim::Acquired(turn)
        })
    }

    fn with(&mut self, with: impl FnOnce(VerifyLease) -> Claim) -> Result<Claim, ClaimError> {
        // It is there until now.
        self.turn.take().map(with).ok_or(ClaimError::OutcomeUnknown)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if let Some(turn) = self.turn.take() {
            match self.look.seen.claimed {
                true => turn.elsewhere(),
                // Nobody is known to have it, and nothing was sent from here.
                false => turn.not_sent(),
            }
            match self.unsure {
                true => self.shared.news.notify_one(),
                false => self.sessions.ledger.heard(&self.name),
            }
        }
    }
}
