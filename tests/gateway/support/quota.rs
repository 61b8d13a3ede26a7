//! For tests of quotas: routes that have one, the calls left, and a clock that the test moves.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use liveness_gateway::limit::clock::{Clock, Moment};

use super::{Answer, routes};

pub(crate) const DAY: u64 = 86_400;
/// An hour after midnight, in seconds since 1970.
pub(crate) const START: u64 = 20_000 * DAY + 3600;

/// A clock, and the seconds since [`START`] that it shows.
pub(crate) fn clock() -> (Clock, Arc<AtomicU64>) {
    let (told, began) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let passed = Arc::clone(&told);
    let clock = Clock::new(move || {
        let passed = Duration::from_secs(told.load(Ordering::SeqCst));
        Moment {
            utc: Duration::from_secs(START) + passed,
            steady: began + passed,
        }
    });
    (clock, passed)
}

/// The default routes with wide limits, and this quota on both.
pub(crate) fn with_quota(quota: &str) -> String {
    let unlimited = routes().replace("quota = \"\"\n", "");
    unlimited.replace("timeout", &format!("quota = \"{quota}\"\ntimeout"))
}

/// Calls left of the quota, from the last item of `RateLimit`.
pub(crate) fn left(answer: &Answer) -> u32 {
    let (_, quota) = answer
        .header("ratelimit")
        .split_once("\"quota\";r=")
        .unwrap_or_else(|| panic!("{answer:?}"));
    quota.split_once(';').unwrap().0.parse().unwrap()
}
