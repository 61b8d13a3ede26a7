//! Liveness sessions as frontends see them: bound to their user, and good for one billed call.
//!
//! [`seal`] makes the keys, `keyring` holds them, [`ticket`] seals and opens session ids, [`fingerprint`] tells a retry from another video, [`ledger`]
//! knows what became of each session, [`cached`] is an answer that may be given again, `shared` asks and tells
//! other replicas, of which `outbox` keeps account. Nothing here talks to Qiniu or
//! knows HTTP. With `sessions.bind = false` none of it is used.

pub mod cached;
pub mod fingerprint;
mod keyring;
pub mod ledger;
mod outbox;
pub mod seal;
mod shared;
pub mod ticket;

use std::{sync::Arc, time::Instant};

use arc_swap::ArcSwap;
use aws_lc_rs::error::Unspecified;

use self::{
    fingerprint::{Fingerprint, Running},
    keyring::Keyring,
    ledger::VerifyLedger,
    seal::{Keys, SealKey},
    shared::Shared,
    ticket::{SessionOwner, Ticket},
};
use crate::store::{NamesSeal, Store};

/// `[sessions]`, checked, where `bind` is on.
#[derive(Clone)]
pub struct SessionSettings {
    /// Seals and opens; none: a key is made at start, which is good for one replica.
    pub seal_key: Option<SealKey>,
    /// Opens what was sealed before a change of keys, or will be after it.
    pub previous_seal_key: Option<SealKey>,
}

impl SessionSettings {
    /// Seals how callers are named in the store, for replicas that have one of these keys.
    ///
    /// # Errors
    /// No key can be derived.
    pub fn names_in_store(&self) -> Result<Vec<NamesSeal>, Unspecified> {
        let keys = self.seal_key.iter().chain(&self.previous_seal_key);
        keys.map(SealKey::names_in_store).collect()
    }
}

/// What binds sessions to callers.
pub struct Sessions {
    keys: ArcSwap<Keyring>,
    /// Qiniu's address: an id of a test system is of no use here, even under the same key.
    deployment: String,
    /// What became of each session, as far as this replica knows.
    pub ledger: Arc<VerifyLedger>,
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
        Ok(Arc::new(Self {
            keys: ArcSwap::from_pointee(Keyring::new(settings)?),
            deployment: deployment.to_owned(),
            ledger: VerifyLedger::new(),
            shared: store.map(Shared::new),
        }))
    }

    /// Seals with another key from now on; what was sealed so far opens for as long as it lives. Not to be called by two at
    /// once, nor beside [`Sessions::retire_keys`].
    ///
    /// # Errors
    /// No keys can be derived; those in use stay.
    pub fn change_keys(&self, settings: &SessionSettings, now: Instant) -> Result<(), Unspecified> {
        let changed = self.keys.load().changed(settings, now)?;
        self.keys.store(Arc::new(changed));
        Ok(())
    }

    /// Drops replaced keys whose time is over; to be called every now and then.
    pub fn retire_keys(&self, now: Instant) {
        if let Some(rest) = self.keys.load().without_old(now) {
            self.keys.store(Arc::new(rest));
        }
    }

    /// A user, and who vouches for them, to seal and open ids for.
    pub fn owner(self: &Arc<Self>, issuer: &str, user: &str) -> SessionOwner {
        SessionOwner::new(self, issuer, user)
    }
}

/// A fingerprint of an upload under way, under each key that its session may turn out to belong to: replicas that
/// change keys one after the other must agree.
pub struct UploadFingerprint {
    current: Running,
    others: Vec<(Arc<Keys>, Running)>,
}

impl UploadFingerprint {
    /// Takes the next bytes of the video, in base64 as Qiniu gets it.
    pub fn feed(&mut self, text: &[u8]) {
        self.current.feed(text);
        for (_, other) in &mut self.others {
            other.feed(text);
        }
    }

    /// The fingerprint of the video and of what was asked about it.
    pub fn finish(self, ticket: &Ticket, asked: &[u8]) -> Fingerprint {
        let mut others = self.others.into_iter();
        match others.find(|(keys, _)| Arc::ptr_eq(keys, &ticket.keys)) {
            Some((_, other)) => other.finish(asked),
            None => self.current.finish(asked),
        }
    }
}

#[cfg(test)]
#[path = "tests/sealed.rs"]
mod tests;
