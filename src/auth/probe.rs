//! Asks an issuer for its keys once, as a gateway does at its start.
//!
//! For `check --connect`. The keys are looked at and dropped.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::timeout;

use super::{
    Algorithm,
    key_set_error::KeySetWarning,
    key_set_fetch::{KeySetFetchError, fetch_key_set},
    remote::{RemoteKeySettings, RemoteKeys},
};
use crate::outbound::server_date::ServerDate;

/// What an issuer publishes.
pub struct ProbedKeySet {
    /// Number of keys that can be used.
    pub keys: usize,
    /// The algorithms of tokens that they allow.
    pub algorithms: Vec<Algorithm>,
    /// What the operator should know about the others.
    pub warnings: Vec<KeySetWarning>,
    /// When they would be fetched again.
    pub next_fetch: Duration,
    /// The issuer's clock less ours, in seconds, if its responses tell.
    pub skew: Option<f64>,
}

impl RemoteKeySettings {
    /// Fetches the keys of this issuer.
    ///
    /// # Errors
    /// A document can't be fetched, or there are no keys that can be used.
    pub async fn probe(self, issuer: &str) -> Result<ProbedKeySet, KeySetFetchError> {
        let keys = RemoteKeys::new(Arc::from(issuer), self);
        let limit = keys.settings.timing.fetch_timeout;
        let skew = Mutex::new(None);
        let note = |date: ServerDate| {
            *skew.lock().unwrap_or_else(PoisonError::into_inner) = Some(date.skew());
        };
        let mut discovered = None;
        let fetch = fetch_key_set(&keys, &mut discovered, note);
        let fetched = timeout(limit, fetch).await;
        let (fetched, lifetime) = fetched.unwrap_or(Err(KeySetFetchError::Timeout(limit)))?;
        Ok(ProbedKeySet {
            keys: fetched.keys.usable(),
            algorithms: fetched.keys.algorithms(),
            warnings: fetched.warnings,
            next_fetch: keys.settings.next_fetch_in(lifetime),
            skew: skew.into_inner().unwrap_or_else(PoisonError::into_inner),
        })
    }
}
