//! The metric families of the gateway.
//!
//! Relies on route labels coming from the configuration and on all other labels coming from closed
//! sets ([`labels`]), so the number of series is bounded whatever a peer sends. Qiniu's error codes
//! are the one exception, and are bounded in `routes`. Series whose labels are known are prepared
//! when the gateway starts, and again when the configuration changes, and stand at 0 until
//! something is counted. One value lives as long as the process: a reload changes no number. Never
//! takes a label from a request.

mod counter_set;
mod exposed;
mod exposition;
mod histogram;
mod issuers;
pub mod labels;
mod outside;
mod process;
mod reloads;
mod routes;

use std::{sync::Arc, time::Duration};

use self::{
    counter_set::{CounterSet, OptionalCounterSet},
    exposition::Exposition,
    labels::{
        AuditOutcome, AuthReason, DeliveryOutcome, ReloadedPart, ReplayState, RouteLimit,
        SpanOutcome, TlsHandshakeOutcome, UpstreamOutcome, VerdictResult,
    },
    outside::{CertificateMetrics, ClockMetrics},
    process::ProcessMetrics,
    reloads::ReloadMetrics,
    routes::RouteMetrics,
};
pub use self::{
    exposition::TextFormat,
    issuers::KeySetMetrics,
    outside::{CertificateExpiries, StoreUpGauge},
    reloads::ReloadReport,
};
use super::{log_writer::LogWriter, trace_context::TraceId};
use crate::{
    instruments::{Counter, Gauge},
    media::VideoFinding,
};

/// Route label of a request that matches no route.
pub const NO_ROUTE: &str = "none";

/// All metrics of one gateway.
pub struct Metrics {
    routes: RouteMetrics,
    request_body: Counter,
    response_removed: Counter,
    auth_refusals: CounterSet<AuthReason>,
    video_findings: CounterSet<VideoFinding>,
    replayed_answers: CounterSet<ReplayState>,
    verdicts: OptionalCounterSet<VerdictResult>,
    evidence: OptionalCounterSet<DeliveryOutcome>,
    audit_records: OptionalCounterSet<AuditOutcome>,
    trace_spans: OptionalCounterSet<SpanOutcome>,
    tls_handshakes: CounterSet<TlsHandshakeOutcome>,
    reloads: ReloadMetrics,
    certificates: CertificateMetrics,
    clocks: ClockMetrics,
    process: ProcessMetrics,
    log: LogWriter,
    no_route: Arc<str>,
    /// 1 while `/readyz` responds with 200.
    pub ready: Gauge,
    /// Open connections of the public listener.
    pub connections: Gauge,
    /// Maximum of `connections`.
    pub connections_limit: Gauge,
    /// Requests whose head has arrived and whose response is not finished.
    pub requests_in_flight: Gauge,
    /// Body memory reserved now, in bytes.
    pub body_memory: Gauge,
    /// Maximum of `body_memory`, in bytes.
    pub body_memory_limit: Gauge,
    /// Key sets fetched from issuers.
    pub key_sets: KeySetMetrics,
    /// Whether the store is reachable.
    pub store_up: StoreUpGauge,
}

impl Metrics {
    /// No number is counted yet. The number of dropped log lines is read from `log`.
    pub fn new(log: LogWriter) -> Arc<Self> {
        Arc::new(Self {
            routes: RouteMetrics::default(),
            request_body: Counter::default(),
            response_removed: Counter::default(),
            auth_refusals: CounterSet::default(),
            video_findings: CounterSet::default(),
            replayed_answers: CounterSet::default(),
            verdicts: OptionalCounterSet::default(),
            evidence: OptionalCounterSet::default(),
            audit_records: OptionalCounterSet::default(),
            trace_spans: OptionalCounterSet::default(),
            tls_handshakes: CounterSet::default(),
            reloads: ReloadMetrics::default(),
            certificates: CertificateMetrics::default(),
            clocks: ClockMetrics::default(),
            process: ProcessMetrics::default(),
            log,
            no_route: NO_ROUTE.into(),
            ready: Gauge::default(),
            connections: Gauge::default(),
            connections_limit: Gauge::default(),
            requests_in_flight: Gauge::default(),
            body_memory: Gauge::default(),
            body_memory_limit: Gauge::default(),
            key_sets: KeySetMetrics::default(),
            store_up: StoreUpGauge::default(),
        })
    }

    /// Route label of a request that matches no route.
    pub fn no_route(&self) -> &Arc<str> {
        &self.no_route
    }

    /// Prepares the series of a configured route; `billed` says that its calls are.
    pub fn prepare_route(&self, route: &Arc<str>, billed: bool) {
        self.routes.prepare_route(route, billed);
    }

    /// Prepares the series of a document's path.
    pub fn prepare_page(&self, path: &Arc<str>) {
        self.routes.prepare_page(path);
    }

    /// Prepares the clocks of these peers: `qiniu`, `evidence`, and issuers.
    pub fn prepare_clocks(&self, peers: impl Iterator<Item = Arc<str>>) {
        self.clocks.prepare(peers);
    }

    /// Prepares the series of verdicts.
    pub fn prepare_verdicts(&self) {
        self.verdicts.prepare();
    }

    /// Prepares the series of evidence deliveries.
    pub fn prepare_evidence(&self) {
        self.evidence.prepare();
    }

    /// Prepares the series of audit records.
    pub fn prepare_audit(&self) {
        self.audit_records.prepare();
    }

    /// Counts an answered request, with its duration. `code` is `ok` or an error code.
    pub fn record_request(
        &self,
        route: &Arc<str>,
        status: u16,
        code: &'static str,
        duration: Duration,
        trace_id: Option<TraceId>,
    ) {
        self.routes
            .record_request(route, (status, code), duration, trace_id);
    }

    /// Records the time from a request's head to the last byte of its body.
    pub fn record_receive(&self, route: &Arc<str>, duration: Duration) {
        self.routes.record_receive(route, duration);
    }

    /// Counts a call to Qiniu, with its duration.
    pub fn record_upstream_call(
        &self,
        route: &Arc<str>,
        outcome: UpstreamOutcome,
        duration: Duration,
    ) {
        self.routes.record_upstream_call(route, outcome, duration);
    }

    /// Counts a call that Qiniu bills, or may bill since its outcome is unknown.
    pub fn count_billed_call(&self, route: &Arc<str>) {
        self.routes.count_billed_call(route);
    }

    /// Counts a response of Qiniu's whose `error_code` is not 0. The first 256 distinct codes have
    /// series of their own, later ones share `other`.
    pub fn count_qiniu_error(&self, route: &Arc<str>, error_code: i64) {
        self.routes.count_qiniu_error(route, error_code);
    }

    /// Counts a request rejected because of its token.
    pub fn count_auth_refusal(&self, reason: AuthReason) {
        self.auth_refusals.count(reason);
    }

    /// Counts a request rejected by a limit of its route.
    pub fn count_limit_refusal(&self, route: &Arc<str>, limit: RouteLimit) {
        self.routes.count_limit_refusal(route, limit);
    }

    /// Counts a request rejected by the limit of its client's address.
    pub fn count_address_refusal(&self) {
        self.routes.count_address_refusal();
    }

    /// Counts a retry that got the response of the first try.
    pub fn count_replayed(&self, state: ReplayState) {
        self.replayed_answers.count(state);
    }

    /// Counts a signed verdict.
    pub fn count_verdict(&self, passed: bool) {
        self.verdicts.count(match passed {
            true => VerdictResult::Passed,
            false => VerdictResult::Failed,
        });
    }

    /// Counts an evidence delivery, by whether the app's backend acknowledged it.
    pub fn count_evidence_delivery(&self, delivered: bool) {
        self.evidence.count(match delivered {
            true => DeliveryOutcome::Delivered,
            false => DeliveryOutcome::Undelivered,
        });
    }

    /// Prepares the series of spans.
    pub fn prepare_traces(&self) {
        self.trace_spans.prepare();
    }

    /// Counts spans of traces.
    pub fn count_spans(&self, outcome: SpanOutcome, number: u64) {
        self.trace_spans.add(outcome, number);
    }

    /// Counts a record of the audit log.
    pub fn count_audit_record(&self, outcome: AuditOutcome) {
        self.audit_records.count(outcome);
    }

    /// Counts a fault found in a video.
    pub fn count_video_finding(&self, finding: VideoFinding) {
        self.video_findings.count(finding);
    }

    /// Counts a TLS handshake of the public listener that has ended.
    pub fn count_tls_handshake(&self, outcome: TlsHandshakeOutcome) {
        self.tls_handshakes.count(outcome);
    }

    /// The report of one value that is reloaded. To be kept by the owner of the value.
    pub fn reload_report(&self, what: ReloadedPart) -> ReloadReport {
        self.reloads.report(what)
    }

    /// Sets when the certificates of these files expire, and forgets all other files.
    pub fn replace_certificate_expiries(&self, files: CertificateExpiries) {
        self.certificates.replace(files);
    }

    /// Sets when the certificates of these files expire.
    pub fn update_certificate_expiries(&self, files: CertificateExpiries) {
        self.certificates.update(files);
    }

    /// Sets how far the clock of a peer is ahead of ours; of a peer that was prepared.
    pub fn set_clock_skew(&self, peer: &str, seconds: f64) {
        self.clocks.set(peer, seconds);
    }

    /// Adds received bytes of request bodies.
    pub fn add_body_bytes(&self, bytes: u64) {
        self.request_body.add(bytes);
    }

    /// Adds bytes removed from responses of Qiniu's.
    pub fn add_removed_bytes(&self, bytes: u64) {
        self.response_removed.add(bytes);
    }

    /// The whole exposition. Reads files of `/proc`, so it may block for a moment.
    pub fn encode(&self, format: TextFormat) -> String {
        let mut out = Exposition::new(format);
        self.routes.write(&mut out);
        self.write_requests(&mut out);
        self.write_results(&mut out);
        self.write_operation(&mut out);
        self.key_sets.write(&mut out);
        self.store_up.write(&mut out);
        self.certificates.write(&mut out);
        self.clocks.write(&mut out);
        self.reloads.write(&mut out);
        self.process.write(&mut out);
        out.finish()
    }
}

#[cfg(test)]
mod tests;
