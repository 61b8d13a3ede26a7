//! Metrics in the OpenMetrics text format. Every label comes from a closed set, so a stranger can't make families grow.

use std::{
    collections::HashSet,
    fmt::Write as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

use super::log::Lines;
use crate::body::memory::BodyMemory;

/// Error codes of Qiniu's that are counted apart; the rest are "other".
const MOST_CODES: usize = 256;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByCode {
    route: Arc<str>,
    status: u16,
    code: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByRoute {
    route: Arc<str>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByOutcome {
    route: Arc<str>,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByErrorCode {
    route: Arc<str>,
    error_code: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByReason {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByLimit {
    route: Arc<str>,
    limit: &'static str,
}

type Durations = Family<ByRoute, Histogram, fn() -> Histogram>;

/// All that is counted.
pub struct Metrics {
    registry: Registry,
    requests: Family<ByCode, Counter>,
    request_durations: Durations,
    upstream_durations: Durations,
    upstream_requests: Family<ByOutcome, Counter>,
    qiniu_errors: Family<ByErrorCode, Counter>,
    known_codes: Mutex<HashSet<i64>>,
    request_body_bytes: Counter,
    removed: Counter,
    auth_refusals: Family<ByReason, Counter>,
    limit_refusals: Family<ByLimit, Counter>,
    body_memory: Gauge,
    body_memory_limit: Gauge,
    watched: Mutex<Option<Arc<BodyMemory>>>,
    log_lines_dropped: Counter,
    lines: Lines,
    /// Connections on the public listener.
    pub connections: Gauge,
    /// Requests between their first step and their answer.
    pub requests_in_flight: Gauge,
}

/// Raises a gauge for as long as it lives.
pub struct InFlight(Gauge<i64, AtomicI64>);

impl InFlight {
    /// Raises it by one.
    pub fn enter(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// From a quarter of a millisecond to about two minutes.
fn durations() -> Histogram {
    Histogram::new(exponential_buckets(0.000_25, 2.0, 20))
}

impl Metrics {
    /// All at zero. Lines dropped are read from `lines`.
    pub fn new(lines: Lines) -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("liveness_gateway"),
            requests: Family::default(),
            request_durations: Family::new_with_constructor(durations),
            upstream_durations: Family::new_with_constructor(durations),
            upstream_requests: Family::default(),
            qiniu_errors: Family::default(),
            known_codes: Mutex::default(),
            request_body_bytes: Counter::default(),
            removed: Counter::default(),
            auth_refusals: Family::default(),
            limit_refusals: Family::default(),
            body_memory: Gauge::default(),
            body_memory_limit: Gauge::default(),
            watched: Mutex::default(),
            log_lines_dropped: Counter::default(),
            lines,
            connections: Gauge::default(),
            requests_in_flight: Gauge::default(),
        };
        metrics.register();
        metrics
    }

    /// The names, which are a contract; counters get `_total` behind theirs.
    fn register(&mut self) {
        let to = &mut self.registry;
        to.register(
            "requests",
            "Requests by route, HTTP status and code",
            self.requests.clone(),
        );
        to.register(
            "request_duration_seconds",
            "Time from a request's head to its answer",
            self.request_durations.clone(),
        );
        to.register(
            "upstream_duration_seconds",
            "Time of calls to Qiniu",
            self.upstream_durations.clone(),
        );
        to.register(
            "upstream_requests",
            "Calls to Qiniu by how they ended",
            self.upstream_requests.clone(),
        );
        to.register(
            "qiniu_errors",
            "Qiniu's own refusals by error_code",
            self.qiniu_errors.clone(),
        );
        to.register(
            "request_body_bytes",
            "Bytes of bodies received",
            self.request_body_bytes.clone(),
        );
        to.register(
            "response_removed_bytes",
            "Bytes taken out of Qiniu's answers",
            self.removed.clone(),
        );
        to.register(
            "body_memory_bytes",
            "Bytes reserved for bodies now",
            self.body_memory.clone(),
        );
        to.register(
            "body_memory_limit_bytes",
            "Bytes that bodies may take",
            self.body_memory_limit.clone(),
        );
        to.register(
            "connections",
            "Connections on the public listener",
            self.connections.clone(),
        );
        to.register(
            "requests_in_flight",
            "Requests under way",
            self.requests_in_flight.clone(),
        );
        to.register(
            "auth_refusals",
            "Requests refused for their token",
            self.auth_refusals.clone(),
        );
        to.register(
            "limit_refusals",
            "Requests refused by a limit",
            self.limit_refusals.clone(),
        );
        to.register(
            "log_lines_dropped",
            "Log lines dropped because the reader was too slow",
            self.log_lines_dropped.clone(),
        );
        let build: Gauge = Gauge::default();
        build.set(1);
        let version = vec![("version".into(), env!("CARGO_PKG_VERSION").into())];
        to.sub_registry_with_labels(version.into_iter()).register(
            "build_info",
            "The running version",
            build,
        );
    }

    /// Shows this memory from now on.
    pub fn watch_body_memory(&self, memory: Arc<BodyMemory>, limit: u64) {
        self.body_memory_limit
            .set(i64::try_from(limit).unwrap_or(i64::MAX));
        *self.watched.lock().unwrap_or_else(PoisonError::into_inner) = Some(memory);
    }

    /// A request is answered.
    pub fn request_done(
        &self,
        route: &Arc<str>,
        status: u16,
        code: &'static str,
        duration: Duration,
    ) {
        self.requests
            .get_or_create(&ByCode {
                route: Arc::clone(route),
                status,
                code,
            })
            .inc();
        self.request_durations
            .get_or_create(&ByRoute {
                route: Arc::clone(route),
            })
            .observe(duration.as_secs_f64());
    }

    /// A call to Qiniu has ended.
    pub fn upstream_done(&self, route: &Arc<str>, outcome: &'static str, duration: Duration) {
        self.upstream_requests
            .get_or_create(&ByOutcome {
                route: Arc::clone(route),
                outcome,
            })
            .inc();
        self.upstream_durations
            .get_or_create(&ByRoute {
                route: Arc::clone(route),
            })
            .observe(duration.as_secs_f64());
    }

    /// Qiniu has answered with an error of its own.
    pub fn qiniu_error(&self, route: &Arc<str>, error_code: i64) {
        let mut known = self
            .known_codes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let counted =
            known.contains(&error_code) || (known.len() < MOST_CODES && known.insert(error_code));
        drop(known);
        let error_code = if counted {
            error_code.to_string()
        } else {
            "other".into()
        };
        self.qiniu_errors
            .get_or_create(&ByErrorCode {
                route: Arc::clone(route),
                error_code,
            })
            .inc();
    }

    /// A token was refused.
    pub fn auth_refused(&self, reason: &'static str) {
        self.auth_refusals.get_or_create(&ByReason { reason }).inc();
    }

    /// A limit has refused a request.
    pub fn limit_refused(&self, route: &Arc<str>, limit: &'static str) {
        self.limit_refusals
            .get_or_create(&ByLimit {
                route: Arc::clone(route),
                limit,
            })
            .inc();
    }

    /// So many bytes of a body have arrived.
    pub fn body_bytes(&self, bytes: u64) {
        self.request_body_bytes.inc_by(bytes);
    }

    /// So many bytes were taken out of an answer.
    pub fn removed_bytes(&self, bytes: u64) {
        self.removed.inc_by(bytes);
    }

    /// The text of all families.
    pub fn encode(&self) -> String {
        if let Some(memory) = &*self.watched.lock().unwrap_or_else(PoisonError::into_inner) {
            self.body_memory
                .set(i64::try_from(memory.held()).unwrap_or(i64::MAX));
        }
        let dropped = self.lines.dropped();
        self.log_lines_dropped
            .inner()
            .store(dropped, Ordering::Relaxed);
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            // Writing into a String can't fail; an empty answer would be noticed by whoever scrapes.
            text.clear();
            let _ = write!(text, "# EOF");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_of_the_contract() {
        let metrics = Metrics::new(Lines::discard());
        let route = Arc::from("/v");
        metrics.request_done(&route, 200, "ok", Duration::from_millis(3));
        metrics.upstream_done(&route, "success", Duration::from_millis(2));
        metrics.qiniu_error(&route, 216_501);
        metrics.auth_refused("expired");
        metrics.limit_refused(&route, "rate");
        metrics.body_bytes(7);
        metrics.removed_bytes(9);
        let memory = BodyMemory::new(10);
        let mut permit = memory.permit();
        permit.raise_to(4);
        metrics.watch_body_memory(memory, 10);
        let text = metrics.encode();
        for line in [
            "liveness_gateway_requests_total{route=\"/v\",status=\"200\",code=\"ok\"} 1",
            "liveness_gateway_request_duration_seconds_count{route=\"/v\"} 1",
            "liveness_gateway_upstream_duration_seconds_count{route=\"/v\"} 1",
            "liveness_gateway_upstream_requests_total{route=\"/v\",outcome=\"success\"} 1",
            "liveness_gateway_qiniu_errors_total{route=\"/v\",error_code=\"216501\"} 1",
            "liveness_gateway_request_body_bytes_total 7",
            "liveness_gateway_response_removed_bytes_total 9",
            "liveness_gateway_body_memory_bytes 4",
            "liveness_gateway_body_memory_limit_bytes 10",
            "liveness_gateway_connections 0",
            "liveness_gateway_requests_in_flight 0",
            "liveness_gateway_auth_refusals_total{reason=\"expired\"} 1",
            "liveness_gateway_limit_refusals_total{route=\"/v\",limit=\"rate\"} 1",
            "liveness_gateway_log_lines_dropped_total 0",
            concat!(
                "liveness_gateway_build_info{version=\"",
                env!("CARGO_PKG_VERSION"),
                "\"} 1"
            ),
        ] {
            assert!(
                text.lines().any(|have| have == line),
                "{line} is not in\n{text}"
            );
        }
    }

    #[test]
    fn unknown_error_codes_can_not_grow_the_family() {
        let metrics = Metrics::new(Lines::discard());
        let route = Arc::from("/v");
        (0..10_000).for_each(|code| metrics.qiniu_error(&route, code));
        let lines = metrics
            .encode()
            .lines()
            .filter(|line| line.starts_with("liveness_gateway_qiniu_errors_total{"))
            .count();
        assert_eq!(lines, MOST_CODES + 1);
    }
}
