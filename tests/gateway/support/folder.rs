//! A temporary folder of one test, removed when dropped, and the ways in which files are replaced.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

static COUNT: AtomicU32 = AtomicU32::new(0);

pub(crate) struct Folder(PathBuf);

impl Folder {
    /// A folder with these files.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("rotation-{}-{number}-", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        let folder = Self(path);
        for (name, text) in files {
            folder.write(name, text);
        }
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Its name, as it appears in log lines about one of its files.
    pub(crate) fn name(&self) -> String {
        self.0.file_name().unwrap().to_str().unwrap().to_owned()
    }

    /// Overwrites the file in place.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }

    /// Renames a new file over the old one.
    pub(crate) fn rename_over(&self, name: &str, text: &str) {
        self.write("new", text);
        fs::rename(self.0.join("new"), self.0.join(name)).unwrap();
    }

    /// Removes a file or a folder, if there is one.
    pub(crate) fn remove(&self, name: &str) {
        let path = self.0.join(name);
        let _ = fs::remove_file(&path);
        let _ = fs::remove_dir_all(&path);
    }

    pub(crate) fn make_folder(&self, name: &str) {
        fs::create_dir(self.0.join(name)).unwrap();
    }

    pub(crate) fn link(&self, name: &str, to: &str) {
        symlink(to, self.0.join(name)).unwrap();
    }

    /// Replaces all files at once, as Kubernetes does with a mounted Secret: `name` always links to
    /// `..data/name`, and `..data` to a folder for each version. A rename replaces `..data`; then
    /// the old folder is removed.
    pub(crate) fn publish(&self, files: &[(&str, &str)]) {
        let version = format!("..{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let (data, next) = (self.0.join("..data"), self.0.join("..data_tmp"));
        self.make_folder(&version);
        for (name, text) in files {
            fs::write(self.0.join(&version).join(name), text).unwrap();
            let link = self.0.join(name);
            if link.symlink_metadata().is_err() {
                symlink(Path::new("..data").join(name), link).unwrap();
            }
        }
        let old = fs::read_link(&data).ok();
        symlink(&version, &next).unwrap();
        fs::rename(next, data).unwrap();
        if let Some(old) = old {
            fs::remove_dir_all(self.0.join(old)).unwrap();
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
