//! `[sessions]`: whether session ids are bound to their users, and the keys that seal them.

use super::{
    checked::section,
    reader::{Reader, Section},
    tree::Table,
};
use crate::session::{SessionSettings, seal::SealKey};

impl Reader<'_> {
    /// `None`: Qiniu's ids pass as they are.
    pub(super) fn sessions(&mut self, root: &Table) -> Option<SessionSettings> {
        let section = section(root, "sessions");
        self.header("[sessions]");
        let bind = self.bool(&section, "bind");
        let current = self.seal_key(&section, "seal_key");
        let previous = self.seal_key(&section, "previous_seal_key");
        let mut wrong = |message, mend| self.mistake(&section.place, message, mend);
        match (&current, &previous) {
            (Given::Nothing, Given::Nothing) => {}
            _ if !bind => wrong(
                "with `bind = false` no key seals anything",
                "remove the keys, or write `bind = true`",
            ),
            (Given::Nothing, _) => wrong(
                "`previous_seal_key` stands without a `seal_key`",
                "give both: what this process would make up is known to no other",
            ),
            (Given::Key(one), Given::Key(other)) if one.is(other) => wrong(
                "`seal_key` and `previous_seal_key` are the same key",
                "make a new one with `liveness-gateway keygen seal`, or leave the previous one out",
            ),
            _ => {}
        }
        bind.then(|| SessionSettings {
            seal_key: current.key(),
            previous_seal_key: previous.key(),
        })
    }

    fn seal_key(&mut self, section: &Section<'_>, name: &'static str) -> Given {
        if !section.table.is_some_and(|table| table.contains_key(name)) {
            return Given::Nothing;
        }
        let Some((text, place)) = self.secret(section, name) else {
            return Given::Wrong;
        };
        match SealKey::from_base64(&text) {
            Ok(key) => Given::Key(key),
            Err(why) => {
                self.mistake(
                    &place,
                    format!("`{name}` {why}"),
                    "make one with `liveness-gateway keygen seal`",
                );
                Given::Wrong
            }
        }
    }
}

/// What was written as a key.
enum Given {
    Nothing,
    /// A mistake that was told already.
    Wrong,
    Key(SealKey),
}

impl Given {
    fn key(self) -> Option<SealKey> {
        match self {
            Self::Key(key) => Some(key),
            Self::Nothing | Self::Wrong => None,
        }
    }
}
