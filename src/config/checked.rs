//! Makes each step's settings of what was written, and finds what contradicts itself or would be dangerous.

use std::{net::SocketAddr, time::Duration};

use ipnet::IpNet;

use super::{
    Settings,
    diagnostics::ConfigLocation,
    keys,
    reader::{ConfigReader, ConfigSection, Located},
    tree::{ConfigTable, ConfigValue},
};
use crate::{
    relay::cors::CorsSettings,
    server::{AdminSettings, ServerSettings},
    telemetry::{LogFormat, LogSettings},
};

pub(super) const TOP: ConfigLocation = ConfigLocation::File(0..0);

impl ConfigReader<'_> {
    /// Everything, or `None` where something is missing; errors are gathered either way.
    pub(super) fn settings(&mut self, root: &ConfigTable) -> Option<Settings> {
        let server = self.server(root);
        let cors = self.cors(root);
        let admin = self.admin(root);
        if let (Some(server), Some((admin, place))) = (&server, &admin)
            && admin.listen.port() != 0
            && server.listen.contains(&admin.listen)
        {
            self.error(
                place,
                "the admin listener has the public listener's address",
                "give it an address of its own",
            );
        }
        let qiniu = self.qiniu(root);
        let identities = self.identities(root);
        let sessions = self.sessions(root);
        let log = self.log(root);
        let routes = self.routes(
            root,
            server
                .as_ref()
                .map_or(u64::MAX, |server| server.body_memory),
        );
        let verdict = self.verdict(root, &routes);
        let evidence = self.evidence(root);
        let store = self.store(root, sessions.as_ref());
        Some(Settings {
            server: server?,
            admin: admin?.0,
            cors,
            qiniu: qiniu?,
            identities,
            sessions,
            routes,
            verdict,
            evidence,
            store,
            log: log?,
            reloadable: std::mem::take(&mut self.reloadable),
        })
    }

    fn server(&mut self, root: &ConfigTable) -> Option<ServerSettings> {
        let section = section(root, "server");
        self.header("[server]");
        let before = self.errors.len();
        let written = self.texts(&section, "listen").unwrap_or_default();
        let listen: Vec<_> = written
            .iter()
            .filter_map(|address| self.address(address))
            .collect();
        if listen.is_empty() && self.errors.len() == before {
            self.error(
                &section.place,
                "`listen` has no address",
                "write one like \"127.0.0.1:8080\"",
            );
        }
        for (at, (address, place)) in written.iter().enumerate() {
            let same = |other: &Located<String>| other.0 == *address;
            if !address.ends_with(":0") && written.iter().take(at).any(same) {
                self.error(
                    place,
                    format!("`{address}` stands in `listen` twice"),
                    "remove one of them",
                );
            }
        }
        let trusted = self.texts(&section, "trusted_proxies").unwrap_or_default();
        let trusted_proxies = trusted
            .iter()
            .filter_map(|network| self.network(network))
            .collect();
        let max_connections = self.count(&section, "max_connections");
        let max_head_bytes = self.size(&section, "max_head_bytes");
        if let Some((bytes, place)) = &max_head_bytes
            && !(1024..=128 * 1024).contains(bytes)
        {
            self.error(
                place,
                "`max_head_bytes` is out of range",
                "write a size from \"1KiB\" to \"128KiB\"",
            );
        }
        let body_memory = self.size(&section, "body_memory");
        let min_body_rate = self.size(&section, "min_body_rate");
        let head_timeout = self.duration(&section, "head_timeout");
        let idle_timeout = self.duration(&section, "idle_timeout");
        let drain_timeout = self.duration(&section, "drain_timeout");
        let tls = self.tls(root);
        Some(ServerSettings {
            listen,
            trusted_proxies,
            max_connections: usize::try_from(max_connections?.0).ok()?,
            max_head_bytes: usize::try_from(max_head_bytes?.0).ok()?,
            body_memory: body_memory?.0,
            min_body_rate: min_body_rate?.0,
            head_timeout: head_timeout?,
            idle_timeout: idle_timeout?,
            drain_timeout: drain_timeout?,
            tls,
        })
    }

    fn cors(&mut self, root: &ConfigTable) -> CorsSettings {
        let section = nested(root, "server", "cors", "server.cors");
        self.header("[server.cors]");
        let origins = self.texts(&section, "allowed_origins").unwrap_or_default();
        let max_age = self
            .duration(&section, "max_age")
            .unwrap_or(Duration::from_secs(600));
        for (origin, place) in &origins {
            let exact = origin.parse::<hyper::Uri>().is_ok_and(|uri| {
                matches!(uri.scheme_str(), Some("http" | "https"))
                    && uri
                        .authority()
                        .is_some_and(|authority| !authority.as_str().contains('@'))
            });
            let bare = origin
                .split_once("://")
                .is_some_and(|(_, rest)| !rest.contains(['/', '?', '#', '*']));
            if !exact || !bare || origin.chars().any(|letter| letter.is_ascii_uppercase()) {
                self.error(place, format!("`{origin}` is not an exact origin"), "write it as a browser sends it: \"https://app.example.com\", in lower case and without a path");
            }
        }
        CorsSettings {
            allowed_origins: origins.into_iter().map(|(origin, _)| origin).collect(),
            max_age,
        }
    }

    fn admin(&mut self, root: &ConfigTable) -> Option<Located<AdminSettings>> {
        let section = section(root, "admin");
        self.header("[admin]");
        let text = self.required(
            &section,
            "listen",
            "write an address like \"127.0.0.1:9090\"",
        )?;
        Some((
            AdminSettings {
                listen: self.address(&text)?,
            },
            text.1,
        ))
    }

    fn log(&mut self, root: &ConfigTable) -> Option<LogSettings> {
        let section = section(root, "log");
        self.header("[log]");
        let format = self.word(&section, "format", &["json", "text"]);
        let level = self.word(&section, "level", keys::LEVELS);
        let format = if format? == "text" {
            LogFormat::Text
        } else {
            LogFormat::Json
        };
        Some(LogSettings {
            format,
            level: level?.parse().ok()?,
        })
    }

    fn address(&mut self, (text, place): &Located<String>) -> Option<SocketAddr> {
        let address = text.parse().ok();
        if address.is_none() {
            self.error(
                place,
                format!("`{text}` is not an address with a port"),
                "write one like \"127.0.0.1:8080\" or \"[::]:8080\"",
            );
        }
        address
    }

    fn network(&mut self, (text, place): &Located<String>) -> Option<IpNet> {
        let network = text.parse().ok().or_else(|| {
            text.parse()
                .ok()
                .map(|address: std::net::IpAddr| IpNet::from(address))
        });
        if network.is_none() {
            self.error(
                place,
                format!("`{text}` is not a network"),
                "write one like \"10.0.0.0/8\", or an address",
            );
        }
        network
    }
}

/// A top-level section; an absent one has its defaults.
pub(super) fn section<'t>(root: &'t ConfigTable, path: &'static str) -> ConfigSection<'t> {
    match root.get(path) {
        Some((place, item)) => match &item.value {
            ConfigValue::Table(table) => ConfigSection {
                path,
                table: Some(table),
                place: place.clone(),
                kind: "",
            },
            _ => ConfigSection {
                path,
                table: None,
                place: place.clone(),
                kind: "",
            },
        },
        None => ConfigSection {
            path,
            table: None,
            place: TOP,
            kind: "",
        },
    }
}

/// A section in a section.
pub(super) fn nested<'t>(
    root: &'t ConfigTable,
    outer: &'static str,
    inner: &str,
    path: &'static str,
) -> ConfigSection<'t> {
    match section(root, outer)
        .table
        .and_then(|table| table.get(inner))
    {
        Some((place, item)) => match &item.value {
            ConfigValue::Table(table) => ConfigSection {
                path,
                table: Some(table),
                place: place.clone(),
                kind: "",
            },
            _ => ConfigSection {
                path,
                table: None,
                place: place.clone(),
                kind: "",
            },
        },
        None => ConfigSection {
            path,
            table: None,
            place: TOP,
            kind: "",
        },
    }
}

/// The tables of a list.
pub(super) fn sections<'t>(
    root: &'t ConfigTable,
    name: &str,
    path: &'static str,
) -> Vec<ConfigSection<'t>> {
    let Some((_, item)) = root.get(name) else {
        return Vec::new();
    };
    let ConfigValue::List(items) = &item.value else {
        return Vec::new();
    };
    let tables = items.iter().filter_map(|item| match &item.value {
        ConfigValue::Table(table) => Some(ConfigSection {
            path,
            table: Some(table),
            place: item.place.clone(),
            kind: "",
        }),
        _ => None,
    });
    tables.collect()
}
