//! Arbitrary `X-Forwarded-For` and `Forwarded` fields from a trusted proxy. `X-Forwarded-For` alone
//! agrees with a slow and plain reading. Nothing on the left of the client that was found, and so
//! nothing that this client can write, changes who it is.

#![no_main]

use std::net::IpAddr;

use hyper::{HeaderMap, header::HeaderValue};
use ipnet::IpNet;
use libfuzzer_sys::fuzz_target;
use liveness_gateway::relay::forwarded::{client_address, forwarded_path, is_trusted};

/// Fields up to this size are read as a whole, in bytes.
const SMALL: usize = 2000;
/// What a client might put in front.
const JUNK: [&[u8]; 4] = [
    b"192.0.2.66, ",
    b"for=192.0.2.66, ",
    b"\"\\,",
    b"for=\"_x, ",
];

// Each line begins with `x` or `f`, which says whether it is a line of `X-Forwarded-For` or of
// `Forwarded`.
fuzz_target!(|data: &[u8]| {
    let trusted: [IpNet; 2] = ["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().expect("a network"));
    let peer = IpAddr::from([10, 0, 0, 1]);
    let lines: Vec<(&str, &[u8])> = data
        .split(|&byte| byte == b'\n')
        .filter_map(|line| match line.split_first()? {
            (b'x', value) => Some(("x-forwarded-for", value)),
            (b'f', value) => Some(("forwarded", value)),
            _ => None,
        })
        .filter(|(_, value)| HeaderValue::from_bytes(value).is_ok())
        .collect();
    let headers = fields(&lines);
    let address = client_address(&headers, peer, &trusted);
    if let Some(path) = forwarded_path(&headers) {
        assert!((1..=16).contains(&path.split(", ").count()) && path.is_ascii());
    }
    let size: usize = lines.iter().map(|(_, value)| value.len() + 1).sum();
    if size <= SMALL && lines.iter().all(|(name, _)| *name == "x-forwarded-for") {
        assert_eq!(address, plainly(&lines, &trusted).unwrap_or(peer));
    }
    if is_trusted(address, &trusted) {
        return;
    }
    for name in ["x-forwarded-for", "forwarded"] {
        let mut lines = lines.clone();
        lines.retain(|line| line.0 == name);
        // An untrusted client ends the search for hops, so what is on its left is not read.
        if client_address(&fields(&lines), peer, &trusted) == address {
            junk_in_front(&lines, &trusted, (peer, address));
        }
    }
});

fn junk_in_front(
    lines: &[(&'static str, &[u8])],
    trusted: &[IpNet],
    (peer, address): (IpAddr, IpAddr),
) {
    for junk in JUNK {
        let mut lines = lines.to_vec();
        let Some(first) = lines.first_mut() else {
            return;
        };
        let longer = [junk, first.1].concat();
        first.1 = &longer;
        assert_eq!(
            client_address(&fields(&lines), peer, trusted),
            address,
            "{:?} in front",
            junk.escape_ascii().to_string()
        );
    }
}

fn fields(lines: &[(&'static str, &[u8])]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(
            *name,
            HeaderValue::from_bytes(value).expect("checked before"),
        );
    }
    headers
}

/// The client in `X-Forwarded-For`, read from the right in one pass over all lines.
fn plainly(lines: &[(&str, &[u8])], trusted: &[IpNet]) -> Option<IpAddr> {
    let lines: Vec<_> = lines.iter().map(|line| line.1).collect();
    let list = lines.join(&b","[..]);
    let hops = list
        .split(|&byte| byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|hop| !hop.is_empty());
    let mut farthest = None;
    for hop in hops.rev() {
        let address = plain_hop(std::str::from_utf8(hop).ok()?)?;
        farthest = Some(address);
        if !is_trusted(address, trusted) {
            break;
        }
    }
    farthest
}

fn plain_hop(hop: &str) -> Option<IpAddr> {
    if hop.len() > 64 {
        return None;
    }
    let name = |text: &str| {
        let fits = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
        !text.is_empty() && text.chars().all(fits)
    };
    let port = |text: &str| match text.strip_prefix('_') {
        Some(obfuscated) => name(obfuscated),
        None => text.len() <= 5 && !text.is_empty() && text.chars().all(|it| it.is_ascii_digit()),
    };
    let (address, is_ipv6) = match hop.strip_prefix('[') {
        Some(rest) => {
            let (address, behind) = rest.split_once(']')?;
            if !behind.is_empty() && !port(behind.strip_prefix(':')?) {
                return None;
            }
            (address, true)
        }
        None if hop.matches(':').count() == 1 => {
            let (address, behind) = hop.split_once(':')?;
            (port(behind).then_some(address)?, false)
        }
        None => (hop, hop.contains(':')),
    };
    let (address, zone) = match address.split_once('%') {
        Some((address, zone)) if is_ipv6 => (address, zone),
        _ => (address, "0"),
    };
    let address: IpAddr = address.parse().ok()?;
    (address.is_ipv6() == is_ipv6 && name(zone)).then_some(address.to_canonical())
}
