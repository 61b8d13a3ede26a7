//! Arbitrary bytes from a server of a store, in pieces: where replies end does not depend on the
//! pieces, and the parser behind finds the same ends. Servers that a reply names can be connected
//! to, as the one that names them, and are in the reply.

#![no_main]

use libfuzzer_sys::fuzz_target;
use liveness_gateway::{
    outbound::origin::Origin,
    store::{NodeList, RespFrames, ScriptReply, SentinelVote, redirected},
};
use liveness_gateway_fuzz::arrival;
use redis::{ErrorKind, parse_redis_value};

/// The slot of `{liveness-gateway}`.
const SLOT: u16 = 9119;

fuzz_target!(|data: &[u8]| {
    let Some((pieces, whole)) = arrival(data) else {
        return;
    };
    let (ends, refused) = ends(&pieces);
    assert_eq!(
        (&ends, refused),
        (&self::ends(&[whole]).0, self::ends(&[whole]).1)
    );
    let mut at = 0;
    for end in ends {
        let reply = &whole[at..end];
        at = end;
        assert!(parse_redis_value(&reply[..reply.len() - 1]).is_err());
        match parse_redis_value(reply) {
            Ok(value) => understand(&ScriptReply::from(value), reply),
            Err(error) => assert_ne!(error.kind(), ErrorKind::Io, "it ends later: {reply:?}"),
        }
    }
    if let Ok(text) = str::from_utf8(whole)
        && let Some(node) = redirected(text, &server())
    {
        is_usable(&node, whole);
    }
});

/// Where each reply ends, and whether the rest is refused.
fn ends(pieces: &[&[u8]]) -> (Vec<usize>, bool) {
    let (mut frames, mut ends, mut at) = (RespFrames::default(), Vec::new(), 0);
    for piece in pieces {
        let mut left = *piece;
        while !left.is_empty() {
            let Ok((taken, ended)) = frames.take(left) else {
                return (ends, true);
            };
            assert!(taken > 0 && (ended.is_some() || taken == left.len()));
            (at, left) = (at + taken, &left[taken..]);
            ends.extend(ended.map(|_| at));
        }
    }
    (ends, false)
}

fn server() -> Origin {
    Origin {
        tls: true,
        host: "10.0.0.1".to_owned(),
        port: 6379,
        authority: String::new(),
    }
}

fn understand(reply: &ScriptReply, bytes: &[u8]) {
    if let Some(list) = NodeList::parse(reply, SLOT, &server()) {
        for (number, node) in list.nodes.iter().enumerate() {
            is_usable(node, bytes);
            assert!(!list.nodes[..number].contains(node));
        }
        assert!(list.owner.is_none_or(|owner| list.nodes.contains(&owner)));
    }
    if let ScriptReply::List(parts) = reply
        && let Some(vote) = SentinelVote::parse(parts, true)
    {
        is_usable(&vote.primary, bytes);
    }
}

/// It has TLS as the server that names it, and a host that can stand in no other place.
fn is_usable(node: &Origin, named_in: &[u8]) {
    assert!(node.tls && node.port > 0);
    assert!((1..=255).contains(&node.host.len()));
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:%".contains(&byte);
    assert!(node.host.bytes().all(fits), "{}", node.host);
    let named = named_in.windows(node.host.len());
    let is_named = named
        .into_iter()
        .any(|part| part.eq_ignore_ascii_case(node.host.as_bytes()));
    assert!(is_named || node.host == server().host, "{}", node.host);
}
