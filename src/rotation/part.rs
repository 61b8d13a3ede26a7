//! One text that a value is made of: where it is, what it may be, and what it was seen to be.
//!
//! Never repeats a part of what was read in an error.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// Bytes of a secret's file at the most.
const MAX_SECRET: u64 = 64 * 1024;
/// Bytes of any other file at the most.
const MAX_DOCUMENT: u64 = 1024 * 1024;

/// One text.
#[derive(Clone)]
pub struct Part {
    /// Its key in the configuration.
    pub key: String,
    /// Where it is.
    pub source: Source,
    /// What is wrong with it by itself.
    pub check: fn(&Secret) -> Result<(), Trouble>,
}

/// Where a text is.
#[derive(Clone)]
pub enum Source {
    /// Read once and for all: from the environment, or a pipe.
    Given(Secret),
    /// In a file, which may change.
    File(PathBuf, Form),
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A secret, whose last line end is cut.
    Secret,
    /// A text that is taken as it is.
    Document,
}

/// What is wrong, and the way out, each a clause for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub mend: String,
}

/// What a text was seen to be, to be compared with what it is later.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Seen {
    Content([u8; 32]),
    Trouble(Trouble),
}

impl Part {
    /// Nothing is wrong with any text.
    pub fn any(_: &Secret) -> Result<(), Trouble> {
        Ok(())
    }

    /// Whether it is in a file.
    pub fn is_file(&self) -> bool {
        matches!(self.source, Source::File(..))
    }

    /// What it is now.
    ///
    /// # Errors
    /// What is wrong with it by itself.
    pub fn read(&self) -> Result<Secret, Trouble> {
        self.look().1
    }

    /// What it is now, and what it was seen to be: one wrong content is not the same as another.
    pub(super) fn look(&self) -> (Seen, Result<Secret, Trouble>) {
        let read = match &self.source {
            Source::Given(text) => Ok(text.clone()),
            Source::File(path, form) => form.read(path),
        };
        let seen = Seen::of(&read);
        let good = |text: Secret| (self.check)(&text).map(|()| text);
        (seen, read.and_then(good))
    }
}

impl Seen {
    fn of(read: &Result<Secret, Trouble>) -> Self {
        match read {
            Ok(text) => Self::Content(Sha256::digest(text.reveal()).into()),
            Err(trouble) => Self::Trouble(trouble.clone()),
        }
    }
}

impl Trouble {
    /// From two clauses.
    pub fn new(message: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            mend: mend.into(),
        }
    }
}

impl Form {
    /// A file's content. What is not a plain file is not opened: a pipe would have us wait.
    fn read(self, path: &Path) -> Result<Secret, Trouble> {
        match fs::metadata(path) {
            Ok(about) if !about.is_file() => {
                let what = format!("{} can't be read: it is no file", path.display());
                return Err(Trouble::new(what, "name a file that this user may read"));
            }
            Ok(_) => {}
            Err(error) => return Err(unreadable(path, &error)),
        }
        self.read_once(path)
    }

    /// The content of whatever can be read there.
    ///
    /// # Errors
    /// It can't be read, is too large, or is an empty secret.
    pub fn read_once(self, path: &Path) -> Result<Secret, Trouble> {
        let bytes = bounded(path, self.most()).map_err(|error| unreadable(path, &error))?;
        let Some(bytes) = bytes else {
            return Err(self.too_large(path));
        };
        match self {
            Self::Document => Ok(Secret::new(bytes.as_slice())),
            Self::Secret => Self::secret(&bytes, &format!("file `{}`", path.display())),
        }
    }

    /// The secret of these bytes, which came from `source`.
    ///
    /// # Errors
    /// There is none.
    pub fn secret(bytes: &[u8], source: &str) -> Result<Secret, Trouble> {
        let text = bytes
            .strip_suffix(b"\n")
            .map_or(bytes, |cut| cut.strip_suffix(b"\r").unwrap_or(cut));
        if text.is_empty() {
            let what = format!("the secret in {source} is empty");
            return Err(Trouble::new(what, "give it its value"));
        }
        Ok(Secret::new(text))
    }

    fn most(self) -> u64 {
        match self {
            Self::Secret => MAX_SECRET,
            Self::Document => MAX_DOCUMENT,
        }
    }

    fn too_large(self, path: &Path) -> Trouble {
        let path = path.display();
        match self {
            Self::Secret => Trouble::new(
                format!("{path} is too large for a secret"),
                "name a file of at most 64 KiB",
            ),
            Self::Document => Trouble::new(
                format!("{path} is too large"),
                "name a file of at most 1 MiB",
            ),
        }
    }
}

/// A file's bytes; `None`: there are more than `most`.
fn bounded(path: &Path, most: u64) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let file = File::open(path)?;
    // All at once where the size is known, so that no smaller copy stays behind in memory.
    let about = file.metadata().map_or(0, |about| about.len()).min(most);
    let room = usize::try_from(about).unwrap_or_default().saturating_add(1);
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= most).then_some(bytes))
}

fn unreadable(path: &Path, error: &io::Error) -> Trouble {
    Trouble::new(
        format!("{} can't be read: {error}", path.display()),
        "name a file that this user may read",
    )
}
