//! The samples of all rounds, and the ratios computed from them. Never prints.

use std::collections::BTreeMap;

use crate::{
    bench::Sample,
    peers::{Job, Peer},
    stats::{median, ratio},
    workloads::Workload,
};

#[derive(Default)]
pub(crate) struct Results {
    samples: BTreeMap<Workload, BTreeMap<Peer, Vec<Sample>>>,
    /// Latencies without a proxy. They are subtracted to get the latency that a proxy adds.
    pub(crate) direct: Vec<Sample>,
    /// Samples of the gateway on two cores.
    pub(crate) two_cores: Vec<Sample>,
    /// The rate of the latency rounds, in requests per second.
    pub(crate) half_load: f64,
    pub(crate) failures: Vec<(Workload, Peer, String)>,
}

impl Results {
    pub(crate) fn add(&mut self, workload: Workload, peer: Peer, sample: Sample) {
        let peers = self.samples.entry(workload).or_default();
        peers.entry(peer).or_default().push(sample);
    }

    pub(crate) fn fail(&mut self, workload: Workload, peer: Peer, error: String) {
        self.failures.push((workload, peer, error));
    }

    pub(crate) fn workloads(&self) -> impl Iterator<Item = Workload> {
        self.samples.keys().copied()
    }

    pub(crate) fn peers(&self, workload: Workload) -> impl Iterator<Item = Peer> {
        let peers = self.samples.get(&workload).into_iter();
        peers.flat_map(|peers| peers.keys().copied())
    }

    pub(crate) fn values(
        &self,
        workload: Workload,
        peer: Peer,
        value: fn(&Sample) -> f64,
    ) -> Vec<f64> {
        let peers = self.samples.get(&workload);
        let samples = peers.and_then(|peers| peers.get(&peer));
        samples.map_or_else(Vec::new, |samples| samples.iter().map(value).collect())
    }

    /// The median of a value; `None` without a sample.
    pub(crate) fn median(
        &self,
        workload: Workload,
        peer: Peer,
        value: fn(&Sample) -> f64,
    ) -> Option<f64> {
        let values = self.values(workload, peer, value);
        (!values.is_empty()).then(|| median(&values))
    }

    /// The ratio of a peer's processor time to another's, round by round.
    pub(crate) fn cost_against(&self, workload: Workload, peer: Peer, base: Peer) -> Option<f64> {
        let cpu = |peer| self.values(workload, peer, |sample| sample.cpu);
        ratio(&cpu(peer), &cpu(base))
    }

    /// The cheapest other peer with the full job, and the ratio of its processor time to the
    /// gateway's.
    pub(crate) fn best_other(&self, workload: Workload) -> Option<(Peer, f64)> {
        self.peers(workload)
            .filter(|peer| peer.job() == Job::Full && *peer != Peer::Gateway)
            .filter_map(|peer| {
                let times = self.cost_against(workload, peer, Peer::Gateway)?;
                Some((peer, times))
            })
            .min_by(|(_, left), (_, right)| left.total_cmp(right))
    }

    /// What a proxy adds to the 99th percentile of the latency, in milliseconds.
    pub(crate) fn added(&self, peer: Peer) -> Option<f64> {
        let with = self.values(Workload::Latency, peer, |sample| sample.p99);
        let added: Vec<f64> = with
            .iter()
            .zip(&self.direct)
            .map(|(with, without)| (with - without.p99) * 1e3)
            .collect();
        (!added.is_empty()).then(|| median(&added))
    }

    /// The ratio of two added latencies; `None` if `base` adds too little to divide by.
    pub(crate) fn added_against(&self, peer: Peer, base: Peer) -> Option<f64> {
        let base = self.added(base).filter(|added| *added > 0.01)?;
        Some(self.added(peer)?.max(0.0) / base)
    }

    /// The ratio of the gateway's processor time in two workloads, round by round.
    pub(crate) fn growth(&self, from: Workload, to: Workload) -> Option<f64> {
        let cpu = |workload| self.values(workload, Peer::Gateway, |sample| sample.cpu);
        ratio(&cpu(to), &cpu(from))
    }
}
