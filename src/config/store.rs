//! `[store]`: where replicas share limits and sessions, and that they can.

use std::time::Duration;

use super::{checked::section, reader::Reader, tree::Table};
use crate::{
    rotation::{Fault, Part},
    session::SessionSettings,
    store::{Address, StoreSettings},
};

/// Every request may have to wait for so long, several times.
const LONGEST: Duration = Duration::from_secs(5);

impl Reader<'_> {
    /// `None` without the section.
    pub(super) fn store(
        &mut self,
        root: &Table,
        sessions: Option<&SessionSettings>,
    ) -> Option<StoreSettings> {
        let section = section(root, "store");
        section.table?;
        self.header("[store]");
        let timeout = self.duration(&section, "timeout");
        let tls = self.outgoing_tls(&section);
        let part = self.secret_part(&section, "redis", Part::any);
        if timeout.is_some_and(|timeout| timeout > LONGEST) {
            self.mistake(
                &section.place,
                "`timeout` is longer than 5 s: requests would wait for a store that is slow",
                "write some \"50ms\", and at most \"5s\"",
            );
        }
        let written = super::checked::section(root, "sessions");
        let written = written.table.is_some_and(|it| it.contains_key("seal_key"));
        // A key that is wrong was told already.
        if sessions.is_some_and(|sessions| sessions.seal_key.is_none()) && !written {
            self.mistake(
                &section.place,
                "[store] without `sessions.seal_key`: replicas could not open each other's sessions",
                "give all replicas one key, from `liveness-gateway keygen seal`, or write `sessions.bind = false`",
            );
        }
        let tls = tls?;
        let (address, watched) = self.made_of(vec![part], move |texts| match texts {
            [url] => Address::parse(url, &tls).map_err(|why| {
                let mend = "give it redis://host:6379, or rediss://user:password@host:6379 for TLS, special characters of the password written as %XX";
                Fault::of(0, format!("the secret of `redis` {why}"), mend)
            }),
            _ => Err(Fault::miscounted()),
        })?;
        self.rotation.store = watched;
        Some(StoreSettings {
            address,
            timeout: timeout?,
        })
    }
}
