//! `[qiniu]`: where the upstream is, and what signs.

use super::{
    checked::section,
    reader::{Placed, Reader, Section},
    rotation::Authorities,
    tree::Table,
};
use crate::secret::Secret;
use crate::{
    outbound::{
        origin::Origin,
        tls::{ClientTls, client_config},
    },
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
    pub(super) fn outgoing_tls(&mut self, section: &Section<'_>) -> Option<ClientTls> {
        let ca_file = self.path(section, "ca_file");
        let path = ca_file.as_ref().map(|(path, _)| path.clone());
        let part =
            ca_file.map(|ca_file| self.document_part(section, "ca_file", ca_file, Part::any));
        let (config, watched) = self.made_of(part.into_iter().collect(), move |texts| {
            let authorities = path.as_deref().zip(texts.first().map(Secret::reveal));
            client_config(authorities).map_err(|why| {
                let mend = "name a PEM file with the certificates to trust, or leave `ca_file` out";
                Fault::of(0, why, mend)
            })
        })?;
        let tls = ClientTls::new(config);
        if let Some(watched) = watched {
            let tls = tls.clone();
            self.rotation.authorities.push(Authorities { tls, watched });
        }
        Some(tls)
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
