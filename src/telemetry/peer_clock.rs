//! Watches the clock of one server that the gateway calls, and tells when it differs from ours.
//!
//! Relies on its owner for the difference, which it measures by the `Date` of a response. A call
//! asks first whether a measurement is due, so that most of them pay one atomic load. Never decides
//! anything by a clock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::{metrics::Metrics, repeated::RepeatedLine};

/// Minimum time between two measurements.
const INTERVAL: Duration = Duration::from_secs(10);
/// A larger difference is told, in seconds: synchronised clocks differ by far less, and tokens and
/// signatures bear some more.
pub const BOUND: f64 = 10.0;

/// The clock of one server.
pub struct PeerClock {
    peer: Arc<str>,
    metrics: Arc<Metrics>,
    created: Instant,
    /// When the next measurement is due, in milliseconds since `created`.
    due: AtomicU64,
    line: RepeatedLine,
}

impl PeerClock {
    /// Watches the clock of `peer`: `qiniu`, `evidence`, or the name of an issuer.
    pub fn new(peer: Arc<str>, metrics: Arc<Metrics>) -> Self {
        Self {
            peer,
            metrics,
            created: Instant::now(),
            due: AtomicU64::new(0),
            line: RepeatedLine::default(),
        }
    }

    /// Whether a measurement is due.
    pub fn is_due(&self) -> bool {
        self.elapsed() >= self.due.load(Ordering::Relaxed)
    }

    /// Notes a measurement: the server's clock less ours, in seconds.
    pub fn note(&self, skew: f64) {
        let next = self.elapsed().saturating_add(millis(INTERVAL));
        self.due.store(next, Ordering::Relaxed);
        self.metrics.set_clock_skew(&self.peer, skew);
        if skew.abs() <= BOUND {
            return;
        }
        let (peer, skew_s) = (&*self.peer, skew.round());
        self.line.log(|left_out| {
            tracing::warn!(
                peer,
                skew_s,
                left_out,
                "the clock of a server differs from this machine's (skew_s: its clock less ours): \
                 synchronise this machine's clock (NTP); if it is right, tell that server's \
                 operator. Tokens, signatures and verdicts depend on it"
            );
        });
    }

    fn elapsed(&self) -> u64 {
        millis(self.created.elapsed())
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::log::LogWriter;

    #[test]
    fn a_measurement_is_due_at_once_and_then_not_for_a_while() {
        let clock = PeerClock::new("qiniu".into(), Metrics::new(LogWriter::discard()));
        assert!(clock.is_due());
        clock.note(3.0);
        assert!(!clock.is_due());
    }
}
