//! The HTTP proxy that connections to other machines are tunnelled through, and the hosts that are
//! reached without it.
//!
//! Relies on [`super::tunnel`] for the tunnel itself. The address may hold a password, so no part
//! of it is in an error.

use std::{net::IpAddr, sync::Arc};

use arc_swap::ArcSwap;
use data_encoding::BASE64;
use ipnet::IpNet;
use zeroize::Zeroizing;

use super::{connection::ClientTls, origin::Origin, user_info::decoded};
use crate::{secret::Secret, wipe::WipedVec};

/// The proxy of `[outbound]`. Clones share the address, which may change.
#[derive(Clone)]
pub struct Proxy {
    address: Arc<ArcSwap<ProxyAddress>>,
    /// TLS to a proxy whose URL is `https://`.
    pub(super) tls: ClientTls,
    direct: Arc<[DirectHost]>,
}

/// Where the proxy is, and how to log in. It has no `Debug` or `Display`: it holds a password.
#[derive(Clone)]
pub struct ProxyAddress {
    pub(super) origin: Origin,
    /// The value of `Proxy-Authorization`.
    pub(super) authorization: Option<Secret>,
}

/// A text is not the address of a proxy. The message is a clause without any part of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyAddressError {
    /// Not an `http://` or `https://` URL with a host.
    #[error("is not the URL of an HTTP proxy")]
    NotUrl,
    /// Each kind of proxy has another usual port.
    #[error("names no port")]
    NoPort,
    /// A path, a query or a fragment.
    #[error("has something behind the port")]
    NotBare,
    /// A user or password that Basic authentication can't carry (RFC 7617 section 2).
    #[error("holds a user or password that can't be sent")]
    Login,
}

/// Hosts that are reached without the proxy: an entry of `no_proxy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectHost {
    /// The host of this name.
    Name(String),
    /// The host of this name, and all hosts below it.
    Domain(String),
    /// Hosts that are written as addresses of this network.
    Network(IpNet),
}

impl Proxy {
    /// Tunnels through the proxy at `address`, with this TLS if its URL is `https://`.
    pub fn new(address: ProxyAddress, tls: ClientTls) -> Self {
        Self {
            address: Arc::new(ArcSwap::from_pointee(address)),
            tls,
            direct: Arc::default(),
        }
    }

    /// The same proxy, but not for these hosts.
    pub fn except(self, direct: Vec<DirectHost>) -> Self {
        Self {
            direct: direct.into(),
            ..self
        }
    }

    /// Uses another address for connections opened from now on.
    pub fn replace(&self, address: ProxyAddress) {
        self.address.store(Arc::new(address));
    }

    pub(super) fn current(&self) -> Arc<ProxyAddress> {
        self.address.load_full()
    }

    /// Whether connections to this origin go through the proxy: those over TLS to other machines.
    pub(super) fn is_for(&self, origin: &Origin) -> bool {
        let is_direct = |host: &DirectHost| host.contains(&origin.host);
        origin.tls && !origin.is_loopback() && !self.direct.iter().any(is_direct)
    }
}

impl ProxyAddress {
    /// Parses `http(s)://[user:password@]host:port`.
    ///
    /// # Errors
    /// The text is no such URL.
    pub fn parse(text: &Secret) -> Result<Self, ProxyAddressError> {
        const WRONG: ProxyAddressError = ProxyAddressError::NotUrl;
        let text = str::from_utf8(text.reveal()).map_err(|_| WRONG)?;
        let (scheme, rest) = text.split_once("://").ok_or(WRONG)?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, behind) = rest.split_at(end);
        if !matches!(behind, "" | "/") {
            return Err(ProxyAddressError::NotBare);
        }
        let (login, server) = match authority.rsplit_once('@') {
            Some((login, server)) => (Some(login), server),
            None => (None, authority),
        };
        let origin = Origin::parse(&format!("{scheme}://{server}")).ok_or(WRONG)?;
        let port = server.rsplit_once(':').map(|(_, port)| port);
        if port.is_none_or(|port| port.is_empty() || !port.bytes().all(|it| it.is_ascii_digit())) {
            return Err(ProxyAddressError::NoPort);
        }
        let authorization = login.map(basic).transpose()?;
        Ok(Self {
            origin,
            authorization,
        })
    }
}

/// The credentials of Basic authentication for the user information of a URL.
fn basic(login: &str) -> Result<Secret, ProxyAddressError> {
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let user = decoded(user).ok_or(ProxyAddressError::Login)?;
    let password = decoded(password).ok_or(ProxyAddressError::Login)?;
    if user.is_empty() || user.contains(&b':') {
        return Err(ProxyAddressError::Login);
    }
    let pair = WipedVec::new([&user[..], b":", &password[..]].concat());
    let encoded = Zeroizing::new(BASE64.encode(&pair));
    Ok(Secret::new(["Basic ", &encoded].concat()))
}

impl DirectHost {
    /// Parses a host name, a domain with a dot in front, an address or a network.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(network) = text.parse::<IpNet>() {
            return Some(Self::Network(network.trunc()));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(Self::Network(address.to_canonical().into()));
        }
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let is_label = |label: &str| !label.is_empty() && label.bytes().all(letter);
        let is_name = |name: &str| name.split('.').all(is_label);
        let text = text.to_ascii_lowercase();
        match text.strip_prefix('.') {
            Some(name) => is_name(name).then(|| Self::Domain(name.to_owned())),
            None => is_name(&text).then_some(Self::Name(text)),
        }
    }

    /// `host` is in lower case, without brackets.
    fn contains(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.');
        match self {
            Self::Name(name) => name == host,
            Self::Domain(domain) => host
                .strip_suffix(domain.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
            Self::Network(network) => host
                .parse::<IpAddr>()
                .is_ok_and(|address| network.contains(&address.to_canonical())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbound::connection::client_config;

    fn parse(text: &str) -> Result<ProxyAddress, ProxyAddressError> {
        ProxyAddress::parse(&Secret::new(text))
    }

    #[test]
    fn an_address_is_parsed_with_its_login() {
        for (text, tls, host, port, login) in [
            ("http://proxy:3128", false, "proxy", 3128, None),
            (
                "https://Proxy.Example.com:443/",
                true,
                "proxy.example.com",
                443,
                None,
            ),
            ("http://[fd00::1]:80", false, "fd00::1", 80, None),
            (
                "http://ann:secret@10.0.0.1:3128",
                false,
                "10.0.0.1",
                3128,
                Some("ann:secret"),
            ),
            ("http://ann@proxy:3128", false, "proxy", 3128, Some("ann:")),
            (
                "http://a%40b:p%3A%2f@s@proxy:1",
                false,
                "proxy",
                1,
                Some("a@b:p:/@s"),
            ),
            ("http://ann:a:b@proxy:1", false, "proxy", 1, Some("ann:a:b")),
            (
                "http://%C3%A4:%c3%b6@proxy:1",
                false,
                "proxy",
                1,
                Some("ä:ö"),
            ),
        ] {
            let address = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let origin = &address.origin;
            assert_eq!(
                (origin.tls, origin.host.as_str(), origin.port),
                (tls, host, port)
            );
            let expected = login.map(|login| format!("Basic {}", BASE64.encode(login.as_bytes())));
            let sent = address.authorization.as_ref().map(Secret::reveal);
            assert_eq!(sent, expected.as_deref().map(str::as_bytes), "{text}");
        }
    }

    #[test]
    fn a_text_that_is_no_address_of_a_proxy_is_refused() {
        use ProxyAddressError::{Login, NoPort, NotBare, NotUrl};
        for (text, error) in [
            ("", NotUrl),
            ("proxy:3128", NotUrl),
            ("socks5://proxy:1080", NotUrl),
            ("http://:3128", NotUrl),
            ("http://ann:secret@", NotUrl),
            ("http://proxy:port", NotUrl),
            ("http://proxy:65536", NotUrl),
            ("http://a b:3128", NotUrl),
            ("http://proxy", NoPort),
            ("http://[::1]", NoPort),
            ("http://proxy:", NotUrl),
            ("http://proxy:3128/path", NotBare),
            ("http://proxy:3128?a=b", NotBare),
            ("http://ann:sec#ret@proxy:3128", NotBare),
            ("http://ann:%zz@proxy:3128", Login),
            ("http://ann:%0a@proxy:3128", Login),
            ("http://ann:a%0@proxy:3128", Login),
            ("http://a%3Ann:x@proxy:3128", Login),
            ("http://:secret@proxy:3128", Login),
        ] {
            let refused = parse(text).err();
            assert_eq!(refused, Some(error), "{text}");
        }
    }

    #[test]
    fn only_other_machines_over_tls_are_reached_through_the_proxy() {
        let direct = [
            "Direct.example.com",
            ".internal.example",
            "10.0.0.0/8",
            "192.168.7.7",
            "fd00::/16",
        ];
        let direct = direct.map(|text| DirectHost::parse(text).unwrap());
        let tls = ClientTls::new(client_config(None).unwrap());
        let proxy = Proxy::new(parse("http://proxy:1").unwrap(), tls).except(direct.into());
        for (url, proxied) in [
            ("https://qiniu.example.com", true),
            ("https://direct.example.com", false),
            ("https://direct.example.com.", false),
            ("https://other.direct.example.com", true),
            ("https://internal.example", false),
            ("https://a.b.INTERNAL.example:8443", false),
            ("https://notinternal.example", true),
            ("https://10.1.2.3", false),
            ("https://11.1.2.3", true),
            ("https://[::ffff:10.1.2.3]", false),
            ("https://192.168.7.7", false),
            ("https://192.168.7.8", true),
            ("https://[fd00::9]", false),
            ("https://[fd01::9]", true),
            ("https://10.1.2.3.example.com", true),
            ("https://localhost", false),
            ("https://127.0.0.9", false),
            ("https://[::1]", false),
            ("http://backend.example.com", false),
        ] {
            assert_eq!(proxy.is_for(&Origin::parse(url).unwrap()), proxied, "{url}");
        }
    }

    #[test]
    fn what_is_no_host_can_t_be_exempted() {
        for text in [
            "",
            ".",
            "*",
            "*.example.com",
            "a..b",
            "example.com:443",
            "https://a",
            "10.0.0.0/33",
            "a b",
            "..a",
            "a.",
        ] {
            assert_eq!(DirectHost::parse(text), None, "{text}");
        }
    }
}
