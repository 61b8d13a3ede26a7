//! The form of a batch: OTLP 1 as JSON (opentelemetry-proto, `ExportTraceServiceRequest`).
//!
//! Ids are lower-case hexadecimal, 64-bit numbers are texts, enumerations are numbers, and names
//! are in lower camel case, as the specification of OTLP/HTTP asks. It is written in one pass, with
//! no tree of values in between. Pure.

use std::{borrow::Cow, fmt, sync::Arc};

use serde::{Serialize, Serializer};

use super::span::{AttributeValue, RequestTrace, TraceSpan};
use crate::telemetry::trace_context::{SpanId, TraceId};

/// `STATUS_CODE_ERROR`.
const ERROR: u8 = 2;
/// `SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK` and `SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK`.
const PARENT_IS_REMOTE: u32 = 0x100 | 0x200;
const PARENT_IS_LOCAL: u32 = 0x100;
/// The sampled flag of W3C Trace Context.
const SAMPLED: u32 = 1;
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What all spans of a process have in common.
pub(super) struct TraceResource {
    pub(super) service_name: Arc<str>,
    /// Tells replicas apart; random.
    pub(super) instance: Arc<str>,
}

/// A batch as a request body.
pub(super) fn batch(resource: &TraceResource, traces: &[RequestTrace]) -> Vec<u8> {
    let text = |text: &Arc<str>| AttributeValue::Text(Arc::clone(text));
    let of_all = [
        ("service.name", text(&resource.service_name)),
        ("service.version", AttributeValue::Word(VERSION)),
        ("service.instance.id", text(&resource.instance)),
    ];
    let batch = OtlpBatch {
        resource_spans: [ResourceSpans {
            resource: Described {
                attributes: Attributes(&of_all),
            },
            scope_spans: [ScopeSpans {
                scope: Scope {
                    name: "liveness-gateway",
                    version: VERSION,
                },
                spans: Spans(traces),
            }],
        }],
    };
    // Texts and numbers always have a form as JSON, and memory takes every byte.
    serde_json::to_vec(&batch).unwrap_or_default()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OtlpBatch<'a> {
    resource_spans: [ResourceSpans<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans<'a> {
    resource: Described<'a>,
    scope_spans: [ScopeSpans<'a>; 1],
}

#[derive(Serialize)]
struct Described<'a> {
    attributes: Attributes<'a>,
}

#[derive(Serialize)]
struct ScopeSpans<'a> {
    scope: Scope,
    spans: Spans<'a>,
}

#[derive(Serialize)]
struct Scope {
    name: &'static str,
    version: &'static str,
}

/// The spans of all traces. Of each trace, the last one is the request's, and the parent of the
/// others.
struct Spans<'a>(&'a [RequestTrace]);

impl Serialize for Spans<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let spans = self.0.iter().flat_map(|trace| {
            let spans = trace.spans.iter();
            spans.map(move |(id, span)| OtlpSpan::new(trace, *id, span))
        });
        serializer.collect_seq(spans)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OtlpSpan<'a> {
    trace_id: Shown<TraceId>,
    span_id: Shown<SpanId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<Shown<SpanId>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_state: Option<&'a str>,
    name: Cow<'a, str>,
    kind: u8,
    start_time_unix_nano: Shown<u128>,
    end_time_unix_nano: Shown<u128>,
    attributes: Attributes<'a>,
    flags: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<SpanStatus>,
}

#[derive(Serialize)]
struct SpanStatus {
    code: u8,
}

impl<'a> OtlpSpan<'a> {
    fn new(trace: &'a RequestTrace, id: SpanId, span: &'a TraceSpan) -> Self {
        let is_request = id == trace.root;
        let (parent, flags) = match is_request {
            true => (trace.parent, PARENT_IS_REMOTE),
            false => (Some(trace.root), PARENT_IS_LOCAL),
        };
        let state = trace.state.as_ref().filter(|_| is_request);
        let start = trace.unix_nanos(span.times.start);
        let end = start.saturating_add(span.times.duration.as_nanos());
        Self {
            trace_id: Shown(trace.trace_id),
            span_id: Shown(id),
            parent_span_id: parent.map(Shown),
            trace_state: state.map(|state| state.as_str()),
            name: span.name.text(),
            kind: span.kind as u8,
            start_time_unix_nano: Shown(start),
            end_time_unix_nano: Shown(end),
            attributes: Attributes(&span.attributes),
            flags: flags | SAMPLED,
            status: span.failed.then_some(SpanStatus { code: ERROR }),
        }
    }
}

/// What is written as a text.
struct Shown<T>(T);

impl<T: fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Pairs of names and values.
struct Attributes<'a>(&'a [(&'static str, AttributeValue)]);

impl Serialize for Attributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|(key, value)| OtlpAttribute {
            key,
            value: OtlpValue::from(value),
        }))
    }
}

#[derive(Serialize)]
struct OtlpAttribute<'a> {
    key: &'static str,
    value: OtlpValue<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum OtlpValue<'a> {
    StringValue(Cow<'a, str>),
    IntValue(Shown<u64>),
}

impl<'a> From<&'a AttributeValue> for OtlpValue<'a> {
    fn from(value: &'a AttributeValue) -> Self {
        match value {
            AttributeValue::Number(number) => Self::IntValue(Shown(*number)),
            text => Self::StringValue(text.text()),
        }
    }
}
