//! What the gateway sees of the world around it: whether the store is reachable, when certificates
//! expire, and how far the clocks of its peers are from its own.
//!
//! Relies on the owner of each value to update it. The files and peers come from the configuration.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use super::exposition::{Exposition, FamilyType};

/// The value while no store is configured. The metric is then absent, so that it raises no alert.
const NO_STORE: i64 = -1;

/// `store_up`: 1 while the store is reachable, else 0.
#[derive(Clone, Debug)]
pub struct StoreUpGauge(Arc<AtomicI64>);

impl Default for StoreUpGauge {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(NO_STORE)))
    }
}

impl StoreUpGauge {
    /// Sets the value. Before the first call, the metric is absent.
    pub fn set(&self, up: bool) {
        self.0.store(i64::from(up), Ordering::Relaxed);
    }

    pub(super) fn write(&self, out: &mut Exposition) {
        let up = self.0.load(Ordering::Relaxed);
        if up != NO_STORE {
            let help = "Whether the store shared by the replicas is reachable";
            out.family("store_up", FamilyType::Gauge, help)
                .sample(&[], up);
        }
    }
}

/// When the certificates of each file expire.
pub type CertificateExpiries = BTreeMap<PathBuf, SystemTime>;

/// `certificate_expiry_timestamp_seconds`.
#[derive(Default)]
pub(super) struct CertificateMetrics(Mutex<CertificateExpiries>);

impl CertificateMetrics {
    /// Replaces all files.
    pub(super) fn replace(&self, files: CertificateExpiries) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = files;
    }

    /// Replaces the times of these files, and keeps all others.
    pub(super) fn update(&self, files: CertificateExpiries) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(files);
    }

    pub(super) fn write(&self, out: &mut Exposition) {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut family = out.family(
            "certificate_expiry_timestamp_seconds",
            FamilyType::Gauge,
            "When the certificates in a file expire, in seconds since 1970",
        );
        for (file, expiry) in &*known {
            let since = expiry.duration_since(UNIX_EPOCH).unwrap_or_default();
            let file = file.to_string_lossy();
            family.sample(&[("file", &file)], since.as_secs());
        }
    }
}

/// `clock_skew_seconds`. A peer is `qiniu`, `evidence`, or an issuer.
#[derive(Default)]
pub(super) struct ClockMetrics(Mutex<BTreeMap<Arc<str>, f64>>);

impl ClockMetrics {
    /// Prepares the series of these peers, and removes all others.
    pub(super) fn prepare(&self, peers: impl Iterator<Item = Arc<str>>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let prepared = peers.map(|peer| {
            let skew = known.get(&peer).copied().unwrap_or_default();
            (peer, skew)
        });
        *known = prepared.collect();
    }

    /// Sets the skew of a peer that was prepared.
    pub(super) fn set(&self, peer: &str, seconds: f64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(skew) = known.get_mut(peer) {
            *skew = seconds;
        }
    }

    pub(super) fn write(&self, out: &mut Exposition) {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut family = out.family(
            "clock_skew_seconds",
            FamilyType::Gauge,
            "The peer's clock less the gateway's own",
        );
        for (peer, skew) in &*known {
            family.sample(&[("peer", peer)], skew);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::TextFormat;

    #[test]
    fn only_peers_of_the_configuration_have_a_clock() {
        let clocks = ClockMetrics::default();
        let exposed = || {
            let mut out = Exposition::new(TextFormat::Prometheus);
            clocks.write(&mut out);
            out.finish()
        };
        clocks.prepare(["qiniu".into(), "https://i".into()].into_iter());
        clocks.set("https://i", -3599.5);
        clocks.set("https://stranger", 1.0);
        let samples = |text: String| -> Vec<String> {
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            let names = "liveness_gateway_clock_skew_seconds{peer=";
            lines.map(|line| line.replace(names, "{")).collect()
        };
        let expected = ["{\"https://i\"} -3599.5", "{\"qiniu\"} 0"];
        assert_eq!(samples(exposed()), expected);
        // The skew of a peer that stays is kept.
        clocks.prepare(["https://i".into()].into_iter());
        assert_eq!(samples(exposed()), expected[..1]);
    }
}
