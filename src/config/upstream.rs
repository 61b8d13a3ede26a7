//! `[qiniu]`: where the upstream is, and what signs.

use std::sync::Arc;

use rustls::ClientConfig;

use super::{
    checked::section,
    reader::{Placed, Reader, Section},
    secret::Secret,
    tree::Table,
};
use crate::{
    outbound::{origin::Origin, tls::client_tls},
    qiniu::{Credentials, UpstreamSettings},
    rotation::{Fault, Part, Trouble},
};

impl Reader<'_> {
    pub(super) fn qiniu(&mut self, root: &Table) -> Option<UpstreamSettings> {
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
            self.secret_part(&section, "secret_key", Part::any),
        ];
        let credentials = self.made_of(credentials, |texts| match texts {
            [access_key, secret_key] => Ok(Credentials {
                access_key: access_key.clone(),
                secret_key: secret_key.clone(),
            }),
            _ => Err(Fault::miscounted()),
        });
        let sign_date = self.bool(&section, "sign_date");
        let tls = self.outgoing_tls(&section);
        let connect_timeout = self.duration(&section, "connect_timeout");
        let max_connections = self.count(&section, "max_connections");
        let idle_timeout = self.duration(&section, "idle_timeout");
        let endpoint = endpoint?;
        let tls = tls?;
        let (credentials, watched) = credentials?;
        self.rotation.credentials = watched;
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
    pub(super) fn outgoing_tls(&mut self, section: &Section<'_>) -> Option<Arc<ClientConfig>> {
        let ca_file = self.path(section, "ca_file");
        match client_tls(ca_file.as_ref().map(|(path, _)| path.as_path())) {
            Ok(tls) => Some(tls),
            Err(why) => {
                let place = ca_file.map_or_else(|| section.place.clone(), |(_, place)| place);
                self.mistake(
                    &place,
                    why,
                    "name a PEM file with the certificates to trust, or leave `ca_file` out",
                );
                None
            }
        }
    }

    fn endpoint(&mut self, (text, place): &Placed<String>) -> Option<Origin> {
        const FORM: &str = "write https://host, or http:// and a loopback address";
        let Some(endpoint) = Origin::parse(text) else {
            self.mistake(place, format!("`{text}` is not a base URL"), FORM);
            return None;
        };
        if !endpoint.tls && !endpoint.is_loopback() {
            self.mistake(
                place,
                "http:// would send faces and signatures in the clear",
                FORM,
            );
        }
        Some(endpoint)
    }
}

fn check_access_key(key: &Secret) -> Result<(), Trouble> {
    let fits = |byte: &u8| byte.is_ascii_graphic() && *byte != b':';
    match key.reveal().iter().all(fits) {
        true => Ok(()),
        false => Err(Trouble::new(
            "`access_key` holds blanks, colons or characters outside ASCII",
            "give it the key as Qiniu shows it",
        )),
    }
}
