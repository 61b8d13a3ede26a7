//! The metric families of the gateway, exposed in the OpenMetrics text format.
//!
//! Relies on route labels coming from the configuration and on all other labels coming from fixed
//! lists, so the number of series is bounded whatever a peer sends. Qiniu's error codes are the one
//! exception, and are bounded here. Never takes a label from a request.

mod collectors;
mod series;

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use prometheus_client::{
    encoding::text,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::{Registry, Unit},
};

pub use self::collectors::{KeySetMetrics, StoreUpGauge};
use self::{
    collectors::DroppedLinesCounter,
    series::{
        AuthRefusalLabels, DeliveryLabels, LimitRefusalLabels, QiniuErrorCodes, QiniuErrorLabels,
        RequestLabels, RouteLabels, RouteSeries, UpstreamLabels, VerdictLabels, VideoFindingLabels,
    },
};
use super::log::LogWriter;

/// Route label of a request that matches no route.
pub const NO_ROUTE: &str = "none";
/// Histogram bounds, in seconds: from a cached refusal to the longest default timeout of a route.
const BUCKETS: [f64; 14] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

type DurationFamily = Family<RouteLabels, Histogram, fn() -> Histogram>;

/// All metrics of one gateway.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    request_duration: DurationFamily,
    upstream_duration: DurationFamily,
    upstream_requests: Family<UpstreamLabels, Counter>,
    qiniu_errors: Family<QiniuErrorLabels, Counter>,
    qiniu_error_codes: QiniuErrorCodes,
    request_body: Counter,
    response_removed: Counter,
    auth_refusals: Family<AuthRefusalLabels, Counter>,
    limit_refusals: Family<LimitRefusalLabels, Counter>,
    verdicts: Family<VerdictLabels, Counter>,
    evidence: Family<DeliveryLabels, Counter>,
    video_findings: Family<VideoFindingLabels, Counter>,
    no_route: Arc<str>,
    route_series: OnceLock<Vec<RouteSeries>>,
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
        let durations = || DurationFamily::new_with_constructor(|| Histogram::new(BUCKETS));
        let mut metrics = Self {
            registry: Registry::with_prefix("liveness_gateway"),
            requests: Family::default(),
            request_duration: durations(),
            upstream_duration: durations(),
            upstream_requests: Family::default(),
            qiniu_errors: Family::default(),
            qiniu_error_codes: QiniuErrorCodes::default(),
            request_body: Counter::default(),
            response_removed: Counter::default(),
            auth_refusals: Family::default(),
            limit_refusals: Family::default(),
            verdicts: Family::default(),
            evidence: Family::default(),
            video_findings: Family::default(),
            no_route: NO_ROUTE.into(),
            route_series: OnceLock::new(),
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
        r.register("requests", "Requests answered", self.requests.clone());
        r.register_with_unit(
            "request_duration",
            "Time from the request head to the response",
            Unit::Seconds,
            self.request_duration.clone(),
        );
        r.register_with_unit(
            "upstream_duration",
            "Duration of calls to Qiniu",
            Unit::Seconds,
            self.upstream_duration.clone(),
        );
        r.register(
            "upstream_requests",
            "Calls to Qiniu by outcome",
            self.upstream_requests.clone(),
        );
        r.register(
            "qiniu_errors",
            "Qiniu responses with a nonzero error_code",
            self.qiniu_errors.clone(),
        );
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

    /// Counts an answered request, with its duration. `code` is `ok` or an error code.
    pub fn record_request(
        &self,
        route: &Arc<str>,
        status: u16,
        code: &'static str,
        duration: Duration,
    ) {
        let seconds = duration.as_secs_f64();
        if self.record_prepared_request(route, status, code, seconds) {
            return;
        }
        let labels = RequestLabels {
            route: Arc::clone(route),
            status,
            code,
        };
        self.requests.get_or_create(&labels).inc();
        let labels = RouteLabels {
            route: labels.route,
        };
        self.request_duration
            .get_or_create(&labels)
            .observe(seconds);
    }

    /// Counts a call to Qiniu, with its duration.
    pub fn record_upstream_call(
        &self,
        route: &Arc<str>,
        outcome: &'static str,
        duration: Duration,
    ) {
        let seconds = duration.as_secs_f64();
        if self.record_prepared_call(route, outcome, seconds) {
            return;
        }
        let labels = UpstreamLabels {
            route: Arc::clone(route),
            outcome,
        };
        self.upstream_requests.get_or_create(&labels).inc();
        let labels = RouteLabels {
            route: labels.route,
        };
        self.upstream_duration
            .get_or_create(&labels)
            .observe(seconds);
    }

    /// Counts a response of Qiniu's whose `error_code` is not 0. The first 256 distinct codes have
    /// series of their own, later ones share `other`.
    pub fn count_qiniu_error(&self, route: &Arc<str>, error_code: i64) {
        let labels = QiniuErrorLabels {
            route: Arc::clone(route),
            error_code: self.qiniu_error_codes.label(error_code),
        };
        self.qiniu_errors.get_or_create(&labels).inc();
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

#[cfg(test)]
mod tests;
