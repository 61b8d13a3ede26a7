//! Prints the environment, the missing programs, and the tables. Never measures.

use crate::{
    bench::Sample,
    goals,
    peers::Peer,
    process::Cores,
    results::Results,
    stats::median,
    workloads::{Measurement, Transport, Workload},
};

pub(crate) fn surroundings(cores: &Cores) {
    if !cores.pinned {
        println!(
            "taskset is missing (Debian: util-linux): nothing is pinned, and the numbers vary more"
        );
    } else if cores.proxy == cores.rig {
        println!("one core for proxies, callers and upstream: only processor times are meaningful");
    } else {
        println!(
            "proxies on core {}, callers and upstream on core {}",
            cores.proxy, cores.rig
        );
    }
}

/// Whether a peer is installed. Prints the missing packages if not.
pub(crate) fn is_installed(peer: Peer) -> bool {
    let missing = peer.missing();
    if !missing.is_empty() {
        println!(
            "{}: not installed; on Debian: apt-get install {}",
            peer.name(),
            missing.join(" ")
        );
    }
    missing.is_empty()
}

/// Whether a peer passed its check. Prints the reason if not.
pub(crate) fn is_right(peer: Peer, over: Transport, checked: Result<(), String>) -> bool {
    if let Err(why) = &checked {
        println!(
            "{}: fails its check{}, not measured: {why}",
            peer.name(),
            over.suffix()
        );
    }
    checked.is_ok()
}

pub(crate) fn print(results: &Results) {
    for workload in results.workloads() {
        println!("\n{}, medians", workload.title());
        match workload.measurement() {
            Measurement::Cost => cost(results, workload),
            Measurement::Held => held(results, workload),
            Measurement::Latency => latency(results),
            Measurement::Cores => cores(results),
        }
    }
    targets(results);
    for (workload, peer, error) in &results.failures {
        let (workload, peer) = (workload.name(), peer.name());
        println!("{workload}, {peer}: a round failed: {error}");
    }
}

fn cost(results: &Results, workload: Workload) {
    println!("| peer | CPU µs | of it user | × floor | × nginx | requests/s | p99 ms |");
    println!("|---|---|---|---|---|---|---|");
    for peer in results.peers(workload) {
        let of = |value| results.median(workload, peer, value);
        let against = |base| times(results.cost_against(workload, peer, base));
        println!(
            "| {} | {} | {} | {} | {} | {} | {} |",
            peer.name(),
            digits(of(|sample| sample.cpu * 1e6), 1),
            digits(of(|sample| sample.user * 1e6), 1),
            against(Peer::Floor),
            against(Peer::Nginx),
            digits(of(|sample| sample.rate), 0),
            digits(of(|sample| sample.p99 * 1e3), 2),
        );
    }
}

fn held(results: &Results, workload: Workload) {
    println!("| peer | bytes for each byte received |");
    println!("|---|---|");
    for peer in results.peers(workload) {
        let memory = results.median(workload, peer, |sample| sample.memory);
        println!("| {} | {} |", peer.name(), digits(memory, 3));
    }
}

fn latency(results: &Results) {
    println!("{:.0} requests a second", results.half_load);
    println!("| peer | p50 ms | p99 ms | added p99 ms |");
    println!("|---|---|---|---|");
    let direct = |value: fn(&Sample) -> f64| {
        let values: Vec<f64> = results.direct.iter().map(value).collect();
        median(&values) * 1e3
    };
    println!(
        "| none | {:.3} | {:.3} | |",
        direct(|sample| sample.p50),
        direct(|sample| sample.p99)
    );
    for peer in results.peers(Workload::Latency) {
        let of = |value| results.median(Workload::Latency, peer, value);
        println!(
            "| {} | {} | {} | {} |",
            peer.name(),
            digits(of(|sample| sample.p50 * 1e3), 3),
            digits(of(|sample| sample.p99 * 1e3), 3),
            digits(results.added(peer), 3),
        );
    }
}

fn cores(results: &Results) {
    println!("| cores | requests/s | CPU µs |");
    println!("|---|---|---|");
    let of = |value| results.median(Workload::Cores, Peer::Gateway, value);
    let two = |value: fn(&Sample) -> f64| {
        let values: Vec<f64> = results.two_cores.iter().map(value).collect();
        median(&values)
    };
    println!(
        "| 1 | {} | {} |",
        digits(of(|sample| sample.rate), 0),
        digits(of(|sample| sample.cpu * 1e6), 1)
    );
    println!(
        "| 2 | {:.0} | {:.1} |",
        two(|sample| sample.rate),
        two(|sample| sample.cpu * 1e6)
    );
}

fn targets(results: &Results) {
    println!("\nthe gateway and its targets");
    println!("| what | value | goal | at least | reached |");
    println!("|---|---|---|---|---|");
    for row in goals::of(results) {
        if row.value.is_none() {
            continue;
        }
        println!(
            "| {} | {} | {} | {} | {} |",
            row.what,
            times(row.value),
            row.goal,
            row.least,
            row.verdict()
        );
    }
    for workload in results.workloads() {
        if let Some((peer, times)) = results.best_other(workload) {
            println!(
                "{}: the best other with the full job is {}, {times:.2} × ours",
                workload.name(),
                peer.name()
            );
        }
    }
}

fn times(ratio: Option<f64>) -> String {
    digits(ratio, 2)
}

fn digits(value: Option<f64>, places: usize) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.places$}"))
}
