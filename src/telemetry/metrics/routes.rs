//! Requests, calls to Qiniu, limits and errors of Qiniu's, by route.
//!
//! Each route has its series in one place, which is found by the route's name: nearly every request
//! then adds to numbers that are there. What depends on a status, a code or an error code is kept
//! behind a lock, and bounded: codes come from fixed lists, and Qiniu's error codes are bounded in
//! number here. Series are never removed, so their numbers live on when the configuration is
//! reloaded. Never takes a label from a request.

mod exposed;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use super::{
    NO_ROUTE,
    counter_set::CounterSet,
    histogram::Histogram,
    labels::{RouteLimit, UpstreamOutcome},
};
use crate::{instruments::Counter, telemetry::trace_context::TraceId};

/// Maximum number of Qiniu's error codes with series of their own, over all routes.
pub(super) const MAX_ERROR_CODES: usize = 256;

/// Error code label of all other codes.
const OTHER: &str = "other";

/// Status and code of a successful request.
const SUCCESS: (u16, &str) = (200, "ok");

/// The families that are counted by route.
pub(super) struct RouteMetrics {
    first: RouteNode,
    error_codes: Mutex<BTreeSet<i64>>,
    /// Requests beyond the rate of their client's address, which belong to no route.
    address_refusals: Counter,
}

/// A list that only grows, so that it is read without a lock. There are few routes.
struct RouteNode {
    series: RouteSeries,
    next: OnceLock<Box<RouteNode>>,
}

/// The series of one route, or of the path of a document.
struct RouteSeries {
    route: Arc<str>,
    successes: Counter,
    /// Requests with another status or code.
    others: Mutex<BTreeMap<(u16, &'static str), u64>>,
    duration: Histogram,
    /// The series of a configured route.
    calls: OnceLock<CallSeries>,
}

/// What only a configured route has.
#[derive(Default)]
struct CallSeries {
    receive: Histogram,
    limits: CounterSet<RouteLimit>,
    outcomes: CounterSet<UpstreamOutcome>,
    duration: Histogram,
    errors: Mutex<BTreeMap<i64, u64>>,
    other_errors: Counter,
    /// Calls that are billed, on a route that has such.
    billed: OnceLock<Counter>,
}

impl Default for RouteMetrics {
    fn default() -> Self {
        Self {
            first: RouteNode::new(&NO_ROUTE.into()),
            error_codes: Mutex::default(),
            address_refusals: Counter::default(),
        }
    }
}

impl RouteMetrics {
    /// Prepares the series of a document's path.
    pub(super) fn prepare_page(&self, path: &Arc<str>) {
        self.series(path);
    }

    /// Prepares the series of a configured route, and of the calls that it is `billed` for.
    pub(super) fn prepare_route(&self, route: &Arc<str>, billed: bool) {
        let calls = self.calls(route);
        if billed {
            calls.billed.get_or_init(Counter::default);
        }
    }

    pub(super) fn record_request(
        &self,
        route: &Arc<str>,
        (status, code): (u16, &'static str),
        duration: Duration,
        trace_id: Option<TraceId>,
    ) {
        let series = self.series(route);
        series.duration.observe(duration, trace_id);
        if (status, code) == SUCCESS {
            series.successes.inc();
            return;
        }
        let mut others = lock(&series.others);
        let number = others.entry((status, code)).or_default();
        *number = number.wrapping_add(1);
    }

    pub(super) fn record_receive(&self, route: &Arc<str>, duration: Duration) {
        self.calls(route).receive.observe(duration, None);
    }

    pub(super) fn record_upstream_call(
        &self,
        route: &Arc<str>,
        outcome: UpstreamOutcome,
        duration: Duration,
    ) {
        let calls = self.calls(route);
        calls.outcomes.count(outcome);
        calls.duration.observe(duration, None);
    }

    pub(super) fn count_billed_call(&self, route: &Arc<str>) {
        let billed = &self.calls(route).billed;
        billed.get_or_init(Counter::default).inc();
    }

    pub(super) fn count_qiniu_error(&self, route: &Arc<str>, error_code: i64) {
        let calls = self.calls(route);
        if !self.has_own_series(error_code) {
            calls.other_errors.inc();
            return;
        }
        let mut errors = lock(&calls.errors);
        let number = errors.entry(error_code).or_default();
        *number = number.wrapping_add(1);
    }

    pub(super) fn count_limit_refusal(&self, route: &Arc<str>, limit: RouteLimit) {
        self.calls(route).limits.count(limit);
    }

    pub(super) fn count_address_refusal(&self) {
        self.address_refusals.inc();
    }

    /// Whether a code has a series of its own. The first [`MAX_ERROR_CODES`] have.
    fn has_own_series(&self, error_code: i64) -> bool {
        let mut codes = lock(&self.error_codes);
        if codes.len() < MAX_ERROR_CODES {
            codes.insert(error_code);
        }
        codes.contains(&error_code)
    }

    /// The series of a configured route's calls.
    fn calls(&self, route: &Arc<str>) -> &CallSeries {
        self.series(route).calls.get_or_init(CallSeries::default)
    }

    /// The series of a route. One that nobody has prepared gets them here.
    fn series(&self, route: &Arc<str>) -> &RouteSeries {
        let mut node = &self.first;
        loop {
            let known = &node.series.route;
            if Arc::ptr_eq(known, route) || **known == **route {
                return &node.series;
            }
            // Another thread may append the same route at this moment, or another one.
            let append = || Box::new(RouteNode::new(route));
            node = node.next.get_or_init(append);
        }
    }

    /// All series, by the names of their routes.
    fn sorted(&self) -> Vec<&RouteSeries> {
        let nodes = std::iter::successors(Some(&self.first), |node| Some(node.next.get()?));
        let mut series: Vec<_> = nodes.map(|node| &node.series).collect();
        series.sort_by(|one, other| one.route.cmp(&other.route));
        series
    }
}

impl RouteNode {
    fn new(route: &Arc<str>) -> Self {
        Self {
            series: RouteSeries::new(route),
            next: OnceLock::new(),
        }
    }
}

impl RouteSeries {
    fn new(route: &Arc<str>) -> Self {
        Self {
            route: Arc::clone(route),
            successes: Counter::default(),
            others: Mutex::default(),
            duration: Histogram::default(),
            calls: OnceLock::new(),
        }
    }
}

fn lock<T>(numbers: &Mutex<T>) -> MutexGuard<'_, T> {
    numbers.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::{Exposition, TextFormat};

    fn exposed(metrics: &RouteMetrics) -> String {
        let mut out = Exposition::new(TextFormat::Prometheus);
        metrics.write(&mut out);
        out.finish()
    }

    #[test]
    fn equal_names_share_their_series_whoever_prepared_them() {
        let metrics = RouteMetrics::default();
        metrics.prepare_route(&"/v2/x".into(), false);
        for _ in 0..2 {
            // A reload builds the routes anew, with names at other addresses.
            let route: Arc<str> = "/v2/x".into();
            metrics.prepare_route(&route, true);
            metrics.record_request(&route, SUCCESS, Duration::from_millis(1), None);
            metrics.record_upstream_call(&route, UpstreamOutcome::Success, Duration::ZERO);
            metrics.count_billed_call(&route);
        }
        let exposed = exposed(&metrics);
        for series in [
            r#"requests_total{route="/v2/x",status="200",code="ok"}"#,
            r#"request_duration_seconds_count{route="/v2/x"}"#,
            r#"upstream_requests_total{route="/v2/x",outcome="success"}"#,
            r#"upstream_duration_seconds_count{route="/v2/x"}"#,
            r#"billed_calls_total{route="/v2/x"}"#,
        ] {
            let line = format!("_{series} 2\n");
            assert_eq!(exposed.matches(&line).count(), 1, "{line} in {exposed}");
        }
    }

    #[test]
    fn error_codes_beyond_the_bound_share_one_series() {
        let metrics = RouteMetrics::default();
        let route: Arc<str> = "/".into();
        for code in 1..=1_000 {
            metrics.count_qiniu_error(&route, code);
        }
        metrics.count_qiniu_error(&route, 5);
        let text = exposed(&metrics);
        assert!(
            text.contains(r#"error_code="5"} 2"#) && text.contains(r#"error_code="other"} 744"#),
            "{text}"
        );
        assert_eq!(text.matches("error_code=").count(), MAX_ERROR_CODES + 1);
    }
}
