//! `[sessions]`: whether session ids are bound to their users, and the keys that seal them.

use super::{
    checked::section,
    reader::{ConfigReader, ConfigSection},
    tree::ConfigTable,
};
use crate::secret::Secret;
use crate::{
    rotation::{InputError, LoadError},
    session::{SessionSettings, seal::SealKey},
};

impl ConfigReader<'_> {
    /// `None`: Qiniu's ids pass as they are.
    pub(super) fn sessions(&mut self, root: &ConfigTable) -> Option<SessionSettings> {
        let section = section(root, "sessions");
        self.header("[sessions]");
        let bind = self.bool(&section, "bind");
        let is_given = |name: &str| section.table.is_some_and(|table| table.contains_key(name));
        let given = ["seal_key", "previous_seal_key"].map(is_given);
        let mut wrong = |message, help| self.error(&section.place, message, help);
        match given {
            [false, false] => {
                return bind.then_some(SessionSettings {
                    seal_key: None,
                    previous_seal_key: None,
                });
            }
            _ if !bind => wrong(
                "with `bind = false` no key seals anything",
                "remove the keys, or write `bind = true`",
            ),
            [false, true] => wrong(
                "`previous_seal_key` stands without a `seal_key`",
                "give both: what this process would make up is known to no other",
            ),
            _ => {}
        }
        self.seal_keys(&section, given)
    }

    fn seal_keys(
        &mut self,
        section: &ConfigSection<'_>,
        [current, previous]: [bool; 2],
    ) -> Option<SessionSettings> {
        let mut parts = Vec::new();
        if current {
            let check = |text: &Secret| seal_key("seal_key", text).map(drop);
            parts.push(self.secret_part(section, "seal_key", check));
        }
        if previous {
            let check = |text: &Secret| seal_key("previous_seal_key", text).map(drop);
            parts.push(self.secret_part(section, "previous_seal_key", check));
        }
        let (settings, reloadable) = self.made_of(parts, |texts| {
            let key = |input, name, text| {
                seal_key(name, text).map_err(|error| LoadError { input, error })
            };
            match texts {
                [current] => Ok(SessionSettings {
                    seal_key: Some(key(0, "seal_key", current)?),
                    previous_seal_key: None,
                }),
                [current, previous] => both(
                    key(0, "seal_key", current)?,
                    key(1, "previous_seal_key", previous)?,
                ),
                _ => Err(LoadError::wrong_input_count()),
            }
        })?;
        self.reloadable.seal_keys = reloadable;
        Some(settings)
    }
}

fn both(current: SealKey, previous: SealKey) -> Result<SessionSettings, LoadError> {
    if current.is(&previous) {
        return Err(LoadError::of(
            1,
            "`seal_key` and `previous_seal_key` are the same key",
            "make a new one with `liveness-gateway keygen seal`, or leave the previous one out",
        ));
    }
    Ok(SessionSettings {
        seal_key: Some(current),
        previous_seal_key: Some(previous),
    })
}

fn seal_key(name: &str, text: &Secret) -> Result<SealKey, InputError> {
    SealKey::from_base64(text).map_err(|why| {
        let help = "make one with `liveness-gateway keygen seal`";
        InputError::new(format!("`{name}` {why}"), help)
    })
}
