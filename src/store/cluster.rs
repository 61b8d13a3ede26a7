//! Finds the primary that has the one slot of all keys in a cluster, and follows the slot.
//!
//! Any node knows which node has the slot, as far as it has heard. Every node that was ever named
//! is remembered until a newer list of nodes leaves it out, so the nodes of the URL may be gone.
//! One that fails is asked last the next time. A node has the slot if it takes a heartbeat; if not,
//! its redirect leads on.

use std::{collections::VecDeque, time::Duration};

use tokio::{sync::watch, time::sleep};

use super::{
    address::announced,
    dial::{StoreDialer, ask},
    error::StoreError,
    heartbeat::Probe,
    route::{ProbedRoute, RouteChange, StoreRoute},
    script::ScriptReply,
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

/// A node's list of nodes.
#[derive(Debug, Default, PartialEq, Eq)]
struct NodeList {
    /// The primary that has the slot.
    owner: Option<Origin>,
    nodes: Vec<Origin>,
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
                Ok(probed) => return Ok(probed),
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
                    // A node that can't tell is found out by other calls.
                    let _ = self.learn(&route.primary).await;
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
        let owner = self.learn(&connection).await?;
        self.at(owner.ok_or(StoreError::NoOwner)?, probe).await
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

    /// Learns from a node which nodes there are. Returns the one that has the slot.
    async fn learn(&mut self, from: &StoreConnection) -> Result<Option<Origin>, StoreError> {
        let reply = ask(from, &["CLUSTER", "SLOTS"]).await?;
        let server = from.server().ok_or(StoreError::Invalid)?;
        let list = NodeList::parse(&reply, self.slot, server).ok_or(StoreError::Invalid)?;
        self.nodes = list.nodes.into();
        // The node that replied is alive.
        self.nodes.retain(|it| it != server);
        self.nodes.push_front(server.clone());
        for given in &self.given {
            if !self.nodes.contains(given) {
                self.nodes.push_back(given.clone());
            }
        }
        Ok(list.owner)
    }
}

impl NodeList {
    /// Parses the reply of `server` to `CLUSTER SLOTS`: ranges of slots, each with its primary and
    /// then its replicas. `None` if it is none.
    fn parse(reply: &ScriptReply, slot: u16, server: &Origin) -> Option<Self> {
        let ScriptReply::List(ranges) = reply else {
            return None;
        };
        let mut list = Self::default();
        for range in ranges {
            let ScriptReply::List(parts) = range else {
                return None;
            };
            let [
                ScriptReply::Number(first),
                ScriptReply::Number(last),
                nodes @ ..,
            ] = parts.as_slice()
            else {
                return None;
            };
            let has_slot = (*first..=*last).contains(&i64::from(slot));
            for (number, node) in nodes.iter().enumerate() {
                // One that can't be read may be another's replica.
                let Some(node) = node_of(node, server) else {
                    continue;
                };
                if has_slot && number == 0 {
                    list.owner = Some(node.clone());
                }
                if !list.nodes.contains(&node) {
                    list.nodes.push(node);
                }
            }
        }
        Some(list)
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

/// Parses a node: its host, its port, its id, and names and values of what else is known of it.
fn node_of(node: &ScriptReply, server: &Origin) -> Option<Origin> {
    let ScriptReply::List(parts) = node else {
        return None;
    };
    let [host, ScriptReply::Number(port), more @ ..] = parts.as_slice() else {
        return None;
    };
    let host = match host {
        ScriptReply::Bytes(host) if !matches!(host.as_slice(), b"" | b"?") => {
            str::from_utf8(host).ok()?
        }
        // Announced by a name that it does not have: its address, if that is known.
        ScriptReply::Bytes(_) => known_address(more).unwrap_or(&server.host),
        // On the host where the list comes from.
        _ => &server.host,
    };
    announced(host, u16::try_from(*port).ok()?, server.tls)
}

fn known_address(more: &[ScriptReply]) -> Option<&str> {
    let [_, ScriptReply::List(details), ..] = more else {
        return None;
    };
    details.chunks_exact(2).find_map(|pair| match pair {
        [ScriptReply::Bytes(name), ScriptReply::Bytes(value)] if name == b"ip" => {
            str::from_utf8(value).ok()
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> ScriptReply {
        ScriptReply::Bytes(text.as_bytes().to_vec())
    }

    fn node(host: ScriptReply, port: i64, details: &[&str]) -> ScriptReply {
        let details = details.iter().map(|text| bytes(text)).collect();
        ScriptReply::List(vec![
            host,
            ScriptReply::Number(port),
            bytes("id"),
            ScriptReply::List(details),
        ])
    }

    fn range(first: i64, last: i64, nodes: Vec<ScriptReply>) -> ScriptReply {
        let mut parts = vec![ScriptReply::Number(first), ScriptReply::Number(last)];
        parts.extend(nodes);
        ScriptReply::List(parts)
    }

    fn at(host: &str, port: u16) -> Origin {
        announced(host, port, true).unwrap()
    }

    #[test]
    fn the_owner_of_the_slot_and_all_nodes_are_parsed() {
        let reply = ScriptReply::List(vec![
            range(0, 5460, vec![node(bytes("redis-0"), 6379, &[])]),
            range(
                5461,
                16383,
                vec![
                    // Named by nothing, by its address alone, and not at all.
                    node(ScriptReply::Other, 7000, &[]),
                    node(bytes("?"), 7001, &["ip", "10.0.0.9"]),
                    node(bytes(""), 7002, &["hostname", "x"]),
                    node(bytes("a b"), 7003, &[]),
                ],
            ),
        ]);
        let server = at("10.0.0.1", 6379);
        let list = NodeList::parse(&reply, 5461, &server).unwrap();
        assert_eq!(list.owner, Some(at("10.0.0.1", 7000)));
        let nodes = [
            at("redis-0", 6379),
            at("10.0.0.1", 7000),
            at("10.0.0.9", 7001),
            at("10.0.0.1", 7002),
        ];
        assert_eq!(list.nodes, nodes);
        let list = NodeList::parse(&reply, 5460, &server).unwrap();
        assert_eq!(list.owner, Some(at("redis-0", 6379)));
    }

    #[test]
    fn a_slot_that_no_node_has_and_what_is_no_list_are_told_apart() {
        let server = at("10.0.0.1", 6379);
        let empty = ScriptReply::List(Vec::new());
        assert_eq!(
            NodeList::parse(&empty, 0, &server),
            Some(NodeList::default())
        );
        for wrong in [
            ScriptReply::Other,
            bytes("OK"),
            ScriptReply::List(vec![bytes("0")]),
            ScriptReply::List(vec![ScriptReply::List(vec![ScriptReply::Number(0)])]),
        ] {
            assert_eq!(NodeList::parse(&wrong, 0, &server), None, "{wrong:?}");
        }
    }
}
