//! Claims: which replica may make the one call of a digest, and what became of it.

use std::time::Duration;

use super::{
    client::Store,
    error::Unavailable,
    keys::StoreKey,
    script::{Script, ScriptReply, Scripts},
};

/// The name of a replica.
type ReplicaId = String;

/// The store's reply to a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimReply {
    /// Nobody called for it: this replica may.
    Acquired,
    /// The same upload is in progress on this other replica.
    Wait(ReplicaId),
    /// Another upload is in progress on this other replica.
    InUse(ReplicaId),
    /// It was answered; this is the sealed response.
    Answered(Vec<u8>),
    /// Another upload of it was answered.
    Used,
    /// It was sent, and its outcome is unknown.
    Unknown,
    /// The store knows nothing of it, but it is new, and some replica may have more to publish.
    Settling,
}

/// What is known of a session before it is claimed.
#[derive(Default)]
pub struct KnownClaim {
    /// The replica on which it was in progress at the last look.
    pub replica: ReplicaId,
    /// Some other replica claimed it, whether or not the store still knows.
    pub claimed: bool,
}

/// The state of a session, to be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishedState<'a> {
    /// Its call is in progress on this replica.
    InProgress,
    /// It was answered; this is the sealed response.
    Answered(&'a [u8]),
    /// It was sent, and its outcome is unknown.
    Unknown,
    /// Qiniu did not take the request.
    Free,
    /// The upload that claimed it has left, and nothing was sent.
    Withdrawn,
}

/// An upload of a session.
#[derive(Clone, Copy, Debug)]
pub struct ClaimRequest {
    /// The session.
    pub digest: [u8; 16],
    /// The upload.
    pub fingerprint: [u8; 16],
    /// The number of this replica's lease; later leases have greater numbers.
    pub lease: u64,
    /// How long the claim is to be remembered, from now.
    pub remember: Duration,
}

impl Store {
    /// Claims a session. Repeated for the same lease, it returns the same.
    ///
    /// # Errors
    /// The store is unavailable; the claim may have been noted all the same.
    pub async fn claim(
        &self,
        request: &ClaimRequest,
        known: &KnownClaim,
    ) -> Result<ClaimReply, Unavailable> {
        // After the store was unavailable, each replica gets the lifetime of a heartbeat to be
        // noticed again before it is taken for dead.
        let (since, pace) = (self.link.up_since(), &self.link.pace);
        let may_judge = since.is_some_and(|since| since.elapsed() >= pace.lifetime);
        let [settling, lifetime] =
            [pace.settling, pace.lifetime].map(|time| time.as_millis().to_string());
        let args = [
            known.replica.as_bytes(),
            flag(may_judge),
            flag(known.claimed),
            settling.as_bytes(),
            lifetime.as_bytes(),
        ];
        let heartbeat = self.names.replica(&known.replica);
        let keys = [&heartbeat, &self.names.epoch()];
        let reply = self.run(&self.scripts.claim, request, &keys, &args).await?;
        let reply = match reply {
            Some(reply) => reply,
            None => self.claim_in_steps(request, keys, &args).await?,
        };
        ClaimReply::parse(reply).ok_or_else(|| self.link.invalid_reply())
    }

    /// Claims a session while the keys move from one node of a cluster to another, and no node has
    /// all of them. The age is read first: if it is wrong by then, it is too small, and the claim
    /// waits.
    async fn claim_in_steps(
        &self,
        request: &ClaimRequest,
        [heartbeat, epoch]: [&StoreKey; 2],
        args: &[&[u8]],
    ) -> Result<ScriptReply, Unavailable> {
        let Scripts { is_alive, age, .. } = &self.scripts;
        let alive = self.link.call(is_alive, &[heartbeat], &[]).await?;
        let ScriptReply::Number(age) = self.link.call(age, &[epoch], &[]).await? else {
            return Err(self.link.invalid_reply());
        };
        let age = age.to_string();
        let read = [flag(alive == ScriptReply::Number(1)), age.as_bytes()];
        let args = [args, &read].concat();
        let claimed = self.run(&self.scripts.claim, request, &[], &args).await?;
        claimed.ok_or(Unavailable)
    }

    /// Publishes what became of a session. A late publication of an earlier lease changes nothing.
    ///
    /// # Errors
    /// The store is unavailable; the publication may have reached it all the same.
    pub async fn publish(
        &self,
        request: &ClaimRequest,
        state: PublishedState<'_>,
    ) -> Result<(), Unavailable> {
        let (state, response) = match state {
            PublishedState::InProgress => ("w", [].as_slice()),
            PublishedState::Answered(sealed) => ("a", sealed),
            PublishedState::Unknown => ("u", [].as_slice()),
            PublishedState::Free => ("f", [].as_slice()),
            PublishedState::Withdrawn => ("r", [].as_slice()),
        };
        let args = [state.as_bytes(), response];
        match self.run(&self.scripts.publish, request, &[], &args).await? {
            Some(ScriptReply::Number(_)) => Ok(()),
            _ => Err(self.link.invalid_reply()),
        }
    }

    /// Runs a script with the arguments that both scripts begin with. `None` if no node of a
    /// cluster has all keys at the moment.
    async fn run(
        &self,
        script: &Script,
        request: &ClaimRequest,
        more_keys: &[&StoreKey],
        more_args: &[&[u8]],
    ) -> Result<Option<ScriptReply>, Unavailable> {
        let session = self.names.session(&request.digest);
        let lease = request.lease.to_string();
        let remember = request.remember.as_millis().max(1).to_string();
        let mut args = vec![
            request.fingerprint.as_slice(),
            self.replica.as_bytes(),
            lease.as_bytes(),
            remember.as_bytes(),
        ];
        args.extend_from_slice(more_args);
        let mut keys = vec![&session];
        keys.extend_from_slice(more_keys);
        self.link.call_split(script, &keys, &args).await
    }
}

fn flag(on: bool) -> &'static [u8] {
    if on { b"1" } else { b"0" }
}

impl ClaimReply {
    /// Parses the script's reply; `None` if it is none of the script's.
    pub fn parse(reply: ScriptReply) -> Option<Self> {
        let ScriptReply::List(parts) = reply else {
            return None;
        };
        let mut parts = parts.into_iter().map(|part| match part {
            ScriptReply::Bytes(bytes) => Some(bytes),
            _ => None,
        });
        let kind = parts.next()??;
        let value = parts.next().flatten();
        let replica = |value: Option<Vec<u8>>| String::from_utf8(value?).ok();
        Some(match kind.as_slice() {
            b"acquired" => Self::Acquired,
            b"wait" => Self::Wait(replica(value)?),
            b"in_use" => Self::InUse(replica(value)?),
            b"answered" => Self::Answered(value?),
            b"used" => Self::Used,
            b"unknown" => Self::Unknown,
            b"settling" => Self::Settling,
            _ => return None,
        })
    }
}
