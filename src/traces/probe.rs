//! Asks whether the collector takes traces.
//!
//! For `check --connect`. Sends one batch without a span.

use std::time::Duration;

use super::TraceSettings;
use crate::outbound::{
    advice::SettingAtFault,
    probe::{ServerAnswer, ServerProbe, ServerProbeError},
};

/// A batch without a span.
const EMPTY: &str = "{\"resourceSpans\":[]}";

/// The collector takes no traces.
#[derive(Debug, thiserror::Error)]
pub enum CollectorProbeError {
    /// It has not answered.
    #[error(transparent)]
    Server(#[from] ServerProbeError),
    /// Another status than 2xx.
    #[error("it answers {0} to an empty batch")]
    Status(u16),
}

impl TraceSettings {
    /// Sends one request, within `limit`.
    ///
    /// # Errors
    /// The collector takes no traces.
    pub async fn probe(&self, limit: Duration) -> Result<ServerAnswer, CollectorProbeError> {
        let probe = ServerProbe {
            url: &self.url,
            method: "POST",
            body: EMPTY,
            dialer: &self.dialer,
            tls: self.tls.as_ref(),
            connect_timeout: limit / 2,
            timeout: limit,
        };
        let answer = probe.ask().await?;
        match answer.status {
            200..=299 => Ok(answer),
            status => Err(CollectorProbeError::Status(status)),
        }
    }
}

impl CollectorProbeError {
    /// What an operator can do about it, as the second half of a sentence.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Server(error) => error.advice(),
            Self::Status(401 | 403) => "let it take traces without a login: the gateway has none",
            Self::Status(_) => "check that it is one for OTLP over HTTP, with JSON",
        }
    }

    /// Which setting of the section to look at.
    pub fn setting(&self) -> SettingAtFault {
        match self {
            Self::Server(error) => error.setting(),
            Self::Status(_) => SettingAtFault::Address,
        }
    }
}
