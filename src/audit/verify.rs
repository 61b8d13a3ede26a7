//! Checks what an audit log has written: line by line, so files may be of any size.
//!
//! Finds a record that is missing, changed, repeated, moved or cut off, and names its line. What no
//! chain can show is that its last records are missing: for that, compare with a head that was kept
//! elsewhere. Memory grows with the number of chains only. Never trusts a text of a line enough to
//! print it unescaped.

use std::{
    collections::HashMap,
    fmt,
    io::{self, BufRead, Read as _},
};

use super::{
    chain::{ChainHead, ChainId, LineError, MAX_LINE, RecordHash, SealedRecord},
    checkpoint::{CheckpointError, CheckpointKeys},
};

/// Checks chains, in files that belong together.
#[derive(Default)]
pub struct AuditVerifier {
    keys: Option<CheckpointKeys>,
    continued: bool,
    expected: Option<ExpectedHead>,
    /// In the order in which they begin.
    order: Vec<ChainId>,
    chains: HashMap<ChainId, VerifiedChain>,
}

/// A record that must be in the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpectedHead {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: RecordHash,
}

/// What was found of one chain.
#[derive(Debug)]
pub struct VerifiedChain {
    head: ChainHead,
    records: u64,
    first: u64,
    from: String,
    until: String,
    checkpoints: u64,
    verified: bool,
    /// Records behind the last checkpoint.
    unproven: u64,
    /// How many times a gateway has begun to write, and how many times one has stopped.
    starts: u64,
    stops: u64,
    last_event: String,
}

/// Where a chain breaks.
#[derive(Debug, thiserror::Error)]
pub enum AuditDefect {
    /// The last line has no end.
    #[error("the record is cut off")]
    Torn,
    /// A line that is no whole record.
    #[error(transparent)]
    Line(#[from] LineError),
    /// A chain does not begin with its first record.
    #[error("the chain begins with record {0}: those before it are missing")]
    NoBeginning(u64),
    /// Records are missing before this one.
    #[error("{} missing before record {to}", records(*.from, *.to))]
    Missing {
        /// The first missing one.
        from: u64,
        /// The one that was found.
        to: u64,
    },
    /// A number that was there before.
    #[error("record {0} was there before: it was repeated or moved")]
    Again(u64),
    /// The right number, but another predecessor.
    #[error("record {0} does not continue the record before it: one of them was replaced")]
    Replaced(u64),
    /// A checkpoint whose signature is wrong.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The file can't be read.
    #[error("it can't be read: {0}")]
    Read(#[from] io::Error),
}

/// What is wrong with files whose lines are right.
#[derive(Debug, thiserror::Error)]
pub enum IncompleteAudit {
    /// There is no record.
    #[error("there is no record")]
    Empty,
    /// Signatures were to be verified, and a chain has none.
    #[error("chain {0} has no signed checkpoint, so nothing proves who wrote it")]
    NoCheckpoint(ChainId),
    /// The expected record is not there.
    #[error(
        "record {} with the hash {} is not there: records were cut off or replaced",
        .0.number, .0.hash
    )]
    NoHead(ExpectedHead),
}

impl AuditVerifier {
    /// Also verifies the signatures of checkpoints, and requires one in each chain.
    pub fn with_keys(self, keys: Option<CheckpointKeys>) -> Self {
        Self { keys, ..self }
    }

    /// Accepts chains whose first records are not in the files.
    pub fn accepting_later_beginnings(self, continued: bool) -> Self {
        Self { continued, ..self }
    }

    /// Requires this record.
    pub fn expecting(self, expected: Option<ExpectedHead>) -> Self {
        Self { expected, ..self }
    }

    /// Checks the lines of one file.
    ///
    /// # Errors
    /// The first defect, and the number of its line from 1.
    pub fn read(&mut self, input: impl BufRead) -> Result<(), (u64, AuditDefect)> {
        let mut input = input;
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            // One byte more than a line may have, and its line feed.
            let mut limited = (&mut input).take(MAX_LINE as u64 + 2);
            let read = limited.read_until(b'\n', &mut line);
            if read.map_err(|error| (number, error.into()))? == 0 {
                break;
            }
            let checked = match line.strip_suffix(b"\n") {
                Some(line) => self.check(line),
                None if line.len() > MAX_LINE => Err(LineError::NoRecord.into()),
                None => Err(AuditDefect::Torn),
            };
            checked.map_err(|defect| (number, defect))?;
        }
        Ok(())
    }

    /// What was found, after the last file.
    ///
    /// # Errors
    /// Something that must be there is not.
    pub fn finish(self) -> Result<Vec<VerifiedChain>, IncompleteAudit> {
        if self.order.is_empty() {
            return Err(IncompleteAudit::Empty);
        }
        if let Some(expected) = self.expected {
            return Err(IncompleteAudit::NoHead(expected));
        }
        let mut chains = self.chains;
        let chains: Vec<_> = self
            .order
            .iter()
            .filter_map(|chain| chains.remove(chain))
            .collect();
        let unsigned = chains.iter().find(|chain| chain.checkpoints == 0);
        match unsigned.filter(|_| self.keys.is_some()) {
            Some(chain) => Err(IncompleteAudit::NoCheckpoint(chain.head.chain.clone())),
            None => Ok(chains),
        }
    }

    fn check(&mut self, line: &[u8]) -> Result<(), AuditDefect> {
        let record = SealedRecord::parse(line)?;
        match self.chains.get(&record.chain) {
            Some(chain) => continues(&chain.head, &record)?,
            None if record.number > 0 && !self.continued => {
                return Err(AuditDefect::NoBeginning(record.number));
            }
            None if record.number == 0 && record.previous != RecordHash::default() => {
                return Err(AuditDefect::Replaced(0));
            }
            None => {}
        }
        if let (Some(keys), Some(signature)) = (&self.keys, &record.checkpoint) {
            keys.verify(signature, &record)?;
        }
        let found = ExpectedHead {
            number: record.number,
            hash: record.hash,
        };
        self.expected = self.expected.filter(|expected| *expected != found);
        self.add(record);
        Ok(())
    }

    fn add(&mut self, record: SealedRecord) {
        let chain = self.chains.entry(record.chain.clone()).or_insert_with(|| {
            self.order.push(record.chain.clone());
            VerifiedChain {
                head: record.head(),
                records: 0,
                first: record.number,
                from: record.time.clone(),
                until: String::new(),
                checkpoints: 0,
                verified: self.keys.is_some(),
                unproven: 0,
                starts: 0,
                stops: 0,
                last_event: String::new(),
            }
        });
        chain.head = record.head();
        chain.records = chain.records.saturating_add(1);
        chain.until = record.time;
        match record.event.as_str() {
            "start" => chain.starts = chain.starts.saturating_add(1),
            "stop" => chain.stops = chain.stops.saturating_add(1),
            _ => {}
        }
        chain.last_event = record.event;
        if record.checkpoint.is_some() {
            chain.checkpoints = chain.checkpoints.saturating_add(1);
            chain.unproven = 0;
        } else {
            chain.unproven = chain.unproven.saturating_add(1);
        }
    }
}

/// Whether a record is the next one of its chain.
fn continues(head: &ChainHead, record: &SealedRecord) -> Result<(), AuditDefect> {
    if record.number > head.next {
        return Err(AuditDefect::Missing {
            from: head.next,
            to: record.number,
        });
    }
    if record.number < head.next {
        return Err(AuditDefect::Again(record.number));
    }
    match record.previous == head.hash {
        true => Ok(()),
        false => Err(AuditDefect::Replaced(record.number)),
    }
}

/// The records from one to before another, in words.
fn records(from: u64, to: u64) -> String {
    match to.saturating_sub(1) {
        last if last == from => format!("record {from} is"),
        last => format!("records {from} to {last} are"),
    }
}

impl fmt::Display for VerifiedChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.head.next.saturating_sub(1);
        let (from, until) = (self.from.escape_debug(), self.until.escape_debug());
        writeln!(f, "chain {}", self.head.chain)?;
        writeln!(
            f,
            "  {} records, {} to {last}, from {from} to {until}",
            self.records, self.first
        )?;
        writeln!(f, "  hash of the last one: {}", self.head.hash)?;
        let signatures = match (self.checkpoints, self.verified) {
            (0, _) => "",
            (_, true) => ", their signatures are right",
            (_, false) => ", their signatures were not verified (--keys)",
        };
        writeln!(
            f,
            "  {} signed checkpoints{signatures}; records behind the last one: {}",
            self.checkpoints, self.unproven
        )?;
        writeln!(f, "  starts: {}, stops: {}", self.starts, self.stops)?;
        match self.last_event.as_str() {
            "stop" => writeln!(f, "  ends with the stop of its gateway"),
            event => writeln!(
                f,
                "  ends with {:?}: it is still written, or its gateway was killed",
                event
            ),
        }
    }
}

#[cfg(test)]
mod tests;
