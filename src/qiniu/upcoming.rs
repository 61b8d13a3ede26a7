//! A call whose request is still arriving: its connection is opened when the end comes near, so
//! that the call need not wait for a handshake.
//!
//! Relies on [`super::pool`] for the connection, which belongs to nobody until the call takes one.
//! Opens at most one, however long the end takes. Never delays or fails an upload.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::pool::Upstream;

/// The end is near if the rest is estimated to arrive within this time: longer than most
/// handshakes, and so short that the connection is still fresh afterwards.
const NEAR: Duration = Duration::from_millis(400);
/// The rate of an upload is known only after so long. A shorter time says how fast buffers are.
const RATE_KNOWN: Duration = Duration::from_millis(50);
/// Until the rate is known, the end is near if the rest is at most this long, in bytes.
const NEAR_BYTES: u64 = 64 * 1024;

/// A call whose request is still arriving.
pub struct UpcomingCall {
    upstream: Arc<Upstream>,
    stage: UploadStage,
}

enum UploadStage {
    /// The end is not near yet. When the first bytes had arrived, and how many.
    Distant(Option<(Instant, u64)>),
    /// The pool expects the call, and may be opening a connection.
    Near(Option<oneshot::Receiver<()>>),
}

impl UpcomingCall {
    /// A call to `upstream`, of which nothing has arrived.
    pub(super) fn new(upstream: &Arc<Upstream>) -> Self {
        Self {
            upstream: Arc::clone(upstream),
            stage: UploadStage::Distant(None),
        }
    }

    /// Notes that `received` of `length` bytes have arrived.
    pub(super) fn arrived(&mut self, received: u64, length: u64) {
        let UploadStage::Distant(first) = &mut self.stage else {
            return;
        };
        let left = length.saturating_sub(received);
        // With the last byte, the call itself follows at once.
        if left == 0 {
            return;
        }
        let now = Instant::now();
        let (since, before) = *first.get_or_insert((now, received));
        let elapsed = now.saturating_duration_since(since);
        if is_near(left, received.saturating_sub(before), elapsed) {
            self.stage = UploadStage::Near(self.upstream.expect_call());
        }
    }

    /// Takes what is closed when the connection that is being opened is there, or has failed;
    /// `None` if none is being opened.
    pub(super) fn take_opening(&mut self) -> Option<oneshot::Receiver<()>> {
        match &mut self.stage {
            UploadStage::Distant(_) => None,
            UploadStage::Near(opening) => opening.take(),
        }
    }
}

impl Drop for UpcomingCall {
    fn drop(&mut self) {
        if let UploadStage::Near(_) = self.stage {
            self.upstream.forget_call();
        }
    }
}

/// Whether `left` bytes are estimated to arrive soon, if `received` bytes took `elapsed`.
fn is_near(left: u64, received: u64, elapsed: Duration) -> bool {
    if elapsed < RATE_KNOWN {
        return left <= NEAR_BYTES;
    }
    let takes = u128::from(left).saturating_mul(elapsed.as_micros());
    takes <= u128::from(received).saturating_mul(NEAR.as_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_near_when_the_rest_takes_less_than_the_rate_allows() {
        let ms = Duration::from_millis;
        for (left, received, elapsed, near) in [
            // At once: only bytes count.
            (64 * 1024, 0, ms(0), true),
            (64 * 1024 + 1, 2_000_000, ms(49), false),
            // One byte a millisecond.
            (400, 50, ms(50), true),
            (401, 50, ms(50), false),
            (60_000, 1_000_000, ms(1_000_000), false),
            (400, 1_000_000, ms(1_000_000), true),
            // A fast upload of 20 MiB.
            (8_000_000, 2_000_000, ms(100), true),
            (8_000_001, 2_000_000, ms(100), false),
            // Nothing came for long: no rate, so no end in sight.
            (1, 0, ms(60), false),
        ] {
            assert_eq!(
                is_near(left, received, elapsed),
                near,
                "{left} after {elapsed:?}"
            );
        }
        assert!(!is_near(u64::MAX, 1, Duration::MAX));
    }
}
