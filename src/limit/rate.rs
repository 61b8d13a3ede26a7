//! How often a caller may call a route: GCRA by `governor`, and where replicas share a store, the
//! same algorithm in the store for all of them together.
//!
//! With a store, its decision counts, and the replica's own limiter counts every request as well.
//! So when the store is lost, the replica falls back to a count that is up to date: no caller gets
//! a fresh burst from it. Memory stays bounded under a flood of callers.
//!
//! A rate that follows another one takes over what each caller has used
//! ([`RateLimit::followed_by`]): nobody gets a fresh burst from a reload, nor waits for what the
//! new rate has given back.

mod counters;

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::StateInformationMiddleware,
};

use self::counters::RateCounters;
use super::caller::CallerKey;
use crate::{
    auth::Caller,
    route::Rate,
    store::{RateDecision, Store, Unavailable},
};

/// Maximum number of callers with a counter of their own; those beyond share [`SHARED`] counters
/// until others are forgotten.
const MAX_CALLERS: usize = 1 << 20;
const SHARED: u64 = 1 << 16;

/// The longest time in which a whole burst may come back: a hundred years. That is far below the
/// overflow of nanoseconds in 64 bits, and of microseconds since 1970 in the 53 bits of the store's
/// numbers.
const LONGEST_BURST: Duration = Duration::from_secs(100 * 365 * 86_400);

/// The rate limit of one route.
pub struct RateLimit {
    limiter: RateLimiter<u64, RateCounters, MonotonicClock, StateInformationMiddleware>,
    counters: RateCounters,
    /// What the counters' times are relative to.
    start: Instant,
    interval: Duration,
    burst: NonZeroU32,
    crowded: AtomicBool,
}

/// What is left to a caller, in the terms of draft-ietf-httpapi-ratelimit-headers-10.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimitStatus {
    /// How many requests may be made at once (`q`).
    pub quota: u32,
    /// In how many seconds all of them come back (`w`).
    pub window: u64,
    /// How many requests are left (`r`).
    pub remaining: u32,
    /// In how many seconds all of them are back (`t`).
    pub reset: u64,
}

/// The caller has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the limit is exceeded")]
pub struct LimitExceeded {
    /// How long to wait.
    pub retry_after: Duration,
    /// What the response's header fields say.
    pub status: RateLimitStatus,
}

impl RateLimit {
    /// Whether a burst of this rate can be counted without an overflow.
    pub fn is_countable(rate: Rate, burst: NonZeroU32) -> bool {
        let interval = rate.per / rate.count.get();
        let whole = interval.checked_mul(burst.get());
        whole.is_some_and(|whole| whole <= LONGEST_BURST)
    }

    /// The rate and its burst must be [countable](Self::is_countable). `None` for a rate of more
    /// than one request a nanosecond, which limits nothing.
    pub fn new(rate: Rate, burst: NonZeroU32) -> Option<Self> {
        let interval = rate.per / rate.count.get();
        let quota = Quota::with_period(interval)?.allow_burst(burst);
        let counters = RateCounters::default();
        let start = Instant::now();
        Some(Self {
            limiter: RateLimiter::new(quota, counters.clone(), MonotonicClock),
            counters,
            start,
            interval,
            burst,
            crowded: AtomicBool::new(false),
        })
    }

    /// The limit that follows this one: this one itself if nothing has changed, or else one in
    /// which each caller has used as many requests of the burst as in this one, at most all of it.
    pub fn followed_by(self: &Arc<Self>, rate: Rate, burst: NonZeroU32) -> Option<Arc<Self>> {
        let next = Self::new(rate, burst)?;
        if (next.interval, next.burst) == (self.interval, self.burst) {
            return Some(Arc::clone(self));
        }
        let crowded = self.crowded.load(Ordering::Relaxed);
        next.crowded.store(crowded, Ordering::Relaxed);
        let (now, whole) = (Instant::now(), next.interval.saturating_mul(burst.get()));
        let (before, after) = (now - self.start, now - next.start);
        for (key, full_at) in self.counters.all() {
            let used = full_at.saturating_sub(before).as_secs_f64() / self.interval.as_secs_f64();
            let back_in = next.interval.as_secs_f64() * used;
            let back_in = Duration::try_from_secs_f64(back_in).unwrap_or(whole);
            if !back_in.is_zero() {
                next.counters
                    .set(key, after.saturating_add(back_in.min(whole)));
            }
        }
        Some(Arc::new(next))
    }

    /// Counts one request on this replica.
    ///
    /// # Errors
    /// The caller has used up the burst; nothing was counted.
    pub fn check(&self, CallerKey(key): CallerKey) -> Result<RateLimitStatus, LimitExceeded> {
        let key = if self.crowded.load(Ordering::Relaxed) {
            key % SHARED
        } else {
            key
        };
        match self.limiter.check_key(&key) {
            Ok(snapshot) => Ok(self.status(snapshot.remaining_burst_capacity())),
            Err(until) => Err(self.exceeded(until.wait_time_from(MonotonicClock.now()))),
        }
    }

    /// Counts one request on all replicas together; while the store is unavailable, on this one.
    ///
    /// # Errors
    /// The caller has used up the burst.
    pub async fn check_shared(
        &self,
        store: &Store,
        route: &str,
        caller: &Caller,
        key: CallerKey,
    ) -> Result<RateLimitStatus, LimitExceeded> {
        // Whatever the store decides: the local count has to be up to date when the store is lost.
        let local = self.check(key);
        let store_key = store.caller_key("rate", route, &caller.issuer, &caller.user);
        let decision = store.charge(&store_key, self.interval, self.burst.get());
        match decision.await {
            Ok(RateDecision::Passes(remaining)) => Ok(self.status(remaining)),
            Ok(RateDecision::Waits(retry_after)) => Err(self.exceeded(retry_after)),
            Err(Unavailable) => local,
        }
    }

    /// Forgets callers whose whole burst is back. Call it about every second.
    pub fn sweep(&self) {
        if self.limiter.is_empty() {
            return;
        }
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
        self.crowded
            .store(self.limiter.len() > MAX_CALLERS, Ordering::Relaxed);
    }

    fn exceeded(&self, retry_after: Duration) -> LimitExceeded {
        LimitExceeded {
            retry_after,
            status: self.status(0),
        }
    }

    fn status(&self, remaining: u32) -> RateLimitStatus {
        let seconds = |requests: u32| {
            (self.interval.as_secs_f64() * f64::from(requests))
                .ceil()
                .max(1.0) as u64
        };
        let used = self.burst.get().saturating_sub(remaining);
        RateLimitStatus {
            quota: self.burst.get(),
            window: seconds(self.burst.get()),
            remaining,
            reset: if used == 0 { 0 } else { seconds(used) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(count: u32, burst: u32) -> RateLimit {
        let rate = Rate {
            count: NonZeroU32::new(count).unwrap(),
            per: Duration::from_secs(60),
        };
        RateLimit::new(rate, NonZeroU32::new(burst).unwrap()).unwrap()
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_limits_each_caller_by_itself() {
        let limit = limit(6, 3);
        let remaining: Vec<_> = (0..3)
            .map(|_| limit.check(CallerKey(1)).unwrap().remaining)
            .collect();
        assert_eq!(remaining, [2, 1, 0]);
        let exceeded = limit.check(CallerKey(1)).unwrap_err();
        assert!(
            exceeded.retry_after > Duration::from_secs(9)
                && exceeded.retry_after <= Duration::from_secs(10)
        );
        assert_eq!(
            exceeded.status,
            RateLimitStatus {
                quota: 3,
                window: 30,
                remaining: 0,
                reset: 30
            }
        );
        assert!(limit.check(CallerKey(2)).is_ok());
    }

    #[test]
    fn the_longest_burst_is_counted_without_an_overflow() {
        let day = |count: u32, burst: u32| {
            let (count, burst) = (NonZeroU32::new(count), NonZeroU32::new(burst));
            let per = Duration::from_secs(86_400);
            (
                Rate {
                    count: count.unwrap(),
                    per,
                },
                burst.unwrap(),
            )
        };
        let (rate, burst) = day(1, 36_500);
        assert!(RateLimit::is_countable(rate, burst));
        let limit = RateLimit::new(rate, burst).unwrap();
        let status = limit.check(CallerKey(1)).unwrap();
        assert_eq!((status.remaining, status.reset), (36_499, 86_400));
        for (rate, burst) in [day(1, 36_501), day(1, u32::MAX), day(10, u32::MAX)] {
            assert!(!RateLimit::is_countable(rate, burst), "{rate:?} {burst}");
        }
        let (fast, burst) = day(u32::MAX, u32::MAX);
        assert!(RateLimit::is_countable(fast, burst));
        assert!(
            RateLimit::new(fast, burst)
                .unwrap()
                .check(CallerKey(1))
                .is_ok()
        );
    }

    #[test]
    fn another_rate_takes_over_what_each_caller_has_used() {
        let rate = |count: u32| Rate {
            count: NonZeroU32::new(count).unwrap(),
            per: Duration::from_secs(60),
        };
        let burst = |burst| NonZeroU32::new(burst).unwrap();
        let first = Arc::new(limit(1, 5));
        for _ in 0..4 {
            first.check(CallerKey(1)).unwrap();
        }
        let same = first.followed_by(rate(1), burst(5)).unwrap();
        assert!(Arc::ptr_eq(&first, &same));
        for (count, whole, passes, wait) in [(1, 6, 2, 60), (6, 5, 1, 10), (60, 2, 0, 1)] {
            let next = first.followed_by(rate(count), burst(whole)).unwrap();
            for _ in 0..passes {
                next.check(CallerKey(1)).unwrap();
            }
            let retry_after = next.check(CallerKey(1)).unwrap_err().retry_after;
            let expected = Duration::from_secs(wait);
            assert!(
                retry_after <= expected && retry_after > expected.mul_f64(0.9),
                "{count}/min, {whole}: {retry_after:?}"
            );
            assert!(next.check(CallerKey(2)).is_ok());
        }
    }

    #[test]
    fn callers_whose_burst_is_back_are_forgotten() {
        let limit = limit(u32::MAX, 1);
        for key in 0..1000 {
            let _ = limit.check(CallerKey(key));
        }
        limit.sweep();
        assert!(limit.limiter.is_empty());
    }

    #[test]
    fn new_callers_share_counters_when_there_are_too_many() {
        let limit = limit(1, 1);
        limit.crowded.store(true, Ordering::Relaxed);
        assert!(limit.check(CallerKey(7)).is_ok());
        assert!(limit.check(CallerKey(7 + SHARED)).is_err());
    }
}
