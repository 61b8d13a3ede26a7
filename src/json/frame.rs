//! An object or array that is being read.

use smallvec::SmallVec;

use super::{error::CutError, rules::NodeIndex};

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
