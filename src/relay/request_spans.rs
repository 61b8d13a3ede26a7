//! The spans of a request, where its trace is recorded: what its parts took.
//!
//! Relies on [`crate::traces`] for ids, the form and the sending. Costs a test of one pointer for a
//! request that is not recorded. Never names a user, an address of a caller or anything of a body.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use hyper::{Version, http::request::Parts};

use crate::{
    telemetry::trace_context::{OutgoingTrace, SpanId, TraceContext, TraceState},
    traces::{
        AttributeValue, RequestTrace, SpanTimes, TracePlace, TraceSpan, TracedServer, Tracer,
    },
};

/// What a request's record knows when it is written.
pub(super) struct RequestSummary<'a> {
    pub(super) method: &'static str,
    pub(super) route: Option<&'a Arc<str>>,
    /// 0 without a response.
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) request_id: &'a str,
    pub(super) times: SpanTimes,
    pub(super) call: Option<CallSummary>,
    /// When evidence was delivered, and whether the backend acknowledged it.
    pub(super) evidence: Option<(SpanTimes, bool)>,
}

/// A call to Qiniu.
pub(super) struct CallSummary {
    pub(super) times: SpanTimes,
    /// The status of its response, if there was one.
    pub(super) status: Option<u16>,
    /// Why it has no response that could be used, by a word of a closed set.
    pub(super) failure: Option<&'static str>,
}

/// The trace of a request, in its access record.
#[derive(Default)]
pub(super) struct RecordedTrace {
    /// Where the request stands in its trace, if it belongs to one.
    pub(super) place: Option<TracePlace>,
    /// What the trusted peer's `tracestate` says.
    state: Option<TraceState>,
    /// The spans, if they are recorded.
    spans: Option<Box<RequestTrace>>,
}

impl RecordedTrace {
    /// The trace of a request that begins. `trusted` and `tls` are the peer's, and `clocks` are
    /// both clocks at its beginning.
    pub(super) fn begin(
        tracer: Option<&Arc<Tracer>>,
        parts: &Parts,
        trusted: bool,
        tls: bool,
        clocks: (SystemTime, Instant),
    ) -> Self {
        let headers = Some(&parts.headers).filter(|_| trusted);
        let context = headers.and_then(TraceContext::from_headers);
        let state = context.and_then(|_| headers.and_then(TraceState::from_headers));
        let Some(tracer) = tracer else {
            return Self {
                place: context.as_ref().map(TracePlace::of),
                state,
                spans: None,
            };
        };
        let place = tracer.place(context.as_ref());
        let spans = place.sampled.then(|| {
            let mut spans = RequestTrace::begin(tracer, place, clocks);
            let scheme = if tls { "https" } else { "http" };
            spans.of_request("url.scheme", AttributeValue::Word(scheme));
            spans.of_request("network.protocol.version", version(parts.version));
            spans
        });
        Self {
            place: Some(place),
            state,
            spans,
        }
    }

    /// The time now, if spans are recorded: for [`RecordedTrace::add`].
    pub(super) fn clock(&self) -> Option<Instant> {
        self.spans.as_ref().map(|_| Instant::now())
    }

    /// Adds a part of the work that began then and ends now.
    pub(super) fn add(&mut self, name: &'static str, begun: Option<Instant>) {
        if let (Some(spans), Some(begun)) = (&mut self.spans, begun) {
            spans.add(TraceSpan::internal(name, SpanTimes::since(begun)));
        }
    }

    /// Adds a wait for the store that began then and ends now.
    pub(super) fn add_store(&mut self, begun: Option<Instant>) {
        if let (Some(spans), Some(begun)) = (&mut self.spans, begun) {
            let span = TraceSpan::client("store", SpanTimes::since(begun));
            spans.add(span.with("db.system.name", AttributeValue::Word("redis")));
        }
    }

    /// What the app's backend is told, if the request belongs to a trace.
    pub(super) fn outgoing(&self, tracer: Option<&Arc<Tracer>>) -> Option<Box<OutgoingTrace>> {
        let place = self.place?;
        let span = match (&self.spans, place.parent) {
            (Some(spans), _) => spans.evidence_id(),
            (None, Some(parent)) => parent,
            (None, None) => tracer?.span_id(),
        };
        Some(Box::new(OutgoingTrace {
            context: place.context(span),
            state: self.state.clone(),
        }))
    }

    /// Moves to the record of a call that goes on without its request.
    pub(super) fn hand_on(&mut self) -> Self {
        Self {
            place: self.place,
            state: self.state.clone(),
            spans: self.spans.take(),
        }
    }

    /// Whether spans are recorded.
    pub(super) fn is_recorded(&self) -> bool {
        self.spans.is_some()
    }

    /// Ends the trace of a request whose record is written.
    pub(super) fn end(&mut self, summary: &RequestSummary<'_>) {
        let Some(mut spans) = self.spans.take() else {
            return;
        };
        if let Some(servers) = spans.servers().cloned() {
            let id = spans.evidence_id();
            let call = summary.call.as_ref();
            let call = call.map(|call| call_span(call, &servers.qiniu));
            let evidence = summary.evidence.zip(servers.evidence.as_ref());
            let evidence = evidence.map(|(evidence, server)| evidence_span(evidence, id, server));
            call.into_iter()
                .chain(evidence)
                .for_each(|span| spans.add(span));
        }
        spans.end(request_span(summary), self.state.take());
    }
}

/// The span of the whole request.
fn request_span(summary: &RequestSummary<'_>) -> TraceSpan {
    let (status, code) = (summary.status, summary.code);
    let method = match summary.method {
        "other" => "_OTHER",
        method => method,
    };
    let name = match summary.route {
        Some(route) => format!("{method} {route}"),
        None => method.to_owned(),
    };
    let id = AttributeValue::Text(summary.request_id.into());
    let mut span = TraceSpan::server(name, summary.times)
        .with("http.request.method", AttributeValue::Word(method))
        .with("liveness_gateway.code", AttributeValue::Word(code))
        .with("liveness_gateway.request_id", id);
    if let Some(route) = summary.route {
        let route = || AttributeValue::Text(Arc::clone(route));
        span = span.with("http.route", route()).with("url.path", route());
    }
    if status > 0 {
        span = span.with(
            "http.response.status_code",
            AttributeValue::Number(status.into()),
        );
    }
    match status {
        0 | 500.. => span.failed(code),
        _ => span,
    }
}

/// The call to Qiniu.
fn call_span(call: &CallSummary, qiniu: &TracedServer) -> TraceSpan {
    let mut span = client("POST", call.times, qiniu);
    if let Some(status) = call.status {
        span = span.with(
            "http.response.status_code",
            AttributeValue::Number(status.into()),
        );
    }
    match call.failure {
        None => span,
        Some(failure) => span.failed(failure),
    }
}

/// The delivery of evidence, under the id that the backend knows.
fn evidence_span(
    (times, delivered): (SpanTimes, bool),
    id: SpanId,
    backend: &TracedServer,
) -> TraceSpan {
    let mut span = client("POST", times, backend);
    span.id = Some(id);
    match delivered {
        true => span,
        false => span.failed("undelivered"),
    }
}

fn client(name: &'static str, times: SpanTimes, server: &TracedServer) -> TraceSpan {
    TraceSpan::client(name, times)
        .with("http.request.method", AttributeValue::Word("POST"))
        .with(
            "server.address",
            AttributeValue::Text(Arc::clone(&server.address)),
        )
        .with("server.port", AttributeValue::Number(server.port.into()))
}

fn version(version: Version) -> AttributeValue {
    AttributeValue::Word(match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    })
}
