//! What came of a soak, line by line with its goals.
//!
//! Relies on phases that were measured before. Never measures.

use super::{phase::Phase, samples::Kind};

/// The latency with the attacks, at most so many times that without.
const SLOWER: f64 = 2.0;
/// One line of the result.
#[derive(Debug)]
pub(crate) struct SoakLine {
    pub(crate) what: &'static str,
    pub(crate) value: String,
    pub(crate) goal: String,
    pub(crate) reached: bool,
}

/// What came of the soak.
#[derive(Debug, Default)]
pub(crate) struct SoakResult {
    pub(crate) lines: Vec<SoakLine>,
    pub(crate) notes: Vec<String>,
}

/// The latency of normal users at half load.
pub(crate) fn latencies(result: &mut SoakResult, calm: &Phase, attacked: &Phase) {
    for (what, kind) in [
        ("p99 of small requests", Kind::Small),
        ("p99 of verifies", Kind::Verify),
    ] {
        let seconds = |phase: &Phase| phase.samples.percentile(kind, 0.99);
        let (with, without) = (seconds(attacked), seconds(calm));
        let times = with / without;
        let value = format!(
            "{:.1} ms without, {:.1} ms with, × {times:.2}",
            without * 1e3,
            with * 1e3
        );
        result.add(what, value, &format!("× {SLOWER}"), times <= SLOWER);
    }
    result.add(
        "longest probe",
        format!("{:.2} s", attacked.worst_probe),
        "1 s",
        attacked.worst_probe <= 1.0,
    );
    result.notes.push(format!(
        "cores: gateway {:.2} without and {:.2} with, attackers {:.2}, normal users {:.2}",
        calm.gateway_cpu, attacked.gateway_cpu, attacked.attackers_cpu, attacked.load_cpu
    ));
    result.notes.push(format!(
        "at most: {:.0} MB resident, {} descriptors",
        attacked.most_memory as f64 / 1e6,
        attacked.most_descriptors
    ));
}

impl SoakResult {
    pub(crate) fn add(&mut self, what: &'static str, value: String, goal: &str, reached: bool) {
        self.lines.push(SoakLine {
            what,
            value,
            goal: goal.to_owned(),
            reached,
        });
    }
}
