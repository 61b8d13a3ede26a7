//! Finds secrets where the configuration says they are, the environment or a file, and makes values of them and of other
//! files, by recipes that make them anew when the files change.
//!
//! Never puts a secret, or what may be one, into a mistake or into the effective configuration.

use std::{fs, path::PathBuf};

use super::{
    diagnostics::Place,
    reader::{Placed, Reader, Section, quoted},
    tree::{Item, Value},
};
use crate::rotation::{Fault, Form, Part, Recipe, Source, Trouble, Watched};
use crate::secret::Secret;

impl Reader<'_> {
    /// A value made of these parts, and what it takes to make it anew when a file of theirs changes. A part that is `None`
    /// was a mistake that was told already; the others are looked at all the same.
    pub(super) fn made_of<T>(
        &mut self,
        parts: Vec<Option<Placed<Part>>>,
        make: impl Fn(&[Secret]) -> Result<T, Fault> + Send + Sync + 'static,
    ) -> Option<(T, Option<Watched<T>>)> {
        let wanted = parts.len();
        let (parts, places): (Vec<_>, Vec<_>) = parts.into_iter().flatten().unzip();
        if parts.len() < wanted {
            for (part, place) in parts.iter().zip(&places) {
                if let Err(trouble) = part.read() {
                    self.mistake(place, trouble.message, trouble.mend);
                }
            }
            return None;
        }
        let faults = match Recipe::new(parts, make).begin() {
            Ok(made) => return Some(made),
            Err(faults) => faults,
        };
        for Fault { part, trouble } in faults {
            let place = places.get(part).cloned().unwrap_or(super::checked::TOP);
            self.mistake(&place, trouble.message, trouble.mend);
        }
        None
    }

    /// A file's text, as a part of a value. `check` says what is wrong with it by itself.
    pub(super) fn document_part(
        &mut self,
        section: &Section<'_>,
        name: &str,
        (path, place): Placed<PathBuf>,
        check: fn(&Secret) -> Result<(), Trouble>,
    ) -> Option<Placed<Part>> {
        let key = format!("{}.{name}", section.path);
        self.file_part(key, path, Form::Document, place, check)
    }

    /// A secret that must be there, as a part of a value. `check` says what is wrong with it by itself.
    pub(super) fn secret_part(
        &mut self,
        section: &Section<'_>,
        name: &'static str,
        check: fn(&Secret) -> Result<(), Trouble>,
    ) -> Option<Placed<Part>> {
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
        let key = format!("{}.{name}", section.path);
        if source == "file" {
            let path = self.base.join(text);
            return self.file_part(key, path, Form::Secret, place.clone(), check);
        }
        let source = Source::Given(self.variable_secret(text, place)?);
        Some((Part { key, source, check }, place.clone()))
    }

    fn variable_secret(&mut self, name: &str, place: &Place) -> Option<Secret> {
        let Some(value) = self.variables.get(name) else {
            self.mistake(
                place,
                format!("the environment variable `{name}` is not set"),
                "set it for this process, or name another",
            );
            return None;
        };
        self.given(
            Form::secret(value.as_bytes(), &format!("env `{name}`")),
            place,
        )
    }

    fn file_part(
        &mut self,
        key: String,
        path: PathBuf,
        form: Form,
        place: Place,
        check: fn(&Secret) -> Result<(), Trouble>,
    ) -> Option<Placed<Part>> {
        // A pipe gives its content once.
        let is_pipe = fs::metadata(&path).is_ok_and(|about| !about.is_file() && !about.is_dir());
        let source = match is_pipe {
            true => Source::Given(self.given(form.read_once(&path), &place)?),
            false => Source::File(path, form),
        };
        Some((Part { key, source, check }, place))
    }

    fn given(&mut self, read: Result<Secret, Trouble>, place: &Place) -> Option<Secret> {
        read.map_err(|trouble| self.mistake(place, trouble.message, trouble.mend))
            .ok()
    }
}
