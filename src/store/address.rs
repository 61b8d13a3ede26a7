//! The URL of a store: where its servers are, and how to log in.
//!
//! One server, the sentinels that know the primary of a service, or some nodes of a cluster. No
//! part of the text gets into an error: it holds a password. Resolves no names and opens no
//! connections.

use std::path::PathBuf;

use super::error::AddressError;
use crate::{
    outbound::{connection::ClientTls, origin::Origin, user_info},
    secret::Secret,
};

/// The port of a server without one in the URL.
const SERVER_PORT: u16 = 6379;
/// The port of a sentinel without one in the URL.
const SENTINEL_PORT: u16 = 26379;

/// Where a store is, and how to log in. It has no `Debug` or `Display`: it holds a password.
#[derive(Clone)]
pub struct StoreAddress {
    pub(super) servers: StoreServers,
    pub(super) login: StoreLogin,
    /// How to encrypt connections, for a URL that asks for it.
    pub(super) tls: Option<ClientTls>,
    /// Whether servers on a network may be reached without TLS.
    pub(super) allow_plaintext: bool,
}

/// The servers that a URL names.
#[derive(Clone)]
pub(super) enum StoreServers {
    /// A socket of this machine.
    Unix(PathBuf),
    /// One server, or whatever its name leads to.
    One(Origin),
    /// The sentinels that know the primary of a service.
    Sentinels(SentinelService),
    /// Some nodes of a cluster.
    Cluster(Vec<Origin>),
}

/// A service, and the sentinels that know its primary.
#[derive(Clone)]
pub(super) struct SentinelService {
    pub(super) name: String,
    pub(super) sentinels: Vec<Origin>,
    /// The sentinels' own login, if the URL has one.
    pub(super) login: Option<StoreLogin>,
}

/// A user, a password and a database. The default is to log in to nothing.
#[derive(Clone, Default)]
pub(super) struct StoreLogin {
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) database: u16,
}

/// What follows the scheme of a URL, not yet decoded.
struct UrlParts<'a> {
    login: StoreLogin,
    hosts: &'a str,
    path: &'a str,
    query: &'a str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum UrlKind {
    One,
    Sentinels,
    Cluster,
}

impl StoreAddress {
    /// Parses a URL: `redis://` or `rediss://` (with `tls`), each also with `+sentinel` or
    /// `+cluster` before the colon and as `valkey` or `valkeys`; or `unix://`. Without
    /// `allow_plaintext`, what is not encrypted must not leave this machine.
    ///
    /// # Errors
    /// The text is no such URL.
    pub fn parse(
        text: &Secret,
        tls: &ClientTls,
        allow_plaintext: bool,
    ) -> Result<Self, AddressError> {
        if cfg!(not(feature = "redis")) {
            return Err(AddressError::NotBuilt);
        }
        let text = str::from_utf8(text.reveal()).map_err(|_| AddressError::NotRedis)?;
        let (scheme, rest) = text.split_once("://").ok_or(AddressError::NotRedis)?;
        let (encrypted, kind) = match scheme.to_ascii_lowercase().as_str() {
            "unix" | "redis+unix" | "valkey+unix" => return Self::unix(rest),
            "redis" | "valkey" => (false, UrlKind::One),
            "rediss" | "valkeys" => (true, UrlKind::One),
            "redis+sentinel" | "valkey+sentinel" => (false, UrlKind::Sentinels),
            "rediss+sentinel" | "valkeys+sentinel" => (true, UrlKind::Sentinels),
            "redis+cluster" | "valkey+cluster" => (false, UrlKind::Cluster),
            "rediss+cluster" | "valkeys+cluster" => (true, UrlKind::Cluster),
            _ => return Err(AddressError::NotRedis),
        };
        let mut parts = UrlParts::split(rest)?;
        let address = Self {
            servers: parts.servers(kind, encrypted)?,
            login: parts.login,
            tls: encrypted.then(|| tls.clone()),
            allow_plaintext,
        };
        let mut reached = address.servers.named().iter();
        match reached.all(|server| address.may_reach(server)) {
            true => Ok(address),
            false => Err(AddressError::Plaintext),
        }
    }

    fn unix(rest: &str) -> Result<Self, AddressError> {
        if rest.contains(['?', '#']) {
            return Err(AddressError::HasOptions);
        }
        let path = decoded_text(rest).filter(|path| path.starts_with('/'));
        Ok(Self {
            servers: StoreServers::Unix(path.ok_or(AddressError::NoPath)?.into()),
            login: StoreLogin::default(),
            tls: None,
            allow_plaintext: false,
        })
    }

    /// The URL without its login, for a person.
    pub fn shown(&self) -> String {
        let scheme = if self.tls.is_some() {
            "rediss"
        } else {
            "redis"
        };
        let database = match self.login.database {
            0 => String::new(),
            number => format!("/{number}"),
        };
        let hosts: Vec<_> = self.servers.named().iter().map(host_and_port).collect();
        let hosts = hosts.join(",");
        match &self.servers {
            StoreServers::Unix(path) => format!("unix://{}", path.display()),
            StoreServers::One(_) => format!("{scheme}://{hosts}{database}"),
            StoreServers::Cluster(_) => format!("{scheme}+cluster://{hosts}"),
            StoreServers::Sentinels(service) => {
                format!("{scheme}+sentinel://{hosts}/{}{database}", service.name)
            }
        }
    }

    /// Whether a server may be reached: over TLS, or on this machine, unless plaintext is allowed.
    pub(super) fn may_reach(&self, server: &Origin) -> bool {
        server.tls || server.is_loopback() || self.allow_plaintext
    }

    /// Whether another server takes over when the primary dies.
    pub(super) fn fails_over(&self) -> bool {
        matches!(
            self.servers,
            StoreServers::Sentinels(_) | StoreServers::Cluster(_)
        )
    }
}

impl StoreServers {
    /// The servers that the URL names.
    fn named(&self) -> &[Origin] {
        match self {
            Self::Unix(_) => &[],
            Self::One(server) => std::slice::from_ref(server),
            Self::Sentinels(service) => &service.sentinels,
            Self::Cluster(nodes) => nodes,
        }
    }
}

impl<'a> UrlParts<'a> {
    fn split(rest: &'a str) -> Result<Self, AddressError> {
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        if rest.contains('#') || query.contains('#') {
            return Err(AddressError::HasOptions);
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => {
                let (user, password) = login.split_once(':').unwrap_or((login, ""));
                (StoreLogin::decode(user, password)?, hosts)
            }
            None => (StoreLogin::default(), authority),
        };
        Ok(Self {
            login,
            hosts,
            path,
            query,
        })
    }

    fn servers(&mut self, kind: UrlKind, tls: bool) -> Result<StoreServers, AddressError> {
        if kind != UrlKind::Sentinels && !self.query.is_empty() {
            return Err(AddressError::HasOptions);
        }
        let port = match kind {
            UrlKind::Sentinels => SENTINEL_PORT,
            UrlKind::One | UrlKind::Cluster => SERVER_PORT,
        };
        let hosts = self.hosts.split(',').map(|host| server(host, port, tls));
        let mut hosts: Vec<_> = hosts.collect::<Result<_, _>>()?;
        let path = self.path.strip_suffix('/').unwrap_or(self.path);
        match kind {
            UrlKind::One => {
                self.login.database = database(path)?;
                match (hosts.pop(), hosts.is_empty()) {
                    (Some(host), true) => Ok(StoreServers::One(host)),
                    _ => Err(AddressError::SeveralHosts),
                }
            }
            UrlKind::Cluster if database(path)? == 0 => Ok(StoreServers::Cluster(hosts)),
            UrlKind::Cluster => Err(AddressError::ClusterDatabase),
            UrlKind::Sentinels => {
                let (name, number) = path.split_once('/').unwrap_or((path, ""));
                self.login.database = database(number)?;
                let name = decoded_text(name).filter(|name| !name.is_empty());
                Ok(StoreServers::Sentinels(SentinelService {
                    name: name.ok_or(AddressError::NoService)?,
                    sentinels: hosts,
                    login: self.sentinel_login()?,
                }))
            }
        }
    }

    /// `?sentinel_user=…&sentinel_password=…`
    fn sentinel_login(&self) -> Result<Option<StoreLogin>, AddressError> {
        let (mut user, mut password) = ("", "");
        for option in self.query.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("sentinel_user", value)) => user = value,
                Some(("sentinel_password", value)) => password = value,
                _ => return Err(AddressError::UnknownOption),
            }
        }
        match (user, password) {
            ("", "") => Ok(None),
            (user, password) => StoreLogin::decode(user, password).map(Some),
        }
    }
}

impl StoreLogin {
    fn decode(user: &str, password: &str) -> Result<Self, AddressError> {
        let user = decoded_text(user).ok_or(AddressError::Login)?;
        let bytes = user_info::decoded(password).ok_or(AddressError::Login)?;
        // The protocol could carry other bytes, but the crate that packs it takes texts.
        if str::from_utf8(&bytes).is_err() {
            return Err(AddressError::Login);
        }
        if bytes.is_empty() && !user.is_empty() {
            return Err(AddressError::NoPassword);
        }
        Ok(Self {
            user: (!user.is_empty()).then_some(user),
            password: (!bytes.is_empty()).then(|| Secret::new(bytes.as_slice())),
            database: 0,
        })
    }
}

fn decoded_text(text: &str) -> Option<String> {
    String::from_utf8(user_info::decoded(text)?.to_vec()).ok()
}

/// The server of `host`, `host:port` or `[address]:port`.
fn server(text: &str, default_port: u16, tls: bool) -> Result<Origin, AddressError> {
    let has_port = text.rsplit_once(':').is_some_and(|(host, _)| {
        // The last colon of an address in brackets is within them.
        !host.contains('[') || host.ends_with(']')
    });
    let parsed = match has_port {
        true => Origin::parse(&format!("http://{text}")),
        false => Origin::parse(&format!("http://{text}:{default_port}")),
    };
    match parsed {
        // No URL is requested there, and servers are compared with those that others announce.
        Some(origin) if origin.port > 0 => Ok(Origin {
            tls,
            authority: String::new(),
            ..origin
        }),
        _ if text.is_empty() || text.starts_with(':') => Err(AddressError::NoHost),
        _ => Err(AddressError::Host),
    }
}

/// The number of a database, 0 without one.
fn database(text: &str) -> Result<u16, AddressError> {
    match text {
        "" => Ok(0),
        text if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            text.parse().map_err(|_| AddressError::Database)
        }
        _ => Err(AddressError::Database),
    }
}

/// Where a server is, for a person.
pub(super) fn host_and_port(server: &Origin) -> String {
    match server.host.contains(':') {
        true => format!("[{}]:{}", server.host, server.port),
        false => format!("{}:{}", server.host, server.port),
    }
}

/// A server as another one announces it. `None` if that can't be a host and a port.
pub(super) fn announced(host: &str, port: u16, tls: bool) -> Option<Origin> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:%".contains(&byte);
    let fits = !host.is_empty() && host.len() <= 255 && host.bytes().all(fits) && port > 0;
    fits.then(|| Origin {
        tls,
        host: host.to_ascii_lowercase(),
        port,
        authority: String::new(),
    })
}

#[cfg(test)]
#[cfg(feature = "redis")]
#[path = "tests/address.rs"]
mod tests;
