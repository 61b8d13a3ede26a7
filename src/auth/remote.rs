//! The keys of an identity that publishes them: what is known now, and the wait for what may be new.
//!
//! Relies on [`super::refresh`], the only one that fetches, one fetch at a time. A key id that nobody has heard of asks for a
//! fetch, but only every half minute for each issuer, whatever ids arrive: a stranger can't turn this gateway against the
//! provider. Nobody waits longer than a few seconds. It never logs.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout},
};

use super::{
    Algorithm, AuthRefusal, key::HMAC, key::VerificationKey, key_set::VerificationKeys,
    token::UnverifiedToken,
};
use crate::outbound::{connection::ClientTls, origin::Url};

/// Key ids remembered as unknown at the most.
const MAX_UNKNOWN: usize = 1024;

/// Where keys are published.
pub enum KeySetLocation {
    /// The issuer's discovery document says where.
    Discovery(Url),
    /// Here.
    KeySet(Url),
}

/// A key set that is fetched.
pub struct RemoteKeySettings {
    /// Where it is.
    pub location: KeySetLocation,
    /// Whom to trust there.
    pub tls: ClientTls,
    /// What tokens may be signed with; none: what fits the keys.
    pub algorithms: Option<Vec<Algorithm>>,
    /// How long keys are used after the last fetch that succeeded.
    pub max_stale: Duration,
    /// When things are done.
    pub timing: FetchTiming,
}

/// The times of fetching. Fixed in a gateway; tests have no patience.
#[derive(Clone, Copy, Debug)]
pub struct FetchTiming {
    /// For one fetch, from connecting to the last byte of the key set.
    pub fetch_timeout: Duration,
    /// Until the next try after a failure; doubled with each further one …
    pub initial_retry_delay: Duration,
    /// … up to this.
    pub max_retry_delay: Duration,
    /// A key set is kept at least so long, whatever the provider says,
    pub min_lifetime: Duration,
    /// at most so long,
    pub max_lifetime: Duration,
    /// and so long when the provider says nothing.
    pub default_lifetime: Duration,
    /// Between two fetches for the sake of an unknown key id.
    pub refetch_interval: Duration,
    /// How long an id that no fetch brought counts as unknown.
    pub unknown_lifetime: Duration,
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
            unknown_lifetime: Duration::from_secs(5 * 60),
            wait_timeout: Duration::from_secs(5),
        }
    }
}

impl FetchTiming {
    /// How long a document is kept when its sender says this.
    pub(super) fn lifetime(&self, fresh: Option<Duration>) -> Duration {
        let wanted = fresh.unwrap_or(self.default_lifetime);
        wanted.min(self.max_lifetime).max(self.min_lifetime)
    }

    /// How long to wait after a failure that followed so many others.
    pub(super) fn pause(&self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
        self.initial_retry_delay
            .saturating_mul(factor)
            .min(self.max_retry_delay)
    }
}

/// How far fetching has come.
#[derive(Clone, Copy, Default)]
pub(super) struct FetchProgress {
    pub(super) started: u64,
    pub(super) finished: u64,
    /// The last one brought keys.
    pub(super) succeeded: bool,
}

/// Keys and when they came.
#[derive(Clone)]
pub(super) struct FetchedKeys {
    pub(super) keys: Arc<VerificationKeys>,
    pub(super) at: Instant,
}

/// The keys of one issuer.
pub(super) struct RemoteKeys {
    pub(super) issuer: Arc<str>,
    pub(super) settings: RemoteKeySettings,
    pub(super) progress: watch::Sender<FetchProgress>,
    pub(super) wake: Notify,
    fetched: RwLock<Option<FetchedKeys>>,
    asked: Mutex<FetchRequests>,
}

/// Who asked for what.
#[derive(Default)]
struct FetchRequests {
    /// The fetch that was asked for last, and when.
    number: u64,
    at: Option<Instant>,
    /// Ids that a fetch was made for and that it did not bring; hashed, since a stranger chooses their length.
    unknown: HashMap<u64, Instant>,
    hasher: RandomState,
}

/// What an unknown id leads to.
enum FetchDecision {
    WaitFor(u64),
    /// It stays unknown for now.
    Refuse,
}

impl RemoteKeys {
    /// Knows no keys yet.
    pub(super) fn new(issuer: Arc<str>, settings: RemoteKeySettings) -> Self {
        Self {
            issuer,
            settings,
            progress: watch::Sender::default(),
            wake: Notify::new(),
            fetched: RwLock::default(),
            asked: Mutex::default(),
        }
    }

    /// What is known now; nothing before the first fetch, and when the last one was too long ago.
    pub(super) fn fetched(&self) -> Option<FetchedKeys> {
        self.fetched
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Replaces what is known. The keys that go take the tokens they vouched for along.
    pub(super) fn set(&self, fetched: Option<FetchedKeys>) {
        *self.fetched.write().unwrap_or_else(PoisonError::into_inner) = fetched;
    }

    /// Drops the keys of that time, unless newer ones have come.
    pub(super) fn forget(&self, at: Instant) -> bool {
        let mut fetched = self.fetched.write().unwrap_or_else(PoisonError::into_inner);
        fetched.take_if(|known| known.at == at).is_some()
    }

    /// Whether somebody waits for a fetch that has not begun.
    pub(super) fn is_asked(&self) -> bool {
        self.asked().number > self.progress.borrow().started
    }

    /// The key that made the token's signature. Where the token names a key that is not known, and `worth_asking`, a
    /// fetch is waited for first.
    ///
    /// # Errors
    /// `UnknownKey`, `AlgorithmNotAllowed`, `BadSignature`; `KeysUnavailable` when that can't be told, since the provider can't be
    /// asked.
    pub(super) async fn verify(
        &self,
        token: &UnverifiedToken<'_>,
        worth_asking: impl FnOnce() -> bool,
    ) -> Result<Arc<VerificationKey>, AuthRefusal> {
        let known = self.fetched().ok_or(AuthRefusal::KeysUnavailable)?;
        let refusal = match known.keys.verify(token) {
            Ok(key) => return Ok(Arc::clone(key)),
            Err(refusal) => refusal,
        };
        if !self.may_be_new(token, refusal) || !worth_asking() {
            return Err(refusal);
        }
        let id = token.key_id.as_deref();
        match self.ask(id, Instant::now()) {
            FetchDecision::Refuse if self.progress.borrow().succeeded => return Err(refusal),
            FetchDecision::Refuse => return Err(AuthRefusal::KeysUnavailable),
            FetchDecision::WaitFor(number) => self.wait_for(number).await?,
        }
        let known = self.fetched().ok_or(AuthRefusal::KeysUnavailable)?;
        let verified = known.keys.verify(token).map(Arc::clone);
        if let (Err(AuthRefusal::UnknownKey), Some(id)) = (&verified, id) {
            self.asked()
                .note_unknown(id, self.settings.timing.unknown_lifetime);
        }
        verified
    }

    /// Whether a key that is not known could have signed the token. Without an id, that is any that fits none.
    fn may_be_new(&self, token: &UnverifiedToken<'_>, refusal: AuthRefusal) -> bool {
        let allowed = match &self.settings.algorithms {
            Some(allowed) => allowed.contains(&token.algorithm),
            None => !HMAC.contains(&token.algorithm),
        };
        allowed && (refusal == AuthRefusal::UnknownKey || token.key_id.is_none())
    }

    /// Asks for a fetch, unless one is on its way or was made a moment ago.
    fn ask(&self, id: Option<&str>, now: Instant) -> FetchDecision {
        let mut asked = self.asked();
        if id.is_some_and(|id| asked.is_unknown(id, now)) {
            return FetchDecision::Refuse;
        }
        let progress = *self.progress.borrow();
        if asked.number > progress.finished {
            return FetchDecision::WaitFor(asked.number);
        }
        let again = self.settings.timing.refetch_interval;
        if asked.at.is_some_and(|at| now.duration_since(at) < again) {
            return FetchDecision::Refuse;
        }
        asked.at = Some(now);
        // One that is under way now may have begun before the key was published.
        asked.number = progress.started.saturating_add(1);
        self.wake.notify_one();
        FetchDecision::WaitFor(asked.number)
    }

    async fn wait_for(&self, number: u64) -> Result<(), AuthRefusal> {
        let mut progress = self.progress.subscribe();
        let finished = progress.wait_for(|progress| progress.finished >= number);
        match timeout(self.settings.timing.wait_timeout, finished).await {
            Ok(Ok(progress)) if progress.succeeded => Ok(()),
            _ => Err(AuthRefusal::KeysUnavailable),
        }
    }

    fn asked(&self) -> MutexGuard<'_, FetchRequests> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FetchRequests {
    fn is_unknown(&self, id: &str, now: Instant) -> bool {
        self.unknown
            .get(&self.hasher.hash_one(id))
            .is_some_and(|until| *until > now)
    }

    fn note_unknown(&mut self, id: &str, keep: Duration) {
        let now = Instant::now();
        if self.unknown.len() >= MAX_UNKNOWN {
            self.unknown.retain(|_, until| *until > now);
        }
        if self.unknown.len() >= MAX_UNKNOWN {
            // What is forgotten may ask once more, no oftener than any other id.
            self.unknown.clear();
        }
        self.unknown.insert(self.hasher.hash_one(id), now + keep);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbound::connection::client_config;

    #[test]
    fn a_fetch_is_asked_for_every_half_minute_whatever_ids_come() {
        let settings = RemoteKeySettings {
            location: KeySetLocation::KeySet(Url::parse("http://127.0.0.1:1/keys").unwrap()),
            tls: ClientTls::new(client_config(None).unwrap()),
            algorithms: None,
            max_stale: Duration::from_secs(3600),
            timing: FetchTiming::default(),
        };
        let keys = RemoteKeys::new("i".into(), settings);
        let fetched = |number| {
            keys.progress.send_modify(|progress| {
                (progress.started, progress.finished) = (number, number);
            });
        };
        let start = Instant::now();
        let asked = |id, later| match keys.ask(Some(id), start + Duration::from_millis(later)) {
            FetchDecision::WaitFor(number) => Some(number),
            FetchDecision::Refuse => None,
        };
        // The fetch at start doesn't count.
        fetched(1);
        assert_eq!((asked("a", 0), asked("b", 0)), (Some(2), Some(2)));
        fetched(2);
        assert_eq!((asked("c", 1), asked("d", 29_999)), (None, None));
        assert_eq!(asked("e", 30_000), Some(3));
        // One that is under way may have begun before the key was published.
        keys.progress.send_modify(|progress| {
            (progress.started, progress.finished) = (4, 3);
        });
        assert_eq!(asked("f", 60_000), Some(5));
    }

    #[test]
    fn a_key_set_is_kept_from_a_minute_to_a_day() {
        let kept = |seconds: Option<u64>| {
            let fresh = seconds.map(Duration::from_secs);
            FetchTiming::default().lifetime(fresh).as_secs()
        };
        assert_eq!(
            [kept(Some(0)), kept(Some(59)), kept(Some(61))],
            [60, 60, 61]
        );
        assert_eq!([kept(Some(86_401)), kept(Some(u64::MAX))], [86_400; 2]);
        assert_eq!(kept(None), 300);
    }

    #[test]
    fn tries_become_rarer_up_to_a_limit() {
        let pauses =
            [0, 1, 2, 5, 6, 31, 32, u32::MAX].map(|it| FetchTiming::default().pause(it).as_secs());
        assert_eq!(pauses, [1, 2, 4, 32, 60, 60, 60, 60]);
    }

    #[test]
    fn the_memory_of_unknown_ids_is_bounded_and_fades() {
        let mut asked = FetchRequests::default();
        let keep = Duration::from_secs(60);
        for number in 0..5000 {
            asked.note_unknown(&number.to_string(), keep);
            assert!(asked.unknown.len() <= MAX_UNKNOWN);
            assert!(asked.is_unknown(&number.to_string(), Instant::now()));
        }
        assert!(!asked.is_unknown("4999", Instant::now() + keep));
        assert!(!asked.is_unknown("5000", Instant::now()));
    }
}
