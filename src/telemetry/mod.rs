//! Logs and metrics of the gateway.
//!
//! Relies on no other module of the crate. Never receives a body, a token, a key or a session id:
//! callers pass counts, names from fixed lists, and complete access records.

pub mod log;
pub mod log_line;
mod log_writer;
pub mod metrics;
pub mod peer_clock;
pub mod repeated;
pub mod timestamp;
pub mod trace_context;

use std::sync::Arc;

use self::repeated::RepeatedLines;
pub use self::{log::LogSettings, log_line::LogFormat};

/// Where requests are counted and recorded.
pub struct Telemetry {
    /// Counters, gauges and histograms.
    pub metrics: Arc<metrics::Metrics>,
    /// Output of access records.
    pub log: log::LogWriter,
    /// Format of access records.
    pub format: LogFormat,
    /// Log lines that requests provoke.
    pub lines: Arc<RequestLines>,
}

/// Log lines that requests provoke, each cause limited by itself.
#[derive(Default)]
pub struct RequestLines {
    /// Requests that fail by the gateway, its configuration or Qiniu, by the text of the line.
    pub failures: RepeatedLines,
    /// Videos that do not meet Qiniu's requirements, by the finding.
    pub videos: RepeatedLines,
    /// Evidence that was not acknowledged, by the text of the error.
    pub evidence: RepeatedLines,
}
