//! What the gateway is doing, in a line for people: `systemctl status` shows it.
//!
//! Relies on the readiness and on the metrics. Never names a caller or a peer.

use std::{fmt::Write, net::SocketAddr, sync::Arc};

use crate::{lifecycle::Readiness, telemetry::metrics::Metrics};

/// What the status is read from.
pub struct GatewayStatus {
    pub(super) public: Vec<SocketAddr>,
    pub(super) readiness: Arc<Readiness>,
    pub(super) metrics: Arc<Metrics>,
}

impl GatewayStatus {
    /// The readiness of the gateway.
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// The line of this moment.
    pub fn line(&self) -> String {
        let missing = self.readiness.missing_issuers();
        let doing = match (self.readiness.is_draining(), self.readiness.is_ready()) {
            (true, _) => "Stopping",
            (false, true) => "Serving",
            (false, false) => "Not ready",
        };
        let addresses: Vec<_> = self.public.iter().map(SocketAddr::to_string).collect();
        let mut line = format!(
            "{doing} on {}: {} connections, {} requests in flight",
            addresses.join(", "),
            self.metrics.connections.get(),
            self.metrics.requests_in_flight.get(),
        );
        if !missing.is_empty() {
            // Writing to a string never fails.
            let _ = write!(line, "; waiting for the keys of {}", missing.join(", "));
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{lifecycle::IssuerKeys, telemetry::log::LogWriter};

    #[test]
    fn the_line_says_what_is_done_and_what_is_missing() {
        let status = GatewayStatus {
            public: vec!["127.0.0.1:80".parse().unwrap(), "[::1]:80".parse().unwrap()],
            readiness: Arc::default(),
            metrics: Metrics::new(LogWriter::discard()),
        };
        status.metrics.connections.inc();
        let counts = "on 127.0.0.1:80, [::1]:80: 1 connections, 0 requests in flight";
        assert_eq!(status.line(), format!("Serving {counts}"));
        status.readiness.update_keys(|| IssuerKeys {
            known: 0,
            missing: vec!["https://a.example".into()],
        });
        let waiting = "; waiting for the keys of https://a.example";
        assert_eq!(status.line(), format!("Not ready {counts}{waiting}"));
        status.readiness.update_keys(IssuerKeys::default);
        status.readiness.start_draining();
        assert_eq!(status.line(), format!("Stopping {counts}"));
    }
}
