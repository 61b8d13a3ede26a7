//! What a trusted proxy says of a request: the client's address, the hops, and the request's id.
//!
//! Relies on the server, which decides once for each connection whether its peer is trusted. Every
//! function here but `is_forwarded` takes its peer for a trusted one: call no other one for another
//! peer. Never fails a request, and never logs or keeps what is not an address.

mod hops;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use hyper::HeaderMap;
use ipnet::IpNet;

use self::hops::{Hop, UnreadableHop};
use super::request_id::RequestId;

/// Maximum number of hops in an access record. Those on the left are left out.
const MAX_PATH_HOPS: usize = 16;

/// Whether an address belongs to one of these networks.
pub fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|network| network.contains(&address))
}

/// The address of the client for whom a trusted peer sends a request: the nearest hop that is no
/// trusted proxy, or the farthest one if all of them are.
///
/// The peer's own address, if there are no hops, if one that is needed can't be read, or if
/// `X-Forwarded-For` and `Forwarded` name different clients.
pub fn client_address(headers: &HeaderMap, peer: IpAddr, trusted: &[IpNet]) -> IpAddr {
    let named = client(hops::x_forwarded_for(headers), trusted);
    match (named, client(hops::forwarded(headers), trusted)) {
        (Ok(Some(address)), Ok(None)) | (Ok(None), Ok(Some(address))) => address,
        (Ok(Some(address)), Ok(Some(other))) if address == other => address,
        _ => peer,
    }
}

/// Whether a request says that it is forwarded, whoever says so.
pub fn is_forwarded(headers: &HeaderMap) -> bool {
    let mut hops = hops::x_forwarded_for(headers).chain(hops::forwarded(headers));
    hops.next().is_some()
}

/// The hops of a request from a trusted peer, as `X-Forwarded-For` or else `Forwarded` lists them,
/// from the client on. Hops on the left of one that can't be read are left out.
pub fn forwarded_path(headers: &HeaderMap) -> Option<String> {
    path(hops::x_forwarded_for(headers)).or_else(|| path(hops::forwarded(headers)))
}

/// `X-Request-Id` of a trusted peer, if it is fit for one.
pub fn request_id(headers: &HeaderMap) -> Option<RequestId> {
    let id = headers.get("x-request-id")?;
    RequestId::parse(id.to_str().ok()?)
}

/// The client that one field names; `None` if it lists nobody.
fn client<'a>(
    hops: impl Iterator<Item = Result<Hop<'a>, UnreadableHop>>,
    trusted: &[IpNet],
) -> Result<Option<IpAddr>, UnreadableHop> {
    let mut farthest = None;
    for hop in hops {
        let address = hop?.address;
        farthest = Some(address);
        if !is_trusted(address, trusted) {
            break;
        }
    }
    Ok(farthest)
}

fn path<'a>(hops: impl Iterator<Item = Result<Hop<'a>, UnreadableHop>>) -> Option<String> {
    let mut texts = [""; MAX_PATH_HOPS];
    let mut count = 0;
    for (text, hop) in texts.iter_mut().zip(hops.map_while(Result::ok)) {
        *text = hop.text;
        count += 1;
    }
    let texts = texts.get_mut(..count).filter(|texts| !texts.is_empty())?;
    texts.reverse();
    Some(texts.join(", "))
}
