//! The cryptography of liveness sessions: session ids that only their owner can use, and the
//! digests and fingerprints by which sessions and uploads are compared.
//!
//! [`seal`] derives keys from `sessions.seal_key`, [`keyring`] holds the keys in use, [`ticket`]
//! seals and opens session ids, and [`fingerprint`] tells a retry from another video. Nothing here
//! knows what became of a session, reaches a store, or speaks HTTP. With `sessions.bind = false`
//! none of it is used.

pub mod fingerprint;
pub mod keyring;
pub mod seal;
pub mod ticket;

pub use self::keyring::{SessionKeys, SessionSettings};

#[cfg(test)]
mod tests;
