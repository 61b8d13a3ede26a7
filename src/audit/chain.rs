//! One line of an audit log, and what ties it to the line before it.
//!
//! A line is a JSON object. Its first members are the chain's id, the record's number and the hash
//! of the record before; its last member is its own hash: SHA-256 of the line up to that member.
//! So a line proves by itself that it is whole, and the next one proves that it is the right one.
//! Relies on its callers for the content. Never reads or writes a file.

use std::fmt::{self, Write as _};

use aws_lc_rs::{
    digest::{SHA256, digest},
    error::Unspecified,
};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use serde::{Deserialize, Serialize};

/// Maximum length of a line, in bytes. A record of the gateway has some hundred, and rarely 4 KiB.
pub(super) const MAX_LINE: usize = 64 * 1024;
/// How every line begins.
pub(super) const LINE_START: &[u8] = b"{\"chain\":\"";
/// How every line ends: a name, 64 digits, and the closing brace.
const HASH_NAME: &[u8] = b",\"hash\":\"";
const HASH_END: &[u8] = b"\"}";
const HASH_DIGITS: usize = 64;

/// The id of a chain: 128 random bits as 32 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ChainId(String);

/// The hash of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordHash([u8; 32]);

/// Where a chain ends: what the next record continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChainHead {
    pub(super) chain: ChainId,
    /// The number of the next record.
    pub(super) next: u64,
    /// The hash of the last record; zeros before the first one.
    pub(super) hash: RecordHash,
}

/// A line that was read back, and whose own hash is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SealedRecord {
    pub(super) chain: ChainId,
    pub(super) number: u64,
    pub(super) previous: RecordHash,
    pub(super) hash: RecordHash,
    pub(super) event: String,
    pub(super) time: String,
    /// The signature of a checkpoint, if the record has one.
    pub(super) checkpoint: Option<String>,
}

/// Why a line is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It does not have the form of a record.
    #[error("this is no record of an audit log")]
    NoRecord,
    /// Its own hash is wrong.
    #[error("the record was changed: its hash is not that of its content")]
    Changed,
}

/// The members that every record has.
#[derive(Deserialize)]
struct CommonMembers {
    chain: ChainId,
    seq: u64,
    prev: RecordHash,
    time: String,
    event: String,
    checkpoint: Option<String>,
}

impl ChainHead {
    /// A new chain.
    ///
    /// # Errors
    /// The system provides no random bytes.
    pub(super) fn begin() -> Result<Self, Unspecified> {
        let mut id = [0; 16];
        aws_lc_rs::rand::fill(&mut id)?;
        Ok(Self {
            chain: ChainId(HEXLOWER.encode(&id)),
            next: 0,
            hash: RecordHash::default(),
        })
    }

    /// Appends a record to `lines`. `content` are its members besides those of the chain, without
    /// braces.
    pub(super) fn append(&mut self, lines: &mut String, content: &str) {
        let start = lines.len();
        // Writing to a string never fails.
        let _ = write!(
            lines,
            "{{\"chain\":\"{}\",\"seq\":{},\"prev\":\"{}\",{content}",
            self.chain, self.next, self.hash
        );
        let hash = RecordHash::of(lines.get(start..).unwrap_or_default().as_bytes());
        let _ = writeln!(lines, ",\"hash\":\"{hash}\"}}");
        self.hash = hash;
        self.next = self.next.saturating_add(1);
    }
}

impl SealedRecord {
    /// Reads a line, without its line feed.
    ///
    /// # Errors
    /// The line is no record, or was changed.
    pub(super) fn parse(line: &[u8]) -> Result<Self, LineError> {
        if !line.starts_with(LINE_START) || line.len() > MAX_LINE {
            return Err(LineError::NoRecord);
        }
        let (content, hash) = split_hash(line).ok_or(LineError::NoRecord)?;
        if RecordHash::of(content) != hash {
            return Err(LineError::Changed);
        }
        let text = str::from_utf8(line).map_err(|_| LineError::NoRecord)?;
        let common: CommonMembers = serde_json::from_str(text).map_err(|_| LineError::NoRecord)?;
        if HEXLOWER.decode(common.chain.0.as_bytes()).is_err() {
            return Err(LineError::NoRecord);
        }
        Ok(Self {
            chain: common.chain,
            number: common.seq,
            previous: common.prev,
            hash,
            event: common.event,
            time: common.time,
            checkpoint: common.checkpoint,
        })
    }

    /// What the next record of the chain continues.
    pub(super) fn head(&self) -> ChainHead {
        ChainHead {
            chain: self.chain.clone(),
            next: self.number.saturating_add(1),
            hash: self.hash,
        }
    }
}

impl RecordHash {
    fn of(content: &[u8]) -> Self {
        let mut hash = [0; 32];
        let made = digest(&SHA256, content);
        hash.iter_mut()
            .zip(made.as_ref())
            .for_each(|(to, from)| *to = *from);
        Self(hash)
    }

    /// Reads 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?;
        bytes.try_into().ok().map(Self)
    }
}

impl<'de> Deserialize<'de> for RecordHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("no hash"))
    }
}

impl fmt::Display for RecordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The content of a line, and the hash that follows it.
fn split_hash(line: &[u8]) -> Option<(&[u8], RecordHash)> {
    let rest = line.strip_suffix(HASH_END)?;
    let (rest, digits) = rest.split_at_checked(rest.len().checked_sub(HASH_DIGITS)?)?;
    let content = rest.strip_suffix(HASH_NAME)?;
    let digits = HEXLOWER.decode(digits).ok()?;
    Some((content, RecordHash(digits.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(count: usize) -> Vec<String> {
        let mut head = ChainHead::begin().unwrap();
        let content = |number: usize| {
            format!("\"time\":\"2026-01-01T00:00:00.000Z\",\"event\":\"verify\",\"n\":{number}")
        };
        let mut text = String::new();
        for number in 0..count {
            head.append(&mut text, &content(number));
        }
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_record_is_read_back_and_continues_the_one_before() {
        let lines = lines(3);
        let records: Vec<_> = lines
            .iter()
            .map(|line| SealedRecord::parse(line.as_bytes()).unwrap())
            .collect();
        assert_eq!(records[0].previous, RecordHash::default());
        for (number, pair) in records.windows(2).enumerate() {
            assert_eq!(pair[0].number, number as u64);
            let head = pair[0].head();
            assert_eq!(
                (&pair[1].chain, pair[1].number, pair[1].previous),
                (&head.chain, head.next, head.hash)
            );
        }
        let json: serde_json::Value = serde_json::from_str(&lines[1]).unwrap();
        assert_eq!((&json["seq"], &json["n"]), (&1.into(), &1.into()));
    }

    #[test]
    fn a_line_with_any_byte_changed_added_or_removed_is_no_record() {
        let line = lines(2).pop().unwrap().into_bytes();
        for at in 0..line.len() {
            for change in [1, 0x20, 0x80] {
                let mut changed = line.clone();
                changed[at] ^= change;
                assert!(SealedRecord::parse(&changed).is_err(), "{at}");
            }
            let mut shorter = line.clone();
            shorter.remove(at);
            assert!(SealedRecord::parse(&shorter).is_err(), "{at}");
            let mut longer = line.clone();
            longer.insert(at, b'0');
            assert!(SealedRecord::parse(&longer).is_err(), "{at}");
            assert!(SealedRecord::parse(&line[..at]).is_err(), "{at}");
        }
    }

    #[test]
    fn a_line_of_another_program_is_no_record() {
        for line in [
            "",
            "{}",
            "{\"chain\":\"",
            "{\"chain\":\"x\",\"hash\":\"\"}",
            "2026-01-01 something happened",
        ] {
            assert_eq!(
                SealedRecord::parse(line.as_bytes()),
                Err(LineError::NoRecord),
                "{line}"
            );
        }
        // The hash is right, but one lacks what every record has, and the other one is no text.
        let mut whole = String::new();
        ChainHead::begin()
            .unwrap()
            .append(&mut whole, "\"time\":\"\",\"event\":\"\"");
        let (whole, _) = split_hash(whole.trim_end().as_bytes()).unwrap();
        let garbled = [whole, b",\"user\":\"\xff\""].concat();
        for content in [&b"{\"chain\":\"x\""[..], &garbled] {
            let hash = RecordHash::of(content).to_string();
            let end = [b",\"hash\":\"", hash.as_bytes(), b"\"}"].concat();
            let line = [content, &end].concat();
            assert_eq!(SealedRecord::parse(&line), Err(LineError::NoRecord));
        }
    }
}
