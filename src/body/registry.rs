//! The large bodies: who holds how much, how far each is, and which of them end for others.
//!
//! Each body is in one [`BodyState`]; one that has been told to end never leaves it. Relies on the
//! lock of [`super::memory`]. Never ends a body that keeps its pace, or that is needed.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use tokio::time::Instant;

use super::{BodyRefusal, large::LargeBody, pace::owed};
use crate::limit::{ByCaller, CallerKey};

/// What a body takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyNeed {
    /// Whose share it counts in.
    pub(super) caller: CallerKey,
    /// Memory, in bytes.
    pub(super) bytes: u64,
    /// Length on the wire, as far as it is known, in bytes.
    pub(super) length: u64,
}

/// The large bodies.
#[derive(Debug, Default)]
pub(super) struct Registry {
    /// By the order of their arrival.
    pub(super) bodies: BTreeMap<u64, RegisteredBody>,
    next: u64,
    /// Bytes that each user's bodies hold; never 0.
    pub(super) users: HashMap<CallerKey, u64, ByCaller>,
}

#[derive(Debug)]
pub(super) struct RegisteredBody {
    pub(super) shared: Arc<LargeBody>,
    pub(super) need: BodyNeed,
    since: Instant,
    state: BodyState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyState {
    /// It waits for room and is not read meanwhile.
    Waiting,
    /// It may be ended if it is behind its pace.
    Arriving,
    /// It is needed until its request ends.
    Complete,
    /// Its request waits for another one, and can go on without it.
    Spare,
    /// Its request has been told to drop it.
    Ended,
}

impl Registry {
    /// Registers a new body, or the growth of a `known` one, within `per_user` bytes of its user.
    pub(super) fn register(
        &mut self,
        known: Option<u64>,
        need: BodyNeed,
        per_user: u64,
        now: Instant,
    ) -> Result<u64, BodyRefusal> {
        let id = known.unwrap_or(self.next);
        let before = match self.bodies.get(&id) {
            Some(body) if body.state == BodyState::Ended => return Err(BodyRefusal::Displaced),
            Some(body) => body.need.bytes,
            None => 0,
        };
        let held = self.users.get(&need.caller).copied().unwrap_or(0);
        let others = held.saturating_sub(before);
        let all = others.saturating_add(need.bytes);
        if others > 0 && all > per_user {
            return Err(BodyRefusal::UserShare);
        }
        self.users.insert(need.caller, all);
        match self.bodies.get_mut(&id) {
            Some(body) => body.need = need,
            None => {
                self.next = self.next.wrapping_add(1);
                let body = RegisteredBody {
                    shared: Arc::default(),
                    need,
                    since: now,
                    state: BodyState::Arriving,
                };
                self.bodies.insert(id, body);
            }
        }
        Ok(id)
    }

    /// Says that a body that waited for room has it. The time of a `new` one begins.
    pub(super) fn admit(&mut self, id: u64, new: bool, now: Instant) {
        if let Some(body) = self.bodies.get_mut(&id) {
            body.state = BodyState::Arriving;
            if new {
                body.since = now;
            }
        }
    }

    /// Forgets a body, whose memory is about to be released.
    pub(super) fn remove(&mut self, id: u64) {
        let Some(RegisteredBody { need, .. }) = self.bodies.remove(&id) else {
            return;
        };
        if let Some(held) = self.users.get_mut(&need.caller) {
            *held = held.saturating_sub(need.bytes);
            if *held == 0 {
                self.users.remove(&need.caller);
            }
        }
    }

    /// Ends the bodies that are furthest behind, except `own`, until they free `short` bytes.
    /// Returns `false`, and ends none, if all of them together would not.
    pub(super) fn end_slowest(
        &mut self,
        mut short: u64,
        min_rate: u64,
        own: Option<u64>,
        now: Instant,
    ) -> bool {
        let behind = self.bodies.iter().filter_map(|(id, body)| {
            let owed = body.owed(min_rate, now);
            (owed > 0 && own != Some(*id)).then_some((owed, *id, body.need.bytes))
        });
        let mut behind: Vec<_> = behind.collect();
        let all = behind.iter().map(|(_, _, bytes)| *bytes);
        if all.fold(0, u64::saturating_add) < short {
            return false;
        }
        behind.sort_unstable_by(|a, b| b.cmp(a));
        for (_, id, bytes) in behind {
            if short == 0 {
                break;
            }
            short = short.saturating_sub(bytes);
            self.set_state(id, BodyState::Ended);
            if let Some(body) = self.bodies.get(&id) {
                body.shared.end();
            }
        }
        true
    }

    /// Puts a body into another state. Returns `false` if it has been ended.
    pub(super) fn set_state(&mut self, id: u64, state: BodyState) -> bool {
        match self.bodies.get_mut(&id) {
            Some(body) if body.state != BodyState::Ended => {
                body.state = state;
                true
            }
            _ => false,
        }
    }

    /// The memory of all bodies in a state, in bytes.
    pub(super) fn bytes_of(&self, state: BodyState) -> u64 {
        let bodies = self.bodies.values();
        let bytes = bodies.filter(|body| body.state == state);
        bytes.fold(0, |sum, body| sum.saturating_add(body.need.bytes))
    }
}

impl RegisteredBody {
    /// How far the body is behind, in bytes; 0 if it must not be ended.
    fn owed(&self, min_rate: u64, now: Instant) -> u64 {
        match self.state {
            BodyState::Spare => u64::MAX,
            BodyState::Arriving => {
                let age = now.saturating_duration_since(self.since);
                owed(min_rate, self.need.length, self.shared.received(), age)
            }
            BodyState::Waiting | BodyState::Complete | BodyState::Ended => 0,
        }
    }
}
