//! What a node tells of the nodes of its cluster: all of them, in reply to `CLUSTER SLOTS`, or the
//! one that has a key, by a redirect.
//!
//! A node is named by the host that others are to use, which it may not know; then it is on the
//! host that tells. Resolves no names.

use super::{address::announced, script::ScriptReply};
use crate::outbound::origin::Origin;

/// Maximum number of nodes that are taken from a list. Clusters have a thousand at most.
pub(super) const MAX_NODES: usize = 1024;

/// A node's list of nodes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct NodeList {
    /// The primary that has the slot.
    pub owner: Option<Origin>,
    /// All of them, each once.
    pub nodes: Vec<Origin>,
}

impl NodeList {
    /// Parses the reply of `server` to `CLUSTER SLOTS`: ranges of slots, each with its primary and
    /// then its replicas. `None` if it is none.
    pub fn parse(reply: &ScriptReply, slot: u16, server: &Origin) -> Option<Self> {
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
                if list.nodes.len() < MAX_NODES && !list.nodes.contains(&node) {
                    list.nodes.push(node);
                }
            }
        }
        Some(list)
    }
}

/// The node that a redirect of `server` names by `host:port`. Without a host it is the server's.
pub fn redirected(node: &str, server: &Origin) -> Option<Origin> {
    let (host, port) = node.rsplit_once(':')?;
    let host = if host.is_empty() { &server.host } else { host };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    announced(host, port.parse().ok()?, server.tls)
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
    fn no_list_makes_a_replica_remember_more_nodes_than_a_cluster_has() {
        let nodes = (0..3000).map(|port| node(bytes("h"), 7000 + port, &[]));
        let reply = ScriptReply::List(vec![range(0, 16383, nodes.collect())]);
        let list = NodeList::parse(&reply, 0, &at("h", 6379)).unwrap();
        assert_eq!(list.nodes.len(), MAX_NODES);
        assert_eq!(list.owner, Some(at("h", 7000)));
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

    #[test]
    fn a_redirect_names_a_node_or_another_port_of_the_same_host() {
        let server = announced("10.0.0.1", 7000, true).unwrap();
        for (node, host, port) in [
            ("10.0.0.2:7001", "10.0.0.2", 7001),
            ("redis-2.svc:7001", "redis-2.svc", 7001),
            ("::1:7001", "::1", 7001),
            ("[::1]:7001", "::1", 7001),
            (":7001", "10.0.0.1", 7001),
        ] {
            let node = redirected(node, &server).unwrap();
            assert_eq!(
                (node.host.as_str(), node.port, node.tls),
                (host, port, true)
            );
        }
        for wrong in ["", "host", "host:", "host:0", "a b:1", "?:7001"] {
            assert_eq!(redirected(wrong, &server), None, "{wrong}");
        }
    }
}
