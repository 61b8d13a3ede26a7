//! The memory that bodies may take, over all connections.
//!
//! A [`MemoryPermit`] is part of the body that it counts, so the memory is released however a
//! request ends. Never allocates anything itself.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use prometheus_client::metrics::gauge::Gauge;

/// The budget of memory for bodies.
#[derive(Debug)]
pub struct BodyMemory {
    limit: u64,
    held: AtomicU64,
    gauge: Gauge,
}

/// A part of the budget, released when dropped.
#[derive(Debug)]
pub struct MemoryPermit {
    memory: Arc<BodyMemory>,
    bytes: u64,
}

impl BodyMemory {
    /// A budget of `limit` bytes. `gauge` shows the reserved bytes.
    pub fn new(limit: u64, gauge: Gauge) -> Arc<Self> {
        Arc::new(Self {
            limit,
            held: AtomicU64::new(0),
            gauge,
        })
    }

    /// Reserved bytes.
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// A permit that has reserved nothing yet.
    pub fn permit(self: &Arc<Self>) -> MemoryPermit {
        MemoryPermit {
            memory: Arc::clone(self),
            bytes: 0,
        }
    }
}

impl MemoryPermit {
    /// Grows the permit to `bytes` in all. Returns `false`, and changes nothing, if the budget
    /// has no room. A permit never shrinks.
    pub fn raise_to(&mut self, bytes: u64) -> bool {
        let Some(more) = bytes.checked_sub(self.bytes) else {
            return true;
        };
        let limit = self.memory.limit;
        let add = |held: u64| held.checked_add(more).filter(|held| *held <= limit);
        let raised = self
            .memory
            .held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add)
            .is_ok();
        if raised {
            self.bytes = bytes;
            self.memory.gauge.inc_by(signed(more));
        }
        raised
    }
}

impl Drop for MemoryPermit {
    fn drop(&mut self) {
        self.memory.held.fetch_sub(self.bytes, Ordering::Relaxed);
        self.memory.gauge.dec_by(signed(self.bytes));
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{BodyMemory, Gauge};

    #[test]
    fn a_full_budget_refuses_and_a_dropped_permit_releases() {
        let memory = BodyMemory::new(10, Gauge::default());
        let mut first = memory.permit();
        assert!(first.raise_to(6));
        let mut second = memory.permit();
        assert!(!second.raise_to(5));
        assert!(second.raise_to(4));
        assert!(second.raise_to(3), "a permit never shrinks");
        assert_eq!(memory.held(), 10);
        assert!(!first.raise_to(u64::MAX));
        drop((first, second));
        assert_eq!(memory.held(), 0);
    }
}
