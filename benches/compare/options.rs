//! The command line of the comparison.

use crate::{
    peers::{self, Peer},
    workloads::{self, Workload},
};

pub(crate) const HELP: &str = "\
cargo bench --bench compare -- [--quick] [--only PEER]… [--workload NAME]… [--rounds N] [--reading]

  --quick           few and short rounds: for daily tuning, ±10 %
  --only PEER       this peer (floor and nginx are measured with it, to have something to divide by)
  --workload NAME   this workload
  --rounds N        so many rounds of each
  --reading         the other full-job peers read the request's JSON too and keep back what a frontend must not choose,
                    as the gateway always does; without it they forward any body as it is
";

#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) quick: bool,
    pub(crate) peers: Vec<Peer>,
    pub(crate) workloads: Vec<Workload>,
    pub(crate) rounds: Option<usize>,
    pub(crate) reading: bool,
}

impl Options {
    /// # Errors
    /// What is wrong with them, for a person.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            quick: false,
            peers: Vec::new(),
            workloads: Vec::new(),
            rounds: None,
            reading: false,
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
                    options.rounds = Some(rounds.ok_or("--rounds needs a number from 1 on")?);
                }
                // What cargo itself adds.
                "--bench" => {}
                _ => return Err(format!("unknown: {word}\n\n{HELP}")),
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
            options.workloads = workloads::ALL.to_vec();
        }
        Ok(options)
    }
}

fn peer(name: &str) -> Result<Peer, String> {
    let found = peers::ALL.into_iter().find(|peer| peer.name() == name);
    let names = peers::ALL.map(Peer::name).join(", ");
    found.ok_or(format!("no peer is called {name}: {names}"))
}

fn workload(name: &str) -> Result<Workload, String> {
    let found = workloads::ALL
        .into_iter()
        .find(|workload| workload.name() == name);
    let names = workloads::ALL.map(Workload::name).join(", ");
    found.ok_or(format!("no workload is called {name}: {names}"))
}
