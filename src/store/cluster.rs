//! Finds the primary that has the one slot of all keys in a cluster, and follows the slot.
//!
//! Any node knows which node has the slot, as far as it has heard. Every node that was ever named
//! is remembered until the primary in use leaves it out of its list, so the nodes of the URL may be
//! gone. The list of another node only adds to what is known: that node may have left the cluster,
//! or may be cut off. One that fails is asked last the next time. A node has the slot if it takes a
//! heartbeat; if not, its redirect leads on.

use std::{collections::VecDeque, time::Duration};

use tokio::{sync::watch, time::sleep};

use super::{
    dial::{StoreDialer, ask},
    error::StoreError,
    heartbeat::Probe,
    node_list::{MAX_NODES, NodeList},
    route::{ProbedRoute, RouteChange, StoreRoute},
    wire::StoreConnection,
};
use crate::outbound::origin::Origin;

/// Between two looks at which nodes there are.
const REFRESH: Duration = Duration::from_secs(10);
/// Maximum number of redirects in a row.
pub(super) const MAX_REDIRECTS: usize = 5;
/// Maximum number of nodes asked in one search.
const MAX_ASKED: usize = 8;

/// The nodes of a cluster, as far as they are known.
pub(super) struct ClusterMap {
    dialer: StoreDialer,
    /// The slot of all keys.
    slot: u16,
    /// The nodes of the URL.
    given: Vec<Origin>,
    /// All known nodes, likeliest first.
    nodes: VecDeque<Origin>,
}

/// Where a node sends a call.
#[derive(Clone)]
pub(super) enum Redirect {
    /// The slot is on this node.
    Moved(Origin),
    /// The slot moves to this node, which may have the keys of the call already.
    Ask(Origin),
}

impl ClusterMap {
    pub(super) fn new(dialer: StoreDialer, given: Vec<Origin>, slot: u16) -> Self {
        Self {
            dialer,
            slot,
            nodes: given.iter().cloned().collect(),
            given,
        }
    }

    /// Connects to the primary that has the slot.
    pub(super) async fn find(&mut self, probe: &Probe<'_>) -> Result<ProbedRoute, StoreError> {
        let mut error = StoreError::NoOwner;
        for _ in 0..self.nodes.len().min(MAX_ASKED) {
            let Some(node) = self.nodes.front().cloned() else {
                break;
            };
            match self.find_by(&node, probe).await {
                Ok(probed) => {
                    self.put_first(probed.route.primary.server());
                    return Ok(probed);
                }
                Err(refused) => error = refused,
            }
            self.nodes.retain(|it| *it != node);
            self.nodes.push_back(node);
        }
        Err(error)
    }

    /// Waits for a redirect, and follows it.
    pub(super) async fn changed(
        &mut self,
        route: &StoreRoute,
        redirects: &mut watch::Receiver<Option<Redirect>>,
        probe: &Probe<'_>,
    ) -> Result<RouteChange, StoreError> {
        loop {
            tokio::select! {
                changed = redirects.changed() => {
                    changed.map_err(|_| StoreError::NoOwner)?;
                    let redirect = redirects.borrow_and_update().clone();
                    match redirect {
                        // Sent by a call that was made before the last change.
                        Some(redirect) if leads_along(&redirect, route) => {}
                        Some(Redirect::Moved(node)) => {
                            return self.at(node, probe).await.map(RouteChange::Replaced);
                        }
                        Some(Redirect::Ask(node)) => {
                            return self.dialer.open(&node).await.map(RouteChange::Successor);
                        }
                        None => {}
                    }
                }
                () = sleep(REFRESH) => {
                    // A primary that can't tell is found out by other calls.
                    if let Ok(list) = self.list_of(&route.primary).await {
                        self.learn(list, route.primary.server());
                    }
                }
            }
        }
    }

    async fn find_by(
        &mut self,
        node: &Origin,
        probe: &Probe<'_>,
    ) -> Result<ProbedRoute, StoreError> {
        let connection = self.dialer.open(node).await?;
        let list = self.list_of(&connection).await?;
        for node in list.nodes {
            self.add(node);
        }
        self.at(list.owner.ok_or(StoreError::NoOwner)?, probe).await
    }

    /// Connects to this node, or to the one that it redirects to.
    async fn at(&self, node: Origin, probe: &Probe<'_>) -> Result<ProbedRoute, StoreError> {
        let mut route = StoreRoute::to(self.dialer.open(&node).await?);
        let mut error = StoreError::NoOwner;
        for _ in 0..MAX_REDIRECTS {
            error = match probe.run(&route).await {
                Ok(epoch) => return Ok(ProbedRoute { route, epoch }),
                Err(error) => error,
            };
            match &error {
                StoreError::Moved(node) => route = StoreRoute::to(self.dialer.open(node).await?),
                StoreError::Ask(node) => route.successor = Some(self.dialer.open(node).await?),
                _ => break,
            }
        }
        Err(error)
    }

    async fn list_of(&self, node: &StoreConnection) -> Result<NodeList, StoreError> {
        let reply = match ask(node, &["CLUSTER", "SLOTS"]).await {
            // Its cluster mode is off, or it has none.
            Err(StoreError::Refused(code)) if code == "ERR" => return Err(StoreError::NoCluster),
            reply => reply?,
        };
        let server = node.server().ok_or(StoreError::Invalid)?;
        NodeList::parse(&reply, self.slot, server).ok_or(StoreError::Invalid)
    }

    /// Forgets all nodes but those of the URL and of this list, which the primary in use has sent.
    fn learn(&mut self, list: NodeList, primary: Option<&Origin>) {
        self.nodes = list.nodes.into();
        self.put_first(primary);
        for given in self.given.clone() {
            self.add(given);
        }
    }

    /// Adds a node, to be asked after the others.
    fn add(&mut self, node: Origin) {
        if self.nodes.len() < MAX_NODES && !self.nodes.contains(&node) {
            self.nodes.push_back(node);
        }
    }

    fn put_first(&mut self, node: Option<&Origin>) {
        if let Some(node) = node {
            self.nodes.retain(|it| it != node);
            self.nodes.push_front(node.clone());
        }
    }
}

/// Whether a redirect leads to where the route leads already.
fn leads_along(redirect: &Redirect, route: &StoreRoute) -> bool {
    match redirect {
        Redirect::Moved(node) => route.primary.server() == Some(node),
        Redirect::Ask(node) => {
            let successor = route.successor.as_ref();
            successor.and_then(StoreConnection::server) == Some(node)
        }
    }
}
