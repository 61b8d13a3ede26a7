//! A temporary directory of this process, removed when dropped.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// A temporary directory.
pub(crate) struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    /// Creates the one of `name`, which no other of this process has.
    ///
    /// # Errors
    /// It is there already, or can't be created.
    pub(crate) fn create(name: &str) -> io::Result<Self> {
        let name = format!("liveness-gateway-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
