//! The published keys of an issuer: the current set, and the wait for keys that may be new.
//!
//! Relies on `refresh`, the only part that fetches, one fetch at a time. An unknown key id requests
//! a fetch, but at most once per `refetch_interval` and issuer, whatever ids arrive: a stranger
//! cannot use the gateway to flood the provider. Until the next fetch may be requested, each id
//! that the set lacks is unknown. No id is remembered beyond that, so a stranger cannot make an id
//! unknown before it is published. No request waits longer than `wait_timeout`. This part never
//! logs.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use arc_swap::ArcSwap;
use jsonwebtoken::Algorithm;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout},
};

use super::{
    algorithm::is_hmac, key::VerificationKey, key_set::VerificationKeys, refusal::AuthRefusal,
    token::UnverifiedToken,
};
use crate::outbound::{connection::ClientTls, dial::Dialer, origin::Url};

/// Where an issuer publishes its keys.
#[derive(PartialEq, Eq)]
pub enum KeySetLocation {
    /// The URL of the issuer's discovery document, which names the URL of the key set.
    Discovery(Url),
    /// The URL of the key set.
    KeySet(Url),
}

/// The settings of a fetched key set.
pub struct RemoteKeySettings {
    /// Where the key set is published.
    pub location: KeySetLocation,
    /// Opens connections to that server.
    pub dialer: Dialer,
    /// TLS to that server.
    pub tls: ClientTls,
    /// The allowed algorithms; `None` allows all that fit the keys.
    pub algorithms: Option<Vec<Algorithm>>,
    /// How long keys stay in use after the last successful fetch.
    pub max_stale: Duration,
    /// The times of fetching.
    pub timing: FetchTiming,
}

/// How the server of a key set is reached. A reload may change it while keys are fetched.
pub(super) struct KeyServerAccess {
    pub(super) dialer: Dialer,
    pub(super) tls: ClientTls,
}

/// The times of fetching. Constant in a gateway; tests use shorter ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchTiming {
    /// Timeout of one fetch, from connecting to the last byte of the key set.
    pub fetch_timeout: Duration,
    /// Delay of the first retry after a failure. It doubles with each further failure.
    pub initial_retry_delay: Duration,
    /// Maximum delay of a retry.
    pub max_retry_delay: Duration,
    /// Minimum lifetime of a fetched document, whatever its response headers say.
    pub min_lifetime: Duration,
    /// Maximum lifetime of a fetched document.
    pub max_lifetime: Duration,
    /// Lifetime of a fetched document whose response headers say nothing.
    pub default_lifetime: Duration,
    /// Minimum time between two fetches for unknown key ids.
    pub refetch_interval: Duration,
    /// How long a request waits for a fetch.
    pub wait_timeout: Duration,
}

impl Default for FetchTiming {
    fn default() -> Self {
        Self {
            fetch_timeout: Duration::from_secs(10),
            initial_retry_delay: Duration::from_secs(1),
            max_retry_delay: Duration::from_secs(60),
            min_lifetime: Duration::from_secs(60),
            max_lifetime: Duration::from_secs(24 * 60 * 60),
            default_lifetime: Duration::from_secs(5 * 60),
            refetch_interval: Duration::from_secs(30),
            wait_timeout: Duration::from_secs(5),
        }
    }
}

impl FetchTiming {
    /// The lifetime of a document whose response headers allow this one.
    pub(super) fn lifetime(&self, allowed: Option<Duration>) -> Duration {
        let lifetime = allowed.unwrap_or(self.default_lifetime);
        lifetime.min(self.max_lifetime).max(self.min_lifetime)
    }

    /// The delay of a retry that follows this many earlier failures.
    pub(super) fn retry_delay(&self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
        let delay = self.initial_retry_delay.saturating_mul(factor);
        delay.min(self.max_retry_delay)
    }
}

impl RemoteKeySettings {
    /// The time until the next fetch, after one whose response headers allow this lifetime.
    pub(super) fn next_fetch_in(&self, lifetime: Option<Duration>) -> Duration {
        // Early enough that one failed fetch does not make the keys stale.
        let latest = self.max_stale / 2;
        self.timing.lifetime(lifetime).min(latest)
    }

    /// Whether the same keys are fetched at the same times. How their server is reached does not
    /// matter.
    pub(super) fn fetches_alike(&self, other: &Self) -> bool {
        let rules = |it: &Self| (it.algorithms.clone(), it.max_stale, it.timing);
        self.location == other.location && rules(self) == rules(other)
    }
}

impl KeyServerAccess {
    /// As the settings say.
    pub(super) fn of(settings: &RemoteKeySettings) -> Self {
        Self {
            dialer: settings.dialer.clone(),
            tls: settings.tls.clone(),
        }
    }
}

/// Numbers of the last fetches.
#[derive(Clone, Copy, Default)]
pub(super) struct FetchProgress {
    pub(super) started: u64,
    pub(super) finished: u64,
    /// Whether the last finished fetch succeeded.
    pub(super) succeeded: bool,
}

/// The result of the last successful fetch.
#[derive(Clone)]
pub(super) struct FetchedKeys {
    pub(super) keys: Arc<VerificationKeys>,
    pub(super) fetched_at: Instant,
}

/// The keys of one issuer.
pub(super) struct RemoteKeys {
    pub(super) issuer: Arc<str>,
    pub(super) settings: RemoteKeySettings,
    pub(super) access: ArcSwap<KeyServerAccess>,
    pub(super) progress: watch::Sender<FetchProgress>,
    pub(super) wake: Notify,
    fetched: RwLock<Option<FetchedKeys>>,
    requests: Mutex<FetchRequests>,
}

/// Fetches that requests asked for.
#[derive(Default)]
struct FetchRequests {
    /// Number of the fetch that was requested last.
    number: u64,
    /// When it was requested.
    at: Option<Instant>,
}

/// How a token with an unknown key id proceeds.
enum FetchDecision {
    /// It waits until this fetch has finished.
    WaitFor(u64),
    /// It is refused: no fetch may be made now.
    Refuse,
}

impl FetchedKeys {
    /// A copy, with no algorithm beside these.
    pub(super) fn copied(&self, allowed: Option<&[Algorithm]>) -> Self {
        Self {
            keys: Arc::new(self.keys.copied(allowed)),
            fetched_at: self.fetched_at,
        }
    }
}

impl RemoteKeys {
    /// Creates an empty set.
    pub(super) fn new(issuer: Arc<str>, settings: RemoteKeySettings) -> Self {
        Self {
            issuer,
            access: ArcSwap::from_pointee(KeyServerAccess::of(&settings)),
            settings,
            progress: watch::Sender::default(),
            wake: Notify::new(),
            fetched: RwLock::default(),
            requests: Mutex::default(),
        }
    }

    /// The current keys. `None` before the first successful fetch, and when the last one was longer
    /// than `max_stale` ago.
    pub(super) fn fetched(&self) -> Option<FetchedKeys> {
        self.fetched
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Replaces the current keys. Cached tokens of removed keys are no longer accepted.
    pub(super) fn set(&self, fetched: FetchedKeys) {
        *self.fetched.write().unwrap_or_else(PoisonError::into_inner) = Some(fetched);
    }

    /// Drops the keys fetched at this time, unless newer ones have replaced them. Returns whether
    /// it dropped them.
    pub(super) fn expire(&self, fetched_at: Instant) -> bool {
        let mut fetched = self.fetched.write().unwrap_or_else(PoisonError::into_inner);
        let expired = fetched.take_if(|current| current.fetched_at == fetched_at);
        expired.is_some()
    }

    /// Whether a request waits for a fetch that has not started.
    pub(super) fn is_fetch_requested(&self) -> bool {
        self.requests().number > self.progress.borrow().started
    }

    /// Returns the key that made the token's signature. If no current key did, but a newly
    /// published one may have, and `worth_a_fetch`, it waits for a fetch first.
    ///
    /// # Errors
    /// `UnknownKey`, `AlgorithmNotAllowed`, `BadSignature`; `KeysUnavailable` if this cannot be
    /// decided, because there are no keys or the fetch failed.
    pub(super) async fn verify(
        &self,
        token: &UnverifiedToken<'_>,
        worth_a_fetch: impl FnOnce() -> bool,
    ) -> Result<Arc<VerificationKey>, AuthRefusal> {
        let current = self.fetched().ok_or(AuthRefusal::KeysUnavailable)?;
        let refusal = match current.keys.verify(token) {
            Ok(key) => return Ok(Arc::clone(key)),
            Err(refusal) => refusal,
        };
        if !self.may_be_new(token, refusal) || !worth_a_fetch() {
            return Err(refusal);
        }
        match self.request_fetch(Instant::now()) {
            FetchDecision::Refuse if self.progress.borrow().succeeded => return Err(refusal),
            FetchDecision::Refuse => return Err(AuthRefusal::KeysUnavailable),
            FetchDecision::WaitFor(number) => self.wait_for(number).await?,
        }
        let current = self.fetched().ok_or(AuthRefusal::KeysUnavailable)?;
        current.keys.verify(token).map(Arc::clone)
    }

    /// Whether a new key may have signed the token. A token without a key id may be signed by any
    /// new key.
    fn may_be_new(&self, token: &UnverifiedToken<'_>, refusal: AuthRefusal) -> bool {
        let allowed = match &self.settings.algorithms {
            Some(allowed) => allowed.contains(&token.algorithm),
            None => !is_hmac(token.algorithm),
        };
        allowed && (refusal == AuthRefusal::UnknownKey || token.key_id.is_none())
    }

    /// Requests a fetch, unless one is already requested or the last request was too recent.
    fn request_fetch(&self, now: Instant) -> FetchDecision {
        let mut requests = self.requests();
        let progress = *self.progress.borrow();
        if requests.number > progress.finished {
            return FetchDecision::WaitFor(requests.number);
        }
        let interval = self.settings.timing.refetch_interval;
        let too_recent = |at| now.duration_since(at) < interval;
        if requests.at.is_some_and(too_recent) {
            return FetchDecision::Refuse;
        }
        requests.at = Some(now);
        // A fetch in progress may have started before the key was published.
        requests.number = progress.started.saturating_add(1);
        self.wake.notify_one();
        FetchDecision::WaitFor(requests.number)
    }

    async fn wait_for(&self, number: u64) -> Result<(), AuthRefusal> {
        let mut progress = self.progress.subscribe();
        let finished = progress.wait_for(|progress| progress.finished >= number);
        match timeout(self.settings.timing.wait_timeout, finished).await {
            Ok(Ok(progress)) if progress.succeeded => Ok(()),
            _ => Err(AuthRefusal::KeysUnavailable),
        }
    }

    fn requests(&self) -> MutexGuard<'_, FetchRequests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
