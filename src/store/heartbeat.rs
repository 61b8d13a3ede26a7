//! A replica's heartbeat: that it is alive, and since when the primary has been remembering. As the
//! first call over a connection it is a probe: a server that takes it is a primary.
//!
//! Two calls of one key each, so that both succeed while a cluster moves the keys one by one.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use tokio::time::timeout;

use super::{
    error::StoreError,
    keys::{StoreKey, StoreNames},
    route::StoreRoute,
    script::{Script, ScriptReply, Scripts},
};

/// How long the store's epoch is remembered without a heartbeat: longer than any session.
const EPOCH_LIFETIME: Duration = Duration::from_secs(3600);

/// The heartbeat of one replica.
pub(super) struct Heartbeat {
    replica: StoreKey,
    epoch: StoreKey,
    lifetime: String,
    remembered: String,
}

/// One of the calls of a heartbeat.
pub(super) struct HeartbeatCall<'a> {
    pub(super) script: &'a Script,
    pub(super) key: &'a StoreKey,
    pub(super) arg: &'a [u8],
}

/// The heartbeat as the first call at a server.
pub(super) struct Probe<'a> {
    pub(super) heartbeat: &'a Heartbeat,
    pub(super) scripts: &'a Scripts,
    /// Timeout of each call.
    pub(super) timeout: Duration,
    /// The epoch of the store that is in use.
    pub(super) epoch: &'a AtomicI64,
}

impl Heartbeat {
    /// Without another one, the replica counts as alive for `lifetime`.
    pub(super) fn new(names: &StoreNames, replica: &str, lifetime: Duration) -> Self {
        Self {
            replica: names.replica(replica),
            epoch: names.epoch(),
            lifetime: lifetime.as_millis().to_string(),
            remembered: EPOCH_LIFETIME.as_millis().to_string(),
        }
    }

    /// The heartbeat of a visitor, which only asks whether a store can be used. Its epoch is its
    /// own: a primary that no replica has seen must still settle for the first of them.
    pub(super) fn of_visitor(names: &StoreNames, visitor: &str, lifetime: Duration) -> Self {
        let lifetime = lifetime.as_millis().to_string();
        Self {
            replica: names.replica(visitor),
            epoch: names.replica(&format!("{visitor}:epoch")),
            remembered: lifetime.clone(),
            lifetime,
        }
    }

    /// The calls, in order. The reply to each is a number, to the last one the store's epoch.
    pub(super) fn calls<'a>(&'a self, scripts: &'a Scripts) -> [HeartbeatCall<'a>; 2] {
        [
            HeartbeatCall {
                script: &scripts.alive,
                key: &self.replica,
                arg: self.lifetime.as_bytes(),
            },
            HeartbeatCall {
                script: &scripts.heartbeat,
                key: &self.epoch,
                arg: self.remembered.as_bytes(),
            },
        ]
    }
}

impl Probe<'_> {
    /// The epoch of the store that is in use, or was last. No two primaries have the same.
    pub(super) fn epoch_in_use(&self) -> i64 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// Returns the store's epoch.
    pub(super) async fn run(&self, route: &StoreRoute) -> Result<i64, StoreError> {
        let mut epoch = 0;
        for call in self.heartbeat.calls(self.scripts) {
            let (keys, args) = ([call.key], [call.arg]);
            let reply = route.run(call.script, &keys, &args);
            let reply = timeout(self.timeout, reply).await;
            epoch = match reply.map_err(|_| StoreError::Timeout)?? {
                ScriptReply::Number(number) => number,
                _ => return Err(StoreError::Invalid),
            };
        }
        Ok(epoch)
    }
}
