//! The memory that all bodies share, and each user's share of it.
//!
//! A large body is registered with its user, its length and its progress. Where one finds no
//! room, bodies that others can do without end first: retries that only wait give theirs back,
//! then those that are furthest behind their pace. A small body costs one atomic operation, as
//! long as there is room. Relies on [`crate::memory`] for the count and the queue, and on
//! [`super::registry`] for the large bodies. Never waits while its lock is held.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, timeout};

use super::{
    BodyRefusal,
    large::LargeBody,
    pace::{Fill, required_rate},
    registry::{BodyNeed, BodyState, Registry},
};
use crate::{
    instruments::Gauge,
    memory::{MemoryBudget, MemoryPermit, MemoryRequest},
};

/// From this size on, a body counts for its user's share and can be ended for others, in bytes.
const LARGE: u64 = 16 * 1024;
/// How long a body waits for memory that others are about to release.
const ROOM_WAIT: Duration = Duration::from_secs(1);

/// The limits of bodies.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// The memory of all bodies, in bytes.
    pub memory: u64,
    /// Of it, what bodies of one user may hold together, in bytes. A single body always may.
    pub per_user: u64,
    /// Minimum rate of a body, in bytes per second.
    pub min_rate: u64,
}

/// The memory that all bodies share.
#[derive(Debug)]
pub struct BodyMemory {
    budget: Arc<MemoryBudget>,
    per_user: AtomicU64,
    min_rate: AtomicU64,
    registry: Mutex<Registry>,
}

/// The memory of one body, released when dropped.
#[derive(Debug)]
pub struct BodyPermit {
    held: MemoryPermit,
    registered: Option<Registration>,
}

#[derive(Debug)]
struct Registration {
    memory: Arc<BodyMemory>,
    body: Arc<LargeBody>,
    id: u64,
}

/// A complete body that its request may lose while it waits for another request.
#[derive(Default)]
pub struct SpareBody(Option<(Arc<BodyMemory>, Arc<LargeBody>, u64)>);

impl BodyMemory {
    /// An empty memory. `gauge` shows the reserved bytes.
    pub fn new(limits: BodyLimits, gauge: Gauge) -> Arc<Self> {
        Arc::new(Self {
            budget: MemoryBudget::new(limits.memory, gauge),
            per_user: AtomicU64::new(limits.per_user),
            min_rate: AtomicU64::new(limits.min_rate),
            registry: Mutex::default(),
        })
    }

    /// Changes the limits. No body loses the memory that it has.
    pub fn change(&self, limits: BodyLimits) {
        self.per_user.store(limits.per_user, Ordering::Relaxed);
        self.min_rate.store(limits.min_rate, Ordering::Relaxed);
        self.budget.resize(limits.memory);
    }

    /// Reserved bytes.
    pub fn held(&self) -> u64 {
        self.budget.held()
    }

    /// A permit that has reserved nothing yet.
    pub(super) fn permit(&self) -> BodyPermit {
        BodyPermit {
            held: self.budget.permit(),
            registered: None,
        }
    }

    /// The rate that a body of `length` bytes needs now, in bytes per second.
    pub(super) fn required_rate(&self, length: u64) -> u64 {
        let fill = Fill::new(self.held(), self.budget.limit());
        required_rate(self.min_rate(), length, fill)
    }

    /// Grows a body's permit to what it needs in all. A raw video that fits, but needs more as
    /// Base64, gets all the memory there is. Returns a request if others have to end first; it must
    /// be awaited before the body is read on.
    ///
    /// # Errors
    /// `UserShare`, `NoRoom` or `Displaced`.
    pub(super) fn raise(
        self: &Arc<Self>,
        permit: &mut BodyPermit,
        mut need: BodyNeed,
        now: Instant,
    ) -> Result<Option<MemoryRequest>, BodyRefusal> {
        need.bytes = need.bytes.min(self.budget.limit().max(need.length));
        let more = need.bytes.saturating_sub(permit.held.bytes());
        if more == 0 {
            return Ok(None);
        }
        let known = permit.registered.as_ref().map(|registered| registered.id);
        if known.is_none() && need.bytes < LARGE {
            if permit.held.raise_to(need.bytes) {
                return Ok(None);
            }
            let mut registry = self.lock();
            return self.make_room(&mut registry, more, None, now).map(Some);
        }
        let mut registry = self.lock();
        let per_user = self.per_user.load(Ordering::Relaxed);
        let id = registry.register(known, need, per_user, now)?;
        if let (None, Some(body)) = (known, registry.bodies.get(&id)) {
            permit.registered = Some(Registration {
                memory: Arc::clone(self),
                body: Arc::clone(&body.shared),
                id,
            });
        }
        if !self.budget.has_queue() && permit.held.raise_to(need.bytes) {
            return Ok(None);
        }
        let request = self.make_room(&mut registry, more, Some(id), now)?;
        registry.set_state(id, BodyState::Waiting);
        Ok(Some(request))
    }

    /// Waits for the memory of a request, for a bounded time.
    ///
    /// # Errors
    /// `NoRoom`.
    pub(super) async fn wait(
        &self,
        permit: &mut BodyPermit,
        mut request: MemoryRequest,
    ) -> Result<(), BodyRefusal> {
        let granted = timeout(ROOM_WAIT, request.granted()).await;
        let granted = granted.ok().flatten().ok_or(BodyRefusal::NoRoom)?;
        self.admit(permit, granted, Instant::now());
        Ok(())
    }

    fn admit(&self, permit: &mut BodyPermit, granted: MemoryPermit, now: Instant) {
        let is_new = permit.held.bytes() == 0;
        permit.held.absorb(granted);
        if let Some(registered) = &permit.registered {
            self.lock().admit(registered.id, is_new, now);
        }
    }

    /// Ends as many bodies as it takes to free `more` bytes, and queues for them. Ends none if
    /// all of them together would not be enough.
    fn make_room(
        &self,
        registry: &mut Registry,
        more: u64,
        own: Option<u64>,
        now: Instant,
    ) -> Result<MemoryRequest, BodyRefusal> {
        // More than there is may be held for a while after the memory was made smaller.
        let (limit, held) = (self.budget.limit(), self.budget.held());
        let coming = limit.saturating_add(registry.bytes_of(BodyState::Ended));
        let wanted = self.budget.queued_bytes().saturating_add(more);
        let short = wanted.saturating_add(held).saturating_sub(coming);
        if short > 0 && !registry.end_slowest(short, self.min_rate(), own, now) {
            return Err(BodyRefusal::NoRoom);
        }
        Ok(self.budget.queue_for(more))
    }

    fn min_rate(&self) -> u64 {
        self.min_rate.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        // Each change is complete before anything can panic.
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BodyPermit {
    /// The registered body, if it is a large one.
    pub(super) fn large(&self) -> Option<&LargeBody> {
        self.registered.as_ref().map(|it| &*it.body)
    }

    /// Says that the body has arrived.
    ///
    /// # Errors
    /// `Displaced`: it was ended before.
    pub(super) fn complete(&self) -> Result<(), BodyRefusal> {
        match &self.registered {
            Some(it) if !it.memory.lock().set_state(it.id, BodyState::Complete) => {
                Err(BodyRefusal::Displaced)
            }
            _ => Ok(()),
        }
    }

    /// A handle by which the body can be given up for others, while its request waits.
    pub fn spare(&self) -> SpareBody {
        let registered = self.registered.as_ref();
        SpareBody(registered.map(|it| (Arc::clone(&it.memory), Arc::clone(&it.body), it.id)))
    }
}

impl SpareBody {
    /// From now on others may have its memory.
    pub fn offer(&self) {
        if let Some((memory, _, id)) = &self.0 {
            memory.lock().set_state(*id, BodyState::Spare);
        }
    }

    /// Resolves when others need the memory. The body must then be dropped.
    pub async fn taken(&self) {
        match &self.0 {
            Some((_, body, _)) => body.ended().await,
            None => std::future::pending().await,
        }
    }

    /// Needs the body from now on. Returns `false` if others have its memory.
    pub fn keep(&self) -> bool {
        let Some((memory, _, id)) = &self.0 else {
            return true;
        };
        memory.lock().set_state(*id, BodyState::Complete)
    }
}

impl Drop for BodyPermit {
    fn drop(&mut self) {
        if let Some(Registration { memory, id, .. }) = &self.registered {
            // Released under the lock: nobody sees the body gone and its memory still held.
            let mut registry = memory.lock();
            registry.remove(*id);
            self.held.release();
        }
    }
}

#[cfg(test)]
mod tests;
