//! `[sessions]`: whether session ids are bound to their users, and the keys that seal them.

use super::{reader::ConfigReader, section::ConfigSection, tree::ConfigTable};
use crate::{
    rotation::{InputError, LoadError},
    secret::Secret,
    session::{SessionSettings, seal::SealKey},
};

impl ConfigReader<'_> {
    /// `None`: Qiniu's ids are passed through.
    pub(super) fn sessions(&mut self, root: &ConfigTable) -> Option<SessionSettings> {
        let section = ConfigSection::at(root, "sessions");
        self.header("[sessions]");
        let bind = self.boolean(&section, "bind");
        let written = ["seal_key", "previous_seal_key"].map(|name| section.has(name));
        let mut reject = |message, help| self.error(&section.location, message, help);
        match written {
            [false, false] => {
                return bind.then_some(SessionSettings {
                    seal_key: None,
                    previous_seal_key: None,
                });
            }
            _ if !bind => reject(
                "with `bind = false` no key seals anything",
                "remove the keys, or write `bind = true`",
            ),
            [false, true] => reject(
                "`previous_seal_key` needs a `seal_key`",
                "give both: a key that this process makes at start is unknown to the others",
            ),
            _ => {}
        }
        self.seal_keys(&section, written)
    }

    fn seal_keys(
        &mut self,
        section: &ConfigSection<'_>,
        [current, previous]: [bool; 2],
    ) -> Option<SessionSettings> {
        let mut inputs = Vec::new();
        if current {
            let check = |text: &Secret| seal_key("seal_key", text).map(drop);
            inputs.push(self.secret_input(section, "seal_key", check));
        }
        if previous {
            let check = |text: &Secret| seal_key("previous_seal_key", text).map(drop);
            inputs.push(self.secret_input(section, "previous_seal_key", check));
        }
        let (settings, reloadable) = self.load(inputs, |texts| {
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
    SealKey::from_base64(text).map_err(|error| {
        let help = "make one with `liveness-gateway keygen seal`";
        InputError::new(format!("`{name}` {error}"), help)
    })
}
