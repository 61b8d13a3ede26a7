//! A comparison of the gateway with what else could do its job, and with the least that the job costs.
//!
//! `cargo bench --bench compare` starts each program on one processor core, plays its callers and its upstream on another,
//! and tells what a request costs in processor time, round by round and one program after the other, so that what
//! disturbs one disturbs all. It installs nothing, writes to a folder of its own in the temporary directory, listens on
//! 127.0.0.1 alone, and ends what it started. How to read it: `docs/performance.md`.
#![allow(
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a program for a developer's terminal: a mistake in it may stop it"
)]

mod floor;
mod mock;
mod options;
mod peers;
mod process;
mod report;
mod requests;
mod rig;
mod stats;
mod stream;
mod visitor;
mod wire;
mod workloads;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use rustls::{ClientConfig, RootCertStore};

use crate::{
    options::Options,
    peers::{Peer, Proxy, Setup},
    process::Cores,
    report::Results,
    requests::Requests,
    rig::Rig,
    workloads::Bench,
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

/// This program is its own floor: `compare floor LISTEN UPSTREAM [FOLDER OF CERTIFICATE]`.
fn run_floor(mut words: impl Iterator<Item = String>) -> Result<(), String> {
    let mut address = || words.next().and_then(|word| word.parse().ok());
    let (Some(listen), Some(upstream)) = (address(), address()) else {
        return Err("floor: two addresses are needed".into());
    };
    let key = |name| std::env::var(name).map_err(|_| format!("{name} is not set"));
    floor::run(floor::Settings {
        listen,
        upstream,
        tls: words.next().map(PathBuf::from),
        access_key: key("QINIU_ACCESS_KEY")?,
        secret_key: key("QINIU_SECRET_KEY")?,
    })
    .map_err(|error| format!("floor: {error}"))
}

fn compare(options: &Options) -> Result<(), String> {
    let cores = Cores::share_out();
    report::surroundings(cores);
    let folder = Folder::create().map_err(|error| format!("the temporary folder: {error}"))?;
    let tls = certificate(&folder.path).map_err(|error| format!("the certificate: {error}"))?;
    let rig = Rig::start().map_err(|error| format!("the upstream: {error}"))?;
    let mut bench = Bench::new(rig, Requests::prepare()?, tls)
        .map_err(|error| format!("the videos: {error}"))?;

    let mut peers = options.peers.clone();
    peers.retain(|peer| report::is_installed(*peer));
    let mut results = Results::default();
    for secure in [false, true] {
        if options
            .workloads
            .iter()
            .any(|workload| workload.is_tls() == secure)
        {
            let setup = Setup::new(&folder.path, cores, bench.rig.address(), secure);
            let proxies = start(&peers, &setup);
            measure(options, &mut bench, secure, &proxies, &mut results);
        }
    }
    results.print();
    Ok(())
}

fn start(peers: &[Peer], setup: &Setup<'_>) -> BTreeMap<Peer, Proxy> {
    let mut proxies = BTreeMap::new();
    for peer in peers {
        match peer.start(setup) {
            Ok(proxy) => drop(proxies.insert(*peer, proxy)),
            Err(error) => println!("{}: not measured: {error}", peer.name()),
        }
    }
    proxies
}

/// Round by round, one proxy after the other.
fn measure(
    options: &Options,
    bench: &mut Bench,
    secure: bool,
    proxies: &BTreeMap<Peer, Proxy>,
    results: &mut Results,
) {
    for workload in &options.workloads {
        if workload.is_tls() != secure {
            continue;
        }
        let (rounds, requests) = workload.size(options.quick);
        let rounds = options.rounds.unwrap_or(rounds);
        for round in 0..rounds {
            eprint!("\r{}: round {} of {rounds}   ", workload.name(), round + 1);
            for (peer, proxy) in proxies {
                match bench.round(*workload, proxy, requests) {
                    Ok(sample) => results.add(*workload, *peer, sample),
                    Err(error) => results.fail(*workload, *peer, error),
                }
            }
        }
        eprintln!();
    }
}

/// Removed when dropped.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn create() -> io::Result<Self> {
        let name = format!("liveness-gateway-compare-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path)?;
        Ok(Self { path })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A certificate for `localhost` in `cert.pem` and `key.pem`, and who trusts it. One cipher for all, so that nobody
/// is compared by its taste.
fn certificate(folder: &Path) -> io::Result<Arc<ClientConfig>> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])
        .map_err(io::Error::other)?;
    fs::write(folder.join("cert.pem"), made.cert.pem())?;
    fs::write(folder.join("key.pem"), made.signing_key.serialize_pem())?;
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
