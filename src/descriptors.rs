//! The file descriptors of the process: how many there may be, and what happens when there are no
//! more.
//!
//! Relies on the system's limit. Never assumes that a descriptor just closed is still free.

use std::{
    fs::File,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rustix::{
    io::Errno,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

/// Raises the soft limit of descriptors to the hard one.
///
/// A limit that can't be raised stays as it is.
pub fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "can't raise the limit of open files; raise it outside: LimitNOFILE=, ulimit -n");
    }
}

/// How many of `wanted` connections the limit of descriptors allows, if `reserved` descriptors are
/// kept for everything else. Says once in the log if these are fewer.
pub(crate) fn allowed_connections(wanted: usize, reserved: usize) -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    let allowed = allowed(wanted, reserved, limit.unwrap_or(usize::MAX));
    if allowed < wanted {
        tracing::warn!(
            allowed,
            limit,
            reserved,
            "server.max_connections = {wanted} is held to {allowed}, because the process may open \
             {} files, of which {reserved} are kept for Qiniu and others: raise that limit to {} \
             (LimitNOFILE= of systemd, ulimit -n), or lower server.max_connections",
            limit.unwrap_or(usize::MAX),
            wanted.saturating_add(reserved)
        );
    }
    allowed
}

/// At least half of the limit is left to connections, whatever the rest would like to have.
fn allowed(wanted: usize, reserved: usize, limit: usize) -> usize {
    let most = limit.saturating_sub(reserved).max(limit / 2);
    wanted.min(most)
}

/// Whether a call failed because no descriptor was free, in the process or in the system.
///
/// The resolver of names does not say so: then this asks the system for a descriptor.
pub(crate) fn are_used_up(error: &io::Error) -> bool {
    error.raw_os_error().map_or_else(
        || any_descriptor().is_err_and(|error| is_lack(&error)),
        |_| is_lack(error),
    )
}

/// A descriptor that nothing is done with.
fn any_descriptor() -> io::Result<File> {
    File::open("/")
}

fn is_lack(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    [Errno::MFILE, Errno::NFILE]
        .iter()
        .any(|errno| code == Some(errno.raw_os_error()))
}

/// Descriptors that are held back, so that a few more connections can be accepted when no other
/// descriptor is free.
pub(crate) struct DescriptorReserve {
    size: usize,
    held: Mutex<Vec<File>>,
}

impl DescriptorReserve {
    /// A reserve of so many descriptors, empty until it is [filled](Self::fill).
    pub(crate) fn new(size: usize) -> Self {
        Self {
            size,
            held: Mutex::default(),
        }
    }

    /// Holds back as many descriptors as are missing, as far as there are any.
    pub(crate) fn fill(&self) {
        let mut held = self.held();
        while held.len() < self.size {
            match any_descriptor() {
                Ok(descriptor) => held.push(descriptor),
                Err(_) => return,
            }
        }
    }

    /// Frees one descriptor. Returns whether there was one.
    pub(crate) fn release(&self) -> bool {
        self.held().pop().is_some()
    }

    fn held(&self) -> MutexGuard<'_, Vec<File>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_the_reserve_or_at_most_half_of_the_limit() {
        for (wanted, reserved, limit, expected) in [
            (10_000, 400, 65_536, 10_000),
            (10_000, 400, 1_024, 624),
            (600, 400, 1_024, 600),
            (10_000, 400, 500, 250),
            (100, 400, 500, 100),
        ] {
            assert_eq!(
                allowed(wanted, reserved, limit),
                expected,
                "{wanted} with a limit of {limit}"
            );
        }
    }

    #[test]
    fn only_a_lack_of_descriptors_is_one() {
        for (code, expected) in [(24, true), (23, true), (111, false), (2, false)] {
            assert_eq!(
                are_used_up(&io::Error::from_raw_os_error(code)),
                expected,
                "{code}"
            );
        }
        assert!(!are_used_up(&io::ErrorKind::TimedOut.into()));
    }
}
