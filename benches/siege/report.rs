//! Prints the list of attacks and the tables of results. Never measures or judges.

use super::{
    attacks::Attack, bout::Bout, changes::ChangeResult, phase::Phase, samples::Kind,
    soak_result::SoakResult,
};

pub(crate) fn list() {
    for attack in Attack::all() {
        let tls = if attack.tls { "TLS" } else { "plain" };
        println!("{:22} {tls:5}  {}", attack.name, attack.what);
        for (key, value) in attack.server {
            println!("{:30}with server.{key} = {value}", "");
        }
    }
    println!(
        "{:22} {:5}  all of those over TLS at once, with failing parts",
        "soak", "TLS"
    );
    println!(
        "{:22} {:5}  no attack: reloads, restarts and failovers under load",
        "changes", "TLS"
    );
}

/// The head of the table of attacks.
pub(crate) fn head() {
    println!(
        "| attack | attackers | gateway without → with | p99 small, ms | p99 2 MiB, ms | lost \
         | newcomers p99, ms | longest probe, ms | memory | descriptors | goals |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
}

/// One row of the table.
pub(crate) fn row(bout: &Bout) {
    let Bout { without, with, .. } = bout;
    let lost = [Kind::Small, Kind::Verify, Kind::SlowUser].map(|kind| with.samples.lost(kind));
    let lost: u64 = lost.iter().sum();
    let newcomers = with.samples.percentile(Kind::Newcomer, 0.99);
    println!(
        "| `{}` | {:.2} cores, {} connections, {} ended, {} MB | {:.2} → {:.2} cores | {} | {} \
         | {lost} | {:.0} | {:.0} | {:+} MiB | {} | {} |",
        bout.attack,
        with.attackers_cpu,
        bout.report.opened,
        bout.report.ended,
        bout.report.bytes / 1_000_000,
        without.gateway_cpu,
        with.gateway_cpu,
        latency(without, with, Kind::Small),
        latency(without, with, Kind::Verify),
        newcomers * 1e3,
        with.worst_probe * 1e3,
        bout.growth >> 20,
        with.most_descriptors,
        if bout.missed.is_empty() {
            "reached".to_owned()
        } else {
            format!("**missed**: {}", bout.missed.join("; "))
        }
    );
}

fn latency(without: &Phase, with: &Phase, kind: Kind) -> String {
    let seconds = |phase: &Phase| phase.samples.percentile(kind, 0.99);
    let (before, after) = (seconds(without), seconds(with));
    format!(
        "{:.1} → {:.1} (× {:.2})",
        before * 1e3,
        after * 1e3,
        after / before
    )
}

/// What is not in the table.
pub(crate) fn notes(bout: &Bout) {
    let report = &bout.report;
    eprintln!(
        "{}: responses {:?}; not opened: {}; small {} and {}, verifies {} and {}; normal users {:.2} \
         and {:.2} cores",
        bout.attack,
        report.answers,
        report.failed,
        bout.without.samples.served(Kind::Small),
        bout.with.samples.served(Kind::Small),
        bout.without.samples.served(Kind::Verify),
        bout.with.samples.served(Kind::Verify),
        bout.without.load_cpu,
        bout.with.load_cpu,
    );
    for note in &bout.notes {
        eprintln!("{}: {note}", bout.attack);
    }
}

pub(crate) fn soak(result: &SoakResult) {
    println!("\n| soak | value | at most | |");
    println!("|---|---|---|---|");
    for line in &result.lines {
        let reached = if line.reached {
            "reached"
        } else {
            "**missed**"
        };
        println!(
            "| {} | {} | {} | {reached} |",
            line.what, line.value, line.goal
        );
    }
    println!();
    for note in &result.notes {
        println!("- {note}");
    }
}

/// What each change cost.
pub(crate) fn changes(results: &[ChangeResult]) {
    println!(
        "\n| change | times | in use after, at most | small requests | videos | billed | lost, wrong \
         | p99 small, ms | longest small, ms | |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for result in results {
        let samples = &result.samples;
        let what = result.change.description();
        if let Some(why) = result.skipped {
            println!("| {what} | skipped: {why} |");
            continue;
        }
        println!(
            "| {what} | {} | {:.1} s | {} | {} | {} | {}, {} | {:.0} | {:.0} | {} |",
            result.times,
            result.longest.as_secs_f64(),
            samples.served(Kind::Small) + samples.served(Kind::Newcomer),
            result.videos(),
            result.billed,
            result.lost(),
            samples.wrong,
            samples.percentile(Kind::Small, 0.99) * 1e3,
            samples.percentile(Kind::Small, 1.0) * 1e3,
            if result.is_clean() {
                "clean"
            } else {
                "**not clean**"
            },
        );
        if !result.is_clean() {
            eprintln!(
                "{what}: lost: {}; {:?}",
                samples.reasons(),
                samples.described
            );
        }
    }
}
