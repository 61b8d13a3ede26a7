//! How often a caller called, counted for all replicas together.

use std::time::Duration;

use super::{Store, StoreKey, Unavailable, script::Reply};

/// What one counted request comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateDecision {
    /// It passes, and so many more would.
    Passes(u32),
    /// It has to wait so long; nothing was counted.
    Waits(Duration),
}

/// What the store says of a request.
pub struct Counted {
    /// What it comes to.
    pub charged: RateDecision,
    /// How long until all of the burst is back.
    pub owed: Duration,
    /// When that is, in microseconds of the store's own clock. It may be told again to a store that has forgotten.
    pub back: u64,
}

impl Store {
    /// Counts a request: one each `interval`, `burst` at once; `back` is what this replica knows of the caller's count, 0 for nothing.
    ///
    /// # Errors
    /// The store is away.
    pub async fn charge(
        &self,
        name: &StoreKey,
        interval: Duration,
        burst: u32,
        back: u64,
    ) -> Result<Counted, Unavailable> {
        let interval = interval.as_micros().max(1).to_string();
        let (burst, back) = (burst.to_string(), back.to_string());
        let args = [interval.as_bytes(), burst.as_bytes(), back.as_bytes()];
        let reply = self.link.call(&self.scripts.rate, &[name], &args).await?;
        read(&reply).ok_or_else(|| self.link.misunderstood())
    }
}

fn read(reply: &Reply) -> Option<Counted> {
    let Reply::List(parts) = reply else {
        return None;
    };
    let [passes, left, wait, owed, back] = parts.as_slice() else {
        return None;
    };
    let number = |part: &Reply| match part {
        Reply::Number(number) => u64::try_from(*number).ok(),
        _ => None,
    };
    let charged = match number(passes)? {
        1 => RateDecision::Passes(u32::try_from(number(left)?).ok()?),
        0 => RateDecision::Waits(Duration::from_micros(number(wait)?)),
        _ => return None,
    };
    Some(Counted {
        charged,
        owed: Duration::from_micros(number(owed)?),
        back: number(back)?,
    })
}
