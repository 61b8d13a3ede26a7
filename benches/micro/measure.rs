//! Compares candidates for one job. They take turns in short rounds, so that all of them run under
//! the same conditions. The result is the quietest tenth of the rounds: on a shared processor, most
//! rounds are interrupted.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

/// The time that one candidate runs before the next one.
const ROUND: Duration = Duration::from_millis(1);
/// The approximate duration of a comparison.
const COMPARISON: Duration = Duration::from_millis(2500);

/// One job with its candidates. The first candidate is ours.
pub(crate) struct Comparison {
    name: &'static str,
    /// Size of the input, in bytes, if a throughput is meaningful.
    bytes: Option<usize>,
    candidates: Vec<Candidate>,
}

struct Candidate {
    name: &'static str,
    /// Creates the inputs of that many runs; not part of the measured time.
    prepare: Box<dyn FnMut(u32)>,
    run: Box<dyn FnMut()>,
    /// The number of runs in a round.
    runs: u32,
    /// Seconds for each run, one entry per round.
    rounds: Vec<f64>,
}

impl Comparison {
    pub(crate) fn new(name: &'static str, bytes: Option<usize>) -> Self {
        Self {
            name,
            bytes,
            candidates: Vec::new(),
        }
    }

    /// Adds a candidate. Its result must depend on all of its work.
    pub(crate) fn candidate<T>(self, name: &'static str, run: impl FnMut() -> T + 'static) -> Self {
        self.prepared_candidate(name, |_| {}, run)
    }

    /// Adds a candidate that consumes its input: `prepare` creates the inputs of that many runs.
    pub(crate) fn prepared_candidate<T>(
        mut self,
        name: &'static str,
        prepare: impl FnMut(u32) + 'static,
        mut run: impl FnMut() -> T + 'static,
    ) -> Self {
        let run = Box::new(move || {
            black_box(run());
        });
        self.candidates.push(Candidate {
            name,
            prepare: Box::new(prepare),
            run,
            runs: 1,
            rounds: Vec::new(),
        });
        self
    }

    /// Measures, and prints one line for each candidate.
    pub(crate) fn run(mut self) {
        self.candidates.iter_mut().for_each(Candidate::warm_up);
        let started = Instant::now();
        while started.elapsed() < COMPARISON
            || self
                .candidates
                .iter()
                .any(|candidate| candidate.rounds.len() < 9)
        {
            self.candidates.iter_mut().for_each(Candidate::round);
        }
        let Some(ours) = self.candidates.first().map(Candidate::seconds) else {
            return;
        };
        for candidate in &self.candidates {
            let seconds = candidate.seconds();
            let throughput = self.bytes.map_or_else(String::new, |bytes| {
                format!("{:.2}", bytes as f64 / seconds / 1e9)
            });
            println!(
                "{:<26}{:<34}{:>12}{throughput:>11}{:>9.2}",
                self.name,
                candidate.name,
                time(seconds),
                seconds / ours,
            );
        }
    }
}

impl Candidate {
    /// Runs for the duration of a round, to find the number of runs in it.
    fn warm_up(&mut self) {
        let (mut spent, mut runs) = (Duration::ZERO, 0);
        while spent < ROUND {
            (self.prepare)(1);
            let started = Instant::now();
            (self.run)();
            spent += started.elapsed();
            runs += 1;
        }
        self.runs = runs;
    }

    /// Seconds for each run, in the quietest tenth of the rounds.
    fn seconds(&self) -> f64 {
        let mut rounds = self.rounds.clone();
        rounds.sort_by(f64::total_cmp);
        rounds[rounds.len() / 10]
    }

    fn round(&mut self) {
        (self.prepare)(self.runs);
        let started = Instant::now();
        for _ in 0..self.runs {
            (self.run)();
        }
        self.rounds
            .push(started.elapsed().as_secs_f64() / f64::from(self.runs));
    }
}

fn time(seconds: f64) -> String {
    match seconds {
        long if long >= 1e-3 => format!("{:.2} ms", long * 1e3),
        middle if middle >= 1e-6 => format!("{:.2} µs", middle * 1e6),
        short => format!("{:.0} ns", short * 1e9),
    }
}
