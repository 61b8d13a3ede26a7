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

use super::{Algorithm, AuthRefusal, key::HMAC, key::Key, keys::KeySet, token::Token};
use crate::outbound::{origin::Url, tls::ClientTls};

/// Key ids remembered as unknown at the most.
const MAX_UNKNOWN: usize = 1024;

/// Where keys are published.
pub enum Place {
    /// The issuer's discovery document says where.
    Discovery(Url),
    /// Here.
    KeySet(Url),
}

/// A key set that is fetched.
pub struct RemoteSettings {
    /// Where it is.
    pub place: Place,
    /// Whom to trust there.
    pub tls: ClientTls,
    /// What tokens may be signed with; none: what fits the keys.
    pub algorithms: Option<Vec<Algorithm>>,
    /// How long keys are used after the last fetch that succeeded.
    pub max_stale: Duration,
    /// When things are done.
    pub timing: Timing,
}

/// The times of fetching. Fixed in a gateway; tests have no patience.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// For one fetch, from connecting to the last byte of the key set.
    pub fetch: Duration,
    /// Until the next try after a failure; doubled with each further one …
    pub first_retry: Duration,
    /// … up to this.
    pub last_retry: Duration,
    /// A key set is kept at least so long, whatever the provider says,
    pub shortest: Duration,
    /// at most so long,
    pub longest: Duration,
    /// and so long when the provider says nothing.
    pub usual: Duration,
    /// Between two fetches for the sake of an unknown key id.
    pub ask_again: Duration,
    /// How long an id that no fetch brought counts as unknown.
    pub unknown: Duration,
    /// How long a request waits for a fetch.
    pub wait: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            fetch: Duration::from_secs(10),
            first_retry: Duration::from_secs(1),
            last_retry: Duration::from_secs(60),
            shortest: Duration::from_secs(60),
            longest: Duration::from_secs(24 * 60 * 60),
            usual: Duration::from_secs(5 * 60),
            ask_again: Duration::from_secs(30),
            unknown: Duration::from_secs(5 * 60),
            wait: Duration::from_secs(5),
        }
    }
}

impl Timing {
    /// How long a document is kept when its sender says this.
    pub(super) fn lifetime(&self, fresh: Option<Duration>) -> Duration {
        let wanted = fresh.unwrap_or(self.usual);
        wanted.min(self.longest).max(self.shortest)
    }

    /// How long to wait after a failure that followed so many others.
    pub(super) fn pause(&self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
        self.first_retry.saturating_mul(factor).min(self.last_retry)
    }
}

/// How far fetching has come.
#[derive(Clone, Copy, Default)]
pub(super) struct Progress {
    pub(super) started: u64,
    pub(super) finished: u64,
    /// The last one brought keys.
    pub(super) succeeded: bool,
}

/// Keys and when they came.
#[derive(Clone)]
pub(super) struct Fetched {
    pub(super) keys: Arc<KeySet>,
    pub(super) at: Instant,
}

/// The keys of one issuer.
pub(super) struct RemoteKeys {
    pub(super) issuer: Arc<str>,
    pub(super) settings: RemoteSettings,
    pub(super) progress: watch::Sender<Progress>,
    pub(super) wake: Notify,
    fetched: RwLock<Option<Fetched>>,
    asked: Mutex<Asked>,
}

/// Who asked for what.
#[derive(Default)]
struct Asked {
    /// The fetch that was asked for last, and when.
    number: u64,
    at: Option<Instant>,
    /// Ids that a fetch was made for and that it did not bring; hashed, since a stranger chooses their length.
    unknown: HashMap<u64, Instant>,
    hasher: RandomState,
}

/// What an unknown id leads to.
enum Answer {
    Wait(u64),
    /// It stays unknown for now.
    No,
}

impl RemoteKeys {
    /// Knows no keys yet.
    pub(super) fn new(issuer: Arc<str>, settings: RemoteSettings) -> Self {
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
    pub(super) fn fetched(&self) -> Option<Fetched> {
        self.fetched
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Replaces what is known. The keys that go take the tokens they vouched for along.
    pub(super) fn set(&self, fetched: Option<Fetched>) {
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
    /// `UnknownKey`, `AlgorithmNotAllowed`, `BadSignature`; `NoKeys` when that can't be told, since the provider can't be
    /// asked.
    pub(super) async fn verify(
        &self,
        token: &Token<'_>,
        worth_asking: impl FnOnce() -> bool,
    ) -> Result<Arc<Key>, AuthRefusal> {
        let known = self.fetched().ok_or(AuthRefusal::NoKeys)?;
        let refusal = match known.keys.verify(token) {
            Ok(key) => return Ok(Arc::clone(key)),
            Err(refusal) => refusal,
        };
        if !self.may_be_new(token, refusal) || !worth_asking() {
            return Err(refusal);
        }
        let id = token.key_id.as_deref();
        match self.ask(id, Instant::now()) {
            Answer::No if self.progress.borrow().succeeded => return Err(refusal),
            Answer::No => return Err(AuthRefusal::NoKeys),
            Answer::Wait(number) => self.wait_for(number).await?,
        }
        let known = self.fetched().ok_or(AuthRefusal::NoKeys)?;
        let verified = known.keys.verify(token).map(Arc::clone);
        if let (Err(AuthRefusal::UnknownKey), Some(id)) = (&verified, id) {
            self.asked().note_unknown(id, self.settings.timing.unknown);
        }
        verified
    }

    /// Whether a key that is not known could have signed the token. Without an id, that is any that fits none.
    fn may_be_new(&self, token: &Token<'_>, refusal: AuthRefusal) -> bool {
        let allowed = match &self.settings.algorithms {
            Some(allowed) => allowed.contains(&token.algorithm),
            None => !HMAC.contains(&token.algorithm),
        };
        allowed && (refusal == AuthRefusal::UnknownKey || token.key_id.is_none())
    }

    /// Asks for a fetch, unless one is on its way or was made a moment ago.
    fn ask(&self, id: Option<&str>, now: Instant) -> Answer {
        let mut asked = self.asked();
        if id.is_some_and(|id| asked.is_unknown(id, now)) {
            return Answer::No;
        }
        let progress = *self.progress.borrow();
        if asked.number > progress.finished {
            return Answer::Wait(asked.number);
        }
        let again = self.settings.timing.ask_again;
        if asked.at.is_some_and(|at| now.duration_since(at) < again) {
            return Answer::No;
        }
        asked.at = Some(now);
        // One that is under way now may have begun before the key was published.
        asked.number = progress.started.saturating_add(1);
        self.wake.notify_one();
        Answer::Wait(asked.number)
    }

    async fn wait_for(&self, number: u64) -> Result<(), AuthRefusal> {
        let mut progress = self.progress.subscribe();
        let finished = progress.wait_for(|progress| progress.finished >= number);
        match timeout(self.settings.timing.wait, finished).await {
            Ok(Ok(progress)) if progress.succeeded => Ok(()),
            _ => Err(AuthRefusal::NoKeys),
        }
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asked {
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
    use crate::outbound::tls::client_config;

    #[test]
    fn a_fetch_is_asked_for_every_half_minute_whatever_ids_come() {
        let settings = RemoteSettings {
            place: Place::KeySet(Url::parse("http://127.0.0.1:1/keys").unwrap()),
            tls: ClientTls::new(client_config(None).unwrap()),
            algorithms: None,
            max_stale: Duration::from_secs(3600),
            timing: Timing::default(),
        };
        let keys = RemoteKeys::new("i".into(), settings);
        let fetched = |number| {
            keys.progress.send_modify(|progress| {
                (progress.started, progress.finished) = (number, number);
            });
        };
        let start = Instant::now();
        let asked = |id, later| match keys.ask(Some(id), start + Duration::from_millis(later)) {
            Answer::Wait(number) => Some(number),
            Answer::No => None,
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
            Timing::default().lifetime(fresh).as_secs()
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
            [0, 1, 2, 5, 6, 31, 32, u32::MAX].map(|it| Timing::default().pause(it).as_secs());
        assert_eq!(pauses, [1, 2, 4, 32, 60, 60, 60, 60]);
    }

    #[test]
    fn the_memory_of_unknown_ids_is_bounded_and_fades() {
        let mut asked = Asked::default();
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
