//! The keys of issuers that the gateway knows at a moment, for the process that takes over from it.
//!
//! Relies on [`crate::auth`] for what they are. Knows none before the gateway serves.

use std::sync::{Arc, OnceLock, Weak};

use crate::{handover::MAX_KEYS, relay::gateway::CurrentGateway};

/// Reads the keys of issuers that the gateway of the moment knows.
#[derive(Clone, Default)]
pub struct KeysInUse(Arc<OnceLock<Weak<CurrentGateway>>>);

impl KeysInUse {
    /// The keys, as another process reads them.
    pub fn to_bytes(&self) -> Vec<u8> {
        let current = self.0.get().and_then(Weak::upgrade);
        let keys =
            |current: Arc<CurrentGateway>| current.load().authenticator.passed_keys(MAX_KEYS);
        current.map(keys).unwrap_or_default()
    }

    pub(super) fn are_of(&self, current: &Arc<CurrentGateway>) {
        // A gateway serves once.
        let _ = self.0.set(Arc::downgrade(current));
    }
}
