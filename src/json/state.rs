//! What a cut remembers of the document between two bytes: the open objects and arrays, the name and the scalar being read.

use smallvec::SmallVec;

use super::{
    CutError,
    rules::{NodeAction, NodeIndex},
    sink::CapturedValue,
};

/// Bytes of a captured string, number or compared member name at the most.
pub(super) const MAX_CAPTURE: usize = 4096;
/// Bytes of most of them.
const USUAL: usize = 32;

/// FrameStack inside one another, and hashes of the names in them: those of a usual document need no memory of their own.
pub(super) type FrameStack = SmallVec<[ContainerFrame; 4]>;
pub(super) type NameHashes = SmallVec<[u64; 16]>;

/// Members of an object in which duplicates are looked for.
const MAX_MEMBERS: usize = 1024;

pub(super) struct ContainerFrame {
    pub(super) object: bool,
    pub(super) place: Option<NodeIndex>,
    /// A member stayed, so the next one needs its comma.
    pub(super) kept_any: bool,
    /// Where the hashes of its members' names begin in those of all open objects, where duplicates are looked for. Few enough
    /// to be searched one by one.
    names: Option<usize>,
}

impl ContainerFrame {
    /// `names`: the hashes of the names in the objects around it.
    pub(super) fn new(
        object: bool,
        place: Option<NodeIndex>,
        watched: bool,
        names: &[u64],
    ) -> Self {
        Self {
            object,
            place,
            kept_any: false,
            names: watched.then_some(names.len()),
        }
    }

    /// Whether duplicates are looked for in it.
    pub(super) fn is_watched(&self) -> bool {
        self.names.is_some()
    }

    /// One more member; its name by its hash.
    pub(super) fn note(&self, name: u64, names: &mut NameHashes) -> Result<(), CutError> {
        let Some(first) = self.names else {
            return Ok(());
        };
        let seen = names.get(first..).unwrap_or_default();
        if seen.len() >= MAX_MEMBERS {
            return Err(CutError::TooManyMembers);
        }
        if seen.contains(&name) {
            return Err(CutError::DuplicateKey);
        }
        names.push(name);
        Ok(())
    }

    /// It is over: its names are forgotten.
    pub(super) fn close(&self, names: &mut NameHashes) {
        if let Some(first) = self.names {
            names.truncate(first);
        }
    }
}

/// A string, number or literal that is being read.
pub(super) struct CurrentScalar {
    pub(super) action: NodeAction,
    pub(super) string: bool,
    pub(super) raw_length: usize,
    pub(super) decoded: Vec<u8>,
}

impl CurrentScalar {
    /// Begins one with the last of these bytes.
    pub(super) fn begin(action: NodeAction, string: bool, bytes: &[u8]) -> Self {
        let wanted = action.capture.is_some() && !(string && action.stream);
        let mut decoded = Vec::with_capacity(if wanted { USUAL } else { 0 });
        // A string begins behind its quote.
        if wanted && !string {
            decoded.extend(bytes.last());
        }
        Self {
            action,
            string,
            raw_length: usize::from(!string),
            decoded,
        }
    }

    pub(super) fn take(&mut self, bytes: &[u8]) {
        // One byte over the limit is enough to know that it is over.
        let room = (MAX_CAPTURE + 1).saturating_sub(self.decoded.len());
        self.decoded
            .extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    pub(super) fn value(self) -> CapturedValue {
        if self.action.capture.is_none() {
            return CapturedValue::Absent;
        }
        match String::from_utf8(self.decoded) {
            _ if self.string && self.action.stream => CapturedValue::Streamed,
            Ok(text) if text.len() <= MAX_CAPTURE => match text.as_str() {
                _ if self.string => CapturedValue::String(text),
                "null" => CapturedValue::Null,
                "true" => CapturedValue::Bool(true),
                "false" => CapturedValue::Bool(false),
                _ => CapturedValue::Number(text),
            },
            _ => CapturedValue::TooLong,
        }
    }
}

/// An odd number without a pattern: spreads eight bytes of a name over 64 bits.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Its first bytes, its length (decoded, and in the document) and its hash.
///
/// The hash tells two names of one object apart. It is cheap and not a strong one: who finds two names of one hash has
/// made a document that is refused, and nothing else. It is seeded, so that nobody meets such names by accident twice.
pub(super) struct MemberName {
    start: SmallVec<[u8; 32]>,
    length: usize,
    raw_length: usize,
    seed: u64,
    /// Of the whole words so far.
    hash: u64,
    /// The bytes behind them, the first in the lowest place.
    word: u64,
}

impl MemberName {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            start: SmallVec::new(),
            length: 0,
            raw_length: 0,
            seed,
            hash: 0,
            word: 0,
        }
    }

    /// Begins another name.
    pub(super) fn begin(&mut self) {
        self.start.clear();
        self.length = 0;
        self.raw_length = 0;
        self.hash = self.seed;
        self.word = 0;
    }

    /// Takes its next bytes, decoded; in the document they are `raw` bytes.
    pub(super) fn take(&mut self, bytes: &[u8], raw: usize) {
        self.raw_length = self.raw_length.saturating_add(raw);
        for byte in bytes {
            self.word |= u64::from(*byte) << (self.length % 8 * 8);
            self.length = self.length.saturating_add(1);
            if self.length.is_multiple_of(8) {
                self.hash = mix(self.hash, self.word);
                self.word = 0;
            }
        }
        if self.length <= MAX_CAPTURE {
            self.start.extend_from_slice(bytes);
        }
    }

    /// The first bytes of an escape, whose character comes with the rest.
    pub(super) fn part_of_escape(&mut self, raw: usize) {
        self.raw_length = self.raw_length.saturating_add(raw);
    }

    /// Bytes in the document.
    pub(super) fn raw_len(&self) -> usize {
        self.raw_length
    }

    /// The whole name; empty for one that is too long to be any that we know.
    pub(super) fn known(&self) -> &[u8] {
        if self.length == self.start.len() {
            &self.start
        } else {
            &[]
        }
    }

    /// The same for equal names, however they were written or split.
    pub(super) fn hash(&self) -> u64 {
        finish(self.hash, self.word, self.length)
    }
}

/// The hash of a name that is all there.
pub(super) fn hash(seed: u64, name: &[u8]) -> u64 {
    let (words, rest) = name.as_chunks::<8>();
    let hash = words
        .iter()
        .fold(seed, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    let word = rest
        .iter()
        .rev()
        .fold(0, |word, byte| word << 8 | u64::from(*byte));
    finish(hash, word, name.len())
}

/// Another hash for each other word.
fn mix(hash: u64, word: u64) -> u64 {
    let mixed = (hash ^ word).wrapping_mul(FACTOR);
    mixed ^ (mixed >> 32)
}

fn finish(hash: u64, word: u64, length: usize) -> u64 {
    mix(mix(hash, word), length as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_name_has_one_hash_however_it_is_split(
            name in proptest::collection::vec(any::<u8>(), 0..40),
            pieces in 1..9_usize,
        ) {
            let mut split = MemberName::new(7);
            split.begin();
            name.chunks(pieces).for_each(|piece| split.take(piece, piece.len()));
            prop_assert_eq!(split.hash(), hash(7, &name));
            let mut longer = name.clone();
            longer.push(0);
            prop_assert_ne!(hash(7, &longer), hash(7, &name));
            prop_assert_ne!(hash(8, &name), hash(7, &name));
        }
    }
}
