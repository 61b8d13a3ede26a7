//! What replicas share through one Redis or Valkey: each caller's rate ([`rates`]), the calls
//! counted against quotas ([`quotas`]), and who may call Qiniu for a session ([`claims`]). [`link`]
//! limits the time of each call and tells whether the store is available; [`keep`] makes the one
//! connection.
//!
//! [`address`] parses the store's URL, and [`primary`] finds the server that it means: the only
//! one, the one that sentinels name ([`sentinel`]), or the one that has the slot of all keys in a
//! cluster ([`cluster`]). [`dial`] opens connections, [`route`] leads a call to its keys, and
//! [`wire`] speaks the protocol, behind a check of what servers send ([`checked`], [`frames`]).
//! [`probe`] only asks whether a store can be used.
//!
//! Speaks bytes and keys alone: it knows neither sessions nor callers. Relies on nothing that it
//! finds in the store: while the store is unavailable, slow, or sends invalid replies, a call fails
//! at once with [`Unavailable`], and the replica falls back to its local state. Keys are keyed
//! hashes, and values that concern a person are sealed by the caller, so reading the store reveals
//! nothing; every key expires. One round trip is one script, which touches only the keys it is
//! given. Never logs an address, a password, or a reply beyond its error code.

#![cfg_attr(
    not(feature = "redis"),
    allow(dead_code, reason = "without an address nothing is called")
)]

mod address;
#[cfg(feature = "redis")]
mod checked;
mod claims;
mod client;
mod cluster;
mod dial;
mod error;
mod frames;
mod heartbeat;
mod keep;
mod keys;
pub mod link;
mod log;
mod node_list;
mod pace;
mod primary;
mod probe;
mod quotas;
mod rates;
mod route;
mod script;
mod sentinel;
#[cfg(feature = "redis")]
mod wire;
#[cfg(not(feature = "redis"))]
#[path = "wire_absent.rs"]
mod wire;

pub use self::{
    address::StoreAddress,
    claims::{ClaimReply, ClaimRequest, KnownClaim, PublishedState},
    client::Store,
    error::{AddressError, StoreError, Unavailable},
    frames::{EndedFrame, InvalidFrame, MAX_FRAME, RespFrames},
    keep::jittered,
    keys::{NamingKey, StoreKey, StoreNames},
    link::StoreSettings,
    node_list::{NodeList, redirected},
    pace::StorePace,
    probe::{ProbedStore, StoreProbeError, StoreWarning},
    quotas::{CounterTotal, CounterUpdate},
    rates::RateDecision,
    script::ScriptReply,
    sentinel::SentinelVote,
};
