//! Verdicts: what a frontend carries to its own backend as proof of what Qiniu said, so that nobody has to take the
//! frontend's word.
//!
//! [`judge`] decides whether an answer is a pass, [`sign`] puts that into a signed token and publishes the keys, [`key`]
//! is the keys, `keyring` changes them, [`member`] puts the token into the answer. Relies on what [`crate::qiniu::scores`] picked up.
//! This part never takes a missing or malformed member for a pass, and never writes a number of Qiniu's in another way
//! than Qiniu did.

pub mod judge;
pub mod key;
mod keyring;
pub mod member;
mod settings;
pub mod sign;

pub use settings::{VerdictKeys, VerdictSettings};
