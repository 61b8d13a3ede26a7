//! The access record of a request, under the request's id: one log line, and its metrics.
//!
//! The record is a guard: it is written when it is dropped, so a request whose caller disconnects
//! has one too. If that happens during a call, the call has the record, and its facts are in it.
//! Never contains a token, a key, a session id, a face token or any part of a body;
//! the user appears only as a keyed hash.

use std::{
    net::SocketAddr,
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use tracing::Level;

use super::{
    reason::RefusalReason,
    refusal::Refusal,
    request_id::RequestId,
    request_spans::{CallSummary, RecordedTrace, RequestSummary},
};
use crate::{
    auth::Caller,
    closed_set::ClosedSet,
    telemetry::{
        Telemetry,
        log_line::{FieldName, FieldValue, field_name, format_line},
        metrics::labels::ReplayState,
    },
    traces::SpanTimes,
    verdict::sign::IssuedVerdict,
    verify_once::CachedResponse,
};

/// The code of a request whose caller disconnected before the response.
const CALLER_LEFT: &str = "caller_left";
/// The code of a request that a defect of the gateway ended without a response.
const PANICKED: &str = "internal_error";
/// The code of a call that ended after a stop had already ended its request.
const SHUTTING_DOWN: &str = "shutting_down";

/// The facts of one request, gathered on its journey.
pub struct AccessRecord {
    telemetry: Arc<Telemetry>,
    started: Instant,
    time: SystemTime,
    /// Remote address of the connection.
    pub peer: SocketAddr,
    /// The request's id.
    pub request_id: RequestId,
    /// HTTP method; `other` for an unregistered one.
    pub method: &'static str,
    /// Path of the route, once found.
    pub route: Option<Arc<str>>,
    /// HTTP status of the response; 0 until there is one.
    pub status: u16,
    /// The error code, or `ok`.
    pub code: &'static str,
    /// Why the request was refused, more exactly than `code`.
    pub reason: Option<RefusalReason>,
    /// The caller, once authenticated. Of the user, only the pseudonym is written.
    pub caller: Option<Arc<Caller>>,
    /// The configured issuer that a refused token names.
    pub refused_issuer: Option<Arc<str>>,
    /// `X-Forwarded-For`, from a trusted proxy.
    pub forwarded_for: Option<String>,
    /// The trace that it belongs to, and its spans.
    pub(super) trace: RecordedTrace,
    /// Time from the request's head to the last byte of its body, if it was received.
    pub received: Option<Duration>,
    /// How a retry got the response of an earlier try.
    pub replay: Option<ReplayState>,
    /// Bytes of the request's body received.
    pub bytes_in: u64,
    /// Bytes of the response's body.
    pub bytes_out: u64,
    /// The call to Qiniu, if there was one.
    pub upstream: Option<UpstreamFacts>,
    /// Whether a call that goes on has the record. This one is then written only if the request
    /// has a response all the same.
    handed_on: bool,
}

/// The facts of a call to Qiniu.
#[derive(Default)]
pub struct UpstreamFacts {
    /// When the call began.
    pub started: Option<Instant>,
    /// Duration of the call; `None` for a cached response.
    pub duration: Option<Duration>,
    /// HTTP status of Qiniu's response.
    pub status: Option<u16>,
    /// Qiniu's `error_code`.
    pub error_code: Option<i64>,
    /// Qiniu's `serverlogid`.
    pub serverlogid: Option<String>,
    /// Qiniu's `X-Reqid`.
    pub reqid: Option<String>,
    /// Bytes removed from Qiniu's response; `None` without a response that could be used.
    pub removed: Option<u64>,
    /// The verdict that the response got, if it got one.
    pub verdict: Option<IssuedVerdict>,
    /// When evidence was delivered, if it was tried.
    pub evidence: Option<SpanTimes>,
}

impl AccessRecord {
    /// Starts a record, and the request's clock.
    pub fn begin(
        telemetry: Arc<Telemetry>,
        peer: SocketAddr,
        method: &hyper::Method,
        request_id: RequestId,
    ) -> Self {
        Self {
            telemetry,
            started: Instant::now(),
            time: SystemTime::now(),
            peer,
            request_id,
            method: registered(method),
            route: None,
            status: 0,
            code: CALLER_LEFT,
            reason: None,
            caller: None,
            refused_issuer: None,
            forwarded_for: None,
            trace: RecordedTrace::default(),
            received: None,
            replay: None,
            bytes_in: 0,
            bytes_out: 0,
            upstream: None,
            handed_on: false,
        }
    }

    /// Both clocks when the request arrived.
    pub(super) fn clocks(&self) -> (SystemTime, Instant) {
        (self.time, self.started)
    }

    /// When the request arrived.
    pub(super) fn time(&self) -> SystemTime {
        self.time
    }

    /// Notes that the body has been received.
    pub(super) fn body_received(&mut self) {
        self.received = Some(self.started.elapsed());
    }

    /// Notes that the response is a cached one: Qiniu's ids are those of the first call, and
    /// no call was made.
    pub(super) fn replayed(&mut self, cached: &CachedResponse, state: ReplayState) {
        self.replay = Some(state);
        self.upstream = Some(UpstreamFacts {
            error_code: cached.error_code,
            serverlogid: cached.serverlogid.clone(),
            reqid: cached.reqid.clone(),
            ..UpstreamFacts::default()
        });
    }

    /// Notes why the request is refused, and logs what the operator has to know of it besides the
    /// record. Of each cause the first line is written in full; the records of further requests
    /// have its word. `code` is the refusal's.
    pub(super) fn refused(&mut self, refusal: &Refusal, code: &'static str) {
        self.reason = refusal.reason();
        let Some((level, text)) = refusal.logged() else {
            return;
        };
        let id = self.request_id;
        let write = |left_out| match level {
            Level::ERROR => tracing::error!(request_id = %id, code, left_out, "{text}"),
            Level::WARN => tracing::warn!(request_id = %id, code, left_out, "{text}"),
            _ => tracing::info!(request_id = %id, code, left_out, "{text}"),
        };
        self.telemetry.lines.failures.log(&text, write);
    }

    /// Hands the record on to a call that outlives its request, to be written when the call ends.
    /// If the gateway is `stopping`, the request still gets a response, which has a record by
    /// itself.
    pub(super) fn hand_on(&mut self, stopping: bool) -> Self {
        self.handed_on = true;
        Self {
            telemetry: Arc::clone(&self.telemetry),
            started: self.started,
            time: self.time,
            peer: self.peer,
            request_id: self.request_id,
            method: self.method,
            route: self.route.clone(),
            status: 0,
            code: if stopping { SHUTTING_DOWN } else { CALLER_LEFT },
            reason: None,
            caller: self.caller.clone(),
            refused_issuer: None,
            forwarded_for: self.forwarded_for.clone(),
            trace: self.trace.hand_on(),
            // What is counted is counted once.
            received: self.received.filter(|_| !stopping),
            replay: None,
            bytes_in: if stopping { 0 } else { self.bytes_in },
            bytes_out: 0,
            upstream: None,
            handed_on: false,
        }
    }

    /// Submits the spans.
    fn end_trace(&mut self, duration: Duration) {
        let facts = self.upstream.as_ref();
        let call = facts.and_then(|facts| {
            let (start, duration) = facts.started.zip(facts.duration)?;
            Some(CallSummary {
                times: SpanTimes { start, duration },
                status: facts.status,
                failure: match facts.removed {
                    Some(_) => None,
                    None => Some(self.reason.map_or(self.code, RefusalReason::word)),
                },
            })
        });
        let evidence = facts.and_then(|facts| {
            let delivered = facts.verdict.as_ref()?.delivered?;
            Some((facts.evidence?, delivered))
        });
        let summary = RequestSummary {
            method: self.method,
            route: self.route.as_ref(),
            status: self.status,
            code: self.code,
            request_id: self.request_id.as_str(),
            times: SpanTimes {
                start: self.started,
                duration,
            },
            call,
            evidence,
        };
        self.trace.end(&summary);
    }

    /// The fields in their order. Their names are a contract.
    fn fields(&self, duration: Duration) -> [(FieldName, FieldValue<'_>); 25] {
        let caller = self.caller.as_deref();
        let issuer = caller.map(|caller| &*caller.issuer);
        let issuer = issuer.or(self.refused_issuer.as_deref());
        let user = caller.map(|caller| &*caller.pseudonym);
        let forwarded_for = self.forwarded_for.as_deref();
        let replayed = self.replay.map(|state| state.as_str());
        let trace_id = self.trace.place.map(|place| place.trace_id);
        let reason = self.reason.map(RefusalReason::text);
        let upstream = self.upstream.as_ref();
        let call_time = upstream.and_then(|facts| facts.duration);
        let call_status = upstream.and_then(|facts| facts.status).map(u64::from);
        let error_code = upstream.and_then(|facts| facts.error_code);
        let serverlogid = upstream.and_then(|facts| facts.serverlogid.as_deref());
        let reqid = upstream.and_then(|facts| facts.reqid.as_deref());
        let removed = upstream.and_then(|facts| facts.removed);
        let verdict = upstream.and_then(|facts| facts.verdict.as_ref());
        let passed = verdict.map(|verdict| verdict.passed);
        let delivered = verdict.and_then(|verdict| verdict.delivered);
        [
            (field_name!("time"), self.time.into()),
            (field_name!("request_id"), self.request_id.as_str().into()),
            (field_name!("trace_id"), trace_id.into()),
            (field_name!("route"), self.route.as_deref().into()),
            (field_name!("method"), self.method.into()),
            (field_name!("status"), u64::from(self.status).into()),
            (field_name!("code"), self.code.into()),
            (field_name!("reason"), reason.into()),
            (field_name!("issuer"), issuer.into()),
            (field_name!("user"), user.into()),
            (field_name!("peer"), self.peer.into()),
            (field_name!("forwarded_for"), forwarded_for.into()),
            (field_name!("bytes_in"), self.bytes_in.into()),
            (field_name!("bytes_out"), self.bytes_out.into()),
            (field_name!("duration_ms"), duration.into()),
            (field_name!("receive_ms"), self.received.into()),
            (field_name!("upstream_ms"), call_time.into()),
            (field_name!("upstream_status"), call_status.into()),
            (field_name!("qiniu_error_code"), error_code.into()),
            (field_name!("qiniu_serverlogid"), serverlogid.into()),
            (field_name!("qiniu_reqid"), reqid.into()),
            (field_name!("removed_bytes"), removed.into()),
            (field_name!("replayed"), replayed.into()),
            (field_name!("passed"), passed.into()),
            (field_name!("evidence"), delivered.map(evidence).into()),
        ]
    }
}

impl Drop for AccessRecord {
    fn drop(&mut self) {
        if self.handed_on && self.status == 0 {
            return;
        }
        if self.status == 0 && thread::panicking() {
            self.code = PANICKED;
        }
        let metrics = &self.telemetry.metrics;
        let route = self.route.as_ref().unwrap_or(metrics.no_route());
        let duration = self.started.elapsed();
        let place = self.trace.place.filter(|place| place.sampled);
        let trace_id = place.map(|place| place.trace_id);
        metrics.record_request(route, self.status, self.code, duration, trace_id);
        if let Some(received) = self.received {
            metrics.record_receive(route, received);
        }
        metrics.add_body_bytes(self.bytes_in);
        let line = format_line(self.telemetry.format, &self.fields(duration));
        self.telemetry.log.write(line.as_bytes());
        if self.trace.is_recorded() {
            self.end_trace(duration);
        }
    }
}

/// Whether evidence was acknowledged, in the words of verdicts and metrics.
fn evidence(delivered: bool) -> &'static str {
    match delivered {
        true => "delivered",
        false => "undelivered",
    }
}

/// A registered method, or `other`: the label set stays closed.
fn registered(method: &hyper::Method) -> &'static str {
    [
        "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT",
    ]
    .into_iter()
    .find(|known| *known == method.as_str())
    .unwrap_or("other")
}

#[cfg(test)]
mod tests;
