//! A caller's rate, counted for all replicas together.

use std::time::Duration;

use super::{client::Store, error::Unavailable, keys::StoreKey, script::ScriptReply};

/// Whether a request is within the rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateDecision {
    /// It passes, and so many more would pass at once.
    Passes(u32),
    /// It has to wait; nothing was counted.
    Waits(Duration),
}

impl Store {
    /// Counts a request: one each `interval`, `burst` at once.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn charge(
        &self,
        key: &StoreKey,
        interval: Duration,
        burst: u32,
    ) -> Result<RateDecision, Unavailable> {
        let interval = interval.as_micros().max(1).to_string();
        let burst = burst.to_string();
        let args = [interval.as_bytes(), burst.as_bytes()];
        let reply = self.link.call(&self.scripts.rate, &[key], &args).await?;
        RateDecision::parse(&reply).ok_or_else(|| self.link.invalid_reply())
    }
}

impl RateDecision {
    /// Parses the script's reply; `None` if it is none of the script's.
    pub fn parse(reply: &ScriptReply) -> Option<Self> {
        let ScriptReply::List(parts) = reply else {
            return None;
        };
        let [ScriptReply::Number(passes), ScriptReply::Number(number)] = parts.as_slice() else {
            return None;
        };
        match passes {
            1 => Some(Self::Passes(u32::try_from(*number).ok()?)),
            0 => {
                let micros = u64::try_from(*number).ok()?;
                Some(Self::Waits(Duration::from_micros(micros)))
            }
            _ => None,
        }
    }
}
