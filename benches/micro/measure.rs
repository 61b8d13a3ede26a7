//! Several ways to do one job, taking turns in short rounds, so that all of them meet the same weather.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

/// How long one way runs before it is the next one's turn.
const ROUND: Duration = Duration::from_millis(4);
/// How long a contest takes altogether, about.
const CONTEST: Duration = Duration::from_millis(2500);

/// One job. The first way to do it is ours.
pub(crate) struct Contest {
    name: &'static str,
    /// The size of the input where a throughput means something.
    bytes: Option<usize>,
    ways: Vec<Way>,
}

struct Way {
    name: &'static str,
    run: Box<dyn FnMut()>,
    /// Runs in a round.
    runs: u32,
    /// Seconds a run, one entry a round.
    rounds: Vec<f64>,
}

impl Contest {
    pub(crate) fn new(name: &'static str, bytes: Option<usize>) -> Self {
        Self {
            name,
            bytes,
            ways: Vec::new(),
        }
    }

    /// A way to do the job; what it returns must depend on all of the work.
    pub(crate) fn way<T>(
        mut self,
        name: &'static str,
        mut run: impl FnMut() -> T + 'static,
    ) -> Self {
        let run = Box::new(move || {
            black_box(run());
        });
        self.ways.push(Way {
            name,
            run,
            runs: 1,
            rounds: Vec::new(),
        });
        self
    }

    /// Measures and prints a line a way.
    pub(crate) fn run(mut self) {
        self.ways.iter_mut().for_each(Way::warm_up);
        let started = Instant::now();
        while started.elapsed() < CONTEST || self.ways.iter().any(|way| way.rounds.len() < 9) {
            self.ways.iter_mut().for_each(Way::round);
        }
        let Some(ours) = self.ways.first().map(|way| way.rounds.clone()) else {
            return;
        };
        for way in &self.ways {
            let seconds = median(way.rounds.clone());
            let ratios = way
                .rounds
                .iter()
                .zip(&ours)
                .map(|(theirs, ours)| theirs / ours);
            let throughput = self.bytes.map_or_else(String::new, |bytes| {
                format!("{:.2}", bytes as f64 / seconds / 1e9)
            });
            println!(
                "{:<26}{:<34}{:>12}{throughput:>11}{:>9.2}",
                self.name,
                way.name,
                time(seconds),
                median(ratios.collect()),
            );
        }
    }
}

impl Way {
    /// Runs until a round's worth of time has passed, and learns how many runs that is.
    fn warm_up(&mut self) {
        let started = Instant::now();
        let mut runs = 0;
        while started.elapsed() < ROUND {
            (self.run)();
            runs += 1;
        }
        self.runs = runs;
    }

    fn round(&mut self) {
        let started = Instant::now();
        for _ in 0..self.runs {
            (self.run)();
        }
        self.rounds
            .push(started.elapsed().as_secs_f64() / f64::from(self.runs));
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn time(seconds: f64) -> String {
    match seconds {
        long if long >= 1e-3 => format!("{:.2} ms", long * 1e3),
        middle if middle >= 1e-6 => format!("{:.2} µs", middle * 1e6),
        short => format!("{:.0} ns", short * 1e9),
    }
}
