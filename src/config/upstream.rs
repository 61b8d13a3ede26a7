//! `[qiniu]`: the upstream and the credentials. Also the `ca_file` of every section.

use super::{
    certificates::{CertifiedConfig, authorities_expiry},
    reader::{ConfigReader, Located},
    redact,
    reloadable::ReloadableAuthorities,
    section::ConfigSection,
    tree::ConfigTable,
};
use crate::{
    outbound::{
        connection::{ClientTls, client_config},
        origin::Origin,
    },
    qiniu::{Credentials, UpstreamSettings},
    rotation::{InputError, LoadError, LoaderInput},
    secret::Secret,
};

const KEY_HELP: &str = "give it the key as Qiniu shows it, and nothing else";

impl ConfigReader<'_> {
    pub(super) fn qiniu(&mut self, root: &ConfigTable) -> Option<UpstreamSettings> {
        let section = ConfigSection::at(root, "qiniu");
        self.header("[qiniu]");
        let help = "write https://face-actlive.qiniuapi.com";
        let endpoint = self.required(&section, "endpoint", help);
        let endpoint = endpoint.and_then(|endpoint| self.endpoint(&endpoint));
        let inputs = vec![
            self.secret_input(&section, "access_key", check_access_key),
            self.secret_input(&section, "secret_key", check_secret_key),
        ];
        let credentials = self.load(inputs, |texts| match texts {
            [access_key, secret_key] => Ok(Credentials {
                access_key: access_key.clone(),
                secret_key: secret_key.clone(),
            }),
            _ => Err(LoadError::wrong_input_count()),
        });
        let sign_date = self.boolean(&section, "sign_date");
        let tls = self.client_tls(&section);
        let connect_timeout = self.duration(&section, "connect_timeout");
        let max_connections = self.integer(&section, "max_connections");
        let idle_timeout = self.duration(&section, "idle_timeout");
        let endpoint = endpoint?;
        let tls = tls?;
        let (credentials, reloadable) = credentials?;
        self.reloadable.credentials = reloadable;
        Some(UpstreamSettings {
            dialer: self.dialer(),
            tls: endpoint.tls.then_some(tls),
            endpoint,
            credentials,
            sign_date,
            connect_timeout: connect_timeout?,
            max_connections: usize::try_from(max_connections?.0).ok()?,
            idle_timeout: idle_timeout?,
        })
    }

    /// TLS settings that trust the authorities of the section's `ca_file`, or the system's.
    pub(super) fn client_tls(&mut self, section: &ConfigSection<'_>) -> Option<ClientTls> {
        let ca_file = self.text(section, "ca_file");
        let path = ca_file.as_ref().map(|(text, _)| self.base.join(text));
        let input =
            ca_file.map(|file| self.document_input(section, "ca_file", file, LoaderInput::any));
        let (certified, reloadable) = self.load(input.into_iter().collect(), move |texts| {
            let authorities = path.as_deref().zip(texts.first().map(Secret::reveal));
            let config = client_config(authorities).map_err(|error| {
                let help = "name a PEM file with the certificates to trust, or leave `ca_file` out";
                LoadError::of(0, error.to_string(), help)
            })?;
            let expiry = authorities.and_then(|(path, text)| authorities_expiry(path, text));
            let expiries = expiry.into_iter().collect();
            Ok(CertifiedConfig { config, expiries })
        })?;
        self.reloadable.expiries.extend(certified.expiries);
        let tls = ClientTls::new(certified.config);
        if let Some(reloadable) = reloadable {
            let tls = tls.clone();
            let authorities = ReloadableAuthorities { tls, reloadable };
            self.reloadable.authorities.push(authorities);
        }
        Some(tls)
    }

    fn endpoint(&mut self, (text, location): &Located<String>) -> Option<Origin> {
        const FORM: &str = "write https://host, or http:// and a loopback address";
        let Some(endpoint) = Origin::parse(text) else {
            let shown = redact::shown_url(text);
            self.error(location, format!("`{shown}` is not a base URL"), FORM);
            return None;
        };
        if !endpoint.tls && !endpoint.is_loopback() {
            self.error(
                location,
                "http:// would send faces and signatures in the clear",
                FORM,
            );
        }
        Some(endpoint)
    }
}

fn check_access_key(key: &Secret) -> Result<(), InputError> {
    check_key("access_key", key)?;
    let fits = |byte: &u8| byte.is_ascii_graphic() && *byte != b':';
    match key.reveal().iter().all(fits) {
        true => Ok(()),
        false => Err(InputError::new(
            "`access_key` contains colons or characters outside ASCII",
            KEY_HELP,
        )),
    }
}

fn check_secret_key(key: &Secret) -> Result<(), InputError> {
    check_key("secret_key", key)
}

/// Rejects what no key of Qiniu's has: it was copied or stored wrongly, so every signature would be
/// wrong.
fn check_key(name: &str, key: &Secret) -> Result<(), InputError> {
    let foreign = match str::from_utf8(key.reveal()) {
        Ok(text) => text.chars().find_map(foreign),
        Err(_) => Some("bytes that are no text"),
    };
    match foreign {
        Some(foreign) => {
            let message = format!("`{name}` contains {foreign}");
            Err(InputError::new(message, KEY_HELP))
        }
        None => Ok(()),
    }
}

fn foreign(letter: char) -> Option<&'static str> {
    match letter {
        '\u{feff}' => Some("a byte order mark"),
        '"' | '\'' | '`' | '\u{2018}'..='\u{201f}' | '\u{ab}' | '\u{bb}' => Some("quotes"),
        '\u{200b}'..='\u{200f}' | '\u{2060}' => Some("invisible characters"),
        _ if letter.is_whitespace() => Some("white space"),
        _ if letter.is_control() => Some("control characters"),
        _ => None,
    }
}
