//! Metrics that are read or computed at each scrape: dropped log lines, the age of key sets, and
//! whether the store is reachable.
//!
//! Relies on the owner of each value to update it. Never blocks a request.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Instant,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        MetricType,
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::ConstGauge,
    },
    registry::{Registry, Unit},
};

use crate::telemetry::log_writer::LogWriter;

/// `log_lines_dropped_total`, read from the log's own counter.
#[derive(Debug)]
pub(super) struct DroppedLinesCounter(pub(super) LogWriter);

impl Collector for DroppedLinesCounter {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let counter = ConstCounter::new(self.0.dropped());
        let help = "Log lines dropped because standard output was too slow";
        let metric =
            encoder.encode_descriptor("log_lines_dropped", help, None, counter.metric_type())?;
        counter.encode(metric)
    }
}

/// Counts fetches of issuers' keys, and computes the age of the keys.
#[derive(Default)]
pub struct KeySetMetrics {
    fetches: Family<KeySetFetchLabels, Counter>,
    ages: KeySetAges,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct KeySetFetchLabels {
    issuer: Arc<str>,
    outcome: &'static str,
}

/// When the keys of each issuer were last fetched.
#[derive(Clone, Debug, Default)]
struct KeySetAges(Arc<Mutex<BTreeMap<Arc<str>, Instant>>>);

impl KeySetMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "key_set_fetches",
            "Fetches of an issuer's keys by outcome",
            self.fetches.clone(),
        );
        registry.register_collector(Box::new(self.ages.clone()));
    }

    /// Counts a successful fetch of an issuer's keys, and sets their age to zero.
    pub fn count_success(&self, issuer: &Arc<str>) {
        let mut times = self.ages.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.insert(Arc::clone(issuer), Instant::now());
        drop(times);
        self.count(issuer, "success");
    }

    /// Counts a failed fetch of an issuer's keys. Their age continues to grow.
    pub fn count_failure(&self, issuer: &Arc<str>, outcome: &'static str) {
        self.count(issuer, outcome);
    }

    fn count(&self, issuer: &Arc<str>, outcome: &'static str) {
        let labels = KeySetFetchLabels {
            issuer: Arc::clone(issuer),
            outcome,
        };
        self.fetches.get_or_create(&labels).inc();
    }
}

impl Collector for KeySetAges {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let times = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if times.is_empty() {
            return Ok(());
        }
        let mut family = encoder.encode_descriptor(
            "key_set_age",
            "Time since the issuer's keys were last fetched",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?;
        for (issuer, time) in times {
            let labels = [("issuer", &*issuer)];
            let age = ConstGauge::new(time.elapsed().as_secs_f64());
            age.encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// The value while no store is configured. The metric is then absent, so that it raises no alert.
const NO_STORE: i64 = -1;

/// `store_up`: 1 while the store is reachable, else 0.
#[derive(Clone, Debug)]
pub struct StoreUpGauge(Arc<AtomicI64>);

impl Default for StoreUpGauge {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(NO_STORE)))
    }
}

impl StoreUpGauge {
    /// Sets the value. Before the first call, the metric is absent.
    pub fn set(&self, up: bool) {
        self.0.store(i64::from(up), Ordering::Relaxed);
    }
}

impl Collector for StoreUpGauge {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let up = self.0.load(Ordering::Relaxed);
        if up == NO_STORE {
            return Ok(());
        }
        let gauge = ConstGauge::new(up);
        let help = "Whether the store shared by the replicas is reachable";
        let metric = encoder.encode_descriptor("store_up", help, None, gauge.metric_type())?;
        gauge.encode(metric)
    }
}
