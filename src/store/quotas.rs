//! The calls of a caller in one window of a quota, counted for all replicas together.

use std::time::Duration;

use super::{client::Store, error::Unavailable, keys::StoreKey, script::ScriptReply};

/// What a replica publishes of a caller's calls in one window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterUpdate {
    /// The window, by the number of windows before it.
    pub window: u64,
    /// The number of the update; later updates have greater numbers.
    pub number: u64,
    /// All of this replica's calls, including those in progress; `None` if it only reads.
    pub calls: Option<u32>,
    /// When the update was made, in seconds since 1970.
    pub at: u64,
    /// How long the count is of use.
    pub remember: Duration,
}

/// The calls that all replicas have counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterTotal {
    /// Whether all calls of the update fit.
    pub fits: bool,
    /// All calls.
    pub all: u32,
    /// This replica's among them.
    pub own: u32,
    /// When the last call was made, in seconds since 1970; 0 if there was none.
    pub last: u64,
}

impl Store {
    /// Publishes this replica's calls and reads the total. With `max`, room is asked for: if there
    /// would be more calls than that, nothing is stored.
    ///
    /// # Errors
    /// The store is unavailable; the update may have reached it all the same.
    pub async fn count(
        &self,
        key: &StoreKey,
        update: &CounterUpdate,
        max: Option<u32>,
    ) -> Result<CounterTotal, Unavailable> {
        let text = |number: Option<u32>| number.map(|it| it.to_string()).unwrap_or_default();
        let (number, calls, max) = (update.number.to_string(), text(update.calls), text(max));
        let (at, remember) = (
            update.at.to_string(),
            update.remember.as_millis().to_string(),
        );
        let args = [&self.replica, &number, &calls, &max, &at, &remember];
        let args = args.map(|arg| arg.as_bytes());
        let key = key.in_window(update.window);
        let reply = self.link.call(&self.scripts.quota, &[&key], &args).await?;
        CounterTotal::parse(&reply).ok_or_else(|| self.link.invalid_reply())
    }
}

impl CounterTotal {
    /// Parses the script's reply; `None` if it is none of the script's.
    pub fn parse(reply: &ScriptReply) -> Option<Self> {
        let ScriptReply::List(parts) = reply else {
            return None;
        };
        let [
            ScriptReply::Number(fits @ (0 | 1)),
            ScriptReply::Number(all),
            ScriptReply::Number(own),
            ScriptReply::Number(last),
        ] = parts.as_slice()
        else {
            return None;
        };
        Some(Self {
            fits: *fits == 1,
            all: u32::try_from(*all).ok()?,
            own: u32::try_from(*own).ok()?,
            last: u64::try_from(*last).ok()?,
        })
    }
}
