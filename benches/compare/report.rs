//! What is printed: what is here and what is missing, and the tables.

use std::collections::BTreeMap;

use crate::{
    peers::Peer,
    process::Cores,
    stats::{median, ratio},
    workloads::{Sample, Workload},
};

pub(crate) fn surroundings(cores: Cores) {
    if cores.pinned && cores.proxy != cores.rig {
        println!(
            "the proxies on core {}, their callers and their upstream on core {}",
            cores.proxy, cores.rig
        );
    } else if cores.pinned {
        println!(
            "only one core: proxies, callers and upstream share it; processor times hold, rates do not"
        );
    } else {
        println!(
            "taskset is missing (Debian: util-linux): nothing is pinned, and the numbers move more"
        );
    }
}

/// Says what to install, when something is missing.
pub(crate) fn is_installed(peer: Peer) -> bool {
    let missing = peer.missing();
    if !missing.is_empty() {
        println!(
            "{}: not here; on Debian: apt-get install {}",
            peer.name(),
            missing.join(" ")
        );
    }
    missing.is_empty()
}

#[derive(Default)]
pub(crate) struct Results {
    samples: BTreeMap<Workload, BTreeMap<Peer, Vec<Sample>>>,
    failures: Vec<(Workload, Peer, String)>,
}

impl Results {
    pub(crate) fn add(&mut self, workload: Workload, peer: Peer, sample: Sample) {
        let peers = self.samples.entry(workload).or_default();
        peers.entry(peer).or_default().push(sample);
    }

    pub(crate) fn fail(&mut self, workload: Workload, peer: Peer, error: String) {
        self.failures.push((workload, peer, error));
    }

    pub(crate) fn print(&self) {
        for (workload, peers) in &self.samples {
            println!("\n{}, medians", workload.title());
            println!("| peer | CPU µs | of it user | × floor | × nginx | requests/s | p99 ms |");
            println!("|---|---|---|---|---|---|---|");
            for (peer, samples) in peers {
                let of = |value: fn(&Sample) -> f64| {
                    median(&samples.iter().map(value).collect::<Vec<_>>())
                };
                println!(
                    "| {} | {:.1} | {:.1} | {} | {} | {:.0} | {:.2} |",
                    peer.name(),
                    of(|sample| sample.cpu) * 1e6,
                    of(|sample| sample.user) * 1e6,
                    times(self.cpu_ratio(*workload, *peer, Peer::Floor)),
                    times(self.cpu_ratio(*workload, *peer, Peer::Nginx)),
                    of(|sample| sample.rate),
                    of(|sample| sample.p99) * 1e3,
                );
            }
        }
        for (workload, peer, error) in &self.failures {
            println!(
                "{}, {}: a round failed: {error}",
                workload.name(),
                peer.name()
            );
        }
    }

    fn cpu(&self, workload: Workload, peer: Peer) -> Vec<f64> {
        let samples = self
            .samples
            .get(&workload)
            .and_then(|peers| peers.get(&peer));
        samples.map_or_else(Vec::new, |samples| {
            samples.iter().map(|sample| sample.cpu).collect()
        })
    }

    fn cpu_ratio(&self, workload: Workload, peer: Peer, base: Peer) -> Option<f64> {
        ratio(&self.cpu(workload, peer), &self.cpu(workload, base))
    }
}

fn times(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"))
}
