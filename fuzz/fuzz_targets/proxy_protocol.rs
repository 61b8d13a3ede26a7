//! Arbitrary bytes as the start of a connection behind a load balancer: the header is found at the
//! same place however much has arrived, agrees with a slow and plain reading, and a written header
//! is read back.

#![no_main]

use std::net::{IpAddr, SocketAddr};

use libfuzzer_sys::fuzz_target;
use liveness_gateway::server::proxy_protocol::{ProxyHeader, ProxySource, parse};

/// Longer prefixes are only tried around the end of the header.
const PREFIXES: usize = 256;
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fuzz_target!(|data: &[u8]| {
    let whole = parse(data);
    let found = whole.as_ref().ok().and_then(|header| *header);
    let end = found.map_or(data.len(), |header| header.length);
    assert!(end <= data.len());
    let near = end.saturating_sub(2)..=(end + 2).min(data.len());
    for length in (0..=data.len().min(PREFIXES)).chain(near) {
        let part = parse(&data[..length]);
        match (&part, &whole) {
            (Ok(None), _) => assert!(found.is_none_or(|header| length < header.length)),
            // Once it is decided, what follows changes nothing.
            (decided, whole) => assert_eq!(decided, whole, "after {length} bytes"),
        }
    }
    if let Some(header) = found {
        assert_eq!(Some(header.source), read(&data[..header.length]));
    }
    round_trip(data);
});

/// Reads a complete header again.
fn read(header: &[u8]) -> Option<ProxySource> {
    match header.strip_prefix(SIGNATURE) {
        Some(binary) => read_binary(binary),
        None => read_line(std::str::from_utf8(header).ok()),
    }
}

fn read_line(line: Option<&str>) -> Option<ProxySource> {
    // What follows `UNKNOWN` may be any bytes.
    let Some(line) = line else {
        return Some(ProxySource::Unknown);
    };
    let line = line.strip_prefix("PROXY ")?.strip_suffix("\r\n")?;
    assert!(line.len() <= 99 && !line.contains(['\r', '\n']));
    match line.split(' ').collect::<Vec<_>>()[..] {
        ["UNKNOWN", ..] => Some(ProxySource::Unknown),
        [family @ ("TCP4" | "TCP6"), source, target, port, to] => {
            let (source, target): (IpAddr, IpAddr) = (source.parse().ok()?, target.parse().ok()?);
            assert!(source.is_ipv4() == (family == "TCP4") && target.is_ipv4() == source.is_ipv4());
            let port: u16 = port.parse().ok()?;
            to.parse::<u16>().ok()?;
            Some(ProxySource::Relayed((source.to_canonical(), port).into()))
        }
        _ => None,
    }
}

fn read_binary(header: &[u8]) -> Option<ProxySource> {
    let [version, kind, high, low, addresses @ ..] = header else {
        return None;
    };
    assert_eq!(addresses.len(), usize::from(*high) << 8 | usize::from(*low));
    assert!(matches!(version, 0x20 | 0x21));
    if *version == 0x20 {
        return Some(ProxySource::Local);
    }
    let port = |at: usize| u16::from(addresses[at]) << 8 | u16::from(addresses[at + 1]);
    let source: SocketAddr = match *kind {
        0x11 => (<[u8; 4]>::try_from(&addresses[..4]).ok()?, port(8)).into(),
        0x21 => (<[u8; 16]>::try_from(&addresses[..16]).ok()?, port(32)).into(),
        _ => return Some(ProxySource::Unknown),
    };
    let canonical = SocketAddr::new(source.ip().to_canonical(), source.port());
    Some(ProxySource::Relayed(canonical))
}

/// Writes headers for the addresses that the bytes spell, and reads them back.
fn round_trip(data: &[u8]) {
    let Some((address, rest)) = data.split_first_chunk::<16>() else {
        return;
    };
    let Some(([high, low], behind)) = rest.split_first_chunk::<2>() else {
        return;
    };
    let port = u16::from_be_bytes([*high, *low]);
    let short: [u8; 4] = [address[0], address[1], address[2], address[3]];
    for address in [IpAddr::from(*address), IpAddr::from(short)] {
        let source = ProxySource::Relayed(SocketAddr::new(address.to_canonical(), port));
        let family = if address.is_ipv4() { "TCP4" } else { "TCP6" };
        let line = format!("PROXY {family} {address} {address} {port} 443\r\n");
        let octets = match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let kind = if address.is_ipv4() { 0x11 } else { 0x21 };
        let length = (octets.len() * 2 + 4) as u8;
        let fixed = [0x21, kind, 0, length];
        let binary = [SIGNATURE, &fixed, &octets, &octets, &[*high, *low, 1, 187]].concat();
        for header in [line.as_bytes(), &binary] {
            let length = header.len();
            let received = [header, behind].concat();
            assert_eq!(parse(&received), Ok(Some(ProxyHeader { length, source })));
        }
    }
}
