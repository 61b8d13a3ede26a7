//! The metric families of the gateway, exposed in the OpenMetrics text format.
//!
//! Relies on route labels coming from the configuration and on all other labels coming from fixed
//! lists, so the number of series is bounded whatever a peer sends. Qiniu's error codes are the one
//! exception, and are bounded in `routes`. Never takes a label from a request.

mod collectors;
mod routes;

use std::{fmt, sync::Arc, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::{Registry, Unit},
};

pub use self::collectors::{KeySetMetrics, StoreUpGauge};
use self::{collectors::DroppedLinesCounter, routes::RouteMetrics};
use super::log_writer::LogWriter;

/// Route label of a request that matches no route.
pub const NO_ROUTE: &str = "none";
/// All metrics of one gateway.
pub struct Metrics {
    registry: Registry,
    routes: RouteMetrics,
    request_body: Counter,
    response_removed: Counter,
    auth_refusals: Family<AuthRefusalLabels, Counter>,
    limit_refusals: Family<LimitRefusalLabels, Counter>,
    verdicts: Family<VerdictLabels, Counter>,
    evidence: Family<DeliveryLabels, Counter>,
    video_findings: Family<VideoFindingLabels, Counter>,
    no_route: Arc<str>,
    /// Open connections of the public listener.
    pub connections: Gauge,
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
    /// Registers every family. The number of dropped log lines is read from `log`.
    pub fn new(log: LogWriter) -> Arc<Self> {
        let mut metrics = Self {
            registry: Registry::with_prefix("liveness_gateway"),
            routes: RouteMetrics::default(),
            request_body: Counter::default(),
            response_removed: Counter::default(),
            auth_refusals: Family::default(),
            limit_refusals: Family::default(),
            verdicts: Family::default(),
            evidence: Family::default(),
            video_findings: Family::default(),
            no_route: NO_ROUTE.into(),
            connections: Gauge::default(),
            requests_in_flight: Gauge::default(),
            body_memory: Gauge::default(),
            body_memory_limit: Gauge::default(),
            key_sets: KeySetMetrics::default(),
            store_up: StoreUpGauge::default(),
        };
        metrics.register_requests();
        metrics.register_process(log);
        Arc::new(metrics)
    }

    /// The library appends `_total` to the names of counters, `_info` to infos, and the unit.
    fn register_requests(&mut self) {
        let r = &mut self.registry;
        self.routes.register(r);
        r.register_with_unit(
            "request_body",
            "Request body bytes received",
            Unit::Bytes,
            self.request_body.clone(),
        );
        r.register_with_unit(
            "response_removed",
            "Bytes removed from Qiniu responses",
            Unit::Bytes,
            self.response_removed.clone(),
        );
        r.register(
            "auth_refusals",
            "Requests rejected because of their token",
            self.auth_refusals.clone(),
        );
        r.register(
            "limit_refusals",
            "Requests rejected by a limit",
            self.limit_refusals.clone(),
        );
        r.register("verdicts", "Verdicts signed", self.verdicts.clone());
        r.register(
            "evidence_deliveries",
            "Evidence deliveries to the app backend by outcome",
            self.evidence.clone(),
        );
        r.register(
            "video_findings",
            "Faults found in videos, whether rejected or not",
            self.video_findings.clone(),
        );
        self.key_sets.register(r);
    }

    fn register_process(&mut self, log: LogWriter) {
        let r = &mut self.registry;
        r.register_with_unit(
            "body_memory",
            "Memory reserved for bodies",
            Unit::Bytes,
            self.body_memory.clone(),
        );
        r.register_with_unit(
            "body_memory_limit",
            "Maximum memory for bodies",
            Unit::Bytes,
            self.body_memory_limit.clone(),
        );
        r.register(
            "connections",
            "Open connections of the public listener",
            self.connections.clone(),
        );
        r.register(
            "requests_in_flight",
            "Requests without a complete response",
            self.requests_in_flight.clone(),
        );
        r.register(
            "build",
            "Version of the running gateway",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        r.register_collector(Box::new(DroppedLinesCounter(log)));
        r.register_collector(Box::new(self.store_up.clone()));
    }

    /// Route label of a request that matches no route.
    pub fn no_route(&self) -> &Arc<str> {
        &self.no_route
    }

    /// Prepares the series of these routes. Call once, at the start; later calls have no effect.
    pub fn prepare_routes<'a>(&self, routes: impl Iterator<Item = &'a Arc<str>>) {
        self.routes.prepare(routes);
    }

    /// Counts an answered request, with its duration. `code` is `ok` or an error code.
    pub fn record_request(
        &self,
        route: &Arc<str>,
        status: u16,
        code: &'static str,
        duration: Duration,
    ) {
        self.routes.record_request(route, status, code, duration);
    }

    /// Counts a call to Qiniu, with its duration.
    pub fn record_upstream_call(
        &self,
        route: &Arc<str>,
        outcome: &'static str,
        duration: Duration,
    ) {
        self.routes.record_upstream_call(route, outcome, duration);
    }

    /// Counts a response of Qiniu's whose `error_code` is not 0. The first 256 distinct codes have
    /// series of their own, later ones share `other`.
    pub fn count_qiniu_error(&self, route: &Arc<str>, error_code: i64) {
        self.routes.count_qiniu_error(route, error_code);
    }

    /// Counts a request rejected because of its token.
    pub fn count_auth_refusal(&self, reason: &'static str) {
        let labels = AuthRefusalLabels { reason };
        self.auth_refusals.get_or_create(&labels).inc();
    }

    /// Counts a request rejected by a limit.
    pub fn count_limit_refusal(&self, route: &Arc<str>, limit: &'static str) {
        let labels = LimitRefusalLabels {
            route: Arc::clone(route),
            limit,
        };
        self.limit_refusals.get_or_create(&labels).inc();
    }

    /// Counts a signed verdict.
    pub fn count_verdict(&self, passed: bool) {
        let passed = if passed { "true" } else { "false" };
        let labels = VerdictLabels { passed };
        self.verdicts.get_or_create(&labels).inc();
    }

    /// Counts an evidence delivery, by whether the app's backend acknowledged it.
    pub fn count_evidence_delivery(&self, delivered: bool) {
        let outcome = if delivered {
            "delivered"
        } else {
            "undelivered"
        };
        let labels = DeliveryLabels { outcome };
        self.evidence.get_or_create(&labels).inc();
    }

    /// Counts a fault found in a video.
    pub fn count_video_finding(&self, finding: &'static str) {
        let labels = VideoFindingLabels { finding };
        self.video_findings.get_or_create(&labels).inc();
    }

    /// Adds received bytes of request bodies.
    pub fn add_body_bytes(&self, bytes: u64) {
        self.request_body.inc_by(bytes);
    }

    /// Adds bytes removed from responses of Qiniu's.
    pub fn add_removed_bytes(&self, bytes: u64) {
        self.response_removed.inc_by(bytes);
    }

    /// The whole exposition, including `# EOF`.
    pub fn encode(&self) -> String {
        let mut out = String::with_capacity(16 * 1024);
        match text::encode(&mut out, &self.registry) {
            Ok(()) => out,
            // Writing to a string does not fail. `# EOF` alone is a valid, empty document.
            Err(fmt::Error) => "# EOF\n".to_owned(),
        }
    }
}

/// Counts in a gauge until it is dropped, also when a panic or a cancelled future drops it.
pub struct GaugeGuard(Gauge);

impl GaugeGuard {
    /// Increments the gauge.
    pub fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct AuthRefusalLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct LimitRefusalLabels {
    route: Arc<str>,
    limit: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct VerdictLabels {
    passed: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DeliveryLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct VideoFindingLabels {
    finding: &'static str,
}

#[cfg(test)]
mod tests;
