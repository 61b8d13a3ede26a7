//! Receives a body in one pass. What stays of each piece is held as it came and signed at once; nothing is copied, and
//! nothing is ever written to a file.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::{Instant, timeout_at};

use super::{
    BodyRules,
    memory::{BodyMemory, Permit},
};
use crate::{
    json::{
        cut::{Cut, CutError},
        rules::Slot,
        sink::Sink,
        value::Value,
    },
    media::base64::{Check, Finding},
    qiniu::outgoing::{Draft, Outgoing},
};

/// Time in which a body need not keep up any rate.
const GRACE: Duration = Duration::from_secs(5);
/// The rate is an average over this time.
const WINDOW: Duration = Duration::from_secs(10);
/// A body that takes longer outlives its session, and in the end its signature's date.
const LONGEST: Duration = Duration::from_secs(5 * 60);
/// A body of unknown length is admitted in steps of this many bytes.
const STEP: u64 = 256 * 1024;

/// What all bodies have in common.
#[derive(Clone)]
pub struct Admission {
    /// The memory for all bodies.
    pub memory: Arc<BodyMemory>,
    /// Bytes per second that a body must keep up.
    pub min_rate: u64,
}

/// A body that may go upstream.
pub struct Received {
    /// The signed request.
    pub outgoing: Outgoing,
    /// Holds the memory for as long as the request lives.
    pub permit: Permit,
}

/// Why a body was refused.
#[derive(Debug)]
pub enum BodyRefusal {
    /// Over the route's cap.
    TooLarge,
    /// No memory for it now.
    NoRoom,
    /// Under the minimum rate.
    TooSlow,
    /// The connection or its framing broke.
    Broken,
    /// Not JSON, or ambiguous.
    Json(CutError),
    /// A member is missing or of a wrong type.
    Field(String),
    /// Certainly not a video.
    Video(Finding),
}

/// Receives `body`; `count` is told how many bytes have arrived, also when it ends in a refusal.
///
/// # Errors
/// The refusal; what is left of the body has not been read.
pub async fn receive(
    body: &mut Incoming,
    rules: &BodyRules,
    admission: &Admission,
    draft: Draft,
    count: &mut u64,
) -> Result<Received, BodyRefusal> {
    let mut permit = admission.memory.permit();
    let declared = body.size_hint().exact();
    if declared.is_some_and(|length| length > rules.max_body) {
        return Err(BodyRefusal::TooLarge);
    }
    if !permit.raise_to(declared.unwrap_or_default()) {
        return Err(BodyRefusal::NoRoom);
    }
    let mut cut = Cut::new(&rules.rules);
    let mut pieces = Pieces::new(draft);
    let mut pace = Pace::new(admission.min_rate);
    while let Some(chunk) = next_chunk(body, &mut pace).await? {
        *count = count.saturating_add(chunk.len() as u64);
        if *count > rules.max_body {
            return Err(BodyRefusal::TooLarge);
        }
        if declared.is_none() && !permit.raise_to(count.next_multiple_of(STEP).min(rules.max_body))
        {
            return Err(BodyRefusal::NoRoom);
        }
        pieces.chunk = chunk.clone();
        cut.feed(&chunk, &mut pieces).map_err(BodyRefusal::Json)?;
        pieces.video.so_far().map_err(BodyRefusal::Video)?;
    }
    if *count == 0 && rules.empty_is_object {
        pieces.chunk = Bytes::from_static(b"{}");
        cut.feed(b"{}", &mut pieces).map_err(BodyRefusal::Json)?;
    }
    let values = cut.finish().map_err(BodyRefusal::Json)?;
    rules.check(&values).map_err(BodyRefusal::Field)?;
    if rules.video.is_some() {
        pieces.video.finish().map_err(BodyRefusal::Video)?;
    }
    Ok(Received {
        outgoing: pieces.finish(),
        permit,
    })
}

async fn next_chunk(body: &mut Incoming, pace: &mut Pace) -> Result<Option<Bytes>, BodyRefusal> {
    loop {
        match timeout_at(pace.deadline(), body.frame()).await {
            Err(_) => return Err(BodyRefusal::TooSlow),
            Ok(None) => return Ok(None),
            Ok(Some(Err(_))) => return Err(BodyRefusal::Broken),
            Ok(Some(Ok(frame))) => {
                // Trailers are nothing to us.
                if let Ok(chunk) = frame.into_data() {
                    pace.arrived(chunk.len() as u64);
                    return Ok(Some(chunk));
                }
            }
        }
    }
}

/// Until when the next bytes must come.
struct Pace {
    window_ends: Instant,
    end: Instant,
    owed: u64,
    window: u64,
}

impl Pace {
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

    fn arrived(&mut self, bytes: u64) {
        self.owed = self.owed.saturating_sub(bytes);
        if self.owed == 0 {
            self.owed = self.window;
            self.window_ends = self.window_ends.max(Instant::now() + WINDOW);
        }
    }
}

/// The pieces of a body that go upstream.
struct Pieces {
    chunk: Bytes,
    kept: Vec<Bytes>,
    /// How many of `kept` are signed and can't be taken back.
    settled: usize,
    draft: Draft,
    video: Check,
}

impl Pieces {
    fn new(draft: Draft) -> Self {
        Self {
            chunk: Bytes::new(),
            kept: Vec::new(),
            settled: 0,
            draft,
            video: Check::default(),
        }
    }

    fn settle(&mut self) {
        for piece in self.kept.get(self.settled..).unwrap_or_default() {
            self.draft.sign(piece);
        }
        self.settled = self.kept.len();
    }

    fn finish(mut self) -> Outgoing {
        self.settle();
        self.draft.finish(self.kept)
    }
}

impl Sink for Pieces {
    fn keep(&mut self, bytes: &[u8]) {
        self.kept.push(self.chunk.slice_ref(bytes));
    }

    fn insert(&mut self, bytes: &'static [u8]) {
        self.kept.push(Bytes::from_static(bytes));
    }

    fn mark(&mut self) {
        self.settle();
    }

    fn rollback(&mut self) {
        self.kept.truncate(self.settled);
    }

    fn text(&mut self, bytes: &[u8]) {
        self.video.feed(bytes);
    }

    fn replace(&mut self, _slot: Slot, _value: &Value) {}
}
