//! The file of a configuration, which is read at the start and again for each reload.
//!
//! Relies on [`super::load_text`] for everything that it says. A pipe gives its content once, so
//! what was read of one at the start is used again. Never keeps the content of any other file.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use sha2::{Digest as _, Sha256};

use super::{
    ConfigErrors, LoadedConfig, Surroundings, diagnostics::ConfigError, load_surrounded, read,
    values::ConfigValues,
};
use crate::{
    rotation::{InputError, InputFile},
    secret::Secret,
};

/// A configuration file, with the environment of the process.
pub struct ConfigSource {
    path: PathBuf,
    /// In place of the environment. For tests.
    variables: Option<BTreeMap<String, String>>,
    pipes: PipeContents,
}

/// A state of the file's text, to be compared with a later one. By default, that it can't be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileVersion(Option<[u8; 32]>);

/// What was read from pipes.
#[derive(Default)]
pub(super) struct PipeContents(Mutex<BTreeMap<PathBuf, Result<Secret, InputError>>>);

impl ConfigSource {
    /// The file at this path.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            variables: None,
            pipes: PipeContents::default(),
        }
    }

    /// The same with other variables than the environment's. For tests.
    pub fn with_variables(self, variables: BTreeMap<String, String>) -> Self {
        Self {
            variables: Some(variables),
            ..self
        }
    }

    /// Loads the file, and what it names.
    ///
    /// # Errors
    /// All errors of the configuration.
    pub fn load(&self) -> Result<LoadedConfig, ConfigErrors> {
        self.load_with(None)
    }

    /// Loads the file while another configuration is in use.
    ///
    /// # Errors
    /// All errors of the configuration, what can't change among them.
    pub fn load_beside(&self, running: &ConfigValues) -> Result<LoadedConfig, ConfigErrors> {
        self.load_with(Some(running))
    }

    /// The state of the text. All states in which it can't be read are the same.
    pub fn version(&self) -> FileVersion {
        let text = self.is_file().then(|| read(&self.path).ok()).flatten();
        text.map_or(FileVersion(None), |text| FileVersion::of(&text))
    }

    /// The file, as errors name it.
    pub fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Whether the file can be read again: a pipe can't.
    pub fn is_file(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|it| it.is_file())
    }

    fn load_with(&self, running: Option<&ConfigValues>) -> Result<LoadedConfig, ConfigErrors> {
        let name = self.name();
        let failed = |error: ConfigError| ConfigErrors::new(&name, String::new(), vec![error]);
        let text = read(&self.path).map_err(failed)?;
        let variables = match &self.variables {
            Some(variables) => variables.clone(),
            None => environment(),
        };
        let base = self.path.parent();
        let base = base.filter(|base| !base.as_os_str().is_empty());
        let surroundings = Surroundings {
            base: base.unwrap_or(Path::new(".")),
            variables: &variables,
            pipes: &self.pipes,
            running,
        };
        load_surrounded(&text, &name, &surroundings)
    }
}

impl FileVersion {
    pub(super) fn of(text: &str) -> Self {
        Self(Some(Sha256::digest(text).into()))
    }
}

impl PipeContents {
    /// The content of a pipe, which is read the first time.
    pub(super) fn read(&self, file: &InputFile) -> Result<Secret, InputError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let content = known
            .entry(file.path.clone())
            .or_insert_with(|| file.read_once());
        content.clone()
    }
}

fn environment() -> BTreeMap<String, String> {
    let variables = std::env::vars_os();
    let texts = variables
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    texts.collect()
}
