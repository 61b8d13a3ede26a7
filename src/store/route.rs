//! The way of a call to its keys: the primary, and while a cluster moves the keys, the node that
//! is being given them.

use super::{
    error::StoreError,
    keys::StoreKey,
    script::{Script, ScriptReply},
    wire::StoreConnection,
};

/// The way of a call to its keys.
pub(super) struct StoreRoute {
    pub(super) primary: StoreConnection,
    /// The node of a cluster that is being given the keys of the primary.
    pub(super) successor: Option<StoreConnection>,
}

/// The way to a primary that has taken a heartbeat.
pub(super) struct ProbedRoute {
    pub(super) route: StoreRoute,
    /// The store's epoch.
    pub(super) epoch: i64,
}

/// What is to become of a route.
pub(super) enum RouteChange {
    /// Another server has taken over.
    Replaced(ProbedRoute),
    /// Another node of the cluster is being given the keys.
    Successor(StoreConnection),
}

impl StoreRoute {
    pub(super) fn to(primary: StoreConnection) -> Self {
        Self {
            primary,
            successor: None,
        }
    }

    /// Runs a script where its keys are.
    pub(super) async fn run(
        &self,
        script: &Script,
        keys: &[&StoreKey],
        args: &[&[u8]],
    ) -> Result<ScriptReply, StoreError> {
        let reply = self.primary.run(script, keys, args, false).await;
        match (reply, &self.successor) {
            (Err(StoreError::Ask(node)), Some(successor)) if successor.server() == Some(&node) => {
                successor.run(script, keys, args, true).await
            }
            (reply, _) => reply,
        }
    }
}
