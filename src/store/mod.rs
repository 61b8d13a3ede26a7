//! What replicas share, in one Redis or Valkey: how often each caller called ([`rates`]), how many calls to
//! Qiniu that came to ([`quotas`]), and what became of each session
//! ([`sessions`]). [`link`] keeps the one connection, gives each call its time, and says whether the store is there.
//!
//! Relies on nothing that it finds there: while the store is away, slow or talks nonsense, [`Unavailable`] is the answer at once, and
//! callers do with what they know themselves. All names are keyed hashes and all that tells something of a person is sealed before it
//! comes here, so whoever reads the store learns nothing; every name has an expiry. One round trip is one script, which
//! touches only the names it is given. Never logs an address, a password or what the store said beyond its error's code.

#![cfg_attr(
    not(feature = "redis"),
    allow(dead_code, reason = "without an address nothing is called")
)]

mod fault;
pub mod link;
mod names;
mod naming;
mod quotas;
mod rates;
mod script;
mod sessions;
#[cfg(feature = "redis")]
mod wire;
#[cfg(not(feature = "redis"))]
#[path = "wire_absent.rs"]
mod wire;

use std::{sync::Arc, time::Duration};

use aws_lc_rs::error::Unspecified;

use self::{link::Link, naming::Naming, script::Scripts};
pub use self::{
    link::Unavailable,
    names::StoreKey,
    naming::NamesSeal,
    quotas::{CounterTotal, CounterUpdate},
    rates::{Counted, RateDecision},
    sessions::{ClaimReply, ClaimRequest, KnownClaim, PublishedState},
    wire::Address,
};
use crate::{auth::Caller, telemetry::metrics::Metrics};

/// `[store]`, checked.
#[derive(Clone)]
pub struct StoreSettings {
    /// Where it is, and how to log in.
    pub address: Address,
    /// For each call; a request waits no longer.
    pub timeout: Duration,
}

/// The store, as one replica sees it.
pub struct Store {
    /// Whether it is there.
    pub link: Link,
    naming: Naming,
    scripts: Scripts,
    /// This process, to the others: random, so that nobody is taken for one that died.
    me: String,
}

impl Store {
    /// Connects to nothing yet: that is [`Store::keep`]'s. Replicas that have one of the `seals` in common name callers alike.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn new(
        settings: StoreSettings,
        seals: Vec<NamesSeal>,
        metrics: &Metrics,
    ) -> Result<Arc<Self>, Unspecified> {
        let mut me = [0; 16];
        aws_lc_rs::rand::fill(&mut me)?;
        let me = data_encoding::HEXLOWER.encode(&me);
        let scripts = Scripts::new();
        Ok(Arc::new(Self {
            link: Link::new(settings, names::replica(&me), metrics.store_up.clone()),
            naming: Naming::new(seals),
            scripts,
            me,
        }))
    }

    /// The name of what is counted for a caller on a route; `what` tells the counts apart.
    ///
    /// # Errors
    /// The store has never been there.
    pub fn name(
        &self,
        what: &'static str,
        route: &str,
        caller: &Caller,
    ) -> Result<StoreKey, Unavailable> {
        let named = |key: &_| names::caller(key, what, route, caller);
        self.naming.with(named).ok_or(Unavailable)
    }

    /// Those who know this secret shall name callers as it is done now.
    pub fn share_names(&self, seal: NamesSeal) {
        self.naming.also_for(seal);
    }

    /// Connects, tells the others that this replica lives, and connects again whenever the store was away. Never ends.
    pub async fn keep(&self) {
        self.link.keep(&self.scripts, &self.naming).await;
    }
}
