//! Fetches of the keys that issuers publish, and how old the keys are, which is told at each scrape.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::Counter, family::Family, gauge::ConstGauge},
    registry::{Registry, Unit},
};

use super::labels::KeySetFetchLabels;

/// Counts fetches and remembers when the last good one was.
#[derive(Default)]
pub struct KeySetMetrics {
    fetches: Family<KeySetFetchLabels, Counter>,
    ages: KeySetAges,
}

/// When each issuer's keys were last fetched.
#[derive(Clone, Debug, Default)]
struct KeySetAges(Arc<Mutex<BTreeMap<Arc<str>, Instant>>>);

impl KeySetMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "key_set_fetches",
            "Fetches of an issuer's keys by how they ended",
            self.fetches.clone(),
        );
        registry.register_collector(Box::new(self.ages.clone()));
    }

    /// Counts a fetch of an issuer's keys; `success` also sets their age to zero.
    pub fn record_fetch(&self, issuer: &Arc<str>, outcome: &'static str) {
        if outcome == "success" {
            let mut times = self.ages.0.lock().unwrap_or_else(PoisonError::into_inner);
            times.insert(Arc::clone(issuer), Instant::now());
        }
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
            "Since the issuer's keys were last fetched",
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
