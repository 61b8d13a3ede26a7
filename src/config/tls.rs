//! `[server.tls]`: what the public listener shows, and of whom it asks for a certificate.

use std::path::PathBuf;

use super::{
    checked::nested,
    reader::{ConfigReader, ConfigSection, Located},
    tree::ConfigTable,
};
use crate::{
    rotation::{LoadError, LoaderInput},
    server::tls::{PemFile, ServerTls, server_config},
};

impl ConfigReader<'_> {
    /// `None` without the section.
    pub(super) fn tls(&mut self, root: &ConfigTable) -> Option<ServerTls> {
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
        let path = |given: &Option<Located<PathBuf>>| given.as_ref().map(|(path, _)| path.clone());
        let paths = [&certificate, &private_key, &client_ca].map(path);
        let mut parts = vec![
            self.tls_part(&section, "certificate", certificate),
            self.tls_part(&section, "private_key", private_key),
        ];
        if client_ca.is_some() {
            parts.push(self.tls_part(&section, "client_ca", client_ca));
        }
        let (config, reloadable) = self.made_of(parts, move |texts| {
            let files = paths.iter().flatten().zip(texts);
            let files: Vec<_> = files
                .map(|(path, text)| PemFile {
                    path,
                    text: text.reveal(),
                })
                .collect();
            let (certificate, private_key, client_ca) = match files.as_slice() {
                [certificate, private_key] => (certificate, private_key, None),
                [certificate, private_key, client_ca] => {
                    (certificate, private_key, Some(client_ca))
                }
                _ => return Err(LoadError::wrong_input_count()),
            };
            server_config(certificate, private_key, client_ca).map_err(|why| {
                LoadError::of(
                    0,
                    why.to_string(),
                    "name readable PEM files that belong together",
                )
            })
        })?;
        self.reloadable.tls = reloadable;
        Some(ServerTls::new(config))
    }

    fn tls_part(
        &mut self,
        section: &ConfigSection<'_>,
        name: &str,
        path: Option<Located<PathBuf>>,
    ) -> Option<Located<LoaderInput>> {
        self.document_part(section, name, path?, LoaderInput::any)
    }

    fn required_path(
        &mut self,
        section: &ConfigSection<'_>,
        name: &'static str,
        help: &str,
    ) -> Option<Located<PathBuf>> {
        self.required(section, name, help)
            .map(|(text, place)| (self.base.join(text), place))
    }
}
