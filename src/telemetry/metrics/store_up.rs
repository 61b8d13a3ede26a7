//! Whether the store is there; without `[store]` there is no such metric, so that nobody is alarmed by a store that is not wanted.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::gauge::ConstGauge,
};

/// Not wanted, until it is said how it is.
const NO_STORE: i64 = -1;

/// Told at each scrape.
#[derive(Clone, Debug)]
pub struct StoreUpGauge(Arc<AtomicI64>);

impl Default for StoreUpGauge {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(NO_STORE)))
    }
}

impl StoreUpGauge {
    /// Says how it is.
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
        let help = "Whether the store that replicas share is there";
        let metric = encoder.encode_descriptor("store_up", help, None, gauge.metric_type())?;
        gauge.encode(metric)
    }
}
