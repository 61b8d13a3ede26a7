//! What is seen from outside: log lines and metrics. Neither ever holds a secret, a token, a session id or part of a body.

pub mod log;
pub mod metrics;
pub mod timestamp;

use std::sync::Arc;

pub use metrics::InFlight;

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
pub struct Observer {
    /// Counters and durations.
    pub metrics: metrics::Metrics,
    /// Access records.
    pub lines: log::Lines,
    /// How records look.
    pub format: LogFormat,
}

impl Observer {
    /// Puts them together.
    pub fn new(metrics: metrics::Metrics, lines: log::Lines, format: LogFormat) -> Arc<Self> {
        Arc::new(Self {
            metrics,
            lines,
            format,
        })
    }
}
