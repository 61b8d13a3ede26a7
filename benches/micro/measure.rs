//! Several ways to do one job, taking turns in short rounds, so that all of them meet the same weather. What is reported is
//! the quietest tenth of the rounds: where others want the processor too, most rounds are interrupted.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

/// How long one way runs before it is the next one's turn.
const ROUND: Duration = Duration::from_millis(1);
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
    /// Makes what so many runs will use up, while no clock runs.
    prepare: Box<dyn FnMut(u32)>,
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
    pub(crate) fn way<T>(self, name: &'static str, run: impl FnMut() -> T + 'static) -> Self {
        self.prepared_way(name, |_| {}, run)
    }

    /// The same for a job whose input can be used only once: `prepare` makes as many as it is told.
    pub(crate) fn prepared_way<T>(
        mut self,
        name: &'static str,
        prepare: impl FnMut(u32) + 'static,
        mut run: impl FnMut() -> T + 'static,
    ) -> Self {
        let run = Box::new(move || {
            black_box(run());
        });
        self.ways.push(Way {
            name,
            prepare: Box::new(prepare),
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
        let Some(ours) = self.ways.first().map(Way::seconds) else {
            return;
        };
        for way in &self.ways {
            let seconds = way.seconds();
            let throughput = self.bytes.map_or_else(String::new, |bytes| {
                format!("{:.2}", bytes as f64 / seconds / 1e9)
            });
            println!(
                "{:<26}{:<34}{:>12}{throughput:>11}{:>9.2}",
                self.name,
                way.name,
                time(seconds),
                seconds / ours,
            );
        }
    }
}

impl Way {
    /// Runs until a round's worth of time has passed, and learns how many runs that is.
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

    /// Of a run, in the quietest tenth of the rounds.
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
