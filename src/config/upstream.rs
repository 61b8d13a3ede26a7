//! `[qiniu]`: where the upstream is, and what signs.

use super::{
    checked::section,
    reader::{ConfigReader, ConfigSection, Located},
    reloadable::ReloadableAuthorities,
    tree::ConfigTable,
};
use crate::secret::Secret;
use crate::{
    outbound::{
        connection::{ClientTls, client_config},
        origin::Origin,
    },
    qiniu::{Credentials, UpstreamSettings},
    rotation::{InputError, LoadError, LoaderInput},
};

impl ConfigReader<'_> {
    pub(super) fn qiniu(&mut self, root: &ConfigTable) -> Option<UpstreamSettings> {
        let section = section(root, "qiniu");
        self.header("[qiniu]");
        let endpoint = self.required(
            &section,
            "endpoint",
            "write https://face-actlive.qiniuapi.com",
        );
        let endpoint = endpoint.and_then(|endpoint| self.endpoint(&endpoint));
        let credentials = vec![
            self.secret_part(&section, "access_key", check_access_key),
            self.secret_part(&section, "secret_key", LoaderInput::any),
        ];
        let credentials = self.made_of(credentials, |texts| match texts {
            [access_key, secret_key] => Ok(Credentials {
                access_key: access_key.clone(),
                secret_key: secret_key.clone(),
            }),
            _ => Err(LoadError::wrong_input_count()),
        });
        let sign_date = self.bool(&section, "sign_date");
        let tls = self.outgoing_tls(&section);
        let connect_timeout = self.duration(&section, "connect_timeout");
        let max_connections = self.count(&section, "max_connections");
        let idle_timeout = self.duration(&section, "idle_timeout");
        let endpoint = endpoint?;
        let tls = tls?;
        let (credentials, reloadable) = credentials?;
        self.reloadable.credentials = reloadable;
        Some(UpstreamSettings {
            tls: endpoint.tls.then_some(tls),
            endpoint,
            credentials,
            sign_date,
            connect_timeout: connect_timeout?,
            max_connections: usize::try_from(max_connections?.0).ok()?,
            idle_timeout: idle_timeout?,
        })
    }

    /// Whose certificates an outgoing connection trusts: those of the section's `ca_file`, or the system's.
    pub(super) fn outgoing_tls(&mut self, section: &ConfigSection<'_>) -> Option<ClientTls> {
        let ca_file = self.path(section, "ca_file");
        let path = ca_file.as_ref().map(|(path, _)| path.clone());
        let part = ca_file
            .map(|ca_file| self.document_part(section, "ca_file", ca_file, LoaderInput::any));
        let (config, reloadable) = self.made_of(part.into_iter().collect(), move |texts| {
            let authorities = path.as_deref().zip(texts.first().map(Secret::reveal));
            client_config(authorities).map_err(|why| {
                let help = "name a PEM file with the certificates to trust, or leave `ca_file` out";
                LoadError::of(0, why.to_string(), help)
            })
        })?;
        let tls = ClientTls::new(config);
        if let Some(reloadable) = reloadable {
            let tls = tls.clone();
            self.reloadable
                .authorities
                .push(ReloadableAuthorities { tls, reloadable });
        }
        Some(tls)
    }

    fn endpoint(&mut self, (text, place): &Located<String>) -> Option<Origin> {
        const FORM: &str = "write https://host, or http:// and a loopback address";
        let Some(endpoint) = Origin::parse(text) else {
            self.error(place, format!("`{text}` is not a base URL"), FORM);
            return None;
        };
        if !endpoint.tls && !endpoint.is_loopback() {
            self.error(
                place,
                "http:// would send faces and signatures in the clear",
                FORM,
            );
        }
        Some(endpoint)
    }
}

fn check_access_key(key: &Secret) -> Result<(), InputError> {
    let fits = |byte: &u8| byte.is_ascii_graphic() && *byte != b':';
    match key.reveal().iter().all(fits) {
        true => Ok(()),
        false => Err(InputError::new(
            "`access_key` holds blanks, colons or characters outside ASCII",
            "give it the key as Qiniu shows it",
        )),
    }
}
