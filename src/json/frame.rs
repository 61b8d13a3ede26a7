//! An object or array that is being read.

use std::collections::HashSet;

use super::{error::CutError, rules::Place};

/// Members of an object in which duplicates are looked for.
const MAX_MEMBERS: usize = 1024;

pub(super) struct Frame {
    pub(super) object: bool,
    pub(super) place: Option<Place>,
    /// A member stayed, so the next one needs its comma.
    pub(super) kept_any: bool,
    /// The hashes of its members' names, where duplicates are looked for.
    seen: Option<HashSet<u64>>,
}

impl Frame {
    pub(super) fn new(object: bool, place: Option<Place>, watched: bool) -> Self {
        Self {
            object,
            place,
            kept_any: false,
            seen: watched.then(HashSet::new),
        }
    }

    /// Whether two members of one name are an error.
    pub(super) fn is_watched(&self) -> bool {
        self.seen.is_some()
    }

    /// One more member; its name by its hash.
    pub(super) fn note(&mut self, name: u64) -> Result<(), CutError> {
        let Some(seen) = &mut self.seen else {
            return Ok(());
        };
        if seen.len() >= MAX_MEMBERS {
            return Err(CutError::TooManyMembers);
        }
        match seen.insert(name) {
            true => Ok(()),
            false => Err(CutError::DuplicateKey),
        }
    }
}
