//! Compares two builds of the gateway: runs the same workloads in turns, and prints the ratio of
//! the costs of a request.
//!
//! Each round starts both builds anew, because two starts of one program can differ by a tenth,
//! depending on where its memory lies. So the rounds are independent, and the interval of their
//! median includes that difference. In a round, the builds take short turns in mirrored order, so
//! that a slow drift of the machine affects both alike. Relies on the generator and the upstream of
//! the other comparisons. Never judges whether a ratio is acceptable.

use std::path::Path;

use crate::{
    bench::{Bench, Sample},
    check::{self, StrictUpstream},
    options::{Builds, Options},
    peers::{Peer, PeerSetup, RunningPeer},
    process::Cores,
    requests::USERS,
    run::progress,
    stats::{median, median_interval, ratios},
    workloads::{Measurement, Transport, Workload},
};

/// The number of rounds without `--rounds`.
const ROUNDS: usize = 15;
/// The order of the builds in a round. The next round of the workload uses the mirrored order.
const TURNS: [Build; 4] = [Build::Before, Build::After, Build::After, Build::Before];
/// With `--quick`, the number of requests in a turn is divided by this.
const QUICK_PART: usize = 4;
/// Small requests to a newly started build before it is measured: two for each user.
const WARM_UP: usize = 2 * USERS;
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Build {
    Before,
    After,
}

/// One value for each build.
#[derive(Debug, Default)]
struct Pair<T> {
    before: T,
    after: T,
}

/// All rounds of one workload.
struct PairedSeries {
    workload: Workload,
    /// Samples with the same index are of the same round.
    samples: Pair<Vec<Sample>>,
}

/// The state of all rounds.
struct PairedRounds<'a> {
    builds: &'a Builds,
    cores: &'a Cores,
    folder: &'a Path,
    bench: &'a mut Bench,
    quick: bool,
    failures: Vec<String>,
}

/// Checks both builds, measures them and prints the table.
///
/// # Errors
/// A build does not do the job, or a workload does not measure the cost of a request.
pub(crate) fn compare(
    options: &Options,
    builds: &Builds,
    cores: &Cores,
    folder: &Path,
    bench: &mut Bench,
) -> Result<(), String> {
    let other = |workload: &&Workload| workload.measurement() != Measurement::Cost;
    if let Some(workload) = options.workloads.iter().find(other) {
        return Err(format!(
            "{} does not measure the cost of a request",
            workload.name()
        ));
    }
    let mut paired = PairedRounds {
        builds,
        cores,
        folder,
        bench,
        quick: options.quick,
        failures: Vec::new(),
    };
    paired.check()?;
    let series = paired.run(&options.workloads, options.rounds.unwrap_or(ROUNDS));
    print(builds, &series);
    for failure in &paired.failures {
        println!("a round failed and was left out: {failure}");
    }
    Ok(())
}

impl PairedRounds<'_> {
    fn setup(&self, build: Build, tls: bool) -> PeerSetup {
        let program = match build {
            Build::Before => &self.builds.before,
            Build::After => &self.builds.after,
        };
        PeerSetup {
            gateway: program.clone(),
            ..PeerSetup::new(self.folder, self.cores, self.bench.rig.address(), tls)
        }
    }

    /// Checks that both builds do the whole job, plain, over TLS and over HTTP/2.
    fn check(&mut self) -> Result<(), String> {
        let strict = StrictUpstream::start(self.cores)?;
        for over in [Transport::Plain, Transport::Tls, Transport::Http2] {
            for build in [Build::Before, Build::After] {
                let setup = self.setup(build, over.is_tls());
                let checked = check::check(Peer::Gateway, self.bench, &strict, &setup, over);
                checked.map_err(|error| {
                    let (program, over) = (setup.gateway.display(), over.suffix());
                    format!("{program} fails its check{over}: {error}")
                })?;
            }
        }
        Ok(())
    }

    fn run(&mut self, workloads: &[Workload], rounds: usize) -> Vec<PairedSeries> {
        let mut series: Vec<PairedSeries> =
            workloads.iter().map(|it| PairedSeries::new(*it)).collect();
        for round in 0..rounds {
            for tls in [false, true] {
                let series = series.iter_mut().filter(|it| it.workload.is_tls() == tls);
                if let Err(error) = self.round((round, rounds), tls, series) {
                    self.failures.push(format!("round {}: {error}", round + 1));
                }
            }
        }
        eprintln!();
        series
    }

    /// Starts both builds and takes one sample of every workload.
    fn round<'s>(
        &mut self,
        (round, rounds): (usize, usize),
        tls: bool,
        series: impl Iterator<Item = &'s mut PairedSeries>,
    ) -> Result<(), String> {
        let mut series = series.peekable();
        if series.peek().is_none() {
            return Ok(());
        }
        let (first, second) = match round % 2 {
            0 => (Build::Before, Build::After),
            _ => (Build::After, Build::Before),
        };
        let one = self.start(first, tls)?;
        let other = self.start(second, tls)?;
        let proxies = match first {
            Build::Before => Pair {
                before: one,
                after: other,
            },
            Build::After => Pair {
                before: other,
                after: one,
            },
        };
        for (index, series) in series.enumerate() {
            progress(series.workload, round, rounds);
            let mirrored = (round + index) % 2 == 1;
            let samples = self.sample(series.workload, &proxies, mirrored)?;
            series.samples.before.push(samples.before);
            series.samples.after.push(samples.after);
        }
        Ok(())
    }

    /// Starts a build, and sends two requests of every user to it.
    fn start(&mut self, build: Build, tls: bool) -> Result<RunningPeer, String> {
        let proxy = Peer::Gateway.start(&self.setup(build, tls))?;
        let workload = if tls {
            Workload::SmallTls
        } else {
            Workload::Small
        };
        self.bench.cost(workload, &proxy, WARM_UP)?;
        Ok(proxy)
    }

    /// Measures one round of a workload: the mean of each build's turns.
    fn sample(
        &mut self,
        workload: Workload,
        proxies: &Pair<RunningPeer>,
        mirrored: bool,
    ) -> Result<Pair<Sample>, String> {
        let (_, requests) = workload.size(false);
        let requests = if self.quick {
            requests / QUICK_PART
        } else {
            requests
        };
        let mut turns = Pair::<Vec<Sample>>::default();
        for build in TURNS {
            let build = if mirrored { build.other() } else { build };
            let sample = self.bench.cost(workload, proxies.of(build), requests)?;
            turns.of_mut(build).push(sample);
        }
        Ok(Pair {
            before: mean(&turns.before),
            after: mean(&turns.after),
        })
    }
}

impl Build {
    fn other(self) -> Self {
        match self {
            Self::Before => Self::After,
            Self::After => Self::Before,
        }
    }
}

impl<T> Pair<T> {
    fn of(&self, build: Build) -> &T {
        match build {
            Build::Before => &self.before,
            Build::After => &self.after,
        }
    }

    fn of_mut(&mut self, build: Build) -> &mut T {
        match build {
            Build::Before => &mut self.before,
            Build::After => &mut self.after,
        }
    }
}

impl PairedSeries {
    fn new(workload: Workload) -> Self {
        Self {
            workload,
            samples: Pair::default(),
        }
    }

    /// Columns of the table for one kind of time: both medians, the median ratio, and its interval.
    fn columns(&self, seconds: fn(&Sample) -> f64) -> String {
        let values = |samples: &[Sample]| samples.iter().map(seconds).collect::<Vec<f64>>();
        let (before, after) = (values(&self.samples.before), values(&self.samples.after));
        let ratios = ratios(&after, &before);
        let interval = median_interval(&ratios).map_or_else(
            || "–".to_owned(),
            |(low, high)| format!("{low:.3} to {high:.3}"),
        );
        format!(
            "{:.1} | {:.1} | {:.3} | {interval}",
            median(&before) * 1e6,
            median(&after) * 1e6,
            median(&ratios),
        )
    }
}

fn print(builds: &Builds, series: &[PairedSeries]) {
    println!("\nbefore: {}", builds.before.display());
    println!("after:  {}", builds.after.display());
    println!("Processor time of a request in µs: medians of the rounds.");
    println!("Ratio: the median of after / before, round by round, with its 95 % interval.");
    println!(
        "| workload | rounds | CPU before | after | ratio | interval \
         | user before | after | ratio | interval |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for series in series {
        println!(
            "| {} | {} | {} | {} |",
            series.workload.name(),
            series.samples.before.len(),
            series.columns(|sample| sample.cpu),
            series.columns(|sample| sample.user),
        );
    }
}

/// The mean of samples with the same number of requests.
fn mean(samples: &[Sample]) -> Sample {
    let mean =
        |value: fn(&Sample) -> f64| samples.iter().map(value).sum::<f64>() / samples.len() as f64;
    Sample {
        cpu: mean(|sample| sample.cpu),
        user: mean(|sample| sample.user),
        ..Sample::default()
    }
}
