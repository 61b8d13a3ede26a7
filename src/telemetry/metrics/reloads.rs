//! Counts reloads, and shows whether what was read last is in use.
//!
//! Each value that is reloaded has a [`ReloadReport`]. A part that has several, such as the keys of
//! several issuers, is in order only if all of them are. Relies on the owner of the value to report
//! each new content once.

use std::sync::Arc;

use super::{
    counter_set::CounterSet,
    exposition::{Exposition, FamilyType},
    labels::{ReloadOutcome, ReloadedPart},
};
use crate::{
    closed_set::ClosedSet,
    instruments::{Gauge, GaugeGuard},
};

/// The reloads of all parts, at the index of each.
pub(super) struct ReloadMetrics(Box<[Arc<ReloadSeries>]>);

/// The reloads of one part.
#[derive(Default)]
struct ReloadSeries {
    outcomes: CounterSet<ReloadOutcome>,
    /// How many values of the part have a content that can't be used.
    refused: Gauge,
}

/// Reports the reloads of one value. When it is dropped, the value is gone, and no longer shown as
/// refused.
pub struct ReloadReport {
    series: Option<Arc<ReloadSeries>>,
    refused: Option<GaugeGuard>,
}

impl ReloadReport {
    /// Counts a reload that has ended.
    pub fn count(&mut self, outcome: ReloadOutcome) {
        let Some(series) = &self.series else { return };
        series.outcomes.count(outcome);
        match outcome {
            ReloadOutcome::Success => self.restored(),
            ReloadOutcome::Refused if self.refused.is_none() => {
                self.refused = Some(GaugeGuard::new(&series.refused));
            }
            ReloadOutcome::Refused => {}
        }
    }

    /// Notes that the content is the one in use again, without a reload.
    pub fn restored(&mut self) {
        self.refused = None;
    }
}

impl Default for ReloadMetrics {
    fn default() -> Self {
        Self(ReloadedPart::ALL.iter().map(|_| Arc::default()).collect())
    }
}

impl ReloadMetrics {
    pub(super) fn report(&self, what: ReloadedPart) -> ReloadReport {
        ReloadReport {
            series: self.0.get(what.index()).cloned(),
            refused: None,
        }
    }

    pub(super) fn write(&self, out: &mut Exposition) {
        let parts = || ReloadedPart::ALL.iter().zip(&self.0);
        let mut family = out.family(
            "reloads_total",
            FamilyType::Counter,
            "Reloads by what was reloaded and outcome",
        );
        for (what, series) in parts() {
            let labels = [("what", what.as_str())];
            family.counter_set(&labels, "outcome", &series.outcomes);
        }
        let mut family = out.family(
            "last_reload_successful",
            FamilyType::Gauge,
            "Whether the content that was read last is in use",
        );
        for (what, series) in parts() {
            let in_use = series.refused.get() == 0;
            family.sample(&[("what", what.as_str())], u8::from(in_use));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::TextFormat;

    #[test]
    fn a_part_is_in_order_only_if_each_of_its_values_is() {
        let metrics = ReloadMetrics::default();
        let is_in_order = || {
            let mut out = Exposition::new(TextFormat::Prometheus);
            metrics.write(&mut out);
            let text = out.finish();
            let sample =
                |value| format!("last_reload_successful{{what=\"identity_keys\"}} {value}\n");
            assert_ne!(text.contains(&sample(0)), text.contains(&sample(1)));
            text.contains(&sample(1))
        };
        let mut one = metrics.report(ReloadedPart::IdentityKeys);
        let mut other = metrics.report(ReloadedPart::IdentityKeys);
        assert!(is_in_order());
        one.count(ReloadOutcome::Refused);
        one.count(ReloadOutcome::Refused);
        other.count(ReloadOutcome::Success);
        assert!(!is_in_order());
        one.count(ReloadOutcome::Success);
        assert!(is_in_order());
        other.count(ReloadOutcome::Refused);
        one.count(ReloadOutcome::Refused);
        other.restored();
        assert!(!is_in_order());
        drop(one);
        assert!(is_in_order());
    }
}
