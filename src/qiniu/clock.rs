//! Qiniu's clock, measured by the responses to calls.
//!
//! Qiniu rejects signatures whose date is 15 minutes off, so a clock that goes wrong is reported
//! before.
//! Never measures more often than [`PeerClock`] wants to know.

use std::time::SystemTime;

use super::pool::Upstream;
use crate::{
    outbound::{exchange::ResponseReader, server_date::ServerDate},
    telemetry::peer_clock::PeerClock,
};

impl Upstream {
    /// Also watches Qiniu's clock.
    pub fn watching(mut self, clock: PeerClock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Measures the clock by a response to a request that was sent at `asked`, if that is due.
    pub(super) fn measure_clock(&self, response: &ResponseReader, asked: SystemTime) {
        if let Some(clock) = self.clock.as_ref().filter(|clock| clock.is_due())
            && let Some(date) = ServerDate::of(response, asked)
        {
            clock.note(date.skew());
        }
    }
}
