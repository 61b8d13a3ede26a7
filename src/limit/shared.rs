//! How often a caller may call a route, all replicas together: counted in the store, by the same arithmetic as here.
//!
//! What the store last said of each caller is remembered. So when it goes away, this replica goes on from where all of them were;
//! and a store that forgot everything hears it with the caller's next request. Nobody starts with a fresh burst.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    CallerKey,
    rate::{LimitExceeded, MOST_CALLERS, RateLimit, RateLimitStatus},
};
use crate::{
    auth::Caller,
    store::{Counted, RateDecision, Store, Unavailable},
};

/// When each caller has all of the burst back; whoever is not here has it.
pub(super) struct Heard {
    began: Instant,
    callers: Mutex<HashMap<CallerKey, Back>>,
}

/// One moment by two clocks, in microseconds. The store is told by its own again, since a translation would be off by the time that
/// an answer takes, and what is off adds up from request to request.
#[derive(Clone, Copy, Default)]
struct Back {
    here: u64,
    /// 0: the store never said.
    there: u64,
}

/// Counts one request.
///
/// # Errors
/// The caller has used up the burst.
pub async fn check(
    store: &Store,
    limit: &RateLimit,
    route: &str,
    caller: &Caller,
    key: CallerKey,
) -> Result<RateLimitStatus, LimitExceeded> {
    let (interval, burst) = limit.terms();
    let now = limit.heard.now();
    let counted = match store.name("rate", route, caller) {
        Ok(name) => {
            let back = limit.heard.of(key).there;
            store.charge(&name, interval, burst.get(), back).await
        }
        Err(away) => Err(away),
    };
    match counted {
        Ok(counted) => {
            limit.heard.hear(key, now, &counted);
            limit.told(counted.charged)
        }
        Err(Unavailable) => match limit.heard.charge(key, now, interval, burst.get()) {
            Some(charged) => limit.told(charged),
            None => limit.check(key),
        },
    }
}

impl Default for Heard {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            callers: Mutex::default(),
        }
    }
}

impl Heard {
    /// Forgets callers that have rested.
    pub(super) fn sweep(&self) {
        let now = self.now();
        let mut callers = self.callers();
        callers.retain(|_, back| back.here > now);
        if callers.capacity() > 4 * callers.len() {
            callers.shrink_to_fit();
        }
    }

    fn now(&self) -> u64 {
        micros(self.began.elapsed())
    }

    fn of(&self, key: CallerKey) -> Back {
        self.callers().get(&key).copied().unwrap_or_default()
    }

    /// What the store said when it was asked at `now`. Answers may overtake each other: the furthest count is the newest.
    fn hear(&self, key: CallerKey, now: u64, counted: &Counted) {
        let mut callers = self.callers();
        if let Some(known) = place(&mut callers, key)
            && counted.back >= known.there
        {
            *known = Back {
                here: now.saturating_add(micros(counted.owed)),
                there: counted.back,
            };
        }
    }

    /// Counts a request as the store does (`store/lua/rate.lua`). `None`: there are too many callers to remember this one.
    fn charge(
        &self,
        key: CallerKey,
        now: u64,
        interval: Duration,
        burst: u32,
    ) -> Option<RateDecision> {
        let interval = micros(interval).max(1);
        let full = interval.saturating_mul(burst.into());
        let mut callers = self.callers();
        let known = place(&mut callers, key)?;
        let back = known.here.clamp(now, now.saturating_add(full));
        let wait = (back - now).saturating_sub(full - interval);
        if wait > 0 {
            return Some(RateDecision::Waits(Duration::from_micros(wait)));
        }
        let back = back.saturating_add(interval);
        if known.there > 0 {
            known.there = known.there.saturating_add(back.saturating_sub(known.here));
        }
        known.here = back;
        let left = now.saturating_add(full).saturating_sub(back) / interval;
        Some(RateDecision::Passes(
            u32::try_from(left).unwrap_or(u32::MAX),
        ))
    }

    fn callers(&self) -> MutexGuard<'_, HashMap<CallerKey, Back>> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a caller is remembered, unless there are too many to remember one more.
fn place(callers: &mut HashMap<CallerKey, Back>, key: CallerKey) -> Option<&mut Back> {
    let room = callers.len() < MOST_CALLERS || callers.contains_key(&key);
    room.then(|| callers.entry(key).or_default())
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: CallerKey = CallerKey(1);
    const SECOND: Duration = Duration::from_secs(1);

    /// The store said so when its clock was at `there`, and this one's at `now`.
    fn hear(heard: &Heard, now: u64, owed: u64, there: u64) {
        let counted = Counted {
            charged: RateDecision::Passes(0),
            owed: Duration::from_micros(owed),
            back: there + owed,
        };
        heard.hear(KEY, now, &counted);
    }

    #[test]
    fn it_goes_on_from_what_was_heard() {
        let heard = Heard::default();
        let charge = |now: u64| heard.charge(KEY, now * 1_000_000, SECOND, 5).unwrap();
        // Three of five are used up.
        hear(&heard, 10_000_000, 3_000_000, 500_000_000);
        assert_eq!(charge(10), RateDecision::Passes(1));
        assert_eq!(charge(10), RateDecision::Passes(0));
        assert_eq!(charge(10), RateDecision::Waits(SECOND));
        assert_eq!(charge(11), RateDecision::Passes(0));
        let known = heard.of(KEY);
        assert_eq!((known.here, known.there), (16_000_000, 506_000_000));
        // An answer that was overtaken.
        hear(&heard, 11_000_000, 3_000_000, 500_000_000);
        assert_eq!(heard.of(KEY).here, 16_000_000);
        assert_eq!(charge(100), RateDecision::Passes(4));
        // The same moment still, by both clocks.
        let known = heard.of(KEY);
        assert_eq!((known.here, known.there), (101_000_000, 591_000_000));
    }

    #[test]
    fn nobody_waits_for_more_than_a_whole_burst_and_numbers_have_an_end() {
        let heard = Heard::default();
        hear(&heard, u64::MAX, 1, u64::MAX - 1);
        let charge = |key, interval, burst| heard.charge(CallerKey(key), 0, interval, burst);
        assert_eq!(charge(1, SECOND, 5), Some(RateDecision::Waits(SECOND)));
        // A burst of a million years.
        let charged = charge(2, Duration::from_secs(86_400), u32::MAX);
        assert!(
            matches!(charged, Some(RateDecision::Passes(1..))),
            "{charged:?}"
        );
        assert_eq!(heard.of(CallerKey(2)).there, 0, "the store never said");
    }

    #[test]
    fn rested_callers_are_forgotten() {
        let heard = Heard::default();
        for key in 2..1000 {
            let _ = heard.charge(CallerKey(key), 0, Duration::from_micros(1), 5);
        }
        hear(&heard, u64::MAX, 1, 1);
        heard.sweep();
        assert_eq!(heard.callers().len(), 1);
        assert!(heard.callers().capacity() < 100);
    }
}
