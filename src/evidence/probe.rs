//! Asks whether the app's backend is there, and what its clock says.
//!
//! For `check --connect`. Sends one `OPTIONS` without a signature, which changes nothing at any
//! server (RFC 9110 section 9.2.1). Never sends a delivery: the backend could take it for evidence.

use std::time::Duration;

use super::EvidenceSettings;
use crate::outbound::{
    advice::SettingAtFault,
    probe::{ServerAnswer, ServerProbe, ServerProbeError},
};

/// From this difference on, deliveries are refused, in seconds: libraries for Standard Webhooks
/// bear five minutes.
const MAX_SKEW: f64 = 5.0 * 60.0;

/// The backend can't take evidence.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceProbeError {
    /// It has not answered.
    #[error(transparent)]
    Server(#[from] ServerProbeError),
    /// What stands in front of it has answered in its place.
    #[error("what is in front of the backend answers {0}")]
    Away(u16),
    /// It refuses the dates of our deliveries.
    #[error(
        "its clock less this machine's is {0:+.0} s, and backends refuse deliveries that are 5 \
         minutes off"
    )]
    Clock(f64),
}

impl EvidenceSettings {
    /// Sends one request, within `limit`.
    ///
    /// # Errors
    /// The backend can't take evidence. Any other status is a sign of life: few backends know
    /// `OPTIONS`.
    pub async fn probe(&self, limit: Duration) -> Result<ServerAnswer, EvidenceProbeError> {
        let timeout = self.timeout.min(limit);
        let probe = ServerProbe {
            url: &self.url,
            method: "OPTIONS",
            body: "",
            dialer: &self.dialer,
            tls: self.tls.as_ref(),
            // As for a delivery.
            connect_timeout: timeout / 2,
            timeout,
        };
        let answer = probe.ask().await?;
        if matches!(answer.status, 502..=504) {
            return Err(EvidenceProbeError::Away(answer.status));
        }
        match answer.skew {
            Some(skew) if skew.abs() >= MAX_SKEW => Err(EvidenceProbeError::Clock(skew)),
            _ => Ok(answer),
        }
    }
}

impl EvidenceProbeError {
    /// What an operator can do about it, as the second half of a sentence.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Server(error) => error.advice(),
            Self::Away(_) => "start the backend, and look into the log of what is in front of it",
            Self::Clock(_) => "set the clock right that is wrong, most likely this machine's (NTP)",
        }
    }

    /// Which setting of the section to look at.
    pub fn setting(&self) -> SettingAtFault {
        match self {
            Self::Server(error) => error.setting(),
            Self::Away(_) => SettingAtFault::Address,
            Self::Clock(_) => SettingAtFault::Nothing,
        }
    }
}
