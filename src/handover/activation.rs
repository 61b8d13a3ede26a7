//! Sockets from the service manager, by the protocol of sd_listen_fds(3).
//!
//! Relies on `listenfd` to make sockets of descriptors' numbers. Never uses a descriptor unless
//! `LISTEN_PID` says that it is meant for this process.

use std::env;

use listenfd::ListenFd;

use super::{InheritError, InheritedSocket, wire::MAX_SOCKETS};
use crate::service_manager::LISTEN_VARIABLES;

/// The number of the first passed descriptor.
const FIRST: usize = 3;

/// The sockets that are passed to this process.
pub(super) fn sockets() -> Result<Vec<InheritedSocket>, InheritError> {
    let [process, count, _] = LISTEN_VARIABLES.map(|name| env::var(name).ok());
    // `listenfd` takes descriptors without a LISTEN_PID too, unlike sd_listen_fds(3).
    let ours = process.is_some_and(|process| process.parse() == Ok(std::process::id()));
    let Some(count) = count.filter(|_| ours) else {
        return Ok(Vec::new());
    };
    let Some(count) = number(&count) else {
        return Err(InheritError::Count(count));
    };
    let mut passed = ListenFd::from_env();
    (0..count)
        .map(|at| {
            let descriptor = FIRST.saturating_add(at);
            match passed.take_tcp_listener(at) {
                Ok(Some(listener)) => InheritedSocket::new(listener, descriptor, None),
                _ => {
                    let what = kind(&mut passed, at);
                    Err(InheritError::Kind { descriptor, what })
                }
            }
        })
        .collect()
}

/// The number of descriptors, if it is a possible one.
fn number(text: &str) -> Option<usize> {
    text.parse().ok().filter(|count| *count <= MAX_SOCKETS)
}

/// What a descriptor is that is no TCP socket.
fn kind(passed: &mut ListenFd, at: usize) -> &'static str {
    if passed.take_unix_listener(at).is_ok_and(|it| it.is_some()) {
        "a Unix socket"
    } else if passed.take_udp_socket(at).is_ok_and(|it| it.is_some()) {
        "a datagram socket"
    } else {
        "something that is no TCP socket"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_of_descriptors_is_a_small_number() {
        for (text, expected) in [
            ("2", Some(2)),
            ("0", Some(0)),
            ("", None),
            ("-1", None),
            ("two", None),
            ("99999999999", None),
        ] {
            assert_eq!(number(text), expected, "{text}");
        }
    }
}
