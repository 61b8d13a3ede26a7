//! Core dumps, which are off: an image of the process holds keys and faces.
//!
//! Two ways, since each has a gap. A limit of 0 stops files, but a dump that is piped to a program
//! (core(5), `core_pattern`) ignores it. A process that is not dumpable has no dump of either
//! kind, and its memory can be read by privileged users only; but a sandbox may forbid the call.
//! Relies on the system. Never reads a secret.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

/// Why core dumps may still be written.
#[derive(Debug, thiserror::Error)]
pub enum CoreDumpError {
    /// The limit of their size can't be set.
    #[error("the limit of core files can't be set to 0: {0}")]
    Limit(#[source] io::Error),
    /// The process stays dumpable.
    #[error("the process can't be made undumpable: {0}")]
    Dumpable(#[source] io::Error),
}

/// Turns core dumps off for the rest of the process's life. Also keeps processes of the same user
/// from reading its memory or its environment.
///
/// # Errors
/// One of the two ways fails; the other one is used all the same.
pub fn disable() -> Result<(), CoreDumpError> {
    let undumpable = make_undumpable();
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none).map_err(|error| CoreDumpError::Limit(error.into()))?;
    undumpable.map_err(CoreDumpError::Dumpable)
}

#[cfg(target_os = "linux")]
fn make_undumpable() -> io::Result<()> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Other systems have no such call.
#[cfg(not(target_os = "linux"))]
fn make_undumpable() -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::{DumpableBehavior, dumpable_behavior, getrlimit};

    use super::*;

    #[test]
    fn both_ways_to_a_core_dump_are_closed() {
        disable().unwrap();
        let limit = getrlimit(Resource::Core);
        assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    }
}
