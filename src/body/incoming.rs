//! A body as it arrives, chunk by chunk: counted against its cap, its pace and the memory that all bodies share.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::{Instant, timeout_at};

use super::BodyRefusal;
use crate::memory::{BodyMemory, MemoryPermit};

/// What all bodies have in common.
#[derive(Clone)]
pub struct BodyAdmission {
    /// The memory for all bodies.
    pub memory: Arc<BodyMemory>,
    /// Bytes per second that a body must keep up.
    pub min_rate: u64,
}

/// A body of unknown length is admitted in steps of this many bytes.
const STEP: u64 = 256 * 1024;

pub(super) struct IncomingBody<'a> {
    body: &'a mut Incoming,
    permit: MemoryPermit,
    pace: BodyPace,
    max: u64,
    declared: Option<u64>,
    /// What so many bytes take once they are held.
    held: fn(u64) -> u64,
    /// Bytes that have arrived; the caller's record looks at it, also after a refusal.
    count: &'a mut u64,
}

impl<'a> IncomingBody<'a> {
    /// Admits a body: nothing of it is read, but room for its declared length is reserved.
    ///
    /// # Errors
    /// `TooLarge`, `NoRoom`.
    pub(super) fn admit(
        body: &'a mut Incoming,
        admission: &BodyAdmission,
        max: u64,
        held: fn(u64) -> u64,
        count: &'a mut u64,
    ) -> Result<Self, BodyRefusal> {
        let declared = body.size_hint().exact();
        if declared.is_some_and(|length| length > max) {
            return Err(BodyRefusal::TooLarge);
        }
        let mut permit = admission.memory.permit();
        if !permit.raise_to(declared.map_or(0, held)) {
            return Err(BodyRefusal::NoRoom);
        }
        Ok(Self {
            body,
            permit,
            pace: BodyPace::new(admission.min_rate),
            max,
            declared,
            held,
            count,
        })
    }

    /// The length that the head declares.
    pub(super) fn declared(&self) -> Option<u64> {
        self.declared
    }

    /// Bytes that have arrived.
    pub(super) fn count(&self) -> u64 {
        *self.count
    }

    /// The next chunk; `None` at the end.
    ///
    /// # Errors
    /// `TooLarge`, `NoRoom`, `TooSlow`, `Broken`.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, BodyRefusal> {
        let Some(chunk) = self.chunk().await? else {
            return Ok(None);
        };
        let length = chunk.len() as u64;
        self.pace.arrived(length);
        *self.count = self.count.saturating_add(length);
        if *self.count > self.max {
            return Err(BodyRefusal::TooLarge);
        }
        let room = self.count.next_multiple_of(STEP).min(self.max);
        if self.declared.is_none() && !self.permit.raise_to((self.held)(room)) {
            return Err(BodyRefusal::NoRoom);
        }
        Ok(Some(chunk))
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, BodyRefusal> {
        loop {
            match timeout_at(self.pace.deadline(), self.body.frame()).await {
                Err(_) => return Err(BodyRefusal::TooSlow),
                Ok(None) => return Ok(None),
                Ok(Some(Err(_))) => return Err(BodyRefusal::Broken),
                Ok(Some(Ok(frame))) => {
                    // Trailers are nothing to us.
                    if let Ok(chunk) = frame.into_data() {
                        return Ok(Some(chunk));
                    }
                }
            }
        }
    }

    /// The permit, which goes on to hold the memory.
    pub(super) fn into_permit(self) -> MemoryPermit {
        self.permit
    }
}

/// Time in which a body need not keep up any rate.
const GRACE: Duration = Duration::from_secs(5);
/// The rate is an average over this time.
const WINDOW: Duration = Duration::from_secs(10);
/// A body that takes longer outlives its session, and in the end its signature's date.
const LONGEST: Duration = Duration::from_secs(5 * 60);

pub(super) struct BodyPace {
    window_ends: Instant,
    end: Instant,
    owed: u64,
    window: u64,
}

impl BodyPace {
    /// `rate` in bytes per second; 0: only the longest time counts.
    pub(super) fn new(rate: u64) -> Self {
        let now = Instant::now();
        let window = rate.saturating_mul(WINDOW.as_secs());
        Self {
            window_ends: now + GRACE + WINDOW,
            end: now + LONGEST,
            owed: window,
            window,
        }
    }

    pub(super) fn deadline(&self) -> Instant {
        if self.window == 0 {
            self.end
        } else {
            self.window_ends.min(self.end)
        }
    }

    pub(super) fn arrived(&mut self, bytes: u64) {
        self.owed = self.owed.saturating_sub(bytes);
        if self.owed == 0 {
            self.owed = self.window;
            self.window_ends = self.window_ends.max(Instant::now() + WINDOW);
        }
    }
}
