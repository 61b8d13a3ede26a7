//! What normal users saw in one phase. Pure.

use std::collections::BTreeMap;

use super::stats::percentile;

/// A wrong response is described so many times.
const DESCRIBED: usize = 5;

/// What a request was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Small,
    Verify,
    /// A `verify` with another user's session.
    Foreign,
    /// A `sessioncode` on a connection of its own.
    Newcomer,
    /// A `verify` that takes five seconds to send.
    SlowUser,
}

/// How a request ended.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// Seconds.
    Served(f64),
    /// The reason, as a status or a word.
    Lost(String),
    Wrong(String),
}

/// All requests of a phase.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples {
    served: BTreeMap<Kind, Vec<f64>>,
    lost: BTreeMap<Kind, u64>,
    reasons: BTreeMap<String, u64>,
    pub(crate) wrong: u64,
    pub(crate) described: Vec<String>,
}

impl Samples {
    pub(crate) fn add(&mut self, kind: Kind, outcome: Outcome) {
        match outcome {
            Outcome::Served(seconds) => self.served.entry(kind).or_default().push(seconds),
            Outcome::Lost(reason) => {
                *self.lost.entry(kind).or_default() += 1;
                *self.reasons.entry(reason).or_default() += 1;
            }
            Outcome::Wrong(what) => {
                self.wrong += 1;
                if self.described.len() < DESCRIBED {
                    self.described.push(what);
                }
            }
        }
    }

    pub(crate) fn extend(&mut self, other: Self) {
        for (kind, more) in other.served {
            self.served.entry(kind).or_default().extend(more);
        }
        for (kind, more) in other.lost {
            *self.lost.entry(kind).or_default() += more;
        }
        for (reason, more) in other.reasons {
            *self.reasons.entry(reason).or_default() += more;
        }
        self.wrong += other.wrong;
        self.described.extend(other.described);
        self.described.truncate(DESCRIBED);
    }

    pub(crate) fn served(&self, kind: Kind) -> usize {
        self.served.get(&kind).map_or(0, Vec::len)
    }

    pub(crate) fn lost(&self, kind: Kind) -> u64 {
        self.lost.get(&kind).copied().unwrap_or(0)
    }

    /// The percentile of the requests served, in seconds; infinite where none was.
    pub(crate) fn percentile(&self, kind: Kind, share: f64) -> f64 {
        match self.served.get(&kind) {
            Some(served) => percentile(served, share),
            None => f64::INFINITY,
        }
    }

    /// Whether at most one request in 100 was lost.
    pub(crate) fn few_lost(&self, kind: Kind) -> bool {
        self.lost(kind) * 100 <= self.lost(kind) + self.served(kind) as u64
    }

    /// The reasons of lost requests with their numbers.
    pub(crate) fn reasons(&self) -> String {
        let reasons = self.reasons.iter();
        let reasons: Vec<String> = reasons
            .map(|(why, times)| format!("{why}: {times}"))
            .collect();
        reasons.join(", ")
    }
}
