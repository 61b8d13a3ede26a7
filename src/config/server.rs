//! `[server]` with its `tls`, and `[admin]`: the listeners.

use std::{net::SocketAddr, time::Duration};

use ipnet::IpNet;

use super::{
    certificates::{CertifiedConfig, authorities_expiry, chain_expiry},
    reader::{ConfigReader, Located},
    section::ConfigSection,
    tree::ConfigTable,
    units,
};
use crate::{
    rotation::{LoadError, LoaderInput},
    route::{Rate, RouteSettings},
    server::{
        AdminSettings, HTTP2_PING, ServerSettings,
        tls::{PemFile, ServerTls, server_config},
    },
};

/// The least share of a user where none is written, in bytes.
const LEAST_SHARE: u64 = 64 * 1024 * 1024;

/// What a drain lasts longer than the longest call, where no time is written.
const DRAIN_MARGIN: Duration = Duration::from_secs(5);

/// What is written of `[server]` and depends on the routes.
#[derive(Default)]
pub(super) struct RouteDependent {
    /// The memory that each body must fit in.
    pub(super) memory: Option<Located<u64>>,
    share: Option<Located<u64>>,
    drain_timeout: Option<Duration>,
}

impl ConfigReader<'_> {
    /// The section, and what [`Self::apply_routes`] completes it by.
    pub(super) fn server(
        &mut self,
        root: &ConfigTable,
    ) -> Option<(ServerSettings, RouteDependent)> {
        let section = ConfigSection::at(root, "server");
        self.header("[server]");
        let listen = self.listen(&section);
        let trusted = self.texts(&section, "trusted_proxies").unwrap_or_default();
        let trusted_proxies = trusted
            .iter()
            .filter_map(|network| self.network(network))
            .collect();
        let proxy_protocol = self.proxy_protocol(&section, &trusted);
        let rate_per_address = self.rate_per_address(&section);
        let max_connections = self.integer(&section, "max_connections");
        let max_head_bytes = self.size(&section, "max_head_bytes");
        let memory = self.size(&section, "body_memory");
        let body_memory = memory.as_ref().map(|(bytes, _)| *bytes);
        let share = self.size(&section, "body_memory_per_user");
        let min_body_rate = self.size(&section, "min_body_rate");
        let head_timeout = self.duration(&section, "head_timeout");
        let idle_timeout = self.duration(&section, "idle_timeout");
        let lame_duck = self.duration(&section, "lame_duck");
        let drain_timeout = self.duration(&section, "drain_timeout");
        let tls = self.tls(root);
        let server = ServerSettings {
            listen,
            trusted_proxies,
            proxy_protocol,
            rate_per_address,
            max_connections: usize::try_from(max_connections?.0).ok()?,
            max_head_bytes: usize::try_from(max_head_bytes?.0).ok()?,
            body_memory: body_memory?,
            body_memory_per_user: body_memory?,
            min_body_rate: min_body_rate?.0,
            head_timeout: head_timeout?,
            idle_timeout: idle_timeout?,
            lame_duck: lame_duck?,
            drain_timeout: Duration::ZERO,
            http2_ping: HTTP2_PING,
            tls,
        };
        let written = RouteDependent {
            memory,
            share,
            drain_timeout,
        };
        Some((server, written))
    }

    /// Completes the section by what depends on the routes.
    pub(super) fn apply_routes(
        &mut self,
        server: &mut ServerSettings,
        written: RouteDependent,
        routes: &[RouteSettings],
    ) {
        server.body_memory_per_user = self.user_share(written.share, server.body_memory, routes);
        server.drain_timeout = self.drain_timeout(written.drain_timeout, routes);
        let share = units::written_size(server.body_memory_per_user);
        self.note_derived("body_memory_per_user", &share);
        let drain = units::written_duration(server.drain_timeout);
        self.note_derived("drain_timeout", &drain);
    }

    /// The time of a drain, which should outlast every call.
    fn drain_timeout(&mut self, written: Option<Duration>, routes: &[RouteSettings]) -> Duration {
        let longest = routes.iter().max_by_key(|route| route.timeout);
        let Some(longest) = longest else {
            return written.unwrap_or(DRAIN_MARGIN);
        };
        let enough = longest.timeout.saturating_add(DRAIN_MARGIN);
        if let Some(written) = written.filter(|written| *written < longest.timeout) {
            self.warnings.push(format!(
                "`server.drain_timeout` is {written:?}, but a call on `{}` may take {:?}: a stop \
                 would cut it off, though Qiniu bills it; leave `drain_timeout` out, or write at \
                 least \"{}s\"",
                longest.path,
                longest.timeout,
                enough.as_secs(),
            ));
        }
        written.unwrap_or(enough)
    }

    /// The part of `memory` that bodies of one user may hold. One body of each route must fit.
    fn user_share(
        &mut self,
        written: Option<Located<u64>>,
        memory: u64,
        routes: &[RouteSettings],
    ) -> u64 {
        let largest = routes.iter().map(|route| route.max_body).max();
        let largest = largest.unwrap_or(0);
        let Some((share, location)) = written else {
            return largest.saturating_mul(2).max(LEAST_SHARE).min(memory);
        };
        if share < largest {
            self.error(
                &location,
                "`body_memory_per_user` is smaller than the largest `max_body`",
                format!(
                    "write at least \"{largest}B\", or lower `max_body`: no such body could ever be \
                     accepted"
                ),
            );
        }
        if share > memory {
            self.error(
                &location,
                "`body_memory_per_user` is larger than `server.body_memory`",
                "lower it, or raise `server.body_memory`",
            );
        }
        share
    }

    pub(super) fn admin(&mut self, root: &ConfigTable) -> Option<Located<AdminSettings>> {
        let section = ConfigSection::at(root, "admin");
        self.header("[admin]");
        let help = "write an address like \"127.0.0.1:9090\"";
        let address = self.required(&section, "listen", help)?;
        let listen = self.address(&address)?;
        Some((AdminSettings { listen }, address.1))
    }

    fn listen(&mut self, section: &ConfigSection<'_>) -> Vec<SocketAddr> {
        let before = self.errors.len();
        let written = self.texts(section, "listen").unwrap_or_default();
        let listen: Vec<_> = written
            .iter()
            .filter_map(|address| self.address(address))
            .collect();
        if listen.is_empty() && self.errors.len() == before {
            self.error(
                &section.location,
                "`listen` has no address",
                "write one like \"127.0.0.1:8080\"",
            );
        }
        for (at, (address, location)) in written.iter().enumerate() {
            let same = |other: &Located<String>| other.0 == *address;
            if !address.ends_with(":0") && written.iter().take(at).any(same) {
                self.error(
                    location,
                    format!("`listen` contains `{address}` twice"),
                    "remove one of them",
                );
            }
        }
        listen
    }

    fn proxy_protocol(&mut self, section: &ConfigSection<'_>, trusted: &[Located<String>]) -> bool {
        let on = self.boolean(section, "proxy_protocol");
        if on && trusted.is_empty() {
            let item = section.item("proxy_protocol");
            let location = item.map_or_else(|| section.location.clone(), |item| item.location);
            self.error(
                &location,
                "`proxy_protocol` needs `trusted_proxies`: PROXY headers of others are not accepted",
                "list the addresses of your load balancers in `trusted_proxies`, or leave \
                 `proxy_protocol` out",
            );
        }
        on
    }

    fn rate_per_address(&mut self, section: &ConfigSection<'_>) -> Option<Rate> {
        let rate = self.rate(section, "rate_per_address")?;
        if (rate.per / rate.count.get()).is_zero() {
            let item = section.item("rate_per_address");
            let location = item.map_or_else(|| section.location.clone(), |item| item.location);
            self.error(
                &location,
                "`rate_per_address` of more than one request in a nanosecond limits nothing",
                "lower it, or leave it out",
            );
        }
        Some(rate)
    }

    /// `None` without the section.
    fn tls(&mut self, root: &ConfigTable) -> Option<ServerTls> {
        let section = ConfigSection::at(root, "server.tls");
        section.table?;
        self.header("[server.tls]");
        let certificate = self.required(
            &section,
            "certificate",
            "name the file with the certificate chain, or leave [server.tls] out",
        );
        let private_key = self.required(
            &section,
            "private_key",
            "name the file with the private key, or leave [server.tls] out",
        );
        let client_ca = self.text(&section, "client_ca");
        let path = |file: &Option<Located<String>>| {
            let (text, _) = file.as_ref()?;
            Some(self.base.join(text))
        };
        let paths = [&certificate, &private_key, &client_ca].map(path);
        let mut inputs = vec![
            self.tls_input(&section, "certificate", certificate),
            self.tls_input(&section, "private_key", private_key),
        ];
        if client_ca.is_some() {
            inputs.push(self.tls_input(&section, "client_ca", client_ca));
        }
        let (certified, reloadable) = self.load(inputs, move |texts| {
            let files = paths
                .iter()
                .flatten()
                .zip(texts)
                .map(|(path, text)| PemFile {
                    path,
                    text: text.reveal(),
                });
            let files: Vec<_> = files.collect();
            let (certificate, private_key, client_ca) = match files.as_slice() {
                [certificate, private_key] => (certificate, private_key, None),
                [certificate, private_key, client_ca] => {
                    (certificate, private_key, Some(client_ca))
                }
                _ => return Err(LoadError::wrong_input_count()),
            };
            let config = server_config(certificate, private_key, client_ca)
                .map_err(|error| LoadError::of(0, error.to_string(), error.advice()))?;
            let chain = chain_expiry(certificate.path, certificate.text);
            let authorities = client_ca.and_then(|it| authorities_expiry(it.path, it.text));
            let expiries = chain.into_iter().chain(authorities).collect();
            Ok(CertifiedConfig { config, expiries })
        })?;
        self.reloadable.tls = reloadable;
        self.reloadable.expiries.extend(certified.expiries);
        Some(ServerTls::new(certified.config))
    }

    fn tls_input(
        &mut self,
        section: &ConfigSection<'_>,
        name: &str,
        file: Option<Located<String>>,
    ) -> Option<Located<LoaderInput>> {
        self.document_input(section, name, file?, LoaderInput::any)
    }

    fn address(&mut self, (text, location): &Located<String>) -> Option<SocketAddr> {
        let address = text.parse().ok();
        if address.is_none() {
            self.error(
                location,
                format!("`{text}` is not an IP address with a port"),
                "write ADDRESS:PORT, like \"127.0.0.1:8080\" or \"[::]:8080\"; names are not \
                 resolved",
            );
        }
        address
    }

    fn network(&mut self, (text, location): &Located<String>) -> Option<IpNet> {
        let address = || text.parse::<std::net::IpAddr>().ok().map(IpNet::from);
        let network = text.parse().ok().or_else(address);
        if network.is_none() {
            self.error(
                location,
                format!("`{text}` is not a network"),
                "write one like \"10.0.0.0/8\", or an address",
            );
        }
        network
    }
}
