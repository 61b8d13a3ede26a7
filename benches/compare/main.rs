//! Compares the gateway with other programs that could do its job, and with a bare floor.
//!
//! `cargo bench --bench compare` starts each program on one processor core and plays its callers
//! and its upstream on another. It measures the processor time of a request in rounds, one program
//! after the other, so that a disturbance of the machine affects all of them. `docs/performance.md`
//! explains how to read the result. Writes only to a temporary directory of its own and listens
//! only on 127.0.0.1. Never installs anything, and never leaves a process behind.
#![allow(
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a program for a developer's terminal, which may stop at a bug"
)]

mod api;
mod bench;
mod check;
mod floor;
mod folder;
mod goals;
mod load;
mod options;
mod pair;
mod peers;
mod process;
mod report;
mod requests;
mod results;
mod rig;
mod run;
mod stats;
mod stream;
mod targets;
mod upstream;
mod wire;
mod workloads;

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use rustls::{ClientConfig, RootCertStore};

use crate::{
    bench::Bench,
    check::StrictUpstream,
    folder::TemporaryFolder,
    options::Options,
    peers::PeerSetup,
    process::Cores,
    requests::Requests,
    results::Results,
    rig::Rig,
    run::Rounds,
    workloads::{Payload, Transport, Workload},
};

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1).peekable();
    let done = if words.next_if(|word| word == "floor").is_some() {
        run_floor(words)
    } else if words.peek().is_some_and(|word| word == "--help") {
        println!("{}", options::HELP);
        Ok(())
    } else {
        Options::parse(words).and_then(|options| compare(&options))
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The same binary is the floor: `compare floor LISTEN UPSTREAM [CERTIFICATE DIRECTORY]`.
fn run_floor(mut words: impl Iterator<Item = String>) -> Result<(), String> {
    let mut address = || words.next().and_then(|word| word.parse().ok());
    let (Some(listen), Some(upstream)) = (address(), address()) else {
        return Err("floor: two addresses are needed".into());
    };
    let key = |name| {
        std::env::var(name).map_err(|_| format!("the environment variable {name} is not set"))
    };
    floor::run(floor::Settings {
        listen,
        upstream,
        tls: words
            .next()
            .filter(|word| !word.is_empty())
            .map(PathBuf::from),
        access_key: key("QINIU_ACCESS_KEY")?,
        secret_key: key("QINIU_SECRET_KEY")?,
    })
    .map_err(|error| format!("floor: {error}"))
}

fn compare(options: &Options) -> Result<(), String> {
    let cores = Cores::share_out();
    report::surroundings(&cores);
    let folder = TemporaryFolder::create("compare")
        .map_err(|error| format!("can't create a temporary directory: {error}"))?;
    let tls = certificate(folder.path())
        .map_err(|error| format!("can't create a certificate: {error}"))?;
    let rig = Rig::start().map_err(|error| format!("can't start the upstream: {error}"))?;
    let bench = Bench::new(rig, Requests::prepare()?, tls);
    let mut bench = bench.map_err(|error| format!("can't prepare the videos: {error}"))?;

    if let Some(builds) = &options.pair {
        return pair::compare(options, builds, &cores, folder.path(), &mut bench);
    }
    let mut options = options.clone();
    options.peers.retain(|peer| report::is_installed(*peer));
    check_all(&mut options, &mut bench, &cores, folder.path())?;
    let mut results = Results::default();
    Rounds {
        options: &options,
        peers: &options.peers,
        cores: &cores,
        folder: folder.path(),
        bench: &mut bench,
        results: &mut results,
    }
    .run();
    report::print(&results);
    Ok(())
}

/// Removes the peers that do not do their job.
fn check_all(
    options: &mut Options,
    bench: &mut Bench,
    cores: &Cores,
    folder: &Path,
) -> Result<(), String> {
    let strict = StrictUpstream::start(cores)?;
    for over in [Transport::Plain, Transport::Tls, Transport::Http2] {
        let setup = PeerSetup {
            reading: options.reading,
            ..PeerSetup::new(folder, cores, bench.rig.address(), over.is_tls())
        };
        options.peers.retain(|peer| {
            !peer.speaks(over) || {
                let checked = check::check(*peer, bench, &strict, &setup, over);
                report::is_right(*peer, over, checked)
            }
        });
        for payload in [Payload::Raw, Payload::Multipart] {
            let such =
                |workload: &Workload| workload.payload() == payload && workload.transport() == over;
            if options.workloads.iter().any(such)
                && let Err(why) = check::takes_raw(payload, bench, &strict, &setup, over)
            {
                println!("{payload:?}: not measured, because the gateway rejects it: {why}");
                options
                    .workloads
                    .retain(|workload| workload.payload() != payload);
            }
        }
    }
    Ok(())
}

/// Writes a certificate for `localhost` to `cert.pem` and `key.pem`, and returns a client
/// configuration that trusts it. It offers a single cipher suite, so that every peer uses the same.
fn certificate(folder: &Path) -> io::Result<Arc<ClientConfig>> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])
        .map_err(io::Error::other)?;
    fs::write(folder.join("cert.pem"), made.cert.pem())?;
    fs::write(folder.join("key.pem"), made.signing_key.serialize_pem())?;
    // HAProxy reads both from one file.
    let both = made.cert.pem() + &made.signing_key.serialize_pem();
    fs::write(folder.join("both.pem"), both)?;
    let mut roots = RootCertStore::empty();
    roots
        .add(made.cert.der().clone())
        .map_err(io::Error::other)?;
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider
        .cipher_suites
        .retain(|suite| suite.suite() == rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
