//! The attacks by name: what each does, what it needs of the gateway, and what must still hold.
//!
//! An attack runs against any gateway on loopback addresses, in a process of its own or in a test.
//! Relies on nothing of the crate. Never runs longer than its target says.

pub(crate) mod crowd;
mod crowds;
pub(crate) mod flood;
mod floods;
pub(crate) mod frames;
mod shared;
pub(crate) mod statuses;
mod strangers;
pub(crate) mod wire;

use std::sync::Arc;

use self::{
    crowd::Crowd,
    flood::Flood,
    shared::SharedConnection,
    wire::{Tally, Target},
};

pub(crate) const SESSIONCODE: &str = "/v2/actionliveness/sessioncode";
pub(crate) const VERIFY: &str = "/v2/actionliveness/verify";

/// One attack.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    /// What it does, for the list.
    pub(crate) what: &'static str,
    pub(crate) shape: Shape,
    /// Whether the public listener speaks TLS.
    pub(crate) tls: bool,
    /// Keys of `[server]` that it is about, with their values.
    pub(crate) server: &'static [(&'static str, &'static str)],
    /// Descriptors that the gateway may have; 0 is the machine's limit.
    pub(crate) descriptors: u32,
    /// What must hold besides what always must.
    pub(crate) goal: Goal,
}

/// How an attack is made.
pub(crate) enum Shape {
    Crowd(Crowd),
    Flood(Flood),
    Shared(SharedConnection),
}

/// What must hold besides a latency of twice the usual, at most one request of 100 lost, newcomers
/// served, probes answered and no wrong response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    Usual,
    /// Resident memory grows by fewer MiB.
    Memory(u64),
    /// Of 20 users who send 2 MiB in 5 s each, again and again, at most 1 upload in 100 is lost.
    SlowUsers,
    /// Requests of normal users on the attackers' own connection are served.
    Victims,
    /// The attackers get a 429, which ends their connection.
    Limited,
}

impl Attack {
    /// Every attack, in the order of the table.
    pub(crate) fn all() -> impl Iterator<Item = &'static Self> {
        let groups = [
            strangers::UPLOADS,
            strangers::CROWDS,
            strangers::OTHERS,
            crowds::ATTACKS,
            floods::ATTACKS,
        ];
        groups.into_iter().flatten()
    }

    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        Self::all().find(|attack| attack.name == name)
    }

    /// Attacks until the target's time is over.
    pub(crate) async fn run(&'static self, target: &Target, tally: &Arc<Tally>) {
        match &self.shape {
            Shape::Crowd(crowd) => crowd.run(target, tally).await,
            Shape::Flood(flood) => flood.run(target, tally).await,
            Shape::Shared(shared) => shared.run(target, tally).await,
        }
    }

    /// Seconds that it takes to open all connections.
    pub(crate) fn ramp(&self, scale: f64) -> f64 {
        let scaled = |count: usize| (count as f64 * scale).ceil().max(1.0);
        match &self.shape {
            Shape::Crowd(crowd) => scaled(crowd.connections) / scaled(crowd.per_second),
            Shape::Flood(_) | Shape::Shared(_) => 0.5,
        }
    }
}
