//! How many log lines were dropped.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::counter::ConstCounter,
};

use crate::telemetry::log::LogWriter;

/// Read from the log's own counter at each scrape.
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
