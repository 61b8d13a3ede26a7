//! The hops that `X-Forwarded-For` and `Forwarded` (RFC 7239) list, read from the right.
//!
//! The right end of a list was written by the proxies next to the gateway, the left end by anybody.
//! So nothing on the left of a hop, such as a quote that is never closed, changes how it is read.
//! Looks at a bounded part of each field, and never allocates.

use std::{
    iter::Rev,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use hyper::{
    HeaderMap,
    header::{HeaderValue, ValueIter},
};

/// How much of each field is read, in bytes from the right.
const MAX_BYTES: usize = 4 * 1024;
/// Maximum length of one hop's address, in bytes.
const MAX_NODE: usize = 64;

/// One hop of a request.
pub(super) struct Hop<'a> {
    /// Its address; an IPv4-mapped one is an IPv4 address.
    pub(super) address: IpAddr,
    /// The address as it was written, with the port if there is one.
    pub(super) text: &'a str,
}

/// A hop that is no address: `unknown`, an obfuscated name, or text that is malformed or too far
/// on the left.
#[derive(Debug, thiserror::Error)]
#[error("a hop is not an address")]
pub(super) struct UnreadableHop;

/// The hops of `X-Forwarded-For`, the nearest first.
pub(super) fn x_forwarded_for(
    headers: &HeaderMap,
) -> impl Iterator<Item = Result<Hop<'_>, UnreadableHop>> {
    ListElements::of(headers, "x-forwarded-for", false).map(|element| hop(element?))
}

/// The hops of `Forwarded`, the nearest first.
pub(super) fn forwarded(
    headers: &HeaderMap,
) -> impl Iterator<Item = Result<Hop<'_>, UnreadableHop>> {
    ListElements::of(headers, "forwarded", true)
        .map(|element| hop(for_parameter(element?).ok_or(UnreadableHop)?))
}

/// The elements of a list (RFC 9110 section 5.6.1), from the right, over all lines of a field.
/// Leaves out empty ones. An error is the last item that makes sense.
struct ListElements<'a> {
    lines: Rev<ValueIter<'a, HeaderValue>>,
    /// What is left of the current line.
    line: Option<&'a [u8]>,
    /// How many bytes may still be read.
    left: usize,
    /// Whether elements may contain quoted strings (RFC 9110 section 5.6.4).
    quotes: bool,
}

impl<'a> ListElements<'a> {
    fn of(headers: &'a HeaderMap, name: &str, quotes: bool) -> Self {
        Self {
            lines: headers.get_all(name).iter().rev(),
            line: None,
            left: MAX_BYTES,
            quotes,
        }
    }
}

impl<'a> Iterator for ListElements<'a> {
    type Item = Result<&'a [u8], UnreadableHop>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let line = match self.line.take() {
                Some(line) => line,
                None => self.lines.next()?.as_bytes(),
            };
            let hidden = line.len().saturating_sub(self.left);
            let (_, visible) = line.split_at_checked(hidden)?;
            let element = match last_comma(visible, self.quotes) {
                Some(comma) => {
                    self.line = line.get(..hidden + comma);
                    visible.get(comma + 1..)?
                }
                None if hidden > 0 => return Some(Err(UnreadableHop)),
                None => visible,
            };
            // A line or a comma counts as well, so empty elements are bounded too.
            self.left = self.left.saturating_sub(element.len() + 1);
            let element = element.trim_ascii();
            if self.left == 0 {
                return Some(Err(UnreadableHop));
            }
            if !element.is_empty() {
                return Some(Ok(element));
            }
        }
    }
}

/// The position of the last comma that separates two elements.
fn last_comma(text: &[u8], quotes: bool) -> Option<usize> {
    let mut quoted = false;
    let mut rest = text;
    while let Some((&last, before)) = rest.split_last() {
        match last {
            b',' if !quoted => return Some(before.len()),
            b'"' if quotes => quoted = !quoted || is_escaped(before),
            _ => {}
        }
        rest = before;
    }
    None
}

/// Whether the byte behind this text is escaped by a backslash, which is not escaped itself.
fn is_escaped(text: &[u8]) -> bool {
    let backslashes = text.iter().rev().take_while(|&&byte| byte == b'\\');
    backslashes.count() % 2 == 1
}

/// The value of the `for` parameter of a `Forwarded` element; `None` if there is not exactly one,
/// or the element is malformed.
fn for_parameter(element: &[u8]) -> Option<&[u8]> {
    let mut node = None;
    let mut rest = element;
    while !rest.is_empty() {
        if let Some(behind) = rest.strip_prefix(b";") {
            rest = behind.trim_ascii_start();
            continue;
        }
        let equals = rest.iter().position(|&byte| byte == b'=')?;
        let (name, value) = rest.split_at_checked(equals)?;
        let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        if name.is_empty() || !name.iter().all(is_token) {
            return None;
        }
        let (value, behind) = parameter_value(value.strip_prefix(b"=")?)?;
        if name.eq_ignore_ascii_case(b"for") && node.replace(value).is_some() {
            return None;
        }
        rest = behind.trim_ascii_start();
        if !rest.is_empty() && !rest.starts_with(b";") {
            return None;
        }
    }
    node
}

/// Splits a parameter's value from what follows. A quoted string loses its quotes; escapes in it
/// stay, since no address has any. Brackets and colons may stand without quotes, as some proxies
/// write them.
fn parameter_value(text: &[u8]) -> Option<(&[u8], &[u8])> {
    if let Some(quoted) = text.strip_prefix(b"\"") {
        let mut escaped = false;
        let end = quoted.iter().position(|&byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        })?;
        return Some((quoted.get(..end)?, quoted.get(end + 1..)?));
    }
    let ends = |byte: &u8| matches!(byte, b';' | b' ' | b'\t');
    let end = text.iter().position(ends).unwrap_or(text.len());
    let (value, behind) = text.split_at_checked(end)?;
    let plain = !value.is_empty() && value.iter().all(|byte| !b"\"\\,=".contains(byte));
    plain.then_some((value, behind))
}

fn hop(node: &[u8]) -> Result<Hop<'_>, UnreadableHop> {
    let text = std::str::from_utf8(node)
        .ok()
        .filter(|text| text.len() <= MAX_NODE);
    let text = text.ok_or(UnreadableHop)?;
    let address = node_address(text).ok_or(UnreadableHop)?;
    Ok(Hop { address, text })
}

/// The address of `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or
/// `[2001:db8::1]:80`.
fn node_address(text: &str) -> Option<IpAddr> {
    if let Some(bracketed) = text.strip_prefix('[') {
        let (address, behind) = bracketed.split_once(']')?;
        let fits = behind.is_empty() || behind.strip_prefix(':').is_some_and(is_port);
        return ipv6(address).filter(|_| fits);
    }
    match text.split_once(':') {
        None => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        Some((_, behind)) if behind.contains(':') => ipv6(text),
        Some((address, port)) => {
            let address: Ipv4Addr = address.parse().ok()?;
            is_port(port).then_some(IpAddr::V4(address))
        }
    }
}

/// An IPv6 address, possibly with a zone (RFC 4007 section 11), which means nothing here.
fn ipv6(text: &str) -> Option<IpAddr> {
    let (address, zone) = text.split_once('%').unwrap_or((text, "0"));
    let address: Ipv6Addr = address.parse().ok()?;
    is_name(zone).then_some(address.to_canonical())
}

/// Whether this is a port, or an obfuscated one (RFC 7239 section 6.3).
fn is_port(text: &str) -> bool {
    match text.strip_prefix('_') {
        Some(name) => is_name(name),
        None => (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !text.is_empty() && text.bytes().all(plain)
}
