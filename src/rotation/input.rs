//! One input of a loader: its source, its validation, and the version that was read.
//!
//! Never repeats a content in an error.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// Maximum size of a file that holds a secret, in bytes.
const MAX_SECRET: u64 = 64 * 1024;
/// Maximum size of any other file, in bytes.
const MAX_DOCUMENT: u64 = 1024 * 1024;

/// One text that a value is built from.
#[derive(Clone)]
pub struct LoaderInput {
    /// The key in the configuration.
    pub key: String,
    /// Where the text comes from.
    pub source: InputSource,
    /// Validates the text on its own.
    pub check: fn(&Secret) -> Result<(), InputError>,
    /// For a secret: its source, as a warning names it.
    pub secret_source: Option<String>,
}

/// Where a text comes from.
#[derive(Clone)]
pub enum InputSource {
    /// Read once: from the environment, or from a pipe.
    Fixed(Secret),
    /// A file, which may change.
    File(InputFile),
}

/// A file that holds a text.
#[derive(Clone)]
pub struct InputFile {
    /// Where it is.
    pub path: PathBuf,
    /// How errors and log lines name it: its path, unless that may be a secret.
    pub shown: String,
    /// What it holds.
    pub format: InputFormat,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputFormat {
    /// A secret. One line end after it is removed.
    Secret,
    /// A text that is used as it is.
    Document,
}

/// Why a text can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InputError {
    /// What is wrong, as a clause.
    pub message: String,
    /// A suggested fix, as a clause.
    pub help: String,
}

/// What was read from an input, for comparison with a later read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputVersion {
    /// The SHA-256 of the content. Two invalid contents are two versions.
    Content([u8; 32]),
    /// The file could not be read.
    Unreadable(InputError),
}

impl LoaderInput {
    /// A check that accepts any text.
    pub fn any(_: &Secret) -> Result<(), InputError> {
        Ok(())
    }

    /// Whether the text comes from a file that may change.
    pub fn is_file(&self) -> bool {
        matches!(self.source, InputSource::File(_))
    }

    /// Reads and validates the text.
    ///
    /// # Errors
    /// The text can't be read, or is invalid on its own.
    pub fn read(&self) -> Result<Secret, InputError> {
        self.read_version().1
    }

    /// Reads and validates the text, and returns the version that was read.
    pub(super) fn read_version(&self) -> (InputVersion, Result<Secret, InputError>) {
        let read = match &self.source {
            InputSource::Fixed(text) => Ok(text.clone()),
            InputSource::File(file) => file.read(),
        };
        let version = InputVersion::of(&read);
        let checked = read.and_then(|text| (self.check)(&text).map(|()| text));
        (version, checked)
    }
}

impl LoaderInput {
    /// What is odd about a secret that is used as it is; `None`: nothing, or it is no secret.
    pub(super) fn warning(&self, text: &Secret) -> Option<String> {
        let source = self.secret_source.as_ref()?;
        let oddity = oddity(text.reveal())?;
        let key = &self.key;
        Some(format!(
            "`{key}`: the secret in {source} {oddity}, which is used as a part of it"
        ))
    }
}

impl InputVersion {
    fn of(read: &Result<Secret, InputError>) -> Self {
        match read {
            Ok(text) => Self::Content(Sha256::digest(text.reveal()).into()),
            Err(error) => Self::Unreadable(error.clone()),
        }
    }
}

impl InputError {
    /// From a message and a suggested fix.
    pub fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: help.into(),
        }
    }
}

impl InputFile {
    /// Reads the file. Opens regular files only: a pipe would block.
    fn read(&self) -> Result<Secret, InputError> {
        let shown = &self.shown;
        match fs::metadata(&self.path) {
            Ok(metadata) if !metadata.is_file() => {
                let message = format!("{shown} can't be read: it is not a regular file");
                return Err(InputError::new(message, READABLE));
            }
            Ok(_) => {}
            Err(error) => return Err(unreadable(shown, &error)),
        }
        self.read_once()
    }

    /// Reads the file or pipe.
    ///
    /// # Errors
    /// It can't be read, is too large, or is an empty secret.
    pub fn read_once(&self) -> Result<Secret, InputError> {
        let shown = &self.shown;
        let (max, too_large, help) = match self.format {
            InputFormat::Secret => (
                MAX_SECRET,
                "is too large for a secret",
                "name a file of at most 64 KiB",
            ),
            InputFormat::Document => (MAX_DOCUMENT, "is too large", "name a file of at most 1 MiB"),
        };
        let bytes = read_at_most(&self.path, max).map_err(|error| unreadable(shown, &error))?;
        let Some(bytes) = bytes else {
            return Err(InputError::new(format!("{shown} {too_large}"), help));
        };
        match self.format {
            InputFormat::Document => Ok(Secret::new(bytes.as_slice())),
            InputFormat::Secret => secret(&bytes, &format!("file `{shown}`")),
        }
    }
}

/// Makes a secret of these bytes, which were read from `source`. One line end is removed.
///
/// # Errors
/// The secret is empty.
pub fn secret(bytes: &[u8], source: &str) -> Result<Secret, InputError> {
    let text = bytes
        .strip_suffix(b"\n")
        .map_or(bytes, |line| line.strip_suffix(b"\r").unwrap_or(line));
    if text.is_empty() {
        let message = format!("the secret in {source} is empty");
        return Err(InputError::new(message, "give it a value"));
    }
    Ok(Secret::new(text))
}

/// What stands at the start or the end of a secret and hardly ever belongs to it: an editor, a
/// shell or a file of variables put it there.
fn oddity(secret: &[u8]) -> Option<&'static str> {
    let Ok(text) = str::from_utf8(secret) else {
        let ends_blank = secret.last().is_some_and(u8::is_ascii_whitespace);
        return ends_blank.then_some("ends in white space");
    };
    match (text.chars().next()?, text.chars().next_back()?) {
        (_, last) if last.is_whitespace() => Some("ends in white space"),
        (first, _) if first.is_whitespace() => Some("begins with white space"),
        ('\u{feff}', _) => Some("begins with a byte order mark"),
        ('"', '"') | ('\'', '\'') => Some("is in quotes"),
        _ => None,
    }
}

const READABLE: &str = "name a file that this user may read";
const MISSING: &str = "make it, or name another file; look at what is mounted there in a container, and at \
     `LoadCredential=` under systemd";

/// The bytes of a file; `None`: there are more than `max`.
fn read_at_most(path: &Path, max: u64) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let file = File::open(path)?;
    // One allocation of the final size: growing would leave unwiped copies of a secret behind.
    let size = file
        .metadata()
        .map_or(0, |metadata| metadata.len())
        .min(max);
    let capacity = usize::try_from(size).unwrap_or_default().saturating_add(1);
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= max).then_some(bytes))
}

fn unreadable(shown: &str, error: &io::Error) -> InputError {
    let help = match error.kind() {
        io::ErrorKind::NotFound => MISSING,
        _ => READABLE,
    };
    InputError::new(format!("{shown} can't be read: {error}"), help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_line_end_is_removed() {
        let cases: [(&[u8], &[u8]); 7] = [
            (b"key", b"key"),
            (b"key\n", b"key"),
            (b"key\n\n", b"key\n"),
            (b"key\r\n", b"key"),
            (b"key\n ", b"key\n "),
            (b" key \n", b" key "),
            (b"\xff\n", b"\xff"),
        ];
        for (written, wanted) in cases {
            assert_eq!(
                secret(written, "here").unwrap().reveal(),
                wanted,
                "{written:?}"
            );
        }
    }

    #[test]
    fn a_file_that_is_not_there_has_its_own_help() {
        let help = |kind: io::ErrorKind| unreadable("here", &kind.into()).help;
        for place in ["mounted", "LoadCredential="] {
            assert!(help(io::ErrorKind::NotFound).contains(place), "{place}");
        }
        assert!(help(io::ErrorKind::PermissionDenied).contains("this user may read"));
    }

    #[test]
    fn what_hardly_belongs_to_a_secret_is_warned_of_and_the_secret_is_not_repeated() {
        for (text, wanted) in [
            ("key ", Some("ends in white space")),
            ("key\n", Some("ends in white space")),
            ("key\u{a0}", Some("ends in white space")),
            ("\tkey", Some("begins with white space")),
            ("\u{feff}key", Some("begins with a byte order mark")),
            ("\"key\"", Some("is in quotes")),
            ("'key'", Some("is in quotes")),
            ("'key", None),
            ("a key", None),
            ("", None),
        ] {
            assert_eq!(oddity(text.as_bytes()), wanted, "{text:?}");
        }
        assert_eq!(oddity(b"\xff "), Some("ends in white space"));
        let mut input = LoaderInput {
            key: "identity.secret".into(),
            source: InputSource::Fixed(Secret::new("")),
            check: LoaderInput::any,
            secret_source: Some("env `JWT`".into()),
        };
        assert_eq!(
            input.warning(&Secret::new("MARKER ")).unwrap(),
            "`identity.secret`: the secret in env `JWT` ends in white space, which is used as a \
             part of it"
        );
        input.secret_source = None;
        assert_eq!(input.warning(&Secret::new("MARKER ")), None);
    }
}
