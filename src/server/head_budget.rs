//! The memory that the unfinished heads of all connections share.
//!
//! Relies on each connection to report what its head takes, and on the
//! [table](super::table) to evict heads while the budget is exceeded. Never refuses a byte itself.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A budget, and what is used of it.
pub(super) struct HeadBudget {
    used: AtomicUsize,
    limit: usize,
}

impl HeadBudget {
    /// A budget of so many bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            used: AtomicUsize::new(0),
            limit,
        }
    }

    /// Counts these bytes, whether there is room or not.
    pub(super) fn count(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts these bytes no longer.
    pub(super) fn release(&self, bytes: usize) {
        if bytes > 0 {
            self.used.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// Whether heads have to go.
    pub(super) fn is_exceeded(&self) -> bool {
        self.used.load(Ordering::Relaxed) > self.limit
    }
}
