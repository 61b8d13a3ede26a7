//! How many calls to Qiniu a caller may make on a route in each second, minute, hour or day of UTC.
//!
//! What counts are calls, not requests. One is reserved just before it is made ([`Quota::reserve`]), and its [`Reservation`] is a
//! guard: dropped before the call begins, or told that nothing was taken, it gives the call back to the window that it was taken
//! from; else the call counts. So calls at once can't exceed the quota, and none is lost by an early end.
//!
//! Counts are kept by window, and a window that the clock has left is remembered for as long as it lasted: a clock that jumps
//! ahead and comes back finds what was used. Memory is bounded: by windows, and by callers in each; beyond, newcomers share
//! counters, which can refuse them too early and never too late. Never knows a user's name.

use std::{
    collections::{BTreeMap, HashMap},
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    CallerKey, Rate,
    clock::{Clock, Moment},
    rate::{Standing, Wait},
};

/// Callers counted one by one in each window; beyond, newcomers share [`SHARED`] counters.
const MOST_CALLERS: usize = 1 << 20;
const SHARED: u64 = 1 << 16;
/// Windows remembered at once: two, but for a clock that jumps about.
const MOST_WINDOWS: usize = 4;

/// The quota of one route.
pub struct Quota {
    most: NonZeroU32,
    window: Duration,
    clock: Clock,
    began: Instant,
    windows: Mutex<Windows>,
    most_callers: usize,
}

/// One call that is reserved.
#[must_use = "a reservation that is dropped gives its call back"]
pub struct Reservation {
    quota: Arc<Quota>,
    window: u64,
    key: u64,
    counts: bool,
}

/// By how many came before it since 1970.
type Windows = BTreeMap<u64, Window>;

/// What was counted in one window.
struct Window {
    counts: HashMap<u64, Count>,
    /// It has had as many callers as are counted one by one.
    crowded: bool,
    /// When the clock was last in it.
    seen: Instant,
}

/// Of one caller.
#[derive(Clone, Copy, Default)]
struct Count {
    used: u32,
    under_way: u32,
    /// When a call last began or ended, in seconds since [`Quota::began`].
    last: u32,
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
            most_callers,
        })
    }

    /// What is left to a caller.
    pub fn standing(&self, caller: CallerKey) -> Standing {
        let now = self.clock.look();
        let windows = self.windows();
        self.stands(used(&windows, self.number(now), caller), now)
    }

    /// Whether a request may still come to a call; asked before its body is received. Where answers are kept for retries for the
    /// time `kept`, a caller who called within it may be asking for one of those again, which costs nothing: only the body can tell.
    ///
    /// # Errors
    /// The quota is used up.
    pub fn admit(&self, caller: CallerKey, kept: Option<Duration>) -> Result<(), Wait> {
        let now = self.clock.look();
        let windows = self.windows();
        let used = used(&windows, self.number(now), caller);
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

    /// Reserves one call; to be asked for just before the call is made.
    ///
    /// # Errors
    /// The quota is used up.
    pub fn reserve(self: &Arc<Self>, caller: CallerKey) -> Result<Reservation, Wait> {
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
        Ok(Reservation {
            quota: Arc::clone(self),
            window: number,
            key,
            counts: false,
        })
    }

    /// Forgets windows that are over; to be called every second or so.
    pub fn sweep(&self) {
        let now = self.clock.look();
        let number = self.number(now);
        let mut windows = self.windows();
        if let Some(window) = windows.get_mut(&number) {
            window.seen = now.steady;
        }
        let rested =
            |window: &Window| now.steady.saturating_duration_since(window.seen) > self.window;
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
    fn end(&self, number: u64, key: u64, counts: bool) {
        let last = self.age(self.clock.look());
        let mut windows = self.windows();
        let Some(window) = windows.get_mut(&number) else {
            return;
        };
        let Some(count) = window.counts.get_mut(&key) else {
            return;
        };
        count.under_way = count.under_way.saturating_sub(1);
        count.last = last;
        if !counts {
            count.used = count.used.saturating_sub(1);
        }
        if count.used == 0 {
            window.counts.remove(&key);
        }
    }

    fn wait(&self, used: u32, now: Moment) -> Wait {
        Wait {
            retry_after: self.left(now),
            standing: self.stands(used, now),
        }
    }

    fn stands(&self, used: u32, now: Moment) -> Standing {
        let left = self.left(now);
        Standing {
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
        u32::try_from(age).unwrap_or(u32::MAX)
    }

    fn windows(&self) -> MutexGuard<'_, Windows> {
        // Each change is complete before anything that could panic.
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    /// Under which a caller is counted here.
    fn key(&mut self, CallerKey(key): CallerKey, most_callers: usize) -> u64 {
        self.crowded |= self.counts.len() >= most_callers;
        if self.crowded && !self.counts.contains_key(&key) {
            return key % SHARED;
        }
        key
    }

    fn of(&self, CallerKey(key): CallerKey) -> Option<&Count> {
        let shared = || self.counts.get(&(key % SHARED)).filter(|_| self.crowded);
        self.counts.get(&key).or_else(shared)
    }
}

fn used(windows: &Windows, number: u64, caller: CallerKey) -> u32 {
    let window = windows.get(&number);
    let count = window.and_then(|window| window.of(caller));
    count.map_or(0, |count| count.used)
}

/// The window of this number; room is made for a new one.
fn enter(windows: &mut Windows, number: u64, now: Instant) -> &mut Window {
    if windows.len() >= MOST_WINDOWS && !windows.contains_key(&number) {
        let longest_left = windows.iter().min_by_key(|(_, window)| window.seen);
        if let Some(longest_left) = longest_left.map(|(number, _)| *number) {
            windows.remove(&longest_left);
        }
    }
    let window = windows.entry(number).or_insert_with(|| Window {
        counts: HashMap::new(),
        crowded: false,
        seen: now,
    });
    window.seen = now;
    window
}

impl Reservation {
    /// The call begins. From here on it counts, whatever becomes of the one who makes it, unless it is given back by word.
    pub fn begin(&mut self) {
        self.counts = true;
    }

    /// Qiniu surely took nothing on.
    pub fn give_back(mut self) {
        self.counts = false;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.quota.end(self.window, self.key, self.counts);
    }
}

#[cfg(test)]
mod tests;
