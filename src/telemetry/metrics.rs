//! The metric families of the gateway, in OpenMetrics text.
//!
//! Relies on route names coming from the configuration and every other label from a fixed list, so that the number of
//! series is bounded whatever is sent; Qiniu's error codes are the exception and are bounded here. Never takes a label
//! out of a request.

mod dropped_lines;
mod in_flight;
mod key_sets;
mod labels;
mod route_series;
mod store_up;

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::Duration,
};

use prometheus_client::{
    encoding::text,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::{Registry, Unit},
};

use self::{
    dropped_lines::DroppedLinesCounter,
    key_sets::KeySetMetrics,
    labels::{
        AuthRefusalLabels, DeliveryLabels, LimitRefusalLabels, QiniuErrorCode, QiniuErrorLabels,
        RequestLabels, RouteLabels, UpstreamLabels, VerdictLabels, VideoFindingLabels,
    },
    route_series::RouteSeries,
};
pub use self::{in_flight::GaugeGuard, store_up::StoreUpGauge};
use super::log::LogWriter;

/// The route label of a request that met no route.
pub const NO_ROUTE: &str = "none";
/// Distinct error codes of Qiniu's that get a series of their own, all routes together.
const MAX_ERROR_CODES: usize = 256;
/// Seconds; from a cached refusal to the longest time-out of a route by default.
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
    error_codes: RwLock<HashSet<i64>>,
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
    /// Requests whose head has arrived and whose answer is not finished.
    pub requests_in_flight: Gauge,
    /// Bytes reserved for bodies.
    pub body_memory: Gauge,
    /// The most that `body_memory` can be, in bytes.
    pub body_memory_limit: Gauge,
    /// The keys that issuers publish.
    pub key_sets: KeySetMetrics,
    /// Whether the store is there.
    pub store_up: StoreUpGauge,
}

impl Metrics {
    /// Registers every family; `lines` tells how many log lines were dropped.
    pub fn new(lines: LogWriter) -> Arc<Self> {
        let durations = || DurationFamily::new_with_constructor(|| Histogram::new(BUCKETS));
        let mut metrics = Self {
            registry: Registry::with_prefix("liveness_gateway"),
            requests: Family::default(),
            request_duration: durations(),
            upstream_duration: durations(),
            upstream_requests: Family::default(),
            qiniu_errors: Family::default(),
            error_codes: RwLock::default(),
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
        metrics.register_process(lines);
        Arc::new(metrics)
    }

    /// The library adds `_total` to counters, `_info` to infos and the unit to what has one.
    fn register_requests(&mut self) {
        let r = &mut self.registry;
        r.register("requests", "Requests answered", self.requests.clone());
        r.register_with_unit(
            "request_duration",
            "From the head's arrival to the answer",
            Unit::Seconds,
            self.request_duration.clone(),
        );
        r.register_with_unit(
            "upstream_duration",
            "Calls to Qiniu",
            Unit::Seconds,
            self.upstream_duration.clone(),
        );
        r.register(
            "upstream_requests",
            "Calls to Qiniu by how they ended",
            self.upstream_requests.clone(),
        );
        r.register(
            "qiniu_errors",
            "Answers of Qiniu's with an error_code other than 0",
            self.qiniu_errors.clone(),
        );
        r.register_with_unit(
            "request_body",
            "Bytes of bodies received",
            Unit::Bytes,
            self.request_body.clone(),
        );
        r.register_with_unit(
            "response_removed",
            "Bytes cut out of Qiniu's answers",
            Unit::Bytes,
            self.response_removed.clone(),
        );
        r.register(
            "auth_refusals",
            "Requests refused for their token",
            self.auth_refusals.clone(),
        );
        r.register(
            "limit_refusals",
            "Requests refused by a limit",
            self.limit_refusals.clone(),
        );
        r.register("verdicts", "Verdicts signed", self.verdicts.clone());
        r.register(
            "evidence_deliveries",
            "Evidence taken to the app's backend",
            self.evidence.clone(),
        );
        r.register(
            "video_findings",
            "What was wrong with videos, refused or not",
            self.video_findings.clone(),
        );
        self.key_sets.register(r);
    }

    fn register_process(&mut self, lines: LogWriter) {
        let r = &mut self.registry;
        r.register_with_unit(
            "body_memory",
            "Bytes reserved for bodies",
            Unit::Bytes,
            self.body_memory.clone(),
        );
        r.register_with_unit(
            "body_memory_limit",
            "The most that can be reserved for bodies",
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
            "Requests not answered yet",
            self.requests_in_flight.clone(),
        );
        r.register(
            "build",
            "The running version",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        r.register_collector(Box::new(DroppedLinesCounter(lines)));
        r.register_collector(Box::new(self.store_up.clone()));
    }

    /// The route label of a request that met no route.
    pub fn no_route(&self) -> &Arc<str> {
        &self.no_route
    }

    /// Counts one answered request; `code` is empty for an answer that is not a refusal.
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
        self.request_duration
            .get_or_create(&RouteLabels {
                route: labels.route,
            })
            .observe(seconds);
    }

    /// Counts one call to Qiniu.
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
        self.upstream_duration
            .get_or_create(&RouteLabels {
                route: labels.route,
            })
            .observe(seconds);
    }

    /// Counts an answer of Qiniu's with an `error_code` that is not 0. The first 256 distinct codes have their own
    /// series, later ones share `other`.
    pub fn count_qiniu_error(&self, route: &Arc<str>, error_code: i64) {
        let error_code = self.bounded(error_code);
        self.qiniu_errors
            .get_or_create(&QiniuErrorLabels {
                route: Arc::clone(route),
                error_code,
            })
            .inc();
    }

    fn bounded(&self, code: i64) -> QiniuErrorCode {
        if self
            .error_codes
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&code)
        {
            return QiniuErrorCode::Known(code);
        }
        let mut known = self
            .error_codes
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if known.len() < MAX_ERROR_CODES || known.contains(&code) {
            known.insert(code);
            return QiniuErrorCode::Known(code);
        }
        QiniuErrorCode::Other
    }

    /// Counts a request refused for its token.
    pub fn count_auth_refusal(&self, reason: &'static str) {
        self.auth_refusals
            .get_or_create(&AuthRefusalLabels { reason })
            .inc();
    }

    /// Counts a request refused by a limit.
    pub fn count_limit_refusal(&self, route: &Arc<str>, limit: &'static str) {
        self.limit_refusals
            .get_or_create(&LimitRefusalLabels {
                route: Arc::clone(route),
                limit,
            })
            .inc();
    }

    /// Counts a signed verdict.
    pub fn count_verdict(&self, passed: bool) {
        let passed = if passed { "true" } else { "false" };
        self.verdicts.get_or_create(&VerdictLabels { passed }).inc();
    }

    /// Counts evidence for the app's backend, by whether it was acknowledged.
    pub fn count_evidence_delivery(&self, delivered: bool) {
        let outcome = if delivered {
            "delivered"
        } else {
            "undelivered"
        };
        self.evidence
            .get_or_create(&DeliveryLabels { outcome })
            .inc();
    }

    /// Counts something that is wrong with a video.
    pub fn count_video_finding(&self, finding: &'static str) {
        self.video_findings
            .get_or_create(&VideoFindingLabels { finding })
            .inc();
    }

    /// Adds bytes of request bodies received.
    pub fn add_body_bytes(&self, bytes: u64) {
        self.request_body.inc_by(bytes);
    }

    /// Adds bytes cut out of answers.
    pub fn add_removed_bytes(&self, bytes: u64) {
        self.response_removed.inc_by(bytes);
    }

    /// The whole exposition, `# EOF` included.
    pub fn encode(&self) -> String {
        let mut out = String::with_capacity(16 * 1024);
        match text::encode(&mut out, &self.registry) {
            Ok(()) => out,
            // Writing to a string does not fail; an empty exposition would be taken for "no metrics".
            Err(fmt::Error) => "# EOF\n".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
