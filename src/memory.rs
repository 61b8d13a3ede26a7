//! The bytes that bodies may take, all connections together. A [`MemoryPermit`] lives inside what was received, so memory is
//! given back however a request ends.

use prometheus_client::metrics::gauge::Gauge;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// The memory for bodies.
#[derive(Debug)]
pub struct BodyMemory {
    limit: u64,
    held: AtomicU64,
    shown: Gauge,
}

/// A part of the memory; given back when dropped.
#[derive(Debug)]
pub struct MemoryPermit {
    memory: Arc<BodyMemory>,
    bytes: u64,
}

impl BodyMemory {
    /// `limit` in bytes; what is held is shown on a gauge.
    pub fn new(limit: u64, shown: Gauge) -> Arc<Self> {
        Arc::new(Self {
            limit,
            held: AtomicU64::new(0),
            shown,
        })
    }

    /// Bytes reserved now.
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// A permit without any bytes yet.
    pub fn permit(self: &Arc<Self>) -> MemoryPermit {
        MemoryPermit {
            memory: Arc::clone(self),
            bytes: 0,
        }
    }
}

impl MemoryPermit {
    /// Raises the permit to `bytes`; `false`, and nothing changed, when there is no room.
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
            self.memory.shown.inc_by(signed(more));
        }
        raised
    }
}

impl Drop for MemoryPermit {
    fn drop(&mut self) {
        self.memory.held.fetch_sub(self.bytes, Ordering::Relaxed);
        self.memory.shown.dec_by(signed(self.bytes));
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{BodyMemory, Gauge};

    #[test]
    fn room_is_refused_when_full_and_given_back_on_drop() {
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
