//! What a peer sees of the listeners over real sockets: protocols, time-outs, limits, the graceful stop, the admin side.
//!
//! Relies on the library's server with a handler of these files' own. Never waits for a time to pass where an event can
//! be waited for; every wait ends after ten seconds.

mod admin_and_stop;
pub(crate) mod certificates;
mod peer;
mod plain;
mod tls;
