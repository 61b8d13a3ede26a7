//! Limits of each caller on a route: its rate ([`rate`]), its concurrent calls ([`concurrency`]),
//! and its calls in a day or another window ([`quota`], by a [`clock`]). Rates and quotas hold for
//! all replicas together where there is a store ([`crate::store`]). The requests of each client's
//! address are limited before its caller is known ([`address`]).
//!
//! A caller is identified by a keyed hash ([`caller`]), so no personal data is held.

pub mod address;
mod caller;
pub mod clock;
pub mod concurrency;
pub mod quota;
pub mod rate;

pub(crate) use self::caller::ByCaller;
pub use self::caller::{CallerKey, CallerKeys};
