//! The PROXY protocol, versions 1 and 2, as HAProxy's `proxy-protocol.txt` specifies it: the header
//! by which a load balancer says whose connection it relays.
//!
//! [`parse`] is a function of the bytes received so far, so it does not matter in which pieces they
//! arrive. [`read_header`] leaves what follows the header to TLS and HTTP. Length, memory and time
//! are bounded. Extensions (TLVs) are skipped, checksums included. Never guesses: what is not
//! exactly a header is an error.

#[cfg(test)]
mod tests;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    time::{Instant, timeout_at},
};

/// Maximum length of version 1, with its line end, in bytes (section 2.1).
const MAX_LINE: usize = 107;
const LINE_START: &[u8] = b"PROXY ";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Length of version 2 up to its addresses, in bytes.
const FIXED: usize = 16;
/// Maximum length of version 2, in bytes. Addresses take 216 at most, and TLVs a few hundred.
const MAX_BINARY: usize = 4 * 1024;
/// How many bytes are looked at in one system call.
const PEEK: usize = 256;

/// A complete header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    /// Its length, in bytes. What follows belongs to the relayed connection.
    pub length: usize,
    /// Whose connection this is.
    pub source: ProxySource,
}

/// Whose connection a header announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxySource {
    /// The connection of this address.
    Relayed(SocketAddr),
    /// The proxy's own, such as a health check.
    Local,
    /// Somebody's who has no Internet address, or not one that the proxy knows.
    Unknown,
}

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyHeaderError {
    /// The connection begins with something else.
    #[error("there is no PROXY header")]
    Missing,
    /// The line of version 1 is malformed.
    #[error("the PROXY line is malformed")]
    Line,
    /// The header of version 2 has an unknown version, command, family or protocol.
    #[error("the PROXY header has an unknown version, command, family or protocol")]
    Kind,
    /// The header of version 2 is too short for its addresses, or too long.
    #[error("the PROXY header has a wrong length")]
    Length,
}

/// Why no header could be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyReadError {
    #[error(transparent)]
    Invalid(#[from] ProxyHeaderError),
    #[error("the connection ended before its PROXY header: {0}")]
    Ended(#[from] io::Error),
    #[error("the PROXY header did not arrive in time")]
    TimedOut,
}

/// Parses the header at the start of these bytes; `None` while it is incomplete.
///
/// # Errors
/// The bytes are not the start of a header, whatever follows.
pub fn parse(received: &[u8]) -> Result<Option<ProxyHeader>, ProxyHeaderError> {
    if starts_alike(received, SIGNATURE) {
        parse_binary(received)
    } else if starts_alike(received, LINE_START) {
        parse_line(received)
    } else {
        Err(ProxyHeaderError::Missing)
    }
}

/// Reads the header at the start of a connection, and not a byte behind it.
pub(super) async fn read_header(
    tcp: &mut TcpStream,
    deadline: Instant,
) -> Result<ProxySource, ProxyReadError> {
    timeout_at(deadline, read_exactly(tcp))
        .await
        .unwrap_or(Err(ProxyReadError::TimedOut))
}

async fn read_exactly(tcp: &mut TcpStream) -> Result<ProxySource, ProxyReadError> {
    let mut received = Vec::with_capacity(PEEK);
    let mut waiting = [0; PEEK];
    loop {
        let count = tcp.peek(&mut waiting).await?;
        if count == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let before = received.len();
        received.extend_from_slice(waiting.get(..count).unwrap_or_default());
        let header = parse(&received)?;
        let end = header.map_or(received.len(), |header| header.length);
        let own = waiting.get_mut(..end.saturating_sub(before));
        tcp.read_exact(own.unwrap_or_default()).await?;
        if let Some(header) = header {
            return Ok(header.source);
        }
    }
}

/// Whether one of the two begins with the other.
fn starts_alike(received: &[u8], start: &[u8]) -> bool {
    received
        .iter()
        .zip(start)
        .all(|(left, right)| left == right)
}

fn parse_line(received: &[u8]) -> Result<Option<ProxyHeader>, ProxyHeaderError> {
    let received = received.get(..MAX_LINE).unwrap_or(received);
    let Some(end) = received.iter().position(|byte| b"\r\n".contains(byte)) else {
        return match received.len() {
            MAX_LINE => Err(ProxyHeaderError::Line),
            _ => Ok(None),
        };
    };
    let (line, behind) = received.split_at_checked(end).unwrap_or_default();
    match behind {
        [b'\r', b'\n', ..] => {}
        [b'\r'] if received.len() < MAX_LINE => return Ok(None),
        _ => return Err(ProxyHeaderError::Line),
    }
    let line = line.strip_prefix(LINE_START);
    let source = line.and_then(line_source).ok_or(ProxyHeaderError::Line)?;
    Ok(Some(ProxyHeader {
        length: end + 2,
        source,
    }))
}

/// The source in `TCP4 192.0.2.1 192.0.2.2 4711 443` or `UNKNOWN …`.
fn line_source(line: &[u8]) -> Option<ProxySource> {
    if let Some(rest) = line.strip_prefix(b"UNKNOWN") {
        let separate = rest.is_empty() || rest.starts_with(b" ");
        return separate.then_some(ProxySource::Unknown);
    }
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split(' ');
    let address: fn(&str) -> Option<IpAddr> = match words.next()? {
        "TCP4" => |word| word.parse().ok().map(IpAddr::V4),
        "TCP6" => |word| word.parse().ok().map(IpAddr::V6),
        _ => return None,
    };
    let (source, _) = (address(words.next()?)?, address(words.next()?)?);
    let (port, _) = (port(words.next()?)?, port(words.next()?)?);
    let relayed = ProxySource::Relayed(SocketAddr::new(source.to_canonical(), port));
    words.next().is_none().then_some(relayed)
}

/// A port without a sign and without leading zeros.
fn port(word: &str) -> Option<u16> {
    let plain = word == "0" || word.starts_with(|first: char| matches!(first, '1'..='9'));
    word.parse().ok().filter(|_| plain)
}

fn parse_binary(received: &[u8]) -> Result<Option<ProxyHeader>, ProxyHeaderError> {
    let local = match received.get(12) {
        None => return Ok(None),
        Some(0x20) => true,
        Some(0x21) => false,
        Some(_) => return Err(ProxyHeaderError::Kind),
    };
    let family = match received.get(13) {
        None => return Ok(None),
        // A family beyond Unix sockets, or a protocol beyond datagrams.
        Some(kind) if !local && (kind >> 4 > 3 || kind & 0xf > 2) => {
            return Err(ProxyHeaderError::Kind);
        }
        Some(kind) => *kind,
    };
    let Some(&[high, low]) = received.get(14..FIXED) else {
        return Ok(None);
    };
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_BINARY {
        return Err(ProxyHeaderError::Length);
    }
    let Some(addresses) = received.get(FIXED..length) else {
        return Ok(None);
    };
    let source = match local {
        true => ProxySource::Local,
        false => binary_source(family, addresses).ok_or(ProxyHeaderError::Length)?,
    };
    Ok(Some(ProxyHeader { length, source }))
}

/// The source that these addresses of a family and protocol begin with; `None` if they are too
/// short. What has no TCP address is unknown.
fn binary_source(kind: u8, addresses: &[u8]) -> Option<ProxySource> {
    let (address, ports): (IpAddr, _) = match kind >> 4 {
        1 => {
            let (address, rest) = addresses.split_first_chunk::<4>()?;
            (Ipv4Addr::from(*address).into(), rest.get(4..8)?)
        }
        2 => {
            let (address, rest) = addresses.split_first_chunk::<16>()?;
            (Ipv6Addr::from(*address).into(), rest.get(16..20)?)
        }
        3 => return addresses.get(..216).map(|_| ProxySource::Unknown),
        _ => return Some(ProxySource::Unknown),
    };
    let port = ports
        .first_chunk::<2>()
        .map(|port| u16::from_be_bytes(*port))?;
    let relayed = ProxySource::Relayed(SocketAddr::new(address.to_canonical(), port));
    match kind & 0xf {
        1 => Some(relayed),
        _ => Some(ProxySource::Unknown),
    }
}
