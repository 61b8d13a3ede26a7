//! The addresses at which a listener of this machine can be opened.
//!
//! Found by asking the system which of its addresses it would use towards a network; nothing is
//! sent. A machine without a network has only the loopback addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Hosts of the networks to ask about: the documentation's, which stand for the Internet (RFC 5737,
/// RFC 3849), and those of private networks (RFC 1918). None has to exist.
const DESTINATIONS_V4: [Ipv4Addr; 4] = [
    Ipv4Addr::new(192, 0, 2, 1),
    Ipv4Addr::new(192, 168, 0, 1),
    Ipv4Addr::new(10, 0, 0, 1),
    Ipv4Addr::new(172, 16, 0, 1),
];
const DESTINATION_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
/// The port of the service "discard".
const PORT: u16 = 9;

/// The addresses at which other machines reach a listener, the most likely one first. None for a
/// listener on a loopback address, or without a network.
pub(super) fn from_elsewhere(listen: IpAddr) -> Vec<IpAddr> {
    if listen.is_loopback() {
        return Vec::new();
    }
    if !listen.is_unspecified() {
        return vec![listen];
    }
    let v4 = DESTINATIONS_V4.map(IpAddr::from);
    let v6 = listen.is_ipv6().then_some(IpAddr::from(DESTINATION_V6));
    let mut addresses = Vec::new();
    for address in v4.into_iter().chain(v6).filter_map(towards) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}

/// The address at which this machine itself reaches a listener.
pub(super) fn from_here(listen: IpAddr) -> IpAddr {
    match listen {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V4(_) | IpAddr::V6(_) => listen,
    }
}

/// The address that the system would use towards this one.
fn towards(destination: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = match destination {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    // For UDP, this sends nothing.
    socket.connect((destination, PORT)).ok()?;
    let address = socket.local_addr().as_ref().map(SocketAddr::ip).ok()?;
    let usable = !address.is_loopback() && !address.is_unspecified();
    usable.then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_listener_is_reached_only_from_here() {
        for (listen, here) in [
            ("127.0.0.1", "127.0.0.1"),
            ("::1", "::1"),
            ("0.0.0.0", "127.0.0.1"),
            ("::", "::1"),
            ("192.0.2.7", "192.0.2.7"),
        ] {
            let listen: IpAddr = listen.parse().unwrap();
            assert_eq!(from_here(listen).to_string(), here);
            let elsewhere = from_elsewhere(listen);
            assert!(
                elsewhere
                    .iter()
                    .all(|it| !it.is_loopback() && !it.is_unspecified())
            );
            assert!(!listen.is_loopback() || elsewhere.is_empty());
        }
        let own: IpAddr = "192.0.2.7".parse().unwrap();
        assert_eq!(from_elsewhere(own), [own]);
    }

    #[test]
    fn an_address_of_this_machine_can_be_bound() {
        for address in from_elsewhere(Ipv6Addr::UNSPECIFIED.into()) {
            assert!(UdpSocket::bind((address, 0)).is_ok(), "{address}");
        }
    }
}
