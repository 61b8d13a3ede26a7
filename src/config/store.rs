//! `[store]`: the store that replicas share, and whether they can share sessions in it.

use super::{reader::ConfigReader, section::ConfigSection, tree::ConfigTable};
use crate::{
    outbound::dial::Dialer,
    rotation::{LoadError, LoaderInput},
    session::SessionSettings,
    store::{StoreAddress, StoreNames, StorePace, StoreSettings},
};

impl ConfigReader<'_> {
    /// `None` without the section.
    pub(super) fn store(
        &mut self,
        root: &ConfigTable,
        sessions: Option<&SessionSettings>,
    ) -> Option<StoreSettings> {
        let section = ConfigSection::at(root, "store");
        section.table?;
        self.header("[store]");
        let timeout = self.duration(&section, "timeout");
        let tls = self.client_tls(&section);
        let url = self.secret_input(&section, "redis", LoaderInput::any);
        // A seal key that is written but invalid has been reported already.
        let has_seal_key = ConfigSection::at(root, "sessions").has("seal_key");
        if sessions.is_some_and(|sessions| sessions.seal_key.is_none()) && !has_seal_key {
            self.error(
                &section.location,
                "[store] needs `sessions.seal_key`: replicas could not open each other's sessions",
                "give all replicas one key, from `liveness-gateway keygen seal`, or write \
                 `sessions.bind = false`",
            );
        }
        let allow_plaintext = self.boolean(&section, "allow_plaintext");
        let names = self.store_names(&section);
        let tls = tls?;
        let (address, reloadable) = self.load(vec![url], move |texts| match texts {
            [url] => StoreAddress::parse(url, &tls, allow_plaintext).map_err(|error| {
                LoadError::of(0, format!("the secret of `redis` {error}"), error.help())
            }),
            _ => Err(LoadError::wrong_input_count()),
        })?;
        self.reloadable.store = reloadable;
        Some(StoreSettings {
            address,
            names: names?,
            // A proxy is for HTTP: the store is always reached directly.
            dialer: Dialer::default(),
            timeout: timeout?,
            pace: StorePace::default(),
        })
    }

    fn store_names(&mut self, section: &ConfigSection<'_>) -> Option<StoreNames> {
        let help = "write up to 64 letters, digits and `-_.:/`";
        let (prefix, location) = self.required(section, "prefix", help)?;
        let names = StoreNames::new(&prefix);
        if names.is_none() {
            self.error(
                &location,
                "`prefix` can't be part of a name in the store",
                help,
            );
        }
        names
    }
}
