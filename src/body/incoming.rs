//! The chunks of a body as they arrive: counted against the route's maximum size, the body's pace,
//! and the memory that all bodies share.
//!
//! Reserves memory before a byte is read, and releases it with the [`BodyPermit`]. Never looks
//! into the chunks.

use std::{future::poll_fn, pin::Pin, sync::Arc, task::Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming};
use tokio::time::{Instant, timeout_at};

use super::{
    BodyRefusal,
    memory::{BodyMemory, BodyPermit},
    pace::BodyPace,
    registry::BodyNeed,
};
use crate::{limit::CallerKey, memory::MemoryRequest};

/// Memory for a body of unknown length is reserved in steps of this size, in bytes.
const STEP: u64 = 256 * 1024;

/// What a body is admitted by.
#[derive(Clone, Copy)]
pub struct BodyAdmission<'a> {
    /// The memory that all bodies share.
    pub memory: &'a Arc<BodyMemory>,
    /// The user whose share the body counts in.
    pub caller: CallerKey,
}

/// An admitted body whose chunks are arriving.
pub(super) struct IncomingBody<'a> {
    body: &'a mut Incoming,
    admission: BodyAdmission<'a>,
    permit: BodyPermit,
    /// Set while the memory is not there yet.
    request: Option<MemoryRequest>,
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
    /// `TooLarge`, `UserShare` or `NoRoom`.
    pub(super) fn admit(
        body: &'a mut Incoming,
        admission: BodyAdmission<'a>,
        max: u64,
        held: fn(u64) -> u64,
        count: &'a mut u64,
    ) -> Result<Self, BodyRefusal> {
        let declared = body.size_hint().exact();
        if declared.is_some_and(|length| length > max) {
            return Err(BodyRefusal::TooLarge);
        }
        let BodyAdmission { memory, caller } = admission;
        let mut permit = memory.permit();
        let need = BodyNeed {
            caller,
            bytes: declared.map_or(0, held),
            length: declared.unwrap_or(0),
        };
        let now = Instant::now();
        let request = memory.raise(&mut permit, need, now)?;
        Ok(Self {
            body,
            admission,
            permit,
            request,
            pace: BodyPace::new(memory.required_rate(need.length), now),
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
    /// `TooLarge`, `UserShare`, `NoRoom`, `TooSlow`, `Displaced` or `Broken`.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, BodyRefusal> {
        self.room().await?;
        let Some(chunk) = self.chunk().await? else {
            self.permit.complete()?;
            return Ok(None);
        };
        let bytes = chunk.len() as u64;
        *self.count = self.count.saturating_add(bytes);
        if *self.count > self.max {
            return Err(BodyRefusal::TooLarge);
        }
        let length = self.length();
        let BodyAdmission { memory, caller } = self.admission;
        self.pace
            .received(bytes, || memory.required_rate(length), Instant::now);
        if self.declared.is_none() {
            let need = BodyNeed {
                caller,
                bytes: (self.held)(length),
                length,
            };
            self.request = memory.raise(&mut self.permit, need, Instant::now())?;
            self.room().await?;
        }
        if let Some(large) = self.permit.large() {
            large.set_received(*self.count);
        }
        Ok(Some(chunk))
    }

    /// The length that the body will have at least.
    fn length(&self) -> u64 {
        let step = self.count.next_multiple_of(STEP).min(self.max);
        self.declared.unwrap_or(step)
    }

    /// Waits until there is room for the body.
    async fn room(&mut self) -> Result<(), BodyRefusal> {
        let Some(request) = self.request.take() else {
            return Ok(());
        };
        // Boxed, because a body rarely waits for room.
        Box::pin(self.admission.memory.wait(&mut self.permit, request)).await?;
        if *self.count == 0 {
            // Its sender could not begin before.
            let rate = self.admission.memory.required_rate(self.length());
            self.pace = BodyPace::new(rate, Instant::now());
        }
        Ok(())
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, BodyRefusal> {
        loop {
            match timeout_at(self.pace.deadline(), self.frame()).await {
                Err(_) => return Err(BodyRefusal::TooSlow),
                Ok(Err(refusal)) => return Err(refusal),
                Ok(Ok(None)) => return Ok(None),
                Ok(Ok(Some(frame))) => {
                    // Trailers are ignored.
                    if let Ok(chunk) = frame.into_data() {
                        return Ok(Some(chunk));
                    }
                }
            }
        }
    }

    /// The next frame, unless the body is ended for others while it waits for one.
    fn frame(&mut self) -> impl Future<Output = Result<Option<Frame<Bytes>>, BodyRefusal>> {
        let (body, large) = (&mut *self.body, self.permit.large());
        poll_fn(
            move |context| match Pin::new(&mut *body).poll_frame(context) {
                Poll::Ready(frame) => {
                    Poll::Ready(frame.transpose().map_err(|_| BodyRefusal::Broken))
                }
                Poll::Pending => match large.map(|large| large.poll_ended(context)) {
                    Some(Poll::Ready(())) => Poll::Ready(Err(BodyRefusal::Displaced)),
                    Some(Poll::Pending) | None => Poll::Pending,
                },
            },
        )
    }

    /// The permit, which keeps the memory reserved.
    pub(super) fn into_permit(self) -> BodyPermit {
        self.permit
    }
}
