//! `[outbound]`: the proxy that connections to other machines go through.

use super::{
    reader::{ConfigReader, Located},
    redact,
    reloadable::ReloadableProxy,
    section::ConfigSection,
    tree::ConfigTable,
};
use crate::{
    outbound::{
        connection::{ClientTls, client_config},
        dial::Dialer,
        proxy::{DirectHost, Proxy, ProxyAddress},
    },
    rotation::{LoadError, LoaderInput},
};

impl ConfigReader<'_> {
    /// Reads the section, before those whose connections use it.
    pub(super) fn outbound(&mut self, root: &ConfigTable) {
        let section = ConfigSection::at(root, "outbound");
        self.header("[outbound]");
        let written = section.has("proxy");
        if written {
            self.proxy = self.outbound_proxy(&section);
        }
        let hosts = self.texts(&section, "no_proxy").unwrap_or_default();
        let direct = hosts.iter().filter_map(|host| self.direct_host(host));
        let direct: Vec<_> = direct.collect();
        if let (false, Some((_, location))) = (written, hosts.first()) {
            self.error(
                location,
                "`no_proxy` is for a `proxy`, and there is none",
                "leave it out, or say where the secret of `proxy` is",
            );
        }
        self.proxy = self.proxy.take().map(|proxy| proxy.except(direct));
    }

    /// Opens the connections of one section.
    pub(super) fn dialer(&self) -> Dialer {
        Dialer::new(self.proxy.clone())
    }

    fn outbound_proxy(&mut self, section: &ConfigSection<'_>) -> Option<Proxy> {
        let input = self.secret_input(section, "proxy", LoaderInput::any);
        let (address, reloadable) = self.load(vec![input], |texts| match texts {
            [url] => ProxyAddress::parse(url).map_err(|error| {
                let help = "give it http://host:port, or http://user:password@host:port with \
                            special characters written as %XX; https:// if the proxy speaks TLS";
                LoadError::of(0, format!("the secret of `proxy` {error}"), help)
            }),
            _ => Err(LoadError::wrong_input_count()),
        })?;
        let tls = match client_config(None) {
            Ok(config) => ClientTls::new(config),
            Err(error) => {
                self.error(&section.location, error.to_string(), "report this bug");
                return None;
            }
        };
        let proxy = Proxy::new(address, tls);
        if let Some(reloadable) = reloadable {
            let proxy = proxy.clone();
            self.reloadable.proxy = Some(ReloadableProxy { proxy, reloadable });
        }
        Some(proxy)
    }

    fn direct_host(&mut self, (text, location): &Located<String>) -> Option<DirectHost> {
        let host = DirectHost::parse(text);
        if host.is_none() {
            self.error(
                location,
                format!("`{}` is not a host", redact::shown_url(text)),
                "write a name like \"login.example.com\", a domain like \".example.com\", an \
                 address or a network like \"10.0.0.0/8\"; no port and no *",
            );
        }
        host
    }
}
