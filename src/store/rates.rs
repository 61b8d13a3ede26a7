//! How often a caller called, counted for all replicas together.

use std::time::Duration;

use super::{Away, Name, Store, script::Reply};

/// What one counted request comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charged {
    /// It passes, and so many more would.
    Passes(u32),
    /// It has to wait so long; nothing was counted.
    Waits(Duration),
}

impl Store {
    /// Counts a request: one each `interval`, `burst` at once.
    ///
    /// # Errors
    /// The store is away.
    pub async fn charge(
        &self,
        name: &Name,
        interval: Duration,
        burst: u32,
    ) -> Result<Charged, Away> {
        let interval = interval.as_micros().max(1).to_string();
        let burst = burst.to_string();
        let args = [interval.as_bytes(), burst.as_bytes()];
        let reply = self.link.call(&self.scripts.rate, &[name], &args).await?;
        let charged = match &reply {
            Reply::List(parts) => match parts.as_slice() {
                [Reply::Number(1), Reply::Number(left), _] => {
                    u32::try_from(*left).ok().map(Charged::Passes)
                }
                [Reply::Number(0), _, Reply::Number(wait)] => {
                    let wait = u64::try_from(*wait).ok();
                    wait.map(|wait| Charged::Waits(Duration::from_micros(wait)))
                }
                _ => None,
            },
            _ => None,
        };
        charged.ok_or_else(|| self.link.misunderstood())
    }
}
