//! `[store]`: where replicas share limits and sessions, and that they can.

use std::time::Duration;

use super::{checked::section, reader::ConfigReader, tree::ConfigTable};
use crate::{
    rotation::{LoadError, LoaderInput},
    session::SessionSettings,
    store::{StoreAddress, StoreSettings},
};

/// Every request may have to wait for so long, several times.
const LONGEST: Duration = Duration::from_secs(5);

impl ConfigReader<'_> {
    /// `None` without the section.
    pub(super) fn store(
        &mut self,
        root: &ConfigTable,
        sessions: Option<&SessionSettings>,
    ) -> Option<StoreSettings> {
        let section = section(root, "store");
        section.table?;
        self.header("[store]");
        let timeout = self.duration(&section, "timeout");
        let tls = self.outgoing_tls(&section);
        let part = self.secret_part(&section, "redis", LoaderInput::any);
        if timeout.is_some_and(|timeout| timeout > LONGEST) {
            self.error(
                &section.place,
                "`timeout` is longer than 5 s: requests would wait for a store that is slow",
                "write some \"50ms\", and at most \"5s\"",
            );
        }
        let written = super::checked::section(root, "sessions");
        let written = written.table.is_some_and(|it| it.contains_key("seal_key"));
        // A key that is wrong was told already.
        if sessions.is_some_and(|sessions| sessions.seal_key.is_none()) && !written {
            self.error(
                &section.place,
                "[store] without `sessions.seal_key`: replicas could not open each other's sessions",
                "give all replicas one key, from `liveness-gateway keygen seal`, or write `sessions.bind = false`",
            );
        }
        let tls = tls?;
        let (address, reloadable) = self.made_of(vec![part], move |texts| match texts {
            [url] => StoreAddress::parse(url, &tls).map_err(|why| {
                let help = "give it redis://host:6379, or rediss://user:password@host:6379 for TLS, special characters of the password written as %XX";
                LoadError::of(0, format!("the secret of `redis` {why}"), help)
            }),
            _ => Err(LoadError::wrong_input_count()),
        })?;
        self.reloadable.store = reloadable;
        Some(StoreSettings {
            address,
            timeout: timeout?,
        })
    }
}
