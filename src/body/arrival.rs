//! A body as it arrives, chunk by chunk: counted against its cap, its pace and the memory that all bodies share.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::timeout_at;

use super::{admission::BodyAdmission, pace::BodyPace, refusal::BodyRefusal};
use crate::memory::MemoryPermit;

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
