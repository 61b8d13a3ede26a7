//! One billed call for each session, however often its upload is sent and to however many replicas.
//!
//! [`claim`] decides whether an upload may call Qiniu: [`VerifyOnce::claim`] returns a
//! [`VerifyLease`], the right and the duty to make the one call, or the [`CachedResponse`] of the
//! call that was made. [`lease`] settles the outcome of the call, [`ledger`] remembers it on this
//! replica, [`cached`] is a response that can be repeated, and [`outbox`] publishes everything to
//! the other replicas.
//!
//! Relies on [`crate::session`] for tickets and fingerprints and on [`crate::store`] for what
//! replicas share. Never calls Qiniu itself, and never knows a caller or HTTP.

pub mod cached;
pub mod claim;
pub mod lease;
pub mod ledger;
mod outbox;

pub use self::{
    cached::CachedResponse,
    claim::{VerifyOnce, wait_timeout},
    lease::{Claim, VerifyLease, VerifyOutcome},
    ledger::ClaimError,
};
