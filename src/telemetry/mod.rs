//! Logs and metrics of the gateway.
//!
//! Relies on no other module of the crate. Never receives a body, a token, a key or a session id:
//! callers pass counts, names from fixed lists, and complete access records.

pub mod log;
pub mod log_line;
mod log_writer;
pub mod metrics;
pub mod timestamp;

use std::sync::Arc;

/// The checked `[log]` section.
#[derive(Clone, Copy, Debug)]
pub struct LogSettings {
    /// Format of every line.
    pub format: LogFormat,
    /// Least severe level that is written.
    pub level: tracing::Level,
}

/// Format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// `name=value` text for a person at a terminal.
    Text,
}

/// Where requests are counted and recorded.
pub struct Telemetry {
    /// Counters, gauges and histograms.
    pub metrics: Arc<metrics::Metrics>,
    /// Output of access records.
    pub log: log::LogWriter,
    /// Format of access records.
    pub format: LogFormat,
}
