//! Makes each step's settings of what was written, and finds what contradicts itself or would be dangerous.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;

use super::{
    Settings,
    diagnostics::Place,
    keys,
    reader::{Placed, Reader, Section},
    tree::{Table, Value},
};
use crate::{
    auth::{Algorithm, IdentitySettings, keys::KeySet},
    qiniu::{self, Credentials, Endpoint, UpstreamSettings},
    relay::CorsSettings,
    server::{self, AdminSettings, ServerSettings},
    telemetry::{LogFormat, LogSettings},
};

const TOP: Place = Place::File(0..0);

impl Reader<'_> {
    /// Everything, or `None` where something is missing; mistakes are gathered either way.
    pub(super) fn settings(&mut self, root: &Table) -> Option<Settings> {
        let server = self.server(root);
        let cors = self.cors(root);
        let admin = self.admin(root);
        if let (Some(server), Some((admin, place))) = (&server, &admin)
            && admin.listen.port() != 0
            && server.listen.contains(&admin.listen)
        {
            self.mistake(
                place,
                "the admin listener has the public listener's address",
                "give it an address of its own",
            );
        }
        let qiniu = self.qiniu(root);
        let identities = self.identities(root);
        let log = self.log(root);
        let routes = self.routes(
            root,
            server
                .as_ref()
                .map_or(u64::MAX, |server| server.body_memory),
        );
        Some(Settings {
            server: server?,
            admin: admin?.0,
            cors,
            qiniu: qiniu?,
            identities,
            routes,
            log: log?,
        })
    }

    fn server(&mut self, root: &Table) -> Option<ServerSettings> {
        let section = section(root, "server");
        self.header("[server]");
        let before = self.mistakes.len();
        let listen = self.texts(&section, "listen").unwrap_or_default();
        let listen: Vec<_> = listen
            .iter()
            .filter_map(|address| self.address(address))
            .collect();
        if listen.is_empty() && self.mistakes.len() == before {
            self.mistake(
                &section.place,
                "`listen` has no address",
                "write one like \"127.0.0.1:8080\"",
            );
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
            self.mistake(
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

    fn tls(&mut self, root: &Table) -> Option<std::sync::Arc<rustls::ServerConfig>> {
        let section = nested(root, "server", "tls", "server.tls");
        section.table?;
        self.header("[server.tls]");
        let certificate = self.required_path(
            &section,
            "certificate",
            "name the file with the certificate chain, or leave [server.tls] out",
        );
        let private_key = self.required_path(
            &section,
            "private_key",
            "name the file with the private key, or leave [server.tls] out",
        );
        let client_ca = self.path(&section, "client_ca");
        let (certificate, private_key) = (certificate?, private_key?);
        match server::tls::server_config(
            &certificate.0,
            &private_key.0,
            client_ca.as_ref().map(|(path, _)| path.as_path()),
        ) {
            Ok(config) => Some(config),
            Err(why) => {
                self.mistake(
                    &certificate.1,
                    why,
                    "name readable PEM files that belong together",
                );
                None
            }
        }
    }

    fn required_path(
        &mut self,
        section: &Section<'_>,
        name: &'static str,
        mend: &str,
    ) -> Option<Placed<PathBuf>> {
        self.required(section, name, mend)
            .map(|(text, place)| (self.base.join(text), place))
    }

    fn cors(&mut self, root: &Table) -> CorsSettings {
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
                self.mistake(place, format!("`{origin}` is not an exact origin"), "write it as a browser sends it: \"https://app.example.com\", in lower case and without a path");
            }
        }
        CorsSettings {
            allowed_origins: origins.into_iter().map(|(origin, _)| origin).collect(),
            max_age,
        }
    }

    fn admin(&mut self, root: &Table) -> Option<Placed<AdminSettings>> {
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

    fn qiniu(&mut self, root: &Table) -> Option<UpstreamSettings> {
        let section = section(root, "qiniu");
        self.header("[qiniu]");
        let endpoint = self.required(
            &section,
            "endpoint",
            "write https://face-actlive.qiniuapi.com",
        );
        let endpoint = endpoint.and_then(|endpoint| self.endpoint(&endpoint));
        let access_key = self.secret(&section, "access_key");
        if let Some((key, place)) = &access_key
            && !key
                .reveal()
                .iter()
                .all(|byte| byte.is_ascii_graphic() && *byte != b':')
        {
            self.mistake(
                place,
                "`access_key` holds blanks, colons or characters outside ASCII",
                "give it the key as Qiniu shows it",
            );
        }
        let secret_key = self.secret(&section, "secret_key");
        let sign_date = self.bool(&section, "sign_date");
        let ca_file = self.path(&section, "ca_file");
        let connect_timeout = self.duration(&section, "connect_timeout");
        let max_connections = self.count(&section, "max_connections");
        let idle_timeout = self.duration(&section, "idle_timeout");
        let endpoint = endpoint?;
        let tls = match qiniu::client_tls(ca_file.as_ref().map(|(path, _)| path.as_path())) {
            Ok(tls) => endpoint.tls.then_some(tls),
            Err(why) => {
                let place = ca_file.map_or(section.place, |(_, place)| place);
                self.mistake(
                    &place,
                    why,
                    "name a PEM file with the certificates to trust, or leave `ca_file` out",
                );
                None
            }
        };
        Some(UpstreamSettings {
            endpoint,
            credentials: Credentials {
                access_key: access_key?.0,
                secret_key: secret_key?.0,
            },
            sign_date,
            tls,
            connect_timeout: connect_timeout?,
            max_connections: usize::try_from(max_connections?.0).ok()?,
            idle_timeout: idle_timeout?,
        })
    }

    fn endpoint(&mut self, (text, place): &Placed<String>) -> Option<Endpoint> {
        const FORM: &str = "write https://host, or http:// and a loopback address";
        let parsed = text.parse::<hyper::Uri>().ok().and_then(|uri| {
            let tls = match uri.scheme_str()? {
                "https" => true,
                "http" => false,
                _ => return None,
            };
            let bare = matches!(uri.path(), "" | "/")
                && uri.query().is_none()
                && !text.contains(['@', '#'])
                && !text.ends_with('/');
            let host = uri
                .host()?
                .trim_start_matches('[')
                .trim_end_matches(']')
                .to_ascii_lowercase();
            let default = if tls { 443 } else { 80 };
            let port = uri.port_u16().unwrap_or(default);
            let shown = if host.contains(':') {
                format!("[{host}]")
            } else {
                host.clone()
            };
            let authority = if port == default {
                shown
            } else {
                format!("{shown}:{port}")
            };
            bare.then_some(Endpoint {
                tls,
                host,
                port,
                authority,
            })
        });
        let Some(endpoint) = parsed else {
            self.mistake(place, format!("`{text}` is not a base URL"), FORM);
            return None;
        };
        let loopback = endpoint.host == "localhost"
            || endpoint
                .host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback());
        if !endpoint.tls && !loopback {
            self.mistake(
                place,
                "http:// would send faces and signatures in the clear",
                FORM,
            );
        }
        Some(endpoint)
    }

    fn identities(&mut self, root: &Table) -> Vec<IdentitySettings> {
        let sections = sections(root, "identity", "identity[]");
        if sections.is_empty() {
            self.mistake(&TOP, "no [[identity]]: nobody could call", "add one, with `issuer`, `audience` and one of `secret`, `public_key_file`, `jwks_file`");
        }
        let mut identities: Vec<IdentitySettings> = Vec::new();
        for section in sections {
            self.header("[[identity]]");
            let issuer = self.required(
                &section,
                "issuer",
                "write exactly what the tokens have in `iss`",
            );
            if let Some((issuer, place)) = &issuer
                && identities.iter().any(|other| other.issuer == *issuer)
            {
                self.mistake(
                    place,
                    format!("two identities have the issuer `{issuer}`"),
                    "put both keys into one key set (`jwks_file`)",
                );
            }
            let before = self.mistakes.len();
            let audience = self.texts(&section, "audience").unwrap_or_default();
            if self.mistakes.len() == before
                && (audience.is_empty() || audience.iter().any(|(text, _)| text.is_empty()))
            {
                self.mistake(
                    &section.place,
                    "`audience` is missing: tokens for other services would be taken",
                    "write what the tokens have in `aud`",
                );
            }
            let keys = self.keys(&section);
            let user_claim = self.required(
                &section,
                "user_claim",
                "write the claim that names the user",
            );
            let leeway = self.duration(&section, "leeway");
            if let (Some((issuer, _)), Some(keys), Some((user_claim, _)), Some(leeway)) =
                (issuer, keys, user_claim, leeway)
            {
                let audience = audience.into_iter().map(|(text, _)| text).collect();
                identities.push(IdentitySettings {
                    issuer,
                    audience,
                    keys,
                    user_claim,
                    leeway,
                });
            }
        }
        identities
    }

    fn keys(&mut self, section: &Section<'_>) -> Option<KeySet> {
        const SOURCES: [&str; 3] = ["secret", "public_key_file", "jwks_file"];
        let given = section.table.map_or(0, |table| {
            SOURCES
                .iter()
                .filter(|name| table.contains_key(**name))
                .count()
        });
        if given != 1 {
            let message = if given == 0 {
                "this identity has no keys"
            } else {
                "this identity has keys from several places"
            };
            self.mistake(
                &section.place,
                message,
                "write exactly one of `secret`, `public_key_file` and `jwks_file`",
            );
            return None;
        }
        let (made, place): Placed<Result<KeySet, String>> = if section.table?.contains_key("secret")
        {
            let (secret, place) = self.secret(section, "secret")?;
            (KeySet::from_secret(&secret), place)
        } else if let Some(path) = self.path(section, "public_key_file") {
            (KeySet::from_pem(&self.file(&path)?), path.1)
        } else {
            let path = self.path(section, "jwks_file")?;
            (KeySet::from_jwks(&self.file(&path)?), path.1)
        };
        let keys = match made {
            Ok(keys) => keys,
            Err(why) => {
                let source = SOURCES
                    .into_iter()
                    .find(|name| section.table.is_some_and(|table| table.contains_key(*name)));
                self.mistake(
                    &place,
                    format!("`{}` {why}", source.unwrap_or_default()),
                    "see the identity section of the configuration reference for what keys may be",
                );
                return None;
            }
        };
        self.restricted(section, keys)
    }

    fn restricted(&mut self, section: &Section<'_>, keys: KeySet) -> Option<KeySet> {
        let Some(names) = self.texts(section, "algorithms") else {
            return Some(keys);
        };
        let algorithms: Vec<_> = names
            .iter()
            .filter_map(|name| self.algorithm(name))
            .collect();
        if algorithms.len() < names.len() {
            return None;
        }
        match keys.restrict(&algorithms) {
            Ok(keys) => Some(keys),
            Err(why) => {
                let place = names.first().map_or(&section.place, |(_, place)| place);
                self.mistake(
                    place,
                    format!("`algorithms` {why}"),
                    "write those of the keys, or leave `algorithms` out",
                );
                None
            }
        }
    }

    fn algorithm(&mut self, (name, place): &Placed<String>) -> Option<Algorithm> {
        let known = keys::ALGORITHMS
            .contains(&name.as_str())
            .then(|| name.parse::<Algorithm>().ok())
            .flatten();
        if known.is_none() {
            self.mistake(
                place,
                format!("`{name}` is not an algorithm we take"),
                format!("write some of: {}", keys::ALGORITHMS.join(", ")),
            );
        }
        known
    }

    fn log(&mut self, root: &Table) -> Option<LogSettings> {
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

    fn address(&mut self, (text, place): &Placed<String>) -> Option<SocketAddr> {
        let address = text.parse().ok();
        if address.is_none() {
            self.mistake(
                place,
                format!("`{text}` is not an address with a port"),
                "write one like \"127.0.0.1:8080\" or \"[::]:8080\"",
            );
        }
        address
    }

    fn network(&mut self, (text, place): &Placed<String>) -> Option<IpNet> {
        let network = text.parse().ok().or_else(|| {
            text.parse()
                .ok()
                .map(|address: std::net::IpAddr| IpNet::from(address))
        });
        if network.is_none() {
            self.mistake(
                place,
                format!("`{text}` is not a network"),
                "write one like \"10.0.0.0/8\", or an address",
            );
        }
        network
    }
}

/// A top-level section; an absent one has its defaults.
fn section<'t>(root: &'t Table, path: &'static str) -> Section<'t> {
    match root.get(path) {
        Some((place, item)) => match &item.value {
            Value::Table(table) => Section {
                path,
                table: Some(table),
                place: place.clone(),
                kind: "",
            },
            _ => Section {
                path,
                table: None,
                place: place.clone(),
                kind: "",
            },
        },
        None => Section {
            path,
            table: None,
            place: TOP,
            kind: "",
        },
    }
}

fn nested<'t>(
    root: &'t Table,
    outer: &'static str,
    inner: &str,
    path: &'static str,
) -> Section<'t> {
    match section(root, outer)
        .table
        .and_then(|table| table.get(inner))
    {
        Some((place, item)) => match &item.value {
            Value::Table(table) => Section {
                path,
                table: Some(table),
                place: place.clone(),
                kind: "",
            },
            _ => Section {
                path,
                table: None,
                place: place.clone(),
                kind: "",
            },
        },
        None => Section {
            path,
            table: None,
            place: TOP,
            kind: "",
        },
    }
}

/// The tables of a list.
pub(super) fn sections<'t>(root: &'t Table, name: &str, path: &'static str) -> Vec<Section<'t>> {
    let Some((_, item)) = root.get(name) else {
        return Vec::new();
    };
    let Value::List(items) = &item.value else {
        return Vec::new();
    };
    let tables = items.iter().filter_map(|item| match &item.value {
        Value::Table(table) => Some(Section {
            path,
            table: Some(table),
            place: item.place.clone(),
            kind: "",
        }),
        _ => None,
    });
    tables.collect()
}
