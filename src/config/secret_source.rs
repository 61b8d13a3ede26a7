//! Finds secrets where the configuration says they are, the environment or a file, and makes values of them and of other
//! files, by recipes that make them anew when the files change.
//!
//! Never puts a secret, or what may be one, into a mistake or into the effective configuration.

use std::{fs, path::PathBuf};

use super::{
    diagnostics::ConfigLocation,
    reader::{ConfigReader, ConfigSection, Located, quoted},
    tree::{ConfigItem, ConfigValue},
};
use crate::rotation::{
    InputError, InputFormat, InputSource, LoadError, Loader, LoaderInput, Reloadable,
};
use crate::secret::Secret;

impl ConfigReader<'_> {
    /// A value made of these parts, and what it takes to make it anew when a file of theirs changes. A part that is `None`
    /// was a mistake that was told already; the others are looked at all the same.
    pub(super) fn made_of<T>(
        &mut self,
        parts: Vec<Option<Located<LoaderInput>>>,
        make: impl Fn(&[Secret]) -> Result<T, LoadError> + Send + Sync + 'static,
    ) -> Option<(T, Option<Reloadable<T>>)> {
        let wanted = parts.len();
        let (parts, places): (Vec<_>, Vec<_>) = parts.into_iter().flatten().unzip();
        if parts.len() < wanted {
            for (part, place) in parts.iter().zip(&places) {
                if let Err(error) = part.read() {
                    self.error(place, error.message, error.help);
                }
            }
            return None;
        }
        let faults = match Loader::new(parts, make).load() {
            Ok(made) => return Some(made),
            Err(faults) => faults,
        };
        for LoadError { input, error } in faults {
            let place = places.get(input).cloned().unwrap_or(super::checked::TOP);
            self.error(&place, error.message, error.help);
        }
        None
    }

    /// A file's text, as a part of a value. `check` says what is wrong with it by itself.
    pub(super) fn document_part(
        &mut self,
        section: &ConfigSection<'_>,
        name: &str,
        (path, place): Located<PathBuf>,
        check: fn(&Secret) -> Result<(), InputError>,
    ) -> Option<Located<LoaderInput>> {
        let key = format!("{}.{name}", section.path);
        self.file_part(key, path, InputFormat::Document, place, check)
    }

    /// A secret that must be there, as a part of a value. `check` says what is wrong with it by itself.
    pub(super) fn secret_part(
        &mut self,
        section: &ConfigSection<'_>,
        name: &'static str,
        check: fn(&Secret) -> Result<(), InputError>,
    ) -> Option<Located<LoaderInput>> {
        const FORM: &str = "write { env = \"NAME\" } or { file = \"/run/secrets/name\" }; a secret never stands in this file";
        let Some(item) = self.item(section, name) else {
            self.error(&section.place, format!("`{name}` is missing"), FORM);
            return None;
        };
        let ConfigValue::Table(table) = &item.value else {
            self.error(
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
                        ConfigItem {
                            value: ConfigValue::Text(text),
                            place,
                        },
                    ),
                ),
            ] if matches!(source.as_str(), "env" | "file") => (*source, place, text),
            _ => {
                self.error(
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
            return self.file_part(key, path, InputFormat::Secret, place.clone(), check);
        }
        let source = InputSource::Fixed(self.variable_secret(text, place)?);
        Some((LoaderInput { key, source, check }, place.clone()))
    }

    fn variable_secret(&mut self, name: &str, place: &ConfigLocation) -> Option<Secret> {
        let Some(value) = self.variables.get(name) else {
            self.error(
                place,
                format!("the environment variable `{name}` is not set"),
                "set it for this process, or name another",
            );
            return None;
        };
        self.given(
            InputFormat::secret(value.as_bytes(), &format!("env `{name}`")),
            place,
        )
    }

    fn file_part(
        &mut self,
        key: String,
        path: PathBuf,
        format: InputFormat,
        place: ConfigLocation,
        check: fn(&Secret) -> Result<(), InputError>,
    ) -> Option<Located<LoaderInput>> {
        let shown = path.display().to_string();
        // A pipe gives its content once.
        let is_pipe = fs::metadata(&path).is_ok_and(|about| !about.is_file() && !about.is_dir());
        let source = match is_pipe {
            true => InputSource::Fixed(self.given(format.read_once(&path, &shown), &place)?),
            false => InputSource::File {
                path,
                shown,
                format,
            },
        };
        Some((LoaderInput { key, source, check }, place))
    }

    fn given(
        &mut self,
        read: Result<Secret, InputError>,
        place: &ConfigLocation,
    ) -> Option<Secret> {
        read.map_err(|error| self.error(place, error.message, error.help))
            .ok()
    }
}
