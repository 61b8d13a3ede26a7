//! Verdicts: signed statements of Qiniu's result, which a frontend carries to its own backend. The
//! backend verifies them and does not have to trust the frontend.
//!
//! [`judge`] decides whether a response passes. [`sign`] signs the verdict and inserts it into the
//! response. [`key`] holds the keys, and `keyring` publishes and replaces them.
//!
//! Relies on [`crate::qiniu::scores`] for the members of the response. A missing or malformed
//! member never passes, and Qiniu's numbers are copied as written, never reformatted.

pub mod judge;
pub mod key;
mod keyring;
pub mod sign;

pub use keyring::VerdictKeys;
pub use sign::VerdictSettings;
