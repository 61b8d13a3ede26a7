//! The series that nearly every request counts in: found once for each configured route, not by a hash of their labels for
//! each request. They are there from the start, at zero, so that the first increase is seen as one.

use std::sync::Arc;

use prometheus_client::metrics::{counter::Counter, histogram::Histogram};

use super::{
    Metrics,
    labels::{RequestLabels, RouteLabels, UpstreamLabels},
};

/// How a request ends, and a call to Qiniu, when all is well.
const STATUS: u16 = 200;
const CODE: &str = "ok";
const OUTCOME: &str = "success";

/// The series of one route.
pub(super) struct RouteSeries {
    route: Arc<str>,
    requests: Counter,
    request_duration: Histogram,
    upstream_requests: Counter,
    upstream_duration: Histogram,
}

impl Metrics {
    /// Makes the series of these routes; told once, at start.
    pub fn prepare_routes<'a>(&self, routes: impl Iterator<Item = &'a Arc<str>>) {
        let series = routes.map(|route| self.prepare_route(route)).collect();
        // A second telling would change nothing but the cost.
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

    /// The series of a route that was told at start; the very same string, not only an equal one.
    fn route_series(&self, route: &Arc<str>) -> Option<&RouteSeries> {
        let mut series = self.route_series.get()?.iter();
        series.find(|series| Arc::ptr_eq(&series.route, route))
    }

    /// Counts a request in them, if it is one.
    pub(super) fn record_prepared_request(
        &self,
        route: &Arc<str>,
        status: u16,
        code: &str,
        seconds: f64,
    ) -> bool {
        let series = self
            .route_series(route)
            .filter(|_| (status, code) == (STATUS, CODE));
        if let Some(series) = series {
            series.requests.inc();
            series.request_duration.observe(seconds);
        }
        series.is_some()
    }

    /// Counts a call to Qiniu in them, if it is one.
    pub(super) fn record_prepared_call(
        &self,
        route: &Arc<str>,
        outcome: &str,
        seconds: f64,
    ) -> bool {
        let series = self.route_series(route).filter(|_| outcome == OUTCOME);
        if let Some(series) = series {
            series.upstream_requests.inc();
            series.upstream_duration.observe(seconds);
        }
        series.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::telemetry::log::LogWriter;

    #[test]
    fn they_are_the_same_series_and_there_from_the_start() {
        let metrics = Metrics::new(LogWriter::discard());
        let route: Arc<str> = "/v2/x".into();
        metrics.prepare_routes([&route].into_iter());
        let counted = |wanted: u32| {
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
        counted(0);
        let elsewhere: Arc<str> = "/v2/x".into();
        for route in [&route, &elsewhere] {
            metrics.record_request(route, STATUS, CODE, Duration::from_millis(1));
            metrics.record_upstream_call(route, OUTCOME, Duration::from_millis(1));
        }
        counted(2);
    }
}
