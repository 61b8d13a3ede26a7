//! Logs and metrics: what an operator sees of the gateway.
//!
//! Relies on nothing else in the crate. Never holds or writes a body, a token, a key or a session id: callers hand over
//! counts, names out of fixed lists, and finished access records.

pub mod log;
pub mod log_line;
mod log_writer;
pub mod metrics;
pub mod timestamp;

use std::sync::Arc;

/// `[log]`, checked.
#[derive(Clone, Copy, Debug)]
pub struct LogSettings {
    /// How lines look.
    pub format: LogFormat,
    /// The least severe level that is written.
    pub level: tracing::Level,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For a person at a terminal.
    Text,
}

/// Where a request leaves its traces.
pub struct Telemetry {
    /// Counters and durations.
    pub metrics: Arc<metrics::Metrics>,
    /// Access records.
    pub log: log::LogWriter,
    /// How records look.
    pub format: LogFormat,
}
