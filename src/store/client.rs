//! The store, as one replica uses it: its connection, its scripts, and the key that names callers.

use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::error::Unspecified;
use data_encoding::HEXLOWER;

use super::{
    keys::{NamingKey, StoreKey, StoreNames},
    link::{Link, StoreSettings},
    script::Scripts,
};
use crate::telemetry::metrics::Metrics;

/// The store, as one replica uses it.
pub struct Store {
    /// The connection, and whether it is up.
    pub link: Link,
    pub(super) scripts: Scripts,
    pub(super) names: StoreNames,
    /// Identifies this process to the others: random, so that it is never taken for one that died.
    pub(super) replica: String,
    naming: ArcSwap<NamingKey>,
}

impl Store {
    /// Makes a client that is not connected; [`Store::keep`] connects it. Replicas with the same
    /// `naming` key count a caller together.
    ///
    /// # Errors
    /// The system provides no randomness.
    pub fn new(
        settings: StoreSettings,
        naming: NamingKey,
        metrics: &Metrics,
    ) -> Result<Arc<Self>, Unspecified> {
        let replica = random_name()?;
        let names = settings.names.clone();
        Ok(Arc::new(Self {
            link: Link::new(settings, &replica, metrics.store_up.clone()),
            scripts: Scripts::new(),
            names,
            replica,
            naming: ArcSwap::from_pointee(naming),
        }))
    }

    /// The key of a caller's count on a route; `kind` tells rates and quotas apart.
    pub fn caller_key(
        &self,
        kind: &'static str,
        route: &str,
        issuer: &str,
        user: &str,
    ) -> StoreKey {
        let naming = self.naming.load();
        naming.caller(&self.names, kind, route, issuer, user)
    }

    /// Names callers by another key from now on: their counts in the store begin anew.
    pub fn change_naming_key(&self, naming: NamingKey) {
        self.naming.store(Arc::new(naming));
    }

    /// Connects, sends heartbeats, and reconnects whenever the connection is lost. Never ends.
    pub async fn keep(&self) {
        self.link.keep(&self.scripts).await;
    }
}

/// A name that nothing else has.
pub(super) fn random_name() -> Result<String, Unspecified> {
    let mut name = [0; 16];
    aws_lc_rs::rand::fill(&mut name)?;
    Ok(HEXLOWER.encode(&name))
}
