//! The listeners as a peer sees them over real sockets: protocols, timeouts, limits, the graceful
//! stop, the admin side.
//!
//! Relies on the library's server with a handler of its own. Waits for events, not for time to
//! pass; every wait ends after ten seconds.

mod admin_and_stop;
pub(crate) mod certificates;
mod parked;
pub(crate) mod peer;
mod places;
mod plain;
pub(crate) mod resumption;
mod tls;
