//! Runs the rounds: one peer after the other, repeatedly, so that a disturbance of the machine
//! affects all of them. Keeps the samples in [`Results`]. Never interprets them.

use std::{collections::BTreeMap, path::Path, time::Duration};

use crate::{
    bench::{Bench, Sample},
    options::Options,
    peers::{Peer, PeerSetup, RunningPeer},
    process::Cores,
    requests::USERS,
    results::Results,
    stats::median,
    workloads::{Measurement, Payload, Workload},
};

/// Duration of a latency round.
const LATENCY_TIME: Duration = Duration::from_secs(2);
/// Small requests that determine the highest rate of a proxy.
const FULL_LOAD: usize = 10_000;
/// Rounds before a process is started anew. Two starts of one program can differ by a tenth,
/// depending on where its memory lies, so every figure is based on several starts.
const ROUNDS_OF_A_START: usize = 4;
/// Small requests to a newly started proxy before it is measured: two for each user.
const FIRST_LOAD: usize = 2 * USERS;

/// The state of all rounds.
pub(crate) struct Rounds<'a> {
    pub(crate) options: &'a Options,
    pub(crate) peers: &'a [Peer],
    pub(crate) cores: &'a Cores,
    pub(crate) folder: &'a Path,
    pub(crate) bench: &'a mut Bench,
    pub(crate) results: &'a mut Results,
}

impl Rounds<'_> {
    pub(crate) fn run(&mut self) {
        for tls in [false, true] {
            let workloads: Vec<Workload> = self.options.workloads.clone();
            let workloads = workloads
                .into_iter()
                .filter(|workload| workload.is_tls() == tls);
            let (costs, others): (Vec<_>, Vec<_>) =
                workloads.partition(|workload| workload.measurement() == Measurement::Cost);
            if !costs.is_empty() {
                self.costs(&costs, tls);
            }
            for workload in others {
                match workload.measurement() {
                    Measurement::Held => self.held(workload),
                    Measurement::Latency => self.latency(),
                    Measurement::Cores => self.two_cores(),
                    Measurement::Cost => {}
                }
            }
        }
    }

    fn setup(&self, tls: bool) -> PeerSetup {
        PeerSetup {
            reading: self.options.reading,
            ..PeerSetup::new(self.folder, self.cores, self.bench.rig.address(), tls)
        }
    }

    fn start(&mut self, tls: bool) -> BTreeMap<Peer, RunningPeer> {
        let mut proxies = BTreeMap::new();
        for peer in self.peers {
            match peer.start(&self.setup(tls)) {
                Ok(proxy) => drop(proxies.insert(*peer, proxy)),
                Err(error) => println!("{}: not measured: {error}", peer.name()),
            }
        }
        proxies
    }

    fn rounds(&self, workload: Workload) -> (usize, usize) {
        let (rounds, requests) = workload.size(self.options.quick);
        (self.options.rounds.unwrap_or(rounds), requests)
    }

    /// Runs a round of every workload before the next round, because some are compared with each
    /// other.
    fn costs(&mut self, workloads: &[Workload], tls: bool) {
        let most = workloads.iter().map(|workload| self.rounds(*workload).0);
        let mut proxies = BTreeMap::new();
        for round in 0..most.max().unwrap_or(0) {
            if round % ROUNDS_OF_A_START == 0 {
                // Ends the old processes before the new ones start.
                proxies.clear();
                proxies = self.start(tls);
                self.warm_up(workloads, &proxies);
            }
            for workload in workloads {
                let (rounds, requests) = self.rounds(*workload);
                if round >= rounds {
                    continue;
                }
                progress(*workload, round, rounds);
                for (peer, proxy) in proxies.iter().filter(|(peer, _)| workload.takes(**peer)) {
                    let sample = self.bench.cost(*workload, proxy, requests);
                    self.keep(*workload, *peer, sample);
                }
            }
        }
        eprintln!();
    }

    /// Sends requests of every user, so that the proxy has its state for each of them.
    fn warm_up(&mut self, workloads: &[Workload], proxies: &BTreeMap<Peer, RunningPeer>) {
        let small = |workload: &&Workload| workload.payload() == Payload::Small;
        let Some(workload) = workloads.iter().find(small) else {
            return;
        };
        for (peer, proxy) in proxies.iter().filter(|(peer, _)| workload.takes(**peer)) {
            if let Err(error) = self.bench.cost(*workload, proxy, FIRST_LOAD) {
                self.results.fail(*workload, *peer, error);
            }
        }
    }

    /// Measures each peer in a new process, so that it has no memory of earlier requests to reuse.
    fn held(&mut self, workload: Workload) {
        let (rounds, uploads) = self.rounds(workload);
        for round in 0..rounds {
            progress(workload, round, rounds);
            for peer in self.peers.iter().filter(|peer| workload.takes(**peer)) {
                let proxy = peer.start(&self.setup(workload.is_tls()));
                let sample = proxy.and_then(|proxy| self.bench.held(workload, &proxy, uploads));
                self.keep(workload, *peer, sample);
            }
        }
    }

    /// Measures at half of the rate that the slowest of the peers reaches.
    fn latency(&mut self) {
        let workload = Workload::Latency;
        let mut proxies = self.start(false);
        proxies.retain(|peer, _| workload.takes(*peer));
        let mut full = f64::INFINITY;
        for (peer, proxy) in &proxies {
            let cost = |_| self.bench.cost(workload, proxy, FULL_LOAD);
            match (0..3).map(cost).collect::<Result<Vec<_>, _>>() {
                Ok(samples) => {
                    let rates: Vec<f64> = samples.iter().map(|sample| sample.rate).collect();
                    full = full.min(median(&rates));
                }
                Err(error) => self.results.fail(workload, *peer, error),
            }
        }
        if !full.is_finite() {
            return;
        }
        let rate = full / 2.0;
        self.results.half_load = rate;
        let (rounds, _) = self.rounds(workload);
        let upstream = self.bench.rig.address();
        let lines = workload.lines();
        for round in 0..rounds {
            progress(workload, round, rounds);
            let bench = &mut *self.bench;
            match bench.latency(upstream, lines, rate, LATENCY_TIME) {
                Ok(sample) => self.results.direct.push(sample),
                Err(error) => eprintln!("\nwithout a proxy: {error}"),
            }
            for (peer, proxy) in &proxies {
                let bench = &mut *self.bench;
                let sample = bench.latency(proxy.address, lines, rate, LATENCY_TIME);
                self.keep(workload, *peer, sample);
            }
        }
    }

    fn two_cores(&mut self) {
        let workload = Workload::Cores;
        let (Some(both), true) = (self.cores.two(), self.peers.contains(&Peer::Gateway)) else {
            println!("cores: not measured: the machine has only one");
            return;
        };
        let one = Peer::Gateway.start(&self.setup(false));
        let two = Peer::Gateway.start(&PeerSetup {
            cores: Some(both),
            ..self.setup(false)
        });
        let (one, two) = match (one, two) {
            (Ok(one), Ok(two)) => (one, two),
            (Err(error), _) | (_, Err(error)) => {
                return self.results.fail(workload, Peer::Gateway, error);
            }
        };
        let (rounds, requests) = self.rounds(workload);
        for round in 0..rounds {
            progress(workload, round, rounds);
            let sample = self.bench.cost(workload, &one, requests);
            self.keep(workload, Peer::Gateway, sample);
            match self.bench.cost(workload, &two, requests) {
                Ok(sample) => self.results.two_cores.push(sample),
                Err(error) => self.results.fail(workload, Peer::Gateway, error),
            }
        }
    }

    fn keep(&mut self, workload: Workload, peer: Peer, sample: Result<Sample, String>) {
        match sample {
            Ok(sample) => self.results.add(workload, peer, sample),
            Err(error) => self.results.fail(workload, peer, error),
        }
    }
}

/// Prints progress over the previous line of the terminal.
pub(crate) fn progress(workload: Workload, round: usize, rounds: usize) {
    eprint!(
        "\r{}: round {} of {rounds}          ",
        workload.name(),
        round + 1
    );
}
