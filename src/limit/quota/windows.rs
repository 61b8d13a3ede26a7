//! Counts by window and caller. Memory is bounded by the number of windows, and by the number of
//! callers in each; new callers beyond share counters.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use crate::limit::caller::CallerKey;

/// Maximum number of callers with a counter of their own in each window; those beyond share
/// [`SHARED`] counters.
pub(super) const MAX_CALLERS: usize = 1 << 20;
/// Number of shared counters in a window.
pub(super) const SHARED: u64 = 1 << 16;
/// Maximum number of windows. Two suffice unless the clock jumps.
pub(super) const MAX_WINDOWS: usize = 4;

/// Windows by their number: how many windows of this length precede it since 1970.
pub(super) type Windows = BTreeMap<u64, Window>;

/// All that was counted. Quotas that follow each other share it.
pub(super) struct QuotaCounts {
    /// When the count began.
    pub(super) made: Instant,
    windows: Mutex<Windows>,
    /// How many updates were made for other replicas.
    updates: AtomicU64,
}

/// The counts of one window.
pub(super) struct Window {
    pub(super) counts: HashMap<u64, CallCount>,
    /// New callers share counters.
    pub(super) crowded: bool,
    /// When the clock was last in this window.
    pub(super) seen: Instant,
}

/// The calls of one caller.
#[derive(Clone, Copy, Default)]
pub(super) struct CallCount {
    /// Calls of this replica.
    pub(super) used: u32,
    /// Calls of other replicas, as last learned.
    pub(super) elsewhere: u32,
    /// Calls of this replica that have not ended.
    pub(super) in_progress: u32,
    /// When a call last began or ended, as an age of the quota in seconds.
    pub(super) last: u32,
}

impl QuotaCounts {
    /// Nothing was counted yet.
    pub(super) fn new(made: Instant) -> Self {
        Self {
            made,
            windows: Mutex::default(),
            updates: AtomicU64::new(0),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Windows> {
        // Each change is complete before anything can panic.
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the next update for other replicas.
    pub(super) fn next_update(&self) -> u64 {
        let before = self.updates.fetch_add(1, Ordering::Relaxed);
        before.saturating_add(1)
    }
}

impl Window {
    /// The key of a caller's counter in this window.
    pub(super) fn key(&mut self, CallerKey(key): CallerKey, max_callers: usize) -> u64 {
        self.crowded |= self.counts.len() >= max_callers;
        if self.crowded && !self.counts.contains_key(&key) {
            return key % SHARED;
        }
        key
    }

    /// The count of a caller in this window.
    pub(super) fn of(&self, CallerKey(key): CallerKey) -> Option<&CallCount> {
        let shared = || self.counts.get(&(key % SHARED)).filter(|_| self.crowded);
        self.counts.get(&key).or_else(shared)
    }
}

impl CallCount {
    /// All calls, of this replica and the others.
    pub(super) fn all(&self) -> u32 {
        self.used.saturating_add(self.elsewhere)
    }
}

/// The count of a caller in the window of this number.
pub(super) fn count(windows: &Windows, number: u64, caller: CallerKey) -> CallCount {
    let window = windows.get(&number);
    let count = window.and_then(|window| window.of(caller));
    count.copied().unwrap_or_default()
}

/// The window of this number. A new one replaces the window that the clock left longest ago, if
/// there are too many.
pub(super) fn enter(windows: &mut Windows, number: u64, now: Instant) -> &mut Window {
    if windows.len() >= MAX_WINDOWS && !windows.contains_key(&number) {
        let left_longest_ago = windows.iter().min_by_key(|(_, window)| window.seen);
        if let Some(left_longest_ago) = left_longest_ago.map(|(number, _)| *number) {
            windows.remove(&left_longest_ago);
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
