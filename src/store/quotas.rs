//! How many calls a caller made in one window of a quota, counted for all replicas together.

use std::time::Duration;

use super::{Store, StoreKey, Unavailable, script::Reply};

/// What a replica says of a caller's calls in one window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterUpdate {
    /// The window, by how many came before it.
    pub window: u64,
    /// Later words have greater numbers.
    pub number: u64,
    /// All of this replica's calls, those under way included; none: it has nothing to tell, and only asks.
    pub calls: Option<u32>,
    /// Seconds since 1970.
    pub at: u64,
    /// How long it is of use.
    pub remember: Duration,
}

/// What all replicas have counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterTotal {
    /// There was room for all that the word spoke of.
    pub fits: bool,
    /// All calls.
    pub all: u32,
    /// This replica's among them.
    pub own: u32,
    /// When the last one was made, in seconds since 1970; 0: never.
    pub last: u64,
}

impl Store {
    /// Tells the others of this replica's calls, and hears of theirs. With `most`, room is asked for: if there would be more calls than
    /// that, nothing is noted.
    ///
    /// # Errors
    /// The store is away; it may have heard all the same.
    pub async fn count(
        &self,
        name: &StoreKey,
        word: &CounterUpdate,
        most: Option<u32>,
    ) -> Result<CounterTotal, Unavailable> {
        let text = |number: Option<u32>| number.map(|it| it.to_string()).unwrap_or_default();
        let (number, calls, most) = (word.number.to_string(), text(word.calls), text(most));
        let (at, remember) = (word.at.to_string(), word.remember.as_millis().to_string());
        let args = [&self.me, &number, &calls, &most, &at, &remember];
        let args = args.map(|arg| arg.as_bytes());
        let name = name.in_window(word.window);
        let reply = self.link.call(&self.scripts.quota, &[&name], &args).await?;
        read(&reply).ok_or_else(|| self.link.misunderstood())
    }
}

fn read(reply: &Reply) -> Option<CounterTotal> {
    let Reply::List(parts) = reply else {
        return None;
    };
    let [
        Reply::Number(fits @ (0 | 1)),
        Reply::Number(all),
        Reply::Number(own),
        Reply::Number(last),
    ] = parts.as_slice()
    else {
        return None;
    };
    Some(CounterTotal {
        fits: *fits == 1,
        all: u32::try_from(*all).ok()?,
        own: u32::try_from(*own).ok()?,
        last: u64::try_from(*last).ok()?,
    })
}
