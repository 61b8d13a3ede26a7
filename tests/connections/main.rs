//! What a peer sees of the listeners over real sockets: protocols, time-outs, limits, the graceful stop, the admin side.
//!
//! Relies on the library's server with a handler of these files' own. Never waits for a time to pass where an event can
//! be waited for; every wait ends after ten seconds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at once where something is not as it expects"
)]

mod admin_and_stop;
mod certificates;
mod peer;
mod plain;
mod tls;
