//! How many calls to Qiniu a caller may make on a route in each second, minute, hour or day of UTC.
//!
//! What counts are calls, not requests. One is reserved just before it is made ([`Quota::hold`]), and its [`Reservation`] is a
//! guard: dropped before the call begins, or told that nothing was taken, it gives the call back to the window that it was taken
//! from; else the call counts. So calls at once can't exceed the quota, and none is lost by an early end.
//!
//! This is the count of one replica, which also remembers what it last heard of the others' ([`Quota::hear`]); asking them is [`shared`]'s.
//!
//! Counts are kept by window ([`windows`]), and a window that the clock has left is remembered for as long as it lasted: a clock that jumps
//! ahead and comes back finds what was used. Memory is bounded; where it is short, callers are refused too early and never too
//! late. Never knows a user's name.

pub mod shared;
mod windows;

use std::{
    num::NonZeroU32,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use self::windows::{Count, SHARED, Windows, count, enter};
use super::{
    CallerKey,
    clock::{Clock, Moment},
    rate::{LimitExceeded, RateLimitStatus},
};
use crate::route::Rate;
use crate::store::{CounterTotal, CounterUpdate};

/// Callers counted one by one in each window; beyond, newcomers share counters.
const MOST_CALLERS: usize = 1 << 20;
/// The age of a quota at its start, in seconds: other replicas may have seen calls before it.
const AT_START: u32 = 3600;

/// The quota of one route.
pub struct Quota {
    most: NonZeroU32,
    window: Duration,
    clock: Clock,
    began: Instant,
    windows: Mutex<Windows>,
    /// Numbers what is told to other replicas.
    words: AtomicU64,
    most_callers: usize,
}

/// One call that is reserved.
#[must_use = "a reservation that is dropped gives its call back"]
pub struct Reservation {
    quota: Arc<Quota>,
    window: u64,
    key: u64,
    ends: Ends,
}

/// What a reservation comes to when it is dropped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    GivenBack,
    Counted,
    /// It was given back before.
    Over,
}

impl Quota {
    /// So many in each window.
    pub fn new(quota: Rate, clock: Clock) -> Arc<Self> {
        Self::with_room(quota, clock, MOST_CALLERS)
    }

    fn with_room(quota: Rate, clock: Clock, most_callers: usize) -> Arc<Self> {
        Arc::new(Self {
            most: quota.count,
            window: quota.per.max(Duration::from_secs(1)),
            began: clock.look().steady,
            clock,
            windows: Mutex::default(),
            words: AtomicU64::new(0),
            most_callers,
        })
    }

    /// What is left to a caller.
    pub fn standing(&self, caller: CallerKey) -> RateLimitStatus {
        let now = self.clock.look();
        let windows = self.windows();
        self.stands(count(&windows, self.number(now), caller).all(), now)
    }

    /// Whether a request may still come to a call; asked before its body is received. Where answers are kept for retries for the
    /// time `kept`, a caller who called within it may be asking for one of those again, which costs nothing: only the body can tell.
    ///
    /// # Errors
    /// The quota is used up.
    pub fn admit(&self, caller: CallerKey, kept: Option<Duration>) -> Result<(), LimitExceeded> {
        let now = self.clock.look();
        let windows = self.windows();
        let used = count(&windows, self.number(now), caller).all();
        if used < self.most.get() {
            return Ok(());
        }
        let since = self.age(now);
        let recent = |count: &Count, kept: Duration| {
            count.under_way > 0 || u64::from(since.saturating_sub(count.last)) <= kept.as_secs()
        };
        let retries = kept.is_some_and(|kept| {
            let mut counts = windows.values().filter_map(|window| window.of(caller));
            counts.any(|count| recent(count, kept))
        });
        if retries {
            return Ok(());
        }
        Err(self.wait(used, now))
    }

    /// Reserves one call among this replica's own, just before it is made; the word tells the other replicas of it. Theirs don't
    /// count until they are asked, or [`Reservation::alone`] says that they can't be.
    ///
    /// # Errors
    /// This replica's calls alone have used the quota up.
    pub fn hold(
        self: &Arc<Self>,
        caller: CallerKey,
    ) -> Result<(Reservation, CounterUpdate), LimitExceeded> {
        let now = self.clock.look();
        let number = self.number(now);
        let mut windows = self.windows();
        let window = enter(&mut windows, number, now.steady);
        let key = window.key(caller, self.most_callers);
        let count = window.counts.entry(key).or_default();
        if count.used >= self.most.get() {
            return Err(self.wait(count.used, now));
        }
        count.used = count.used.saturating_add(1);
        count.under_way = count.under_way.saturating_add(1);
        count.last = self.age(now);
        // Numbered under the lock, so that a later word never speaks of fewer things.
        let word = self.speak(number, Some(count.used), now);
        drop(windows);
        let reservation = Reservation {
            quota: Arc::clone(self),
            window: number,
            key,
            ends: Ends::GivenBack,
        };
        Ok((reservation, word))
    }

    /// What there is to tell of a caller's calls, in this window or the present one. Of a window that is forgotten there is nothing.
    pub fn word(&self, caller: CallerKey, window: Option<u64>) -> CounterUpdate {
        let now = self.clock.look();
        let number = window.unwrap_or_else(|| self.number(now));
        let windows = self.windows();
        let known = windows.get(&number);
        let calls = known.map(|window| window.of(caller).map_or(0, |count| count.used));
        self.speak(number, calls, now)
    }

    /// What all replicas have counted of a caller, in the window of this number.
    pub fn hear(&self, caller: CallerKey, number: u64, tally: &CounterTotal) {
        let now = self.clock.look();
        let elsewhere = tally.all.saturating_sub(tally.own);
        let mut windows = self.windows();
        let window = match elsewhere > 0 && number == self.number(now) {
            true => Some(enter(&mut windows, number, now.steady)),
            false => windows.get_mut(&number),
        };
        let known = window.filter(|window| elsewhere > 0 || window.of(caller).is_some());
        let Some(window) = known else { return };
        let key = window.key(caller, self.most_callers);
        let count = window.counts.entry(key).or_default();
        count.elsewhere = match key < SHARED {
            // Of several callers: it must do for each.
            true => count.elsewhere.max(elsewhere),
            false => elsewhere,
        };
        let ago = now.utc.as_secs().saturating_sub(tally.last);
        let ago = u32::try_from(ago).unwrap_or(u32::MAX);
        count.last = count.last.max(self.age(now).saturating_sub(ago));
    }

    /// The most calls there may be in a window.
    pub fn most(&self) -> u32 {
        self.most.get()
    }

    /// The quota is used up.
    pub fn used_up(&self) -> LimitExceeded {
        self.wait(self.most.get(), self.clock.look())
    }

    /// Forgets windows that are over; to be called every second or so.
    pub fn sweep(&self) {
        let now = self.clock.look();
        let number = self.number(now);
        let mut windows = self.windows();
        if let Some(window) = windows.get_mut(&number) {
            window.seen = now.steady;
        }
        let rested = |window: &windows::Window| {
            now.steady.saturating_duration_since(window.seen) > self.window
        };
        let over = windows.iter().filter(|(_, window)| rested(window));
        let over: Vec<_> = over.map(|(number, _)| *number).collect();
        let over: Vec<_> = over
            .iter()
            .filter_map(|number| windows.remove(number))
            .collect();
        // A million entries take their time: not under the lock.
        drop(windows);
        drop(over);
    }

    /// The end of a call: it counts, or its window has it back. A window that is forgotten wants neither.
    fn end(&self, windows: &mut Windows, call: &Reservation, now: Moment) {
        let Some(window) = windows.get_mut(&call.window) else {
            return;
        };
        let Some(count) = window.counts.get_mut(&call.key) else {
            return;
        };
        count.under_way = count.under_way.saturating_sub(1);
        count.last = self.age(now);
        if call.ends != Ends::Counted {
            count.used = count.used.saturating_sub(1);
        }
        if count.all() == 0 {
            window.counts.remove(&call.key);
        }
    }

    fn speak(&self, window: u64, calls: Option<u32>, now: Moment) -> CounterUpdate {
        let ends = window
            .saturating_add(1)
            .saturating_mul(self.window.as_secs());
        let left = Duration::from_secs(ends).saturating_sub(now.utc);
        CounterUpdate {
            window,
            number: self.words.fetch_add(1, Ordering::Relaxed).saturating_add(1),
            calls,
            at: now.utc.as_secs(),
            remember: left.saturating_add(self.window),
        }
    }

    fn wait(&self, used: u32, now: Moment) -> LimitExceeded {
        LimitExceeded {
            retry_after: self.left(now),
            standing: self.stands(used, now),
        }
    }

    fn stands(&self, used: u32, now: Moment) -> RateLimitStatus {
        let left = self.left(now);
        RateLimitStatus {
            quota: self.most.get(),
            window: self.window.as_secs(),
            remaining: self.most.get().saturating_sub(used),
            reset: left.as_secs() + u64::from(left.subsec_nanos() > 0),
        }
    }

    /// The window that it is.
    fn number(&self, now: Moment) -> u64 {
        now.utc.as_secs() / self.window.as_secs().max(1)
    }

    /// Until the window ends.
    fn left(&self, now: Moment) -> Duration {
        let seconds = now.utc.as_secs() % self.window.as_secs().max(1);
        let into = Duration::new(seconds, now.utc.subsec_nanos());
        self.window.saturating_sub(into)
    }

    fn age(&self, now: Moment) -> u32 {
        let age = now.steady.saturating_duration_since(self.began).as_secs();
        let age = u32::try_from(age).unwrap_or(u32::MAX);
        age.saturating_add(AT_START)
    }

    fn windows(&self) -> MutexGuard<'_, Windows> {
        // Each change is complete before anything that could panic.
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reservation {
    /// The other replicas can't be asked: what was last heard of theirs counts.
    ///
    /// # Errors
    /// Together with those the quota is used up, and the call is given back.
    pub fn alone(mut self) -> Result<Self, LimitExceeded> {
        let quota = Arc::clone(&self.quota);
        let now = quota.clock.look();
        let mut windows = quota.windows();
        let window = windows.get(&self.window);
        let count = window.and_then(|window| window.counts.get(&self.key));
        let all = count.map_or(0, Count::all);
        if all <= quota.most.get() {
            return Ok(self);
        }
        // Under the same lock: of two that don't fit together, one does.
        quota.end(&mut windows, &self, now);
        self.ends = Ends::Over;
        Err(quota.wait(all, now))
    }

    /// The call begins. From here on it counts, whatever becomes of the one who makes it, unless it is given back by word.
    pub fn begin(&mut self) {
        self.ends = Ends::Counted;
    }

    /// Qiniu surely took nothing on.
    pub fn give_back(mut self) {
        self.ends = Ends::GivenBack;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.ends != Ends::Over {
            let now = self.quota.clock.look();
            let mut windows = self.quota.windows();
            self.quota.end(&mut windows, self, now);
        }
    }
}

#[cfg(test)]
mod tests;
