//! The chunks of a body as they arrive: counted against the route's maximum size, the minimum rate,
//! and the memory that all bodies share.
//!
//! Reserves memory before a byte is read, and releases it with the [`MemoryPermit`]. Never looks
//! into the chunks.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::{Instant, timeout_at};

use super::BodyRefusal;
use crate::memory::{BodyMemory, MemoryPermit};

/// Memory for a body of unknown length is reserved in steps of this size, in bytes.
const STEP: u64 = 256 * 1024;
/// Time before the first window, in which the minimum rate does not count.
const GRACE: Duration = Duration::from_secs(5);
/// The minimum rate is an average over this time.
const WINDOW: Duration = Duration::from_secs(10);
/// Maximum time for a body. Later its session has expired, and in the end the date of its
/// signature.
const LONGEST: Duration = Duration::from_secs(5 * 60);

/// What all bodies are admitted by.
#[derive(Clone)]
pub struct BodyAdmission {
    /// The memory that all bodies share.
    pub memory: Arc<BodyMemory>,
    /// Minimum rate of a body, in bytes per second; 0 turns it off.
    pub min_rate: u64,
}

/// An admitted body whose chunks are arriving.
pub(super) struct IncomingBody<'a> {
    body: &'a mut Incoming,
    permit: MemoryPermit,
    pace: BodyPace,
    max: u64,
    declared: Option<u64>,
    /// The memory that this many received bytes take.
    held: fn(u64) -> u64,
    /// Bytes received; also read after a refusal, for the access record.
    count: &'a mut u64,
}

impl<'a> IncomingBody<'a> {
    /// Admits a body: reserves memory for its declared length without reading any of it.
    ///
    /// # Errors
    /// `TooLarge` or `NoRoom`.
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

    /// The length that the head declares, in bytes.
    pub(super) fn declared(&self) -> Option<u64> {
        self.declared
    }

    /// The number of bytes received.
    pub(super) fn count(&self) -> u64 {
        *self.count
    }

    /// Receives the next chunk; `None` at the end.
    ///
    /// # Errors
    /// `TooLarge`, `NoRoom`, `TooSlow` or `Broken`.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, BodyRefusal> {
        let Some(chunk) = self.chunk().await? else {
            return Ok(None);
        };
        let length = chunk.len() as u64;
        self.pace.received(length);
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
                    // Trailers are ignored.
                    if let Ok(chunk) = frame.into_data() {
                        return Ok(Some(chunk));
                    }
                }
            }
        }
    }

    /// The permit, which keeps the memory reserved.
    pub(super) fn into_permit(self) -> MemoryPermit {
        self.permit
    }
}

/// The deadline for the next bytes of a body, from the minimum rate.
struct BodyPace {
    window_ends: Instant,
    end: Instant,
    /// Bytes still missing in this window.
    owed: u64,
    /// Bytes that must arrive in each window.
    window: u64,
}

impl BodyPace {
    /// `rate` in bytes per second; if 0, only the maximum time counts.
    fn new(rate: u64) -> Self {
        let now = Instant::now();
        let window = rate.saturating_mul(WINDOW.as_secs());
        Self {
            window_ends: now + GRACE + WINDOW,
            end: now + LONGEST,
            owed: window,
            window,
        }
    }

    fn deadline(&self) -> Instant {
        if self.window == 0 {
            self.end
        } else {
            self.window_ends.min(self.end)
        }
    }

    fn received(&mut self, bytes: u64) {
        self.owed = self.owed.saturating_sub(bytes);
        if self.owed == 0 {
            self.owed = self.window;
            self.window_ends = self.window_ends.max(Instant::now() + WINDOW);
        }
    }
}
