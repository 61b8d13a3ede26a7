//! How many calls to Qiniu a caller may make on a route in each second, minute, hour or day of UTC.
//!
//! What counts are calls, not requests. A call is reserved just before it is made
//! ([`Quota::hold`]). Its [`Reservation`] is a guard: dropped before the call begins, or told that
//! Qiniu did not take the request, it returns the call to the window that it was taken from;
//! otherwise the call counts. Concurrent calls are counted when reserved, so together they can't
//! exceed the quota.
//!
//! This is the count of one replica, together with what it last learned of the others'
//! ([`Quota::learn`]); [`shared`] asks them.
//!
//! Counts are kept by window ([`windows`]), and a window is remembered for its own length after the
//! clock has left it: if the clock jumps ahead and returns, earlier calls still count. Memory is
//! bounded; where it is short, callers are refused too early and never too late. Never knows a
//! user's name.

pub mod shared;
mod windows;

use std::{
    num::NonZeroU32,
    sync::{Arc, MutexGuard},
    time::Duration,
};

use self::windows::{CallCount, MAX_CALLERS, QuotaCounts, SHARED, Windows, count, enter};
use super::{
    caller::CallerKey,
    clock::{Clock, Moment},
    rate::{LimitExceeded, RateLimitStatus},
};
use crate::{
    route::Rate,
    store::{CounterTotal, CounterUpdate},
};

/// The age of a quota when it is made, in seconds: other replicas may have counted calls before.
const AT_START: u32 = 3600;

/// The quota of one route.
pub struct Quota {
    max: NonZeroU32,
    window: Duration,
    clock: Clock,
    counts: Arc<QuotaCounts>,
    max_callers: usize,
}

/// One reserved call.
#[must_use = "a reservation that is dropped returns its call"]
pub struct Reservation {
    quota: Arc<Quota>,
    window: u64,
    key: u64,
    on_drop: OnDrop,
}

/// What becomes of a reserved call when its reservation is dropped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OnDrop {
    /// It is returned.
    Return,
    /// It counts.
    Count,
    /// Nothing: it was returned before.
    Nothing,
}

impl Quota {
    /// Allows `quota.count` calls in each window of length `quota.per`.
    pub fn new(quota: Rate, clock: Clock) -> Arc<Self> {
        Self::with_room(quota, clock, MAX_CALLERS)
    }

    fn with_room(quota: Rate, clock: Clock, max_callers: usize) -> Arc<Self> {
        Arc::new(Self {
            max: quota.count,
            window: quota.per.max(Duration::from_secs(1)),
            counts: Arc::new(QuotaCounts::new(clock.now().steady)),
            clock,
            max_callers,
        })
    }

    /// The quota that follows this one: calls so far count in it, if its windows are as long.
    pub fn followed_by(&self, quota: Rate) -> Arc<Self> {
        let mut next = Self::with_room(quota, self.clock.clone(), self.max_callers);
        if let Some(next) = Arc::get_mut(&mut next).filter(|next| next.window == self.window) {
            next.counts = Arc::clone(&self.counts);
        }
        next
    }

    /// What is left to a caller.
    pub fn status(&self, caller: CallerKey) -> RateLimitStatus {
        let now = self.clock.now();
        let windows = self.windows();
        self.status_at(count(&windows, self.number(now), caller).all(), now)
    }

    /// Rejects callers over quota before their body is received, unless this may be a retry of a
    /// cached response: where responses are cached for the time `cached`, a caller who called
    /// within that time may be retrying, which costs nothing, and only the body tells.
    ///
    /// # Errors
    /// The quota is used up.
    pub fn admit(&self, caller: CallerKey, cached: Option<Duration>) -> Result<(), LimitExceeded> {
        let now = self.clock.now();
        let windows = self.windows();
        let used = count(&windows, self.number(now), caller).all();
        if used < self.max.get() {
            return Ok(());
        }
        let age = self.age(now);
        let recent = |count: &CallCount, cached: Duration| {
            let ago = age.saturating_sub(count.last);
            count.in_progress > 0 || u64::from(ago) <= cached.as_secs()
        };
        let may_retry = cached.is_some_and(|cached| {
            let mut counts = windows.values().filter_map(|window| window.of(caller));
            counts.any(|count| recent(count, cached))
        });
        if may_retry {
            return Ok(());
        }
        Err(self.exceeded(used, now))
    }

    /// Reserves one call among this replica's own, just before it is made, and returns the update
    /// for the other replicas. Their calls do not count until they are asked, or until
    /// [`Reservation::without_replicas`] says that they can't be.
    ///
    /// # Errors
    /// This replica's calls alone have used the quota up.
    pub fn hold(
        self: &Arc<Self>,
        caller: CallerKey,
    ) -> Result<(Reservation, CounterUpdate), LimitExceeded> {
        let now = self.clock.now();
        let number = self.number(now);
        let mut windows = self.windows();
        let window = enter(&mut windows, number, now.steady);
        let key = window.key(caller, self.max_callers);
        let count = window.counts.entry(key).or_default();
        if count.used >= self.max.get() {
            return Err(self.exceeded(count.used, now));
        }
        count.used = count.used.saturating_add(1);
        count.in_progress = count.in_progress.saturating_add(1);
        count.last = self.age(now);
        // Numbered under the lock, so that updates are numbered in the order of the counts.
        let update = self.update_at(number, Some(count.used), now);
        drop(windows);
        let reservation = Reservation {
            quota: Arc::clone(self),
            window: number,
            key,
            on_drop: OnDrop::Return,
        };
        Ok((reservation, update))
    }

    /// The update of a caller's calls in `window`, or in the current one. For a window that is
    /// forgotten, it has no calls and only reads.
    pub fn update(&self, caller: CallerKey, window: Option<u64>) -> CounterUpdate {
        let now = self.clock.now();
        let number = window.unwrap_or_else(|| self.number(now));
        let windows = self.windows();
        let known = windows.get(&number);
        let calls = known.map(|window| window.of(caller).map_or(0, |count| count.used));
        self.update_at(number, calls, now)
    }

    /// Notes the calls of a caller that all replicas have counted in the window of this number.
    pub fn learn(&self, caller: CallerKey, number: u64, total: &CounterTotal) {
        let now = self.clock.now();
        let elsewhere = total.all.saturating_sub(total.own);
        let mut windows = self.windows();
        let window = match elsewhere > 0 && number == self.number(now) {
            true => Some(enter(&mut windows, number, now.steady)),
            false => windows.get_mut(&number),
        };
        let known = window.filter(|window| elsewhere > 0 || window.of(caller).is_some());
        let Some(window) = known else { return };
        let key = window.key(caller, self.max_callers);
        let count = window.counts.entry(key).or_default();
        count.elsewhere = match key < SHARED {
            // A counter of several callers must hold for each of them.
            true => count.elsewhere.max(elsewhere),
            false => elsewhere,
        };
        let ago = now.utc.as_secs().saturating_sub(total.last);
        let ago = u32::try_from(ago).unwrap_or(u32::MAX);
        count.last = count.last.max(self.age(now).saturating_sub(ago));
    }

    /// The maximum number of calls in a window.
    pub fn max(&self) -> u32 {
        self.max.get()
    }

    /// The error of a quota that is used up.
    pub fn used_up(&self) -> LimitExceeded {
        self.exceeded(self.max.get(), self.clock.now())
    }

    /// Forgets windows that are over. Call it about every second.
    pub fn sweep(&self) {
        let now = self.clock.now();
        let number = self.number(now);
        let mut windows = self.windows();
        if let Some(window) = windows.get_mut(&number) {
            window.seen = now.steady;
        }
        let is_over = |window: &windows::Window| {
            now.steady.saturating_duration_since(window.seen) > self.window
        };
        let over = windows.iter().filter(|(_, window)| is_over(window));
        let over: Vec<_> = over.map(|(number, _)| *number).collect();
        let over: Vec<_> = over
            .iter()
            .filter_map(|number| windows.remove(number))
            .collect();
        // Dropping a million entries takes time, so it happens without the lock.
        drop(windows);
        drop(over);
    }

    /// Ends a call: it counts, or is returned to its window. Nothing if the window is forgotten.
    fn end(&self, windows: &mut Windows, call: &Reservation, now: Moment) {
        let Some(window) = windows.get_mut(&call.window) else {
            return;
        };
        let Some(count) = window.counts.get_mut(&call.key) else {
            return;
        };
        count.in_progress = count.in_progress.saturating_sub(1);
        count.last = self.age(now);
        if call.on_drop != OnDrop::Count {
            count.used = count.used.saturating_sub(1);
        }
        if count.all() == 0 {
            window.counts.remove(&call.key);
        }
    }

    fn update_at(&self, window: u64, calls: Option<u32>, now: Moment) -> CounterUpdate {
        let ends = window
            .saturating_add(1)
            .saturating_mul(self.window.as_secs());
        let left = Duration::from_secs(ends).saturating_sub(now.utc);
        CounterUpdate {
            window,
            number: self.counts.next_update(),
            calls,
            at: now.utc.as_secs(),
            remember: left.saturating_add(self.window),
        }
    }

    fn exceeded(&self, used: u32, now: Moment) -> LimitExceeded {
        LimitExceeded {
            retry_after: self.left(now),
            status: self.status_at(used, now),
        }
    }

    fn status_at(&self, used: u32, now: Moment) -> RateLimitStatus {
        let left = self.left(now);
        RateLimitStatus {
            quota: self.max.get(),
            window: self.window.as_secs(),
            remaining: self.max.get().saturating_sub(used),
            reset: left.as_secs() + u64::from(left.subsec_nanos() > 0),
        }
    }

    /// The number of the current window.
    fn number(&self, now: Moment) -> u64 {
        now.utc.as_secs() / self.window.as_secs().max(1)
    }

    /// How long until the window ends.
    fn left(&self, now: Moment) -> Duration {
        let seconds = now.utc.as_secs() % self.window.as_secs().max(1);
        let into = Duration::new(seconds, now.utc.subsec_nanos());
        self.window.saturating_sub(into)
    }

    /// The age of the quota, in seconds.
    fn age(&self, now: Moment) -> u32 {
        let age = now
            .steady
            .saturating_duration_since(self.counts.made)
            .as_secs();
        let age = u32::try_from(age).unwrap_or(u32::MAX);
        age.saturating_add(AT_START)
    }

    fn windows(&self) -> MutexGuard<'_, Windows> {
        self.counts.lock()
    }
}

impl Reservation {
    /// Keeps the reservation although the other replicas can't be asked: the calls last learned of
    /// count.
    ///
    /// # Errors
    /// Together with those the quota is used up, and the call is returned.
    pub fn without_replicas(mut self) -> Result<Self, LimitExceeded> {
        let quota = Arc::clone(&self.quota);
        let now = quota.clock.now();
        let mut windows = quota.windows();
        let window = windows.get(&self.window);
        let count = window.and_then(|window| window.counts.get(&self.key));
        let all = count.map_or(0, CallCount::all);
        if all <= quota.max.get() {
            return Ok(self);
        }
        // Under the same lock: of two reservations that do not fit together, one stays.
        quota.end(&mut windows, &self, now);
        self.on_drop = OnDrop::Nothing;
        Err(quota.exceeded(all, now))
    }

    /// The call begins. From now on it counts, even if the request that makes it is dropped, unless
    /// it is returned by [`Reservation::give_back`].
    pub fn begin(&mut self) {
        self.on_drop = OnDrop::Count;
    }

    /// Returns the call: Qiniu certainly did not take the request.
    pub fn give_back(mut self) {
        self.on_drop = OnDrop::Return;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.on_drop != OnDrop::Nothing {
            let now = self.quota.clock.now();
            let mut windows = self.quota.windows();
            self.quota.end(&mut windows, self, now);
        }
    }
}

#[cfg(test)]
mod tests;
