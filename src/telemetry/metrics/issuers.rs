//! Fetches of issuers' keys, and how old these keys are.
//!
//! The issuers come from the configuration. Those that a reload removes keep their counters, but
//! have no age any more: nobody fetches their keys. Relies on [`crate::auth`] to report fetches,
//! which are rare, so a lock is good enough.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    counter_set::CounterSet,
    exposition::{Exposition, FamilyType},
    labels::KeySetOutcome,
};

/// Counts fetches of issuers' keys, and computes the age of the keys.
#[derive(Default)]
pub struct KeySetMetrics(Mutex<BTreeMap<Arc<str>, IssuerSeries>>);

struct IssuerSeries {
    /// When the keys were last fetched, or when the issuer was first known.
    since: Instant,
    fetches: CounterSet<KeySetOutcome>,
    configured: bool,
}

impl KeySetMetrics {
    /// Prepares the series of these issuers, and ends the age of all others.
    pub fn prepare<'a>(&self, issuers: impl Iterator<Item = &'a Arc<str>>) {
        let mut known = self.lock();
        let mut before = std::mem::take(&mut *known);
        for issuer in issuers {
            let series = before.remove(issuer);
            let mut series = series.unwrap_or_else(IssuerSeries::new);
            if !series.configured {
                series.since = Instant::now();
                series.configured = true;
            }
            known.insert(Arc::clone(issuer), series);
        }
        for (issuer, series) in before {
            let configured = false;
            known.insert(
                issuer,
                IssuerSeries {
                    configured,
                    ..series
                },
            );
        }
    }

    /// Sets the age of an issuer's keys that another process has fetched.
    pub fn set_age(&self, issuer: &Arc<str>, age: Duration) {
        let now = Instant::now();
        let mut known = self.lock();
        series_of(&mut known, issuer).since = now.checked_sub(age).unwrap_or(now);
    }

    /// Counts a successful fetch of an issuer's keys, and sets their age to zero.
    pub fn count_success(&self, issuer: &Arc<str>) {
        let mut known = self.lock();
        let series = series_of(&mut known, issuer);
        series.since = Instant::now();
        series.fetches.count(KeySetOutcome::Success);
    }

    /// Counts a failed fetch of an issuer's keys. Their age continues to grow.
    pub fn count_failure(&self, issuer: &Arc<str>, outcome: KeySetOutcome) {
        let mut known = self.lock();
        series_of(&mut known, issuer).fetches.count(outcome);
    }

    pub(super) fn write(&self, out: &mut Exposition) {
        let known = self.lock();
        let mut family = out.family(
            "key_set_fetches_total",
            FamilyType::Counter,
            "Fetches of an issuer's keys by outcome",
        );
        for (issuer, series) in &*known {
            family.counter_set(&[("issuer", issuer)], "outcome", &series.fetches);
        }
        let mut family = out.family(
            "key_set_age_seconds",
            FamilyType::Gauge,
            "Time since the issuer's keys were last fetched",
        );
        for (issuer, series) in known.iter().filter(|(_, series)| series.configured) {
            let age = series.since.elapsed().as_secs_f64();
            family.sample(&[("issuer", issuer)], age);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, IssuerSeries>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IssuerSeries {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            fetches: CounterSet::default(),
            configured: false,
        }
    }
}

/// The series of an issuer. One that nobody has prepared gets them here: an issuer of a new
/// configuration is asked for its keys before that is in use.
fn series_of<'a>(
    known: &'a mut BTreeMap<Arc<str>, IssuerSeries>,
    issuer: &Arc<str>,
) -> &'a mut IssuerSeries {
    known
        .entry(Arc::clone(issuer))
        .or_insert_with(IssuerSeries::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::TextFormat;

    #[test]
    fn a_removed_issuer_keeps_its_counters_and_loses_its_age() {
        let metrics = KeySetMetrics::default();
        let (one, other): (Arc<str>, Arc<str>) = ("https://one".into(), "https://other".into());
        let exposed = || {
            let mut out = Exposition::new(TextFormat::Prometheus);
            metrics.write(&mut out);
            out.finish()
        };
        metrics.prepare([&one, &other].into_iter());
        metrics.count_success(&other);
        let fetched = r#"key_set_fetches_total{issuer="https://other",outcome="success"} 1"#;
        let age = r#"key_set_age_seconds{issuer="https://other"} 0"#;
        assert!(exposed().contains(fetched) && exposed().contains(age));
        let never = r#"key_set_age_seconds{issuer="https://one"} 0"#;
        assert!(exposed().contains(never), "an issuer without keys ages too");
        metrics.prepare([&one].into_iter());
        assert!(exposed().contains(fetched) && !exposed().contains(age));
        metrics.prepare([&one, &other].into_iter());
        assert!(exposed().contains(fetched) && exposed().contains(age));
    }
}
