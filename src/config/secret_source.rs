//! Reads secrets and other files from where the configuration says they are, and loads values from
//! them with loaders that reload the values when the files change.
//!
//! Never puts a secret, or what may be one, into an error or the effective configuration.

use std::fs;

use super::{
    diagnostics::ConfigLocation,
    reader::{ConfigReader, Located, quoted},
    redact,
    section::ConfigSection,
    tree::{self, ConfigValue},
};
use crate::{
    rotation::{
        self, InputError, InputFile, InputFormat, InputSource, LoadError, Loader, LoaderInput,
        Reloadable,
    },
    secret::Secret,
};

/// Validates a text on its own.
type Check = fn(&Secret) -> Result<(), InputError>;

impl ConfigReader<'_> {
    /// Loads a value from these inputs; it is reloadable if one of them is a file. An input that
    /// is `None` has been reported already. The others are still validated then.
    pub(super) fn load<T>(
        &mut self,
        inputs: Vec<Option<Located<LoaderInput>>>,
        build: impl Fn(&[Secret]) -> Result<T, LoadError> + Send + Sync + 'static,
    ) -> Option<(T, Option<Reloadable<T>>)> {
        let wanted = inputs.len();
        let (inputs, locations): (Vec<_>, Vec<_>) = inputs.into_iter().flatten().unzip();
        if inputs.len() < wanted {
            for (input, location) in inputs.iter().zip(&locations) {
                if let Err(error) = input.read() {
                    self.error(location, error.message, error.help);
                }
            }
            return None;
        }
        let errors = match Loader::new(inputs, build).load() {
            Ok(loaded) => {
                for (key, version) in loaded.versions {
                    self.values.add_content(&key, version);
                }
                self.warnings.extend(loaded.warnings);
                return Some((loaded.value, loaded.reloadable));
            }
            Err(errors) => errors,
        };
        for LoadError { input, error } in errors {
            let location = locations.get(input).unwrap_or(&ConfigLocation::File);
            self.error(location, error.message, error.help);
        }
        None
    }

    /// A file that is no secret, as an input of a loader.
    pub(super) fn document_input(
        &mut self,
        section: &ConfigSection<'_>,
        name: &str,
        (text, location): Located<String>,
        check: Check,
    ) -> Option<Located<LoaderInput>> {
        let key = format!("{}.{name}", section.path);
        let shown = redact::shown_path(&key, &text);
        let file = self.file(&text, shown, InputFormat::Document);
        self.file_input(key, file, location, check)
    }

    /// A secret that must be there, as an input of a loader.
    pub(super) fn secret_input(
        &mut self,
        section: &ConfigSection<'_>,
        name: &'static str,
        check: Check,
    ) -> Option<Located<LoaderInput>> {
        const FORM: &str = "write { env = \"NAME\" } or { file = \"/run/secrets/name\" }; a secret \
                            is never written in this file";
        let Some(item) = section.item(name) else {
            self.error(&section.location, format!("`{name}` is missing"), FORM);
            return None;
        };
        let ConfigValue::Table(table) = &item.value else {
            let message = format!("`{name}` must say where the secret is");
            self.error(&item.location, message, FORM);
            return None;
        };
        let Some((kind, text, location)) = tree::source_of(table) else {
            let message = format!("`{name}` must have exactly one of `env` and `file`");
            self.error(&item.location, message, FORM);
            return None;
        };
        let shown = redact::shown_source(kind, text);
        let (shown_as, source) = (
            format!("{{ {kind} = {} }} # ***", quoted(shown)),
            format!("{kind} {text}"),
        );
        self.note_as(name, &shown_as, &source);
        let key = format!("{}.{name}", section.path);
        if kind == "file" {
            let file = self.file(text, shown, InputFormat::Secret);
            return self.file_input(key, file, location.clone(), check);
        }
        let input = LoaderInput {
            key,
            source: InputSource::Fixed(self.variable(text, shown, location)?),
            check,
            secret_source: Some(format!("env `{shown}`")),
        };
        Some((input, location.clone()))
    }

    fn variable(&mut self, name: &str, shown: &str, location: &ConfigLocation) -> Option<Secret> {
        let Some(value) = self.variables.get(name) else {
            self.error(
                location,
                format!("the environment variable `{shown}` is not set"),
                "set it for this process, or name another",
            );
            return None;
        };
        let secret = rotation::secret(value.as_bytes(), &format!("env `{shown}`"));
        self.checked(secret, location)
    }

    fn file(&self, text: &str, shown: &str, format: InputFormat) -> InputFile {
        InputFile {
            path: self.base.join(text),
            shown: self.base.join(shown).display().to_string(),
            format,
        }
    }

    fn file_input(
        &mut self,
        key: String,
        file: InputFile,
        location: ConfigLocation,
        check: Check,
    ) -> Option<Located<LoaderInput>> {
        let is_secret = file.format == InputFormat::Secret;
        let secret_source = is_secret.then(|| format!("file `{}`", file.shown));
        // A pipe gives its content once.
        let is_pipe = fs::metadata(&file.path).is_ok_and(|it| !it.is_file() && !it.is_dir());
        let source = match is_pipe {
            true => InputSource::Fixed(self.checked(self.pipes.read(&file), &location)?),
            false => InputSource::File(file),
        };
        let input = LoaderInput {
            key,
            source,
            check,
            secret_source,
        };
        Some((input, location))
    }

    fn checked(
        &mut self,
        read: Result<Secret, InputError>,
        location: &ConfigLocation,
    ) -> Option<Secret> {
        read.map_err(|error| self.error(location, error.message, error.help))
            .ok()
    }
}
