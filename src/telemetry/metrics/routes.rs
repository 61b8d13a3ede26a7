//! Requests, calls to Qiniu and errors of Qiniu's, by route.
//!
//! Relies on routes coming from the configuration, and on codes and outcomes coming from fixed
//! lists. Qiniu's error codes are bounded in number here. Nearly every request counts in the same
//! four series of its route. These are looked up once, at the start, since hashing their labels
//! would take seven times the instructions (2,000 instead of 270). They start at 0, so that a
//! scraper sees their first increase. Never takes a label from a request.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};

/// Histogram bounds, in seconds: from a cached refusal to the longest default timeout of a route.
const BUCKETS: [f64; 14] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// Maximum number of Qiniu's error codes with series of their own, over all routes.
pub(super) const MAX_ERROR_CODES: usize = 256;

/// Labels of a successful request, and of a successful call to Qiniu.
const STATUS: u16 = 200;
const CODE: &str = "ok";
const OUTCOME: &str = "success";

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    route: Arc<str>,
    status: u16,
    code: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteLabels {
    route: Arc<str>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct UpstreamLabels {
    route: Arc<str>,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct QiniuErrorLabels {
    route: Arc<str>,
    error_code: QiniuErrorCode,
}

type DurationFamily = Family<RouteLabels, Histogram, fn() -> Histogram>;

/// The families that are counted by route.
pub(super) struct RouteMetrics {
    requests: Family<RequestLabels, Counter>,
    request_duration: DurationFamily,
    upstream_requests: Family<UpstreamLabels, Counter>,
    upstream_duration: DurationFamily,
    qiniu_errors: Family<QiniuErrorLabels, Counter>,
    qiniu_error_codes: QiniuErrorCodes,
    prepared: OnceLock<Vec<RouteSeries>>,
}

/// The prepared series of one route.
struct RouteSeries {
    route: Arc<str>,
    requests: Counter,
    request_duration: Histogram,
    upstream_requests: Counter,
    upstream_duration: Histogram,
}

impl Default for RouteMetrics {
    fn default() -> Self {
        let durations = || DurationFamily::new_with_constructor(|| Histogram::new(BUCKETS));
        Self {
            requests: Family::default(),
            request_duration: durations(),
            upstream_requests: Family::default(),
            upstream_duration: durations(),
            qiniu_errors: Family::default(),
            qiniu_error_codes: QiniuErrorCodes::default(),
            prepared: OnceLock::new(),
        }
    }
}

impl RouteMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("requests", "Requests answered", self.requests.clone());
        registry.register_with_unit(
            "request_duration",
            "Time from the request head to the response",
            Unit::Seconds,
            self.request_duration.clone(),
        );
        registry.register_with_unit(
            "upstream_duration",
            "Duration of calls to Qiniu",
            Unit::Seconds,
            self.upstream_duration.clone(),
        );
        registry.register(
            "upstream_requests",
            "Calls to Qiniu by outcome",
            self.upstream_requests.clone(),
        );
        registry.register(
            "qiniu_errors",
            "Qiniu responses with a nonzero error_code",
            self.qiniu_errors.clone(),
        );
    }

    /// Prepares the series of these routes. Call once, at the start; later calls have no effect.
    pub(super) fn prepare<'a>(&self, routes: impl Iterator<Item = &'a Arc<str>>) {
        let series = routes.map(|route| self.series(route)).collect();
        let _ = self.prepared.set(series);
    }

    fn series(&self, route: &Arc<str>) -> RouteSeries {
        let labels = RouteLabels {
            route: Arc::clone(route),
        };
        let request = RequestLabels {
            route: Arc::clone(route),
            status: STATUS,
            code: CODE,
        };
        let upstream = UpstreamLabels {
            route: Arc::clone(route),
            outcome: OUTCOME,
        };
        RouteSeries {
            route: Arc::clone(route),
            requests: self.requests.get_or_create_owned(&request),
            request_duration: self.request_duration.get_or_create_owned(&labels),
            upstream_requests: self.upstream_requests.get_or_create_owned(&upstream),
            upstream_duration: self.upstream_duration.get_or_create_owned(&labels),
        }
    }

    /// The prepared series of a route, found by the address of its name. An equal string at another
    /// address finds none, and is counted by its labels.
    fn prepared(&self, route: &Arc<str>) -> Option<&RouteSeries> {
        let mut series = self.prepared.get()?.iter();
        series.find(|series| Arc::ptr_eq(&series.route, route))
    }

    /// Counts an answered request, with its duration.
    pub(super) fn record_request(
        &self,
        route: &Arc<str>,
        status: u16,
        code: &'static str,
        duration: Duration,
    ) {
        let seconds = duration.as_secs_f64();
        if (status, code) == (STATUS, CODE)
            && let Some(series) = self.prepared(route)
        {
            series.requests.inc();
            series.request_duration.observe(seconds);
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
    pub(super) fn record_upstream_call(
        &self,
        route: &Arc<str>,
        outcome: &'static str,
        duration: Duration,
    ) {
        let seconds = duration.as_secs_f64();
        if outcome == OUTCOME
            && let Some(series) = self.prepared(route)
        {
            series.upstream_requests.inc();
            series.upstream_duration.observe(seconds);
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

    /// Counts a response of Qiniu's whose `error_code` is not 0.
    pub(super) fn count_qiniu_error(&self, route: &Arc<str>, error_code: i64) {
        let labels = QiniuErrorLabels {
            route: Arc::clone(route),
            error_code: self.qiniu_error_codes.label(error_code),
        };
        self.qiniu_errors.get_or_create(&labels).inc();
    }
}

/// The `error_code` label.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
enum QiniuErrorCode {
    Known(i64),
    Other,
}

impl EncodeLabelValue for QiniuErrorCode {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> fmt::Result {
        match self {
            Self::Known(code) => code.encode(encoder),
            Self::Other => "other".encode(encoder),
        }
    }
}

/// The error codes that have series of their own.
#[derive(Default)]
struct QiniuErrorCodes(RwLock<HashSet<i64>>);

impl QiniuErrorCodes {
    /// The label of a code. Beyond [`MAX_ERROR_CODES`], new codes share one.
    fn label(&self, code: i64) -> QiniuErrorCode {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if known.contains(&code) {
            return QiniuErrorCode::Known(code);
        }
        drop(known);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() < MAX_ERROR_CODES || known.contains(&code) {
            known.insert(code);
            return QiniuErrorCode::Known(code);
        }
        QiniuErrorCode::Other
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text;

    use super::*;

    #[test]
    fn prepared_series_start_at_zero_and_are_those_of_their_labels() {
        let metrics = RouteMetrics::default();
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let route: Arc<str> = "/v2/x".into();
        metrics.prepare([&route].into_iter());
        let assert_counted = |wanted: u32| {
            let mut exposed = String::new();
            text::encode(&mut exposed, &registry).unwrap();
            for series in [
                r#"requests_total{route="/v2/x",status="200",code="ok"}"#,
                r#"request_duration_seconds_count{route="/v2/x"}"#,
                r#"upstream_requests_total{route="/v2/x",outcome="success"}"#,
                r#"upstream_duration_seconds_count{route="/v2/x"}"#,
            ] {
                let line = format!("\n{series} {wanted}\n");
                assert!(exposed.contains(&line), "{line} is not in {exposed}");
            }
        };
        assert_counted(0);
        let equal_route: Arc<str> = "/v2/x".into();
        for route in [&route, &equal_route] {
            metrics.record_request(route, STATUS, CODE, Duration::from_millis(1));
            metrics.record_upstream_call(route, OUTCOME, Duration::from_millis(1));
        }
        assert_counted(2);
    }
}
