//! What became of each session, for all replicas: claims and news of it. What follows from that is [`crate::session`]'s to decide.

use std::time::Duration;

use super::{
    Store, Unavailable,
    link::LIFE,
    names,
    script::{Reply, Script},
};
use crate::session::{fingerprint::Fingerprint, ticket};

/// In this time after a store has lost all, replicas come back to it and tell it what they know.
const SETTLE: Duration = Duration::from_secs(3);

/// What a claim comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimReply {
    /// Nobody called for it.
    First,
    /// The same upload is under way on another replica.
    Wait(Owner),
    /// Another upload of it is under way on another replica.
    InUse(Owner),
    /// It was answered; this is the sealed answer.
    Answered(Vec<u8>),
    /// Another upload of it was answered.
    Used,
    /// It was sent, and nobody can say what came of it.
    Unknown,
    /// The store knows nothing of it, but it is new, and some replica may have more to tell.
    Settling,
}

/// The replica that has a session's call under way.
pub(super) type Owner = String;

/// What is known of a session before it is claimed.
#[derive(Default)]
pub struct KnownClaim {
    /// Who had it under way at the last look.
    pub owner: Owner,
    /// Somebody claimed it, whether or not the store still knows.
    pub claimed: bool,
}

/// What is to be told of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishedState<'n> {
    /// Its call is under way here.
    UnderWay,
    /// It was answered; this is the sealed answer.
    Answered(&'n [u8]),
    /// It was sent, and nobody can say what came of it.
    Unknown,
    /// Qiniu did not take it.
    Free,
    /// Whoever asked for it here has left, and nothing was sent.
    Left,
}

/// A try at a session: what is asked about, by which of this replica's turns, and how long it is to be remembered.
#[derive(Clone, Copy)]
pub struct ClaimRequest<'t> {
    /// The session.
    pub name: &'t ticket::SessionDigest,
    /// The upload.
    pub fingerprint: Fingerprint,
    /// Tells this replica's turns apart.
    pub turn: u64,
    /// From now.
    pub remember: Duration,
}

impl Store {
    /// Claims a session; asked again by the same turn it answers the same.
    ///
    /// # Errors
    /// The store is away; the claim may have been noted all the same.
    pub async fn claim(
        &self,
        it: ClaimRequest<'_>,
        seen: &KnownClaim,
    ) -> Result<ClaimReply, Unavailable> {
        let flag = |on| if on { b"1".as_slice() } else { b"0".as_slice() };
        // After the store was away, everybody has the time of a sign of life to be heard again.
        let judge = self.link.up_for().is_some_and(|time| time >= LIFE);
        let owner = names::replica(&seen.owner);
        let [settle, life] = [SETTLE, LIFE].map(|time| time.as_millis().to_string());
        let more = [
            seen.owner.as_bytes(),
            flag(judge),
            flag(seen.claimed),
            settle.as_bytes(),
            life.as_bytes(),
        ];
        let reply = self
            .tried(&self.scripts.claim, it, &[&owner, &names::birth()], &more)
            .await?;
        read_told(reply).ok_or_else(|| self.link.misunderstood())
    }

    /// Tells what became of a session. Old news changes nothing.
    ///
    /// # Errors
    /// The store is away; it may know all the same.
    pub async fn publish(
        &self,
        it: ClaimRequest<'_>,
        news: PublishedState<'_>,
    ) -> Result<(), Unavailable> {
        let (state, answer) = match news {
            PublishedState::UnderWay => ("w", [].as_slice()),
            PublishedState::Answered(sealed) => ("a", sealed),
            PublishedState::Unknown => ("u", [].as_slice()),
            PublishedState::Free => ("f", [].as_slice()),
            PublishedState::Left => ("r", [].as_slice()),
        };
        let more = [state.as_bytes(), answer];
        match self.tried(&self.scripts.publish, it, &[], &more).await? {
            Reply::Number(_) => Ok(()),
            _ => Err(self.link.misunderstood()),
        }
    }

    async fn tried(
        &self,
        script: &Script,
        it: ClaimRequest<'_>,
        also: &[&super::StoreKey],
        more: &[&[u8]],
    ) -> Result<Reply, Unavailable> {
        let name = names::session(it.name);
        let turn = it.turn.to_string();
        let remember = it.remember.as_millis().max(1).to_string();
        let fingerprint = it.fingerprint.to_bytes();
        let mut args = vec![
            fingerprint.as_slice(),
            self.me.as_bytes(),
            turn.as_bytes(),
            remember.as_bytes(),
        ];
        args.extend_from_slice(more);
        let mut keys = vec![&name];
        keys.extend_from_slice(also);
        self.link.call(script, &keys, &args).await
    }
}

fn read_told(reply: Reply) -> Option<ClaimReply> {
    let Reply::List(parts) = reply else {
        return None;
    };
    let mut parts = parts.into_iter().map(|part| match part {
        Reply::Bytes(bytes) => Some(bytes),
        _ => None,
    });
    let word = parts.next()??;
    let also = parts.next().flatten();
    let owner = |also: Option<Vec<u8>>| String::from_utf8(also?).ok();
    Some(match word.as_slice() {
        b"first" => ClaimReply::First,
        b"wait" => ClaimReply::Wait(owner(also)?),
        b"in_use" => ClaimReply::InUse(owner(also)?),
        b"answered" => ClaimReply::Answered(also?),
        b"used" => ClaimReply::Used,
        b"unknown" => ClaimReply::Unknown,
        b"settling" => ClaimReply::Settling,
        _ => return None,
    })
}
