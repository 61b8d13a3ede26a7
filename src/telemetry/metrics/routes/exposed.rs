//! Writes the families that are counted by route.
//!
//! Relies on [`super`] for the series. A family's samples stand together, whatever their route, as
//! both formats demand.

use super::{CallSeries, OTHER, RouteMetrics, RouteSeries, SUCCESS, lock};
use crate::telemetry::metrics::{
    NO_ROUTE,
    exposition::{Exposition, FamilyType},
};

impl RouteMetrics {
    /// Writes all families.
    pub(in crate::telemetry::metrics) fn write(&self, out: &mut Exposition) {
        let known = self.sorted();
        let routes = || known.iter().map(|series| (&*series.route, *series));
        let calls = || routes().filter_map(|(route, series)| Some((route, series.calls.get()?)));
        write_requests(out, routes);
        let mut family = out.family(
            "request_receive_seconds",
            FamilyType::Histogram,
            "Time from the request head to the last byte of its body",
        );
        for (route, calls) in calls() {
            family.histogram(&[("route", route)], &calls.receive);
        }
        let mut family = out.family(
            "limit_refusals_total",
            FamilyType::Counter,
            "Requests rejected by a limit",
        );
        for (route, calls) in calls() {
            family.counter_set(&[("route", route)], "limit", &calls.limits);
        }
        let labels = [("route", NO_ROUTE), ("limit", "address")];
        family.sample(&labels, self.address_refusals.get());
        write_calls(out, calls);
    }
}

fn write_requests<'a, I>(out: &mut Exposition, routes: impl Fn() -> I)
where
    I: Iterator<Item = (&'a str, &'a RouteSeries)>,
{
    let mut family = out.family("requests_total", FamilyType::Counter, "Requests answered");
    for (route, series) in routes() {
        let successes = (SUCCESS, series.successes.get());
        let others = lock(&series.others).clone();
        for ((status, code), number) in std::iter::once(successes).chain(others) {
            let status = status.to_string();
            let labels = [("route", route), ("status", &status), ("code", code)];
            family.sample(&labels, number);
        }
    }
    let mut family = out.family(
        "request_duration_seconds",
        FamilyType::Histogram,
        "Time from the request head to the response",
    );
    for (route, series) in routes() {
        family.histogram(&[("route", route)], &series.duration);
    }
}

fn write_calls<'a, I>(out: &mut Exposition, calls: impl Fn() -> I)
where
    I: Iterator<Item = (&'a str, &'a CallSeries)>,
{
    let mut family = out.family(
        "upstream_requests_total",
        FamilyType::Counter,
        "Calls to Qiniu by outcome",
    );
    for (route, calls) in calls() {
        family.counter_set(&[("route", route)], "outcome", &calls.outcomes);
    }
    let mut family = out.family(
        "upstream_duration_seconds",
        FamilyType::Histogram,
        "Duration of calls to Qiniu",
    );
    for (route, calls) in calls() {
        family.histogram(&[("route", route)], &calls.duration);
    }
    let mut family = out.family(
        "billed_calls_total",
        FamilyType::Counter,
        "Calls to Qiniu that are billed, or may be",
    );
    for (route, calls) in calls() {
        if let Some(billed) = calls.billed.get() {
            family.sample(&[("route", route)], billed.get());
        }
    }
    let mut family = out.family(
        "qiniu_errors_total",
        FamilyType::Counter,
        "Qiniu responses with a nonzero error_code",
    );
    for (route, calls) in calls() {
        let errors = lock(&calls.errors).clone();
        for (error_code, number) in errors {
            let error_code = error_code.to_string();
            let labels = [("route", route), ("error_code", &error_code)];
            family.sample(&labels, number);
        }
        let labels = [("route", route), ("error_code", OTHER)];
        family.sample(&labels, calls.other_errors.get());
    }
}
