//! What a cut remembers of a document between two bytes: the open objects and arrays, the name and
//! the scalar being read.
//!
//! Bounded, whatever the document: nothing here holds more than one captured value and 1,024 hashes
//! for each open object.

use std::hash::{BuildHasher, DefaultHasher, Hasher, RandomState};

use smallvec::SmallVec;

use super::{
    CutError,
    rules::{NodeAction, NodeIndex},
    sink::CapturedValue,
};
use crate::wipe::{self, WipedVec};

/// Maximum size of a captured string or number, and of a name that rules can match, in bytes.
const MAX_CAPTURE: usize = 4096;
/// Usual size of a captured value, in bytes.
const USUAL_CAPTURE: usize = 32;
/// Maximum number of members in an object that is watched for duplicates.
const MAX_MEMBERS: usize = 1024;

/// The open objects and arrays. A usual document needs no allocation for them.
pub(super) type FrameStack = SmallVec<[ContainerFrame; 4]>;
/// Hashes of the member names in all open objects that are watched.
pub(super) type NameHashes = SmallVec<[u64; 16]>;

/// An open object or array.
pub(super) struct ContainerFrame {
    /// Whether it is an object.
    pub(super) object: bool,
    pub(super) place: Option<NodeIndex>,
    /// Whether a member or element stayed, so that the next one needs its comma.
    pub(super) kept_any: bool,
    /// Index of its first name in the [`NameHashes`], if it is watched for duplicates. There are
    /// few enough for a linear search.
    names: Option<usize>,
    /// One bit for each member that the rules name, up to 64: which were there.
    seen: u64,
}

impl ContainerFrame {
    /// `names` are the hashes of the names in the objects around it.
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
            seen: 0,
        }
    }

    /// Adds a member: the one of this `number` among those that the rules name, or else one whose
    /// name has this `hash`.
    ///
    /// # Errors
    /// The object is watched, and has too many members or two of the same name.
    pub(super) fn add(
        &mut self,
        number: Option<usize>,
        hash: impl FnOnce() -> u64,
        names: &mut NameHashes,
    ) -> Result<(), CutError> {
        let Some(first) = self.names else {
            return Ok(());
        };
        let bit = number.and_then(|number| 1_u64.checked_shl(u32::try_from(number).ok()?));
        if let Some(bit) = bit {
            if self.seen & bit != 0 {
                return Err(CutError::DuplicateKey);
            }
            self.seen |= bit;
            return Ok(());
        }
        let others = names.get(first..).unwrap_or_default();
        if others.len() >= MAX_MEMBERS {
            return Err(CutError::TooManyMembers);
        }
        let name = hash();
        if others.contains(&name) {
            return Err(CutError::DuplicateKey);
        }
        names.push(name);
        Ok(())
    }

    /// Forgets its names at its end.
    pub(super) fn close(&self, names: &mut NameHashes) {
        if let Some(first) = self.names {
            names.truncate(first);
        }
    }
}

/// A string, number or literal that is being read.
pub(super) struct CurrentScalar {
    pub(super) action: NodeAction,
    /// Whether it is a string.
    pub(super) string: bool,
    /// Length in the document, without quotes, in bytes.
    raw_length: usize,
    /// The decoded value, if it is captured.
    decoded: WipedVec,
}

impl CurrentScalar {
    /// Starts a scalar. Unless it is a string, the last of `bytes` is its first byte.
    pub(super) fn begin(action: NodeAction, string: bool, bytes: &[u8]) -> Self {
        let captured = action.capture.is_some() && !(string && action.stream);
        let room = if captured { USUAL_CAPTURE } else { 0 };
        let mut decoded = WipedVec::new(Vec::with_capacity(room));
        if captured && !string {
            decoded.extend(bytes.last());
        }
        Self {
            action,
            string,
            raw_length: usize::from(!string),
            decoded,
        }
    }

    /// Adds `raw` bytes to its length in the document.
    pub(super) fn count(&mut self, raw: usize) {
        self.raw_length = self.raw_length.saturating_add(raw);
    }

    /// Takes the next decoded bytes, if it is captured.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        if self.action.capture.is_none() {
            return;
        }
        // One byte more than the maximum shows that it is too long.
        let room = (MAX_CAPTURE + 1).saturating_sub(self.decoded.len());
        wipe::append(&mut self.decoded, bytes.get(..room).unwrap_or(bytes));
    }

    /// Whether it must be removed because it is longer than `max` bytes. A replaced scalar never
    /// is, because it is not passed on.
    pub(super) fn is_too_long(&self, max: Option<usize>) -> bool {
        !self.action.replace && max.is_some_and(|max| self.raw_length > max)
    }

    /// Whether it stays at any length, so that a long string need not wait for its end.
    pub(super) fn is_settled(&self, max: Option<usize>) -> bool {
        max.is_none() && !self.action.replace
    }

    /// The captured value, at its end.
    pub(super) fn value(mut self) -> CapturedValue {
        if self.action.capture.is_none() {
            return CapturedValue::Absent;
        }
        match String::from_utf8(std::mem::take(&mut *self.decoded)) {
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

/// The member name that is being read: its first bytes, its lengths and its hash.
///
/// Names are compared by their hashes, so that an object's names take little memory. The hash is
/// keyed with a random seed; a collision would refuse a valid document.
pub(super) struct MemberName {
    start: SmallVec<[u8; 32]>,
    /// Decoded length, in bytes.
    length: usize,
    /// Length in the document, in bytes.
    raw_length: usize,
    seed: RandomState,
    /// Hashes the name once it is too long for `start`.
    hasher: Option<DefaultHasher>,
}

impl MemberName {
    /// No name yet. Hashes are keyed with `seed`.
    pub(super) fn new(seed: &RandomState) -> Self {
        Self {
            start: SmallVec::new(),
            length: 0,
            raw_length: 0,
            seed: seed.clone(),
            hasher: None,
        }
    }

    /// Starts another name.
    pub(super) fn begin(&mut self) {
        self.start.clear();
        self.length = 0;
        self.raw_length = 0;
        self.hasher = None;
    }

    /// Takes the next decoded bytes, which are `raw` bytes in the document.
    pub(super) fn take(&mut self, bytes: &[u8], raw: usize) {
        self.count(raw);
        self.length = self.length.saturating_add(bytes.len());
        let room = MAX_CAPTURE.saturating_sub(self.start.len());
        if bytes.len() > room && self.hasher.is_none() {
            let mut hasher = self.seed.build_hasher();
            hasher.write(&self.start);
            self.hasher = Some(hasher);
        }
        // `DefaultHasher` hashes the same bytes to the same value however they are split, which a
        // test below holds it to.
        if let Some(hasher) = &mut self.hasher {
            hasher.write(bytes);
        }
        self.start
            .extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    /// Adds `raw` bytes to the length in the document: the first part of an escape, whose character
    /// comes with the rest.
    pub(super) fn count(&mut self, raw: usize) {
        self.raw_length = self.raw_length.saturating_add(raw);
    }

    /// Length in the document, in bytes.
    pub(super) fn raw_len(&self) -> usize {
        self.raw_length
    }

    /// The first bytes of the name.
    pub(super) fn start(&self) -> &[u8] {
        &self.start
    }

    /// The complete name; empty if it is too long to match a rule.
    pub(super) fn known(&self) -> &[u8] {
        if self.length == self.start.len() {
            &self.start
        } else {
            &[]
        }
    }

    /// The hash, equal for equal names however they were written or split.
    pub(super) fn hash(&self) -> u64 {
        match &self.hasher {
            Some(hasher) => hasher.finish(),
            None => hash(&self.seed, &self.start),
        }
    }
}

/// The hash of a complete name.
pub(super) fn hash(seed: &RandomState, name: &[u8]) -> u64 {
    let mut hasher = seed.build_hasher();
    hasher.write(name);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_name_has_one_hash_however_it_is_split(
            mut name in proptest::collection::vec(any::<u8>(), 0..40),
            long in any::<bool>(),
            pieces in 1..9_usize,
        ) {
            if long {
                name.resize(MAX_CAPTURE + 20, 7);
            }
            let seeds = [RandomState::new(), RandomState::new()];
            let mut split = MemberName::new(&seeds[0]);
            split.begin();
            name.chunks(pieces).for_each(|piece| split.take(piece, piece.len()));
            prop_assert_eq!(split.hash(), hash(&seeds[0], &name));
            let mut longer = name.clone();
            longer.push(0);
            prop_assert_ne!(hash(&seeds[0], &longer), hash(&seeds[0], &name));
            prop_assert_ne!(hash(&seeds[1], &name), hash(&seeds[0], &name));
        }
    }
}
