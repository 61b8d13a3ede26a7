//! The label sets of the metric families, and the series that are prepared for each route.
//!
//! Relies on label values being configured routes and issuers, statuses, or words of fixed lists.
//! Nearly every request counts in the same four series of its route; these are looked up once at
//! the start, so that a request does not hash their labels. They start at 0, so the first increase
//! is visible to a scraper. Never takes text from a request.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, histogram::Histogram},
};

use super::Metrics;

/// Maximum number of Qiniu's error codes with series of their own, over all routes.
pub(super) const MAX_ERROR_CODES: usize = 256;

/// Labels of a successful request, and of a successful call to Qiniu.
const STATUS: u16 = 200;
const CODE: &str = "ok";
const OUTCOME: &str = "success";

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct RequestLabels {
    pub(super) route: Arc<str>,
    pub(super) status: u16,
    pub(super) code: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct RouteLabels {
    pub(super) route: Arc<str>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct UpstreamLabels {
    pub(super) route: Arc<str>,
    pub(super) outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct QiniuErrorLabels {
    pub(super) route: Arc<str>,
    pub(super) error_code: QiniuErrorCode,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct AuthRefusalLabels {
    pub(super) reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct LimitRefusalLabels {
    pub(super) route: Arc<str>,
    pub(super) limit: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct VerdictLabels {
    pub(super) passed: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct DeliveryLabels {
    pub(super) outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct VideoFindingLabels {
    pub(super) finding: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct KeySetFetchLabels {
    pub(super) issuer: Arc<str>,
    pub(super) outcome: &'static str,
}

/// The `error_code` label.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
pub(super) enum QiniuErrorCode {
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
pub(super) struct QiniuErrorCodes(RwLock<HashSet<i64>>);

impl QiniuErrorCodes {
    /// The label of a code. Beyond [`MAX_ERROR_CODES`], new codes share one.
    pub(super) fn label(&self, code: i64) -> QiniuErrorCode {
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

/// The prepared series of one route.
pub(super) struct RouteSeries {
    route: Arc<str>,
    requests: Counter,
    request_duration: Histogram,
    upstream_requests: Counter,
    upstream_duration: Histogram,
}

impl Metrics {
    /// Prepares the series of these routes. Call once, at the start; later calls have no effect.
    pub fn prepare_routes<'a>(&self, routes: impl Iterator<Item = &'a Arc<str>>) {
        let series = routes.map(|route| self.prepare_route(route)).collect();
        let _ = self.route_series.set(series);
    }

    fn prepare_route(&self, route: &Arc<str>) -> RouteSeries {
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
    /// address finds nothing, and is counted by its labels.
    fn route_series(&self, route: &Arc<str>) -> Option<&RouteSeries> {
        let mut series = self.route_series.get()?.iter();
        series.find(|series| Arc::ptr_eq(&series.route, route))
    }

    /// Counts a successful request in its prepared series. Returns whether there was one.
    pub(super) fn record_prepared_request(
        &self,
        route: &Arc<str>,
        status: u16,
        code: &str,
        seconds: f64,
    ) -> bool {
        if (status, code) != (STATUS, CODE) {
            return false;
        }
        let Some(series) = self.route_series(route) else {
            return false;
        };
        series.requests.inc();
        series.request_duration.observe(seconds);
        true
    }

    /// Counts a successful call to Qiniu in its prepared series. Returns whether there was one.
    pub(super) fn record_prepared_call(
        &self,
        route: &Arc<str>,
        outcome: &str,
        seconds: f64,
    ) -> bool {
        if outcome != OUTCOME {
            return false;
        }
        let Some(series) = self.route_series(route) else {
            return false;
        };
        series.upstream_requests.inc();
        series.upstream_duration.observe(seconds);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::telemetry::log::LogWriter;

    #[test]
    fn prepared_series_start_at_zero_and_are_those_of_their_labels() {
        let metrics = Metrics::new(LogWriter::discard());
        let route: Arc<str> = "/v2/x".into();
        metrics.prepare_routes([&route].into_iter());
        let assert_counted = |wanted: u32| {
            let text = metrics.encode();
            for series in [
                r#"requests_total{route="/v2/x",status="200",code="ok"}"#,
                r#"request_duration_seconds_count{route="/v2/x"}"#,
                r#"upstream_requests_total{route="/v2/x",outcome="success"}"#,
                r#"upstream_duration_seconds_count{route="/v2/x"}"#,
            ] {
                let line = format!("\nliveness_gateway_{series} {wanted}\n");
                assert!(text.contains(&line), "{line} is not in {text}");
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
