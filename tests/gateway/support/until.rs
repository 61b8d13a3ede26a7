//! Waits for what the test causes elsewhere: for an event, or by looking again where there is none.
//!
//! Both end after a time that no test needs, on the busiest machine, and say what never came.

use std::time::{Duration, Instant};

/// For an event. Shorter than the gateway's time limits, so that none of them can be its cause.
const SOON: Duration = Duration::from_secs(10);
/// For what is looked for.
pub(super) const LIMIT: Duration = Duration::from_secs(60);
/// Between two looks. Leaves the processor to what is waited for.
const PAUSE: Duration = Duration::from_millis(2);

/// Waits for an event.
pub(crate) async fn soon<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, event).await.expect("in time")
}

/// Looks until there is something, and returns it. `None` if the time is over.
pub(crate) async fn found<T>(mut look: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + LIMIT;
    loop {
        let found = look().await;
        if found.is_some() || Instant::now() > end {
            return found;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Looks until the condition holds.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let so = found(async || is_so().await.then_some(())).await;
    assert!(so.is_some(), "never: {what}");
}
