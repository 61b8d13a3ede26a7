//! Reads secrets from where the configuration says they are: the environment or a file, never the configuration itself.
//!
//! Never puts a secret, or what may be one, into a mistake or into the effective configuration.

use std::fs;

use super::{
    diagnostics::Place,
    reader::{Placed, Reader, Section, quoted},
    secret::Secret,
    tree::{Item, Value},
};

/// Bytes of a secret's file at the most.
const MAX_SECRET: u64 = 64 * 1024;

impl Reader<'_> {
    /// A secret, which must be there.
    pub(super) fn secret(
        &mut self,
        section: &Section<'_>,
        name: &'static str,
    ) -> Option<Placed<Secret>> {
        const FORM: &str = "write { env = \"NAME\" } or { file = \"/run/secrets/name\" }; a secret never stands in this file";
        let Some(item) = self.item(section, name) else {
            self.mistake(&section.place, format!("`{name}` is missing"), FORM);
            return None;
        };
        let Value::Table(table) = &item.value else {
            self.mistake(
                &item.place.clone().hidden(),
                format!("`{name}` must say where the secret is"),
                FORM,
            );
            return None;
        };
        let found: Vec<_> = table.iter().collect();
        let (source, place, text) = match found.as_slice() {
            [
                (
                    source,
                    (
                        _,
                        Item {
                            value: Value::Text(text),
                            place,
                        },
                    ),
                ),
            ] if matches!(source.as_str(), "env" | "file") => (*source, place, text),
            _ => {
                self.mistake(
                    &item.place.clone().hidden(),
                    format!("`{name}` must have exactly one of `env` and `file`"),
                    FORM,
                );
                return None;
            }
        };
        self.note(name, &format!("{{ {source} = {} }} # ***", quoted(text)));
        let bytes = if source == "env" {
            self.variable_secret(text, place)
        } else {
            self.file_secret(text, place)
        }?;
        let bytes = bytes
            .strip_suffix(b"\n")
            .map(|cut| cut.strip_suffix(b"\r").unwrap_or(cut))
            .unwrap_or(&bytes);
        if bytes.is_empty() {
            self.mistake(
                place,
                format!("the secret in {source} `{text}` is empty"),
                "give it its value",
            );
            return None;
        }
        Some((Secret::new(bytes), place.clone()))
    }

    fn variable_secret(&mut self, name: &str, place: &Place) -> Option<Vec<u8>> {
        let value = self
            .variables
            .get(name)
            .map(|value| value.clone().into_bytes());
        if value.is_none() {
            self.mistake(
                place,
                format!("the environment variable `{name}` is not set"),
                "set it for this process, or name another",
            );
        }
        value
    }

    fn file_secret(&mut self, text: &str, place: &Place) -> Option<Vec<u8>> {
        let path = self.base.join(text);
        if fs::metadata(&path).is_ok_and(|about| about.len() > MAX_SECRET) {
            self.mistake(
                place,
                format!("{} is too large for a secret", path.display()),
                "name a file of at most 64 KiB",
            );
            return None;
        }
        self.file(&(path, place.clone()))
    }
}
