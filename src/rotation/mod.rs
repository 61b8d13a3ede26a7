//! Reloads values that are made of files when the files change, while requests continue.
//!
//! A [`LoaderInput`] is one text and its source. A [`Loader`] builds a value from its inputs. A
//! [`Reloadable`] is a loader together with the versions of the inputs that are in use. The
//! [`Reloader`] polls all files about once a second, in one task. The configuration uses the same
//! loader for the first value, so a content that is valid at start is valid later, and no other.
//!
//! Contents are compared, never modification times or inode numbers. This covers files that are
//! rewritten, renamed into place, or replaced through a symbolic link, as Kubernetes does it.
//! Never logs a content. Never replaces a value in use by an invalid one.

mod input;
mod loader;
mod reloader;

pub use input::{
    InputError, InputFile, InputFormat, InputSource, InputVersion, LoaderInput, secret,
};
pub use loader::{LoadError, Loaded, Loader, Reloadable};
pub use reloader::{ApplyError, POLL_INTERVAL, Reloader};
