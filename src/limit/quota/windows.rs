//! What was counted, by window and caller. Memory is bounded: by windows, and by callers in each; beyond, newcomers share
//! counters.

use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use super::super::CallerKey;

pub(super) const SHARED: u64 = 1 << 16;
/// Windows remembered at once: two, but for a clock that jumps about.
pub(super) const MOST_WINDOWS: usize = 4;

/// By how many came before it since 1970.
pub(super) type Windows = BTreeMap<u64, Window>;

/// What was counted in one window.
pub(super) struct Window {
    pub(super) counts: HashMap<u64, Count>,
    /// It has had as many callers as are counted one by one.
    pub(super) crowded: bool,
    /// When the clock was last in it.
    pub(super) seen: Instant,
}

/// Of one caller.
#[derive(Clone, Copy, Default)]
pub(super) struct Count {
    /// Calls that were made here.
    pub(super) used: u32,
    /// Calls of other replicas, as far as this one has heard.
    pub(super) elsewhere: u32,
    pub(super) under_way: u32,
    /// When a call last began or ended, as an age of the quota.
    pub(super) last: u32,
}

impl Window {
    /// Under which a caller is counted here.
    pub(super) fn key(&mut self, CallerKey(key): CallerKey, most_callers: usize) -> u64 {
        self.crowded |= self.counts.len() >= most_callers;
        if self.crowded && !self.counts.contains_key(&key) {
            return key % SHARED;
        }
        key
    }

    pub(super) fn of(&self, CallerKey(key): CallerKey) -> Option<&Count> {
        let shared = || self.counts.get(&(key % SHARED)).filter(|_| self.crowded);
        self.counts.get(&key).or_else(shared)
    }
}

impl Count {
    /// All calls that are known of.
    pub(super) fn all(&self) -> u32 {
        self.used.saturating_add(self.elsewhere)
    }
}

/// What is known of a caller in the window of this number.
pub(super) fn count(windows: &Windows, number: u64, caller: CallerKey) -> Count {
    let window = windows.get(&number);
    let count = window.and_then(|window| window.of(caller));
    count.copied().unwrap_or_default()
}

/// The window of this number; room is made for a new one.
pub(super) fn enter(windows: &mut Windows, number: u64, now: Instant) -> &mut Window {
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
