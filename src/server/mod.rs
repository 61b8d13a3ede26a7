//! Listeners, connections, TLS, graceful stop and the admin listener.
//!
//! [`accept`] takes connections while there is room, [`connection`] serves one of them from its first byte to its last,
//! [`activity`] watches that it does not sit idle, [`drain`] lets all of them finish, [`admin`] is the other listener.
//! This part never looks into a request: that is [`crate::relay`]'s.

pub mod accept;
mod activity;
pub mod admin;
mod connection;
pub mod drain;
mod settings;
pub mod tls;

pub use accept::{DrainOutcome, Server};
pub use admin::Readiness;
pub use settings::{AdminSettings, ServerSettings};
