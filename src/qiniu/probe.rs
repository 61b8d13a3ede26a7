//! Asks whether Qiniu is there, and what its clock says.
//!
//! For `check --connect`. Sends one unsigned `GET /`, which no path of the API answers. Never signs
//! a request: one that is signed could be billed, so whether the keys are right is not asked.

use std::time::Duration;

use super::UpstreamSettings;
use crate::outbound::{
    advice::SettingAtFault,
    origin::Url,
    probe::{ServerAnswer, ServerProbe, ServerProbeError},
};

/// From this difference on, requests are refused, in seconds. Qiniu bears 15 minutes; a request is
/// dated when its upload begins.
const MAX_SKEW: f64 = 14.0 * 60.0;

/// Qiniu can't be used.
#[derive(Debug, thiserror::Error)]
pub enum QiniuProbeError {
    /// It has not answered.
    #[error(transparent)]
    Server(#[from] ServerProbeError),
    /// It refuses the dates of our requests.
    #[error(
        "its clock less this machine's is {0:+.0} s, and it refuses requests whose date is 15 \
         minutes off"
    )]
    Clock(f64),
}

impl UpstreamSettings {
    /// Sends one request, within `limit`.
    ///
    /// # Errors
    /// Qiniu can't be used.
    pub async fn probe(&self, limit: Duration) -> Result<ServerAnswer, QiniuProbeError> {
        let url = Url {
            origin: self.endpoint.clone(),
            target: "/".to_owned(),
        };
        let probe = ServerProbe {
            url: &url,
            method: "GET",
            body: "",
            dialer: &self.dialer,
            tls: self.tls.as_ref(),
            // With time left for a response, so that the error says what can't be reached.
            connect_timeout: self.connect_timeout.min(limit / 2),
            timeout: limit,
        };
        let answer = probe.ask().await?;
        match answer.skew {
            Some(skew) if self.sign_date && skew.abs() >= MAX_SKEW => {
                Err(QiniuProbeError::Clock(skew))
            }
            _ => Ok(answer),
        }
    }
}

impl QiniuProbeError {
    /// What an operator can do about it, as the second half of a sentence.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Server(error) => error.advice(),
            Self::Clock(_) => "set the clock right that is wrong, most likely this machine's (NTP)",
        }
    }

    /// Which setting of the section to look at.
    pub fn setting(&self) -> SettingAtFault {
        match self {
            Self::Server(error) => error.setting(),
            Self::Clock(_) => SettingAtFault::Nothing,
        }
    }
}
