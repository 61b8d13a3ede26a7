//! An object or array that is being read.

use super::{error::CutError, rules::Place};

/// Members of an object in which duplicates are looked for.
const MAX_MEMBERS: usize = 1024;

pub(super) struct Frame {
    pub(super) object: bool,
    pub(super) place: Option<Place>,
    /// A member stayed, so the next one needs its comma.
    pub(super) kept_any: bool,
    /// The hashes of its members' names, where duplicates are looked for. Few enough to be searched one by one.
    seen: Option<Vec<u64>>,
}

impl Frame {
    pub(super) fn new(object: bool, place: Option<Place>, watched: bool) -> Self {
        Self {
            object,
            place,
            kept_any: false,
            seen: watched.then(|| Vec::with_capacity(8)),
        }
    }

    /// One more member; its name by its hash.
    pub(super) fn note(&mut self, name: u64) -> Result<(), CutError> {
        let Some(seen) = &mut self.seen else {
            return Ok(());
        };
        if seen.len() >= MAX_MEMBERS {
            return Err(CutError::TooManyMembers);
        }
        if seen.contains(&name) {
            return Err(CutError::DuplicateKey);
        }
        seen.push(name);
        Ok(())
    }
}
