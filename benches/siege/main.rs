//! Attacks the gateway while normal users are served, and judges whether they notice.
//!
//! `cargo bench --bench siege` starts the gateway on one processor core; an emulator of Qiniu, the
//! normal users and the attackers share another, where the attackers give way. Phases without and
//! with an attack take turns. `docs/security.md` says what is shown. Everything is bounded in
//! number and time, listens and connects on loopback addresses only, and ends with this program.
#![allow(
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a program for a developer's terminal, which may stop at a bug"
)]

#[path = "../compare/api.rs"]
mod api;
mod attacker;
mod attacks;
mod bout;
mod changes;
mod check;
mod clients;
#[path = "../compare/folder.rs"]
mod folder;
#[path = "../../tests/gateway/support/frames.rs"]
mod frames;
mod issuer;
mod load;
mod log_watch;
mod options;
mod phase;
mod probe;
mod process;
mod report;
mod requests;
mod rig;
mod samples;
mod soak;
mod soak_result;
#[allow(
    dead_code,
    reason = "shared with the comparison, which needs more of it"
)]
#[path = "../compare/stats.rs"]
mod stats;
mod store;

use std::{io, process::ExitCode, sync::Arc};

use bytes::Bytes;
use data_encoding::BASE64;

use crate::{
    bout::{BoutPlan, Ground},
    changes::{
        ChangeResult, ChangesPlan,
        upstream::{SERVE_UPSTREAM, serve_upstream},
    },
    load::User,
    options::Options,
    rig::RigPlan,
    soak::SoakPlan,
};

/// Users of the normal load.
const USERS: usize = 500;
const VIDEO: usize = 2 * 1024 * 1024;
/// Descriptors that the attackers of 10,000 connections need.
const DESCRIPTORS: u64 = 10_500;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1).peekable();
    let role = words.next_if(|word| {
        [
            process::LAUNCH,
            attacker::ATTACK,
            issuer::SERVE_KEYS,
            SERVE_UPSTREAM,
        ]
        .contains(&word.as_str())
    });
    let done = match role.as_deref() {
        Some(process::LAUNCH) => Err(process::become_program(words)),
        Some(attacker::ATTACK) => attacker::attack(words).map(|()| true),
        Some(issuer::SERVE_KEYS) => issuer::serve_keys(words).map(|()| true),
        Some(_) => serve_upstream(words).map(|()| true),
        None => Options::parse(words)
            .map_err(io::Error::other)
            .and_then(|options| run(&options)),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("siege: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether all goals were reached.
fn run(options: &Options) -> io::Result<bool> {
    if options.help {
        println!("{}", options::HELP);
        return Ok(true);
    }
    if options.list {
        report::list();
        return Ok(true);
    }
    let cores = if options.shared_cores {
        None
    } else {
        process::share_cores()
    };
    let descriptors = process::raise_descriptors();
    let scale = options.scale.min(descriptors as f64 / DESCRIPTORS as f64);
    surroundings(cores, scale);
    // The threads of a runtime would end before the processes that they started.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let rig = RigPlan {
        gateway: options.gateway.clone(),
        cores,
        ..RigPlan::default()
    };
    let ground = Ground {
        rig,
        users: Arc::new(User::of_the_harness("user", USERS)?),
        video: Bytes::from(BASE64.encode(&api::video(VIDEO)?)),
    };
    runtime.block_on(fight(options, &ground, scale))
}

fn surroundings(cores: Option<(usize, usize)>, scale: f64) {
    match cores {
        Some((gateway, rest)) => eprintln!("gateway on core {gateway}, everything else on {rest}"),
        None => eprintln!("nothing is pinned to cores: latencies say less"),
    }
    if scale < 1.0 {
        eprintln!(
            "the attacks have {:.0} % of their connections",
            scale * 100.0
        );
    }
}

async fn fight(options: &Options, ground: &Ground, scale: f64) -> io::Result<bool> {
    let mut reached = true;
    // By whether the listener speaks TLS.
    let mut rates = [options.rate; 2];
    if !options.attacks.is_empty() {
        report::head();
    }
    for attack in &options.attacks {
        let rate = rate(&mut rates, ground, attack.tls).await?;
        let plan = BoutPlan {
            rounds: options.rounds,
            time: options.time,
            scale,
            rate,
        };
        match ground.fight(attack, plan).await {
            Ok(bout) => {
                report::row(&bout);
                report::notes(&bout);
                reached &= bout.missed.is_empty();
            }
            Err(error) => {
                println!("| `{}` | **failed**: {error} |", attack.name);
                reached = false;
            }
        }
    }
    if options.soak {
        let plan = SoakPlan {
            rig: ground.rig.clone(),
            time: options.soak_time,
            rate: rate(&mut rates, ground, true).await?,
            video: ground.video.clone(),
        };
        let result = soak::soak(plan).await?;
        report::soak(&result);
        reached &= result.lines.iter().all(|line| line.reached);
    }
    if options.changes {
        let other = options.other.as_ref().unwrap_or(&options.gateway);
        let results = changes::run(ChangesPlan {
            gateway: options.gateway.clone(),
            other: other.clone(),
            cores: ground.rig.cores,
            times: options.rounds,
            video: ground.video.clone(),
        });
        let results = results.await?;
        report::changes(&results);
        reached &= results.iter().all(ChangeResult::is_clean);
    }
    Ok(reached)
}

/// Half of the capacity, measured once.
async fn rate(rates: &mut [Option<f64>; 2], ground: &Ground, tls: bool) -> io::Result<f64> {
    let known = &mut rates[usize::from(tls)];
    if let Some(rate) = known {
        return Ok(*rate);
    }
    let rate = ground.half_of_capacity(tls).await?;
    *known = Some(rate);
    Ok(rate)
}
