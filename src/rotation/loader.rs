//! Builds a value from inputs that belong together: at start, and again when one of them changes.

use super::input::{InputError, InputSource, InputVersion, LoaderInput};
use crate::secret::Secret;

/// Builds a value from texts, in the order of the inputs.
type BuildFn<T> = Box<dyn Fn(&[Secret]) -> Result<T, LoadError> + Send + Sync>;

/// Builds a value from its inputs.
pub struct Loader<T> {
    inputs: Vec<LoaderInput>,
    build: BuildFn<T>,
}

/// A value in use that can be reloaded when its files change.
pub struct Reloadable<T> {
    pub(crate) loader: Loader<T>,
    /// The versions of the inputs that the value in use was built from.
    pub(super) versions: Vec<InputVersion>,
}

/// The first value of a loader.
pub struct Loaded<T> {
    /// The value.
    pub value: T,
    /// How to reload it, if one of its inputs is a file.
    pub reloadable: Option<Reloadable<T>>,
    /// What is odd about its secrets.
    pub warnings: Vec<String>,
    /// The key of each input, and the version that was read.
    pub versions: Vec<(String, InputVersion)>,
}

/// What is wrong with one of the inputs.
#[derive(Debug, thiserror::Error)]
#[error("input {input} of the loader can't be used")]
pub struct LoadError {
    /// The index of the input. An error of all inputs together is reported at the first.
    pub input: usize,
    /// What is wrong, and a suggested fix.
    #[source]
    pub error: InputError,
}

/// All inputs, as they were read at one time.
pub(super) struct InputSnapshot {
    texts: Vec<Result<Secret, InputError>>,
    pub(super) versions: Vec<InputVersion>,
}

impl<T> Loader<T> {
    /// A loader that builds its value from these inputs.
    pub fn new(
        inputs: Vec<LoaderInput>,
        build: impl Fn(&[Secret]) -> Result<T, LoadError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            inputs,
            build: Box::new(build),
        }
    }

    /// Loads the first value.
    ///
    /// # Errors
    /// Each input that is invalid on its own, or else what is wrong with all of them together.
    pub fn load(self) -> Result<Loaded<T>, Vec<LoadError>> {
        let snapshot = self.read();
        let versions = snapshot.versions.clone();
        let warnings = self.warnings(&snapshot).map(|(_, warning)| warning);
        let warnings = warnings.collect();
        let value = self.build(snapshot)?;
        let keys = self.inputs.iter().map(|input| input.key.clone());
        let read = keys.zip(versions.iter().cloned()).collect();
        let has_file = self.inputs.iter().any(LoaderInput::is_file);
        let reloadable = has_file.then_some(Reloadable {
            loader: self,
            versions,
        });
        Ok(Loaded {
            value,
            reloadable,
            warnings,
            versions: read,
        })
    }

    /// What is odd about the secrets, each with the index of its input.
    pub(super) fn warnings(
        &self,
        snapshot: &InputSnapshot,
    ) -> impl Iterator<Item = (usize, String)> {
        let inputs = self.inputs.iter().zip(&snapshot.texts).enumerate();
        inputs.filter_map(|(index, (input, text))| {
            let warning = input.warning(text.as_ref().ok()?)?;
            Some((index, warning))
        })
    }

    pub(super) fn read(&self) -> InputSnapshot {
        let (versions, texts) = self.inputs.iter().map(LoaderInput::read_version).unzip();
        InputSnapshot { texts, versions }
    }

    pub(super) fn build(&self, snapshot: InputSnapshot) -> Result<T, Vec<LoadError>> {
        let errors = snapshot.errors();
        if !errors.is_empty() {
            return Err(errors);
        }
        let texts: Vec<_> = snapshot.texts.into_iter().flatten().collect();
        (self.build)(&texts).map_err(|error| vec![error])
    }

    /// The keys of the inputs that are files, joined by commas.
    pub(super) fn file_keys(&self) -> String {
        let files = self.inputs.iter().filter(|input| input.is_file());
        let keys: Vec<_> = files.map(|input| input.key.as_str()).collect();
        keys.join(", ")
    }

    /// For each input, whether it is a file.
    pub(super) fn are_files(&self) -> impl Iterator<Item = bool> {
        self.inputs.iter().map(LoaderInput::is_file)
    }

    /// The key and the file of an input. For an input that is not a file, those of the first file:
    /// only a file can have changed.
    pub(crate) fn key_and_file(&self, input: usize) -> (&str, &str) {
        let input = self.inputs.get(input).filter(|input| input.is_file());
        let input = input.or_else(|| self.inputs.iter().find(|input| input.is_file()));
        match input.map(|input| (&input.key, &input.source)) {
            Some((key, InputSource::File(file))) => (key, &file.shown),
            _ => ("", ""),
        }
    }
}

impl InputSnapshot {
    /// What is wrong with each input on its own.
    pub(super) fn errors(&self) -> Vec<LoadError> {
        let error_of = |(input, text): (usize, &Result<Secret, InputError>)| {
            let error = text.as_ref().err()?.clone();
            Some(LoadError { input, error })
        };
        self.texts.iter().enumerate().filter_map(error_of).collect()
    }
}

impl LoadError {
    /// An error of this input.
    pub fn of(input: usize, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            input,
            error: InputError::new(message, help),
        }
    }

    /// For a build function that gets another number of texts than its loader has inputs, which
    /// never happens.
    pub fn wrong_input_count() -> Self {
        Self::of(
            0,
            "the loader has other inputs than expected",
            "report this bug",
        )
    }
}
