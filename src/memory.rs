//! A budget of memory that many holders share.
//!
//! A [`MemoryPermit`] is part of what it counts, so the memory is released however a request
//! ends. Who needs memory that is about to be released joins a queue ([`MemoryBudget::queue_for`]),
//! which is served in order. Without a queue, reserving and releasing are one atomic operation.
//! Never allocates what it counts.

use std::{
    collections::VecDeque,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio::sync::oneshot;

use crate::instruments::Gauge;

/// A budget of memory.
#[derive(Debug)]
pub struct MemoryBudget {
    limit: AtomicU64,
    held: AtomicU64,
    gauge: Gauge,
    /// Length of `queue`, so that a release without a queue takes no lock.
    queued: AtomicUsize,
    queue: Mutex<VecDeque<QueuedRequest>>,
}

/// A part of the budget, released when dropped.
#[derive(Debug)]
pub struct MemoryPermit {
    budget: Arc<MemoryBudget>,
    bytes: u64,
}

/// A request in the queue. Dropped, it leaves the queue.
#[derive(Debug)]
pub struct MemoryRequest {
    budget: Arc<MemoryBudget>,
    granted: oneshot::Receiver<MemoryPermit>,
}

#[derive(Debug)]
struct QueuedRequest {
    bytes: u64,
    grant: oneshot::Sender<MemoryPermit>,
}

impl MemoryBudget {
    /// A budget of `limit` bytes. `gauge` shows the reserved bytes.
    pub fn new(limit: u64, gauge: Gauge) -> Arc<Self> {
        Arc::new(Self {
            limit: AtomicU64::new(limit),
            held: AtomicU64::new(0),
            gauge,
            queued: AtomicUsize::new(0),
            queue: Mutex::default(),
        })
    }

    /// The size of the budget, in bytes.
    pub fn limit(&self) -> u64 {
        self.limit.load(Ordering::Relaxed)
    }

    /// Changes the size of the budget. What is held beyond it stays held until it is released.
    pub fn resize(self: &Arc<Self>, limit: u64) {
        self.limit.store(limit, Ordering::SeqCst);
        self.serve_queue();
    }

    /// Reserved bytes.
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::SeqCst)
    }

    /// A permit that has reserved nothing yet.
    pub fn permit(self: &Arc<Self>) -> MemoryPermit {
        MemoryPermit {
            budget: Arc::clone(self),
            bytes: 0,
        }
    }

    /// Whether somebody waits for memory.
    pub fn has_queue(&self) -> bool {
        self.queued.load(Ordering::SeqCst) > 0
    }

    /// The bytes that the queue waits for.
    pub fn queued_bytes(&self) -> u64 {
        let queue = self.lock();
        let waiting = queue.iter().filter(|request| !request.grant.is_closed());
        waiting.fold(0, |sum, request| sum.saturating_add(request.bytes))
    }

    /// Joins the queue for `bytes` bytes.
    pub fn queue_for(self: &Arc<Self>, bytes: u64) -> MemoryRequest {
        let (grant, granted) = oneshot::channel();
        let mut queue = self.lock();
        queue.push_back(QueuedRequest { bytes, grant });
        // Before `serve` looks at `held`: a release in between sees the queue and serves it.
        self.queued.store(queue.len(), Ordering::SeqCst);
        self.serve(queue);
        MemoryRequest {
            budget: Arc::clone(self),
            granted,
        }
    }

    /// Grants requests in order, as long as there is room for the first.
    fn serve(self: &Arc<Self>, mut queue: MutexGuard<'_, VecDeque<QueuedRequest>>) {
        while let Some(request) = queue.front() {
            if !request.grant.is_closed() && !self.add(request.bytes) {
                break;
            }
            let Some(QueuedRequest { bytes, grant }) = queue.pop_front() else {
                break;
            };
            if grant.is_closed() {
                continue;
            }
            let permit = MemoryPermit {
                budget: Arc::clone(self),
                bytes,
            };
            if let Err(mut permit) = grant.send(permit) {
                // Not by dropping the permit, which would lock the queue again.
                self.subtract(mem::take(&mut permit.bytes));
            }
        }
        self.queued.store(queue.len(), Ordering::SeqCst);
    }

    fn serve_queue(self: &Arc<Self>) {
        if self.has_queue() {
            self.serve(self.lock());
        }
    }

    fn add(&self, bytes: u64) -> bool {
        self.add_up_to(self.limit(), bytes)
    }

    /// Adds bytes if no more than `limit` are held then.
    fn add_up_to(&self, limit: u64, bytes: u64) -> bool {
        let add = |held: u64| held.checked_add(bytes).filter(|held| *held <= limit);
        let added = self
            .held
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, add)
            .is_ok();
        if added {
            self.gauge.inc_by(signed(bytes));
        }
        added
    }

    fn subtract(&self, bytes: u64) {
        self.held.fetch_sub(bytes, Ordering::SeqCst);
        self.gauge.dec_by(signed(bytes));
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<QueuedRequest>> {
        // Each change is complete before anything can panic.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryPermit {
    /// Reserved bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Grows the permit to `bytes` in all. Returns `false`, and changes nothing, if the budget
    /// has no room. A permit that holds more keeps it.
    pub fn raise_to(&mut self, bytes: u64) -> bool {
        self.raise_beside(bytes, 0)
    }

    /// As [`Self::raise_to`], but only if `spare` bytes of the budget stay free for others.
    pub fn raise_beside(&mut self, bytes: u64, spare: u64) -> bool {
        let Some(more @ 1..) = bytes.checked_sub(self.bytes) else {
            return true;
        };
        let limit = self.budget.limit().saturating_sub(spare);
        let raised = self.budget.add_up_to(limit, more);
        if raised {
            self.bytes = bytes;
        }
        raised
    }

    /// Adds what another permit of the same budget holds.
    pub fn absorb(&mut self, mut other: Self) {
        self.bytes = self.bytes.saturating_add(mem::take(&mut other.bytes));
    }

    /// Releases everything; the permit stays, and holds nothing.
    pub fn release(&mut self) {
        self.shrink_to(0);
    }

    /// Releases what the permit holds beyond `bytes`.
    pub fn shrink_to(&mut self, bytes: u64) {
        let less = self.bytes.saturating_sub(bytes);
        if less > 0 {
            self.bytes = self.bytes.saturating_sub(less);
            self.budget.subtract(less);
            self.budget.serve_queue();
        }
    }
}

impl Drop for MemoryPermit {
    fn drop(&mut self) {
        self.release();
    }
}

impl MemoryRequest {
    /// Waits until the memory is granted. Can be cancelled, and awaited again.
    pub async fn granted(&mut self) -> Option<MemoryPermit> {
        (&mut self.granted).await.ok()
    }

    /// Whether the memory has been granted already.
    #[cfg(test)]
    pub(crate) fn try_granted(&mut self) -> Option<MemoryPermit> {
        self.granted.try_recv().ok()
    }
}

impl Drop for MemoryRequest {
    fn drop(&mut self) {
        // Requests behind this one may fit where it did not.
        self.granted.close();
        self.budget.serve_queue();
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_budget_refuses_and_a_dropped_permit_releases() {
        let memory = MemoryBudget::new(10, Gauge::default());
        let mut first = memory.permit();
        assert!(first.raise_to(6));
        let mut second = memory.permit();
        assert!(!second.raise_to(5));
        assert!(second.raise_to(4));
        assert!(second.raise_to(3), "it holds more");
        assert_eq!(memory.held(), 10);
        assert!(!first.raise_to(u64::MAX));
        second.shrink_to(5);
        assert_eq!(memory.held(), 10);
        second.shrink_to(1);
        assert_eq!((second.bytes(), memory.held()), (1, 7));
        assert!(!second.raise_beside(3, 2));
        assert!(second.raise_beside(2, 2));
        drop((first, second));
        assert_eq!(memory.held(), 0);
    }

    #[test]
    fn a_smaller_budget_takes_nothing_away_and_a_larger_one_serves_the_queue() {
        let memory = MemoryBudget::new(10, Gauge::default());
        let mut first = memory.permit();
        assert!(first.raise_to(10));
        memory.resize(4);
        first.shrink_to(5);
        let mut second = memory.permit();
        assert!(!second.raise_to(1) && first.raise_to(5));
        let mut waiting = memory.queue_for(3);
        assert!(waiting.try_granted().is_none());
        memory.resize(8);
        assert_eq!(waiting.try_granted().map(|permit| permit.bytes()), Some(3));
    }

    #[test]
    fn released_memory_is_granted_in_the_order_of_the_queue() {
        let memory = MemoryBudget::new(10, Gauge::default());
        let mut all = memory.permit();
        assert!(all.raise_to(10));
        let (mut large, mut small) = (memory.queue_for(8), memory.queue_for(2));
        assert_eq!(memory.queued_bytes(), 10);
        assert!(large.try_granted().is_none() && small.try_granted().is_none());
        all.release();
        let (large, small) = (large.try_granted().unwrap(), small.try_granted().unwrap());
        assert_eq!((large.bytes(), small.bytes()), (8, 2));
        assert!(!memory.has_queue());
        let mut merged = large;
        merged.absorb(small);
        assert_eq!((merged.bytes(), memory.held()), (10, 10));
        drop(merged);
        assert_eq!(memory.held(), 0);
    }

    #[test]
    fn a_request_that_leaves_the_queue_blocks_and_keeps_nothing() {
        let memory = MemoryBudget::new(10, Gauge::default());
        let mut most = memory.permit();
        assert!(most.raise_to(7));
        let (large, mut small) = (memory.queue_for(8), memory.queue_for(3));
        assert!(small.try_granted().is_none(), "the first comes first");
        drop(large);
        let small = small.try_granted().unwrap();
        let granted = memory.queue_for(6);
        drop((most, granted));
        assert_eq!(memory.held(), 3);
        drop(small);
        assert_eq!((memory.held(), memory.has_queue()), (0, false));
    }
}
