//! From the name of a server to its addresses, in the order in which to try them.
//!
//! Relies on the system's resolver, which sorts the addresses (RFC 6724). A lookup can't be
//! cancelled, and outlives those who asked for it, so only a few run at once. Never keeps an
//! address: how long one is valid is the resolver's matter.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use tokio::{net::lookup_host, sync::Semaphore};

/// Maximum number of lookups at once, those included that nobody waits for any more.
const MAX_LOOKUPS: usize = 16;

/// Why a name has no addresses.
#[derive(Debug, thiserror::Error)]
pub enum NameError {
    /// The resolver failed, or does not know the name.
    #[error("its name can't be resolved: {0}")]
    Unresolved(#[source] io::Error),
    /// The name exists, without an address.
    #[error("its name has no address")]
    NoAddress,
}

/// Where names are looked up.
#[derive(Clone)]
pub struct Names(NameSource);

#[derive(Clone)]
enum NameSource {
    /// The system's resolver, with a permit for each lookup.
    System(Arc<Semaphore>),
    /// Fixed addresses.
    Table(Arc<BTreeMap<String, Vec<SocketAddr>>>),
}

impl Default for Names {
    /// The system's resolver.
    fn default() -> Self {
        Self(NameSource::System(Arc::new(Semaphore::new(MAX_LOOKUPS))))
    }
}

impl Names {
    /// Fixed addresses, whatever port is asked for. For tests.
    pub fn table<'a>(names: impl IntoIterator<Item = (&'a str, Vec<SocketAddr>)>) -> Self {
        let names = names.into_iter();
        let names = names.map(|(name, addresses)| (name.to_owned(), addresses));
        Self(NameSource::Table(Arc::new(names.collect())))
    }

    /// The addresses of a host, those of both families in turn. At least one.
    ///
    /// # Errors
    /// The name can't be resolved, or has no address.
    pub(super) async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let addresses = match &self.0 {
            NameSource::Table(names) => names.get(host).cloned().unwrap_or_default(),
            NameSource::System(permits) => {
                let permit = Arc::clone(permits).acquire_owned().await;
                let host = host.to_owned();
                // A task of its own, so that the permit is held until the lookup has ended.
                let lookup = tokio::spawn(async move {
                    let _permit = permit;
                    let addresses = lookup_host((host, port)).await.map_err(unresolved)?;
                    Ok::<_, io::Error>(addresses.collect::<Vec<_>>())
                });
                lookup.await.map_err(io::Error::other)??
            }
        };
        if addresses.is_empty() {
            let error = NameError::NoAddress;
            return Err(io::Error::new(io::ErrorKind::NotFound, error));
        }
        Ok(interleaved(addresses))
    }
}

fn unresolved(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), NameError::Unresolved(error))
}

/// Each address once: the first, then one of the other family, and so on (RFC 8305 section 4).
fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let count = addresses.len();
    let (first, second): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut ordered: Vec<SocketAddr> = Vec::with_capacity(count);
    for _ in 0..count {
        for address in [first.next(), second.next()].into_iter().flatten() {
            if !ordered.contains(&address) {
                ordered.push(address);
            }
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns_and_each_address_comes_once() {
        for (resolved, tried) in [
            (
                &["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "1.1.1.2:1"][..],
                &["[::1]:1", "1.1.1.1:1", "[::2]:1", "1.1.1.2:1", "[::3]:1"][..],
            ),
            (
                &["1.1.1.1:1", "1.1.1.2:1", "[::1]:1"],
                &["1.1.1.1:1", "[::1]:1", "1.1.1.2:1"],
            ),
            (
                &["1.1.1.2:1", "1.1.1.1:1", "1.1.1.2:1"],
                &["1.1.1.2:1", "1.1.1.1:1"],
            ),
            (&["[::1]:1"], &["[::1]:1"]),
        ] {
            assert_eq!(
                interleaved(addresses(resolved)),
                addresses(tried),
                "{resolved:?}"
            );
        }
    }

    #[tokio::test]
    async fn addresses_need_no_lookup_and_unknown_names_are_errors() {
        let names = Names::table([("a", addresses(&["127.0.0.1:7"])), ("none", Vec::new())]);
        for (host, found) in [
            ("a", Some("127.0.0.1:7")),
            ("10.0.0.1", Some("10.0.0.1:9")),
            ("::1", Some("[::1]:9")),
            ("none", None),
            ("b", None),
        ] {
            let resolved = names.resolve(host, 9).await.ok();
            assert_eq!(resolved, found.map(|found| addresses(&[found])), "{host}");
        }
        let system = Names::default();
        assert!(!system.resolve("localhost", 9).await.unwrap().is_empty());
        assert!(system.resolve("name.invalid", 9).await.is_err());
    }

    #[tokio::test]
    async fn a_lookup_needs_a_permit_and_an_address_none() {
        let permits = Arc::new(Semaphore::new(1));
        let names = Names(NameSource::System(Arc::clone(&permits)));
        let hanging = permits.acquire().await.unwrap();
        let limit = Duration::from_millis(20);
        let waits = timeout(limit, names.resolve("localhost", 9)).await;
        assert!(waits.is_err(), "a lookup more than may run at once");
        assert!(names.resolve("127.0.0.1", 9).await.is_ok());
        drop(hanging);
        assert!(names.resolve("localhost", 9).await.is_ok());
    }
}
