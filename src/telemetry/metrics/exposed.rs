//! Writes the families that have neither a route nor an owner of their own.
//!
//! Relies on [`super::Metrics`] for the numbers. A family is one row in `docs/metrics.md`, with
//! the name, the type and the labels that it has here.

use super::{
    Metrics,
    exposition::{Exposition, FamilyType},
};

impl Metrics {
    pub(super) fn write_requests(&self, out: &mut Exposition) {
        out.family(
            "request_body_bytes_total",
            FamilyType::Counter,
            "Request body bytes received",
        )
        .sample(&[], self.request_body.get());
        out.family(
            "auth_refusals_total",
            FamilyType::Counter,
            "Requests rejected because of their token",
        )
        .counter_set(&[], "reason", &self.auth_refusals);
        out.family(
            "video_findings_total",
            FamilyType::Counter,
            "Faults found in videos, whether rejected or not",
        )
        .counter_set(&[], "finding", &self.video_findings);
        out.family(
            "replayed_answers_total",
            FamilyType::Counter,
            "Retries that got the response of the first try",
        )
        .counter_set(&[], "state", &self.replayed_answers);
        out.family(
            "tls_handshakes_total",
            FamilyType::Counter,
            "TLS handshakes of the public listener by outcome",
        )
        .counter_set(&[], "outcome", &self.tls_handshakes);
    }

    pub(super) fn write_results(&self, out: &mut Exposition) {
        out.family(
            "response_removed_bytes_total",
            FamilyType::Counter,
            "Bytes removed from Qiniu responses",
        )
        .sample(&[], self.response_removed.get());
        if let Some(verdicts) = self.verdicts.exposed() {
            out.family("verdicts_total", FamilyType::Counter, "Verdicts signed")
                .counter_set(&[], "passed", verdicts);
        }
        if let Some(evidence) = self.evidence.exposed() {
            out.family(
                "evidence_deliveries_total",
                FamilyType::Counter,
                "Evidence deliveries to the app backend by outcome",
            )
            .counter_set(&[], "outcome", evidence);
        }
        if let Some(records) = self.audit_records.exposed() {
            out.family(
                "audit_records_total",
                FamilyType::Counter,
                "Records of the audit log by outcome",
            )
            .counter_set(&[], "outcome", records);
        }
        if let Some(spans) = self.trace_spans.exposed() {
            out.family(
                "trace_spans_total",
                FamilyType::Counter,
                "Spans of recorded traces by outcome",
            )
            .counter_set(&[], "outcome", spans);
        }
    }

    pub(super) fn write_operation(&self, out: &mut Exposition) {
        for (name, help, gauge) in [
            ("ready", "Whether /readyz responds with 200", &self.ready),
            (
                "connections",
                "Open connections of the public listener",
                &self.connections,
            ),
            (
                "connections_limit",
                "Maximum number of open connections",
                &self.connections_limit,
            ),
            (
                "requests_in_flight",
                "Requests without a complete response",
                &self.requests_in_flight,
            ),
            (
                "body_memory_bytes",
                "Memory reserved for bodies",
                &self.body_memory,
            ),
            (
                "body_memory_limit_bytes",
                "Maximum memory for bodies",
                &self.body_memory_limit,
            ),
        ] {
            out.family(name, FamilyType::Gauge, help)
                .sample(&[], gauge.get());
        }
        out.family(
            "log_lines_dropped_total",
            FamilyType::Counter,
            "Log lines dropped because standard output was too slow",
        )
        .sample(&[], self.log.dropped());
        out.family(
            "build_info",
            FamilyType::Gauge,
            "Version of the running gateway",
        )
        .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    }
}
