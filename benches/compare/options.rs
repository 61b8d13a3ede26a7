//! The command line of the comparison. Reads nothing but its arguments.

use std::{fs, path::PathBuf};

use crate::{
    peers::{self, Peer},
    workloads::{self, Workload},
};

/// The workloads of `--pair` if the command line names none.
const PAIR_WORKLOADS: [Workload; 7] = [
    Workload::Small,
    Workload::SmallTls,
    Workload::SmallHttp2,
    Workload::Video,
    Workload::VideoTls,
    Workload::VideoHttp2,
    Workload::VideoStreams,
];

/// The paths of two `liveness-gateway` binaries.
#[derive(Clone, Debug)]
pub(crate) struct Builds {
    pub(crate) before: PathBuf,
    pub(crate) after: PathBuf,
}

pub(crate) const HELP: &str = "\
cargo bench --bench compare -- [--quick] [--rounds N] [--only PEER]… [--reading] [WORKLOAD]…
cargo bench --bench compare -- --pair BEFORE AFTER [--quick] [--rounds N] [WORKLOAD]…

  --quick               few and short rounds, for daily tuning (±10 %)
  --rounds N            the number of rounds of each workload
  --only PEER           measure this peer, and floor and nginx to compare it with
  --reading             the other peers with the full job parse the request's JSON too and remove
                        what a frontend must not choose, as the gateway always does; otherwise they
                        forward any body as it is
  --pair BEFORE AFTER   compare two `liveness-gateway` binaries in turns: the ratio of the costs of
                        a request, with its 95 % interval (15 rounds; an interval needs 6)
  WORKLOAD              run this workload; also written as --workload WORKLOAD
";

#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) quick: bool,
    pub(crate) peers: Vec<Peer>,
    pub(crate) workloads: Vec<Workload>,
    pub(crate) rounds: Option<usize>,
    pub(crate) reading: bool,
    /// Compare two builds instead of the peers.
    pub(crate) pair: Option<Builds>,
}

impl Options {
    /// # Errors
    /// A description of the wrong option.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            quick: false,
            peers: Vec::new(),
            workloads: Vec::new(),
            rounds: None,
            reading: false,
            pair: None,
        };
        while let Some(word) = words.next() {
            let mut value = || {
                words
                    .next()
                    .ok_or(format!("{word} needs a value\n\n{HELP}"))
            };
            match word.as_str() {
                "--quick" => options.quick = true,
                "--reading" => options.reading = true,
                "--only" => options.peers.push(peer(&value()?)?),
                "--workload" => options.workloads.push(workload(&value()?)?),
                "--rounds" => {
                    let rounds = value()?.parse().ok().filter(|rounds| *rounds > 0);
                    options.rounds = Some(rounds.ok_or("--rounds needs a number above 0")?);
                }
                "--pair" => {
                    options.pair = Some(Builds {
                        before: program(&value()?)?,
                        after: program(&value()?)?,
                    });
                }
                // Added by cargo.
                "--bench" => {}
                option if option.starts_with('-') => {
                    return Err(format!("unknown option: {option}\n\n{HELP}"));
                }
                name => options.workloads.push(workload(name)?),
            }
        }
        if options.peers.is_empty() {
            options.peers = peers::ALL.to_vec();
        } else {
            options.peers.extend([Peer::Floor, Peer::Nginx]);
            options.peers.sort();
            options.peers.dedup();
        }
        if options.workloads.is_empty() {
            options.workloads = match options.pair {
                Some(_) => PAIR_WORKLOADS.to_vec(),
                None => workloads::ALL.to_vec(),
            };
        }
        Ok(options)
    }
}

/// Resolves a path, because programs run in directories of their own.
fn program(path: &str) -> Result<PathBuf, String> {
    fs::canonicalize(path).map_err(|error| format!("{path}: {error}"))
}

fn peer(name: &str) -> Result<Peer, String> {
    let found = peers::ALL.into_iter().find(|peer| peer.name() == name);
    let names = peers::ALL.map(Peer::name).join(", ");
    found.ok_or(format!("unknown peer {name}; known: {names}"))
}

fn workload(name: &str) -> Result<Workload, String> {
    let found = workloads::ALL
        .into_iter()
        .find(|workload| workload.name() == name);
    let names = workloads::ALL.map(Workload::name).join(", ");
    found.ok_or(format!("unknown workload {name}; known: {names}"))
}
