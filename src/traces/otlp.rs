//! The form of a batch: OTLP 1 as JSON (opentelemetry-proto, `ExportTraceServiceRequest`).
//!
//! Ids are lower-case hexadecimal, 64-bit numbers are texts, enumerations are numbers, and names
//! are in lower camel case, as the specification of OTLP/HTTP asks. Pure.

use serde_json::{Value, json};

use super::span::{AttributeValue, RequestTrace, TraceSpan};
use crate::telemetry::trace_context::SpanId;

/// `STATUS_CODE_ERROR`.
const ERROR: u8 = 2;
/// `SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK` and `SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK`.
const PARENT_IS_REMOTE: u32 = 0x100 | 0x200;
const PARENT_IS_LOCAL: u32 = 0x100;
/// The sampled flag of W3C Trace Context.
const SAMPLED: u32 = 1;

/// What all spans of a process have in common.
pub(super) struct TraceResource {
    pub(super) service_name: String,
    /// Tells replicas apart; random.
    pub(super) instance: String,
}

/// A batch as a request body.
pub(super) fn batch(resource: &TraceResource, traces: &[RequestTrace]) -> Vec<u8> {
    let spans: Vec<Value> = traces.iter().flat_map(spans).collect();
    let version = env!("CARGO_PKG_VERSION");
    let resource = [
        ("service.name", resource.service_name.as_str()),
        ("service.version", version),
        ("service.instance.id", &resource.instance),
    ]
    .map(|(key, value)| json!({"key": key, "value": {"stringValue": value}}));
    json!({"resourceSpans": [{
        "resource": {"attributes": resource},
        "scopeSpans": [{
            "scope": {"name": "liveness-gateway", "version": version},
            "spans": spans,
        }],
    }]})
    .to_string()
    .into_bytes()
}

/// The spans of one trace. The last one is the request's, and the parent of the others.
fn spans(trace: &RequestTrace) -> impl Iterator<Item = Value> {
    let parent_of = |id: SpanId| match id == trace.root {
        true => (trace.parent, PARENT_IS_REMOTE),
        false => (Some(trace.root), PARENT_IS_LOCAL),
    };
    trace.spans.iter().map(move |(id, span)| {
        let (parent, flags) = parent_of(*id);
        let own = if *id == trace.root {
            trace.state.as_ref()
        } else {
            None
        };
        let members = [
            ("traceId", Some(json!(trace.trace_id.to_string()))),
            ("spanId", Some(json!(id.to_string()))),
            (
                "parentSpanId",
                parent.map(|parent| json!(parent.to_string())),
            ),
            ("traceState", own.map(|state| json!(state.as_str()))),
            ("name", Some(json!(span.name.text()))),
            ("kind", Some(json!(span.kind as u8))),
            (
                "startTimeUnixNano",
                Some(json!(start(trace, span).to_string())),
            ),
            ("endTimeUnixNano", Some(json!(end(trace, span).to_string()))),
            ("attributes", Some(attributes(span).into())),
            ("flags", Some(json!(flags | SAMPLED))),
            ("status", span.failed.then(|| json!({"code": ERROR}))),
        ];
        let present = members
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(present.collect())
    })
}

fn start(trace: &RequestTrace, span: &TraceSpan) -> u128 {
    trace.unix_nanos(span.times.start)
}

fn end(trace: &RequestTrace, span: &TraceSpan) -> u128 {
    start(trace, span).saturating_add(span.times.duration.as_nanos())
}

fn attributes(span: &TraceSpan) -> Vec<Value> {
    let value = |value: &AttributeValue| match value {
        AttributeValue::Number(number) => json!({"intValue": number.to_string()}),
        text => json!({"stringValue": text.text()}),
    };
    let pairs = span.attributes.iter();
    pairs
        .map(|(key, it)| json!({"key": key, "value": value(it)}))
        .collect()
}
