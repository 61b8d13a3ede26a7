//! How often a caller may call a route: GCRA by `governor`, with memory that stays bounded under a flood of users.

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
    state::keyed::DashMapStateStore,
};

use super::{ByCaller, CallerKey, shared::Heard};
use crate::route::Rate;
use crate::store::RateDecision;

/// Callers counted one by one; beyond, newcomers share [`SHARED`] counters until the others have rested.
pub(super) const MOST_CALLERS: usize = 1 << 20;
const SHARED: u64 = 1 << 16;

/// The rate limit of one route.
pub struct RateLimit {
    limiter: RateLimiter<
        u64,
        DashMapStateStore<u64, ByCaller>,
        DefaultClock,
        StateInformationMiddleware,
    >,
    clock: DefaultClock,
    interval: Duration,
    burst: NonZeroU32,
    crowded: AtomicBool,
    /// What the store said, where replicas share one.
    pub(super) heard: Heard,
}

/// What is left to a caller, in the terms of draft-ietf-httpapi-ratelimit-headers-10.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimitStatus {
    /// Requests that may be made at once (`q`).
    pub quota: u32,
    /// Seconds in which all of them come back (`w`).
    pub window: u64,
    /// Requests left (`r`).
    pub remaining: u32,
    /// Seconds until all are back (`t`).
    pub reset: u64,
}

/// The caller has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitExceeded {
    /// For so long.
    pub retry_after: Duration,
    /// For the headers.
    pub standing: RateLimitStatus,
}

impl RateLimit {
    /// `None` for a rate too high to be told from none (over one a nanosecond).
    pub fn new(rate: Rate, burst: NonZeroU32) -> Option<Self> {
        let interval = rate.per / rate.count.get();
        let quota = Quota::with_period(interval)?.allow_burst(burst);
        Some(Self {
            limiter: RateLimiter::new(quota, DashMapStateStore::default(), DefaultClock::default()),
            clock: DefaultClock::default(),
            interval,
            burst,
            crowded: AtomicBool::new(false),
            heard: Heard::default(),
        })
    }

    /// Counts one request.
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
            Ok(snapshot) => Ok(self.standing(snapshot.remaining_burst_capacity())),
            Err(until) => Err(LimitExceeded {
                retry_after: until.wait_time_from(self.clock.now()),
                standing: self.standing(0),
            }),
        }
    }

    /// How far apart requests are, and how many may be made at once.
    pub(super) fn terms(&self) -> (Duration, NonZeroU32) {
        (self.interval, self.burst)
    }

    /// What the store counted, in the same terms.
    pub(super) fn told(&self, charged: RateDecision) -> Result<RateLimitStatus, LimitExceeded> {
        match charged {
            RateDecision::Passes(remaining) => Ok(self.standing(remaining)),
            RateDecision::Waits(retry_after) => Err(LimitExceeded {
                retry_after,
                standing: self.standing(0),
            }),
        }
    }

    /// Forgets callers that have rested; to be called every second or so.
    pub fn sweep(&self) {
        self.heard.sweep();
        if self.limiter.is_empty() {
            return;
        }
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
        self.crowded
            .store(self.limiter.len() > MOST_CALLERS, Ordering::Relaxed);
    }

    fn standing(&self, remaining: u32) -> RateLimitStatus {
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
    fn a_burst_passes_and_then_the_rate_holds_each_caller_alone() {
        let limit = limit(6, 3);
        let remaining: Vec<_> = (0..3)
            .map(|_| limit.check(CallerKey(1)).unwrap().remaining)
            .collect();
        assert_eq!(remaining, [2, 1, 0]);
        let wait = limit.check(CallerKey(1)).unwrap_err();
        assert!(
            wait.retry_after > Duration::from_secs(9)
                && wait.retry_after <= Duration::from_secs(10)
        );
        assert_eq!(
            wait.standing,
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
    fn rested_callers_are_forgotten() {
        let limit = limit(u32::MAX, 1);
        for key in 0..1000 {
            let _ = limit.check(CallerKey(key));
        }
        limit.sweep();
        assert!(limit.limiter.is_empty());
    }

    #[test]
    fn newcomers_share_counters_when_it_is_crowded() {
        let limit = limit(1, 1);
        limit.crowded.store(true, Ordering::Relaxed);
        assert!(limit.check(CallerKey(7)).is_ok());
        assert!(limit.check(CallerKey(7 + SHARED)).is_err());
    }
}
