//! Liveness sessions as frontends see them: bound to their user, and good for one billed call.
//!
//! [`seal`] holds the keys, [`ticket`] seals and opens session ids, [`fingerprint`] tells a retry from another video, [`ledger`]
//! knows what became of each session, [`kept`] is an answer that may be given again, `shared` asks and tells other replicas, of which
//! `untold` keeps account. Nothing here talks to Qiniu or
//! knows HTTP. With `sessions.bind = false` none of it is used.

pub mod fingerprint;
pub mod kept;
pub mod ledger;
pub mod seal;
mod shared;
pub mod ticket;
mod untold;

use std::sync::Arc;

use aws_lc_rs::error::Unspecified;

use self::{
    fingerprint::{Fingerprint, Running},
    kept::Kept,
    ledger::Ledger,
    seal::{Keyring, SealKey, Which},
    shared::Shared,
    ticket::{Holder, Name, Ticket},
};
use crate::store::Store;

/// `[sessions]`, checked, where `bind` is on.
#[derive(Clone)]
pub struct SessionSettings {
    /// Seals and opens; none: a key is made at start, which is good for one replica.
    pub seal_key: Option<SealKey>,
    /// Opens what was sealed before a change of keys, or will be after it.
    pub previous_seal_key: Option<SealKey>,
}

/// What binds sessions to callers, made once at start.
pub struct Sessions {
    keys: Keyring,
    /// Qiniu's address: an id of a test system is of no use here, even under the same key.
    deployment: String,
    /// What became of each session, as far as this replica knows.
    pub ledger: Arc<Ledger>,
    /// The other replicas, where there are any.
    shared: Option<Shared>,
}

impl Sessions {
    /// Derives the keys.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn new(settings: &SessionSettings, deployment: &str) -> Result<Arc<Self>, Unspecified> {
        Self::over(settings, deployment, None)
    }

    /// The same, shared with other replicas where there is a store.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn over(
        settings: &SessionSettings,
        deployment: &str,
        store: Option<Arc<Store>>,
    ) -> Result<Arc<Self>, Unspecified> {
        let made = match &settings.seal_key {
            Some(key) => key,
            None => &SealKey::random()?,
        };
        Ok(Arc::new(Self {
            keys: Keyring::new(made, settings.previous_seal_key.as_ref())?,
            deployment: deployment.to_owned(),
            ledger: Ledger::new(),
            shared: store.map(Shared::new),
        }))
    }

    /// A user, and who vouches for them, to seal and open ids for.
    pub fn holder(self: &Arc<Self>, issuer: &str, user: &str) -> Holder {
        Holder::new(self, issuer, user)
    }

    fn fingerprint(&self) -> BodyPrint {
        let start = |which| Running::new(&self.keys.of(which).prints);
        BodyPrint {
            current: start(Which::Current),
            previous: self.keys.previous.is_some().then(|| start(Which::Previous)),
        }
    }

    /// Writes an answer down so that it may leave the process; `None`: it can't be, and stays here.
    pub fn seal_answer(&self, ticket: &Ticket, kept: &Kept) -> Option<Vec<u8>> {
        self.seal_kept(ticket.which, &ticket.name, kept)
    }

    fn seal_kept(&self, which: Which, name: &Name, kept: &Kept) -> Option<Vec<u8>> {
        let keys = self.keys.of(which);
        keys.seal_answer(&name.0, &kept.write()?).ok()
    }

    /// Reads such an answer; `None`: it is another session's, or forged.
    pub fn open_answer(&self, ticket: &Ticket, sealed: &[u8]) -> Option<Kept> {
        let keys = self.keys.of(ticket.which);
        Kept::read(&keys.open_answer(&ticket.name.0, sealed)?)
    }
}

/// A fingerprint of an upload under way, under each key that its session may turn out to belong to: replicas that
/// change keys one after the other must agree.
pub struct BodyPrint {
    current: Running,
    previous: Option<Running>,
}

impl BodyPrint {
    /// Takes the next bytes of the video, in base64 as Qiniu gets it.
    pub fn feed(&mut self, text: &[u8]) {
        self.current.feed(text);
        if let Some(previous) = &mut self.previous {
            previous.feed(text);
        }
    }

    /// The fingerprint of the video and of what was asked about it.
    pub fn finish(self, ticket: &Ticket, face_field: Option<&str>) -> Fingerprint {
        let mut also = Vec::new();
        if let Some(field) = face_field {
            also.push(1);
            also.extend_from_slice(field.as_bytes());
        }
        match (ticket.which, self.previous) {
            (Which::Previous, Some(previous)) => previous.finish(&also),
            _ => self.current.finish(&also),
        }
    }
}

#[cfg(test)]
#[path = "tests/sealed.rs"]
mod tests;
