//! The spans of one request, gathered on its journey.
//!
//! Relies on the journey to say when each part began and ended. A trace is submitted when it is
//! dropped, also by a request whose caller has left.

use std::{
    borrow::Cow,
    mem,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::{TracePlace, TracedServers, Tracer};
use crate::telemetry::trace_context::{SpanId, TraceId, TraceState};

/// What a span is, on its side of a connection. The numbers are OTLP's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// A part of the work.
    Internal = 1,
    /// The request that was received.
    Server = 2,
    /// A request that was sent.
    Client = 3,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    /// A text that the program knows.
    Word(&'static str),
    /// A text of the configuration or of a response.
    Text(Arc<str>),
    /// A number.
    Number(u64),
}

/// When a part began, and how long it took.
#[derive(Clone, Copy, Debug)]
pub struct SpanTimes {
    /// The beginning.
    pub start: Instant,
    /// The duration.
    pub duration: Duration,
}

/// One part of a request.
#[derive(Clone, Debug)]
pub struct TraceSpan {
    /// What it is called: a word, or the method and the route.
    pub name: AttributeValue,
    /// What it is.
    pub kind: SpanKind,
    /// When it was.
    pub times: SpanTimes,
    /// Its id, if another server knows it already.
    pub id: Option<SpanId>,
    /// Its attributes, by the names of the semantic conventions.
    pub attributes: Vec<(&'static str, AttributeValue)>,
    /// Whether it failed.
    pub failed: bool,
}

/// The trace of one request, while it is recorded.
pub struct RequestTrace {
    tracer: Option<Arc<Tracer>>,
    /// The clocks at one moment.
    pub(super) clocks: (SystemTime, Instant),
    /// The trace.
    pub(super) trace_id: TraceId,
    /// The span of the request.
    pub(super) root: SpanId,
    /// The span of the peer that sent it.
    pub(super) parent: Option<SpanId>,
    /// What the peer's `tracestate` says.
    pub(super) state: Option<TraceState>,
    /// The spans; the request's own is the last one.
    pub(super) spans: Vec<(SpanId, TraceSpan)>,
    /// The id that the app's backend knows a delivery by.
    evidence: SpanId,
    /// Attributes of the request's own span that are known from its beginning.
    attributes: Vec<(&'static str, AttributeValue)>,
}

impl RequestTrace {
    /// A trace without spans. `clocks` are both clocks at the request's beginning.
    pub fn begin(
        tracer: &Arc<Tracer>,
        place: TracePlace,
        clocks: (SystemTime, Instant),
    ) -> Box<Self> {
        Box::new(Self {
            root: tracer.span_id(),
            tracer: Some(Arc::clone(tracer)),
            clocks,
            trace_id: place.trace_id,
            parent: place.parent,
            state: None,
            spans: Vec::with_capacity(6),
            evidence: tracer.span_id(),
            attributes: Vec::with_capacity(10),
        })
    }

    /// Adds an attribute to the span of the request.
    pub fn of_request(&mut self, name: &'static str, value: AttributeValue) {
        self.attributes.push((name, value));
    }

    /// The servers that its spans name.
    pub fn servers(&self) -> Option<&TracedServers> {
        self.tracer.as_ref().map(|tracer| tracer.servers())
    }

    /// The id of the span of a delivery of evidence.
    pub fn evidence_id(&self) -> SpanId {
        self.evidence
    }

    /// Adds a part of the request.
    pub fn add(&mut self, span: TraceSpan) {
        let Some(tracer) = &self.tracer else { return };
        let id = span.id.unwrap_or_else(|| tracer.span_id());
        self.spans.push((id, span));
    }

    /// Ends the trace with the span of the whole request, and submits it. `state` is the peer's.
    pub fn end(mut self: Box<Self>, mut request: TraceSpan, state: Option<TraceState>) {
        let root = self.root;
        self.state = state;
        request.attributes.append(&mut self.attributes);
        self.spans.push((root, request));
        if let Some(tracer) = mem::take(&mut self.tracer) {
            tracer.submit(self);
        }
    }

    /// The number of its spans.
    pub(super) fn span_count(&self) -> u64 {
        self.spans.len() as u64
    }

    /// A moment, in nanoseconds since 1970.
    pub(super) fn unix_nanos(&self, moment: Instant) -> u128 {
        let (time, instant) = self.clocks;
        let time = match moment.checked_duration_since(instant) {
            Some(later) => time.checked_add(later),
            None => time.checked_sub(instant.saturating_duration_since(moment)),
        };
        let since = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        since.unwrap_or_default().as_nanos()
    }
}

impl TraceSpan {
    /// A part of the work in this process.
    pub fn internal(name: &'static str, times: SpanTimes) -> Self {
        Self::new(name, SpanKind::Internal, times)
    }

    /// A request that was sent to another server.
    pub fn client(name: &'static str, times: SpanTimes) -> Self {
        Self::new(name, SpanKind::Client, times)
    }

    /// The request that was received.
    pub fn server(name: String, times: SpanTimes) -> Self {
        Self {
            name: AttributeValue::Text(name.into()),
            ..Self::new("", SpanKind::Server, times)
        }
    }

    fn new(name: &'static str, kind: SpanKind, times: SpanTimes) -> Self {
        Self {
            name: AttributeValue::Word(name),
            kind,
            times,
            id: None,
            attributes: Vec::new(),
            failed: false,
        }
    }

    /// Says that it failed, and how, by a word of a closed set.
    #[must_use]
    pub fn failed(mut self, error: &'static str) -> Self {
        self.failed = true;
        self.with("error.type", AttributeValue::Word(error))
    }

    /// Adds an attribute.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: AttributeValue) -> Self {
        self.attributes.push((name, value));
        self
    }
}

impl SpanTimes {
    /// A part that ends now.
    pub fn since(start: Instant) -> Self {
        Self {
            start,
            duration: start.elapsed(),
        }
    }
}

impl AttributeValue {
    /// The value as a text.
    pub(super) fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Word(word) => Cow::Borrowed(word),
            Self::Text(text) => Cow::Borrowed(text),
            Self::Number(number) => Cow::Owned(number.to_string()),
        }
    }
}
