//! Which program a handover starts: the one that now lies where this process's program was.
//!
//! Relies on the start, when the name of the program still leads to the file that runs. Never uses
//! the kernel's link to that file later (proc(5), `exe`): after an upgrade it leads to the old one,
//! and its name ends in ` (deleted)`.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs::{self, Metadata},
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::MetadataExt,
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

/// What the kernel appends to the path of a program whose file was removed.
const DELETED: &[u8] = b" (deleted)";

/// The program of this process, with its arguments.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    /// The name by which it was called, and its arguments.
    name: OsString,
    arguments: Vec<OsString>,
}

impl Program {
    /// The program of this process. Must be called early, before anybody replaces the file.
    pub fn current() -> Self {
        let mut arguments = env::args_os();
        let name = arguments.next().unwrap_or_default();
        let path = match env::current_exe() {
            Ok(running) => path(&name, running),
            Err(_) => PathBuf::from(&name),
        };
        Self {
            path,
            name,
            arguments: arguments.collect(),
        }
    }

    /// Another program.
    #[cfg(test)]
    pub(super) fn of(path: &str, arguments: &[&str]) -> Self {
        Self {
            path: path.into(),
            name: path.into(),
            arguments: arguments.iter().map(OsString::from).collect(),
        }
    }

    /// Starts the file that is there now, with the same name and arguments.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.arg0(&self.name).args(&self.arguments);
        command
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The path of a program that was called by this name, and runs from this file.
fn path(name: &OsStr, running: PathBuf) -> PathBuf {
    let Ok(file) = fs::metadata(&running) else {
        // It has been replaced already.
        return without_mark(running);
    };
    let folders = env::var_os("PATH").unwrap_or_default();
    let folder = env::current_dir().unwrap_or_default();
    called(name, &folder, &folders, &file).unwrap_or(running)
}

/// The path by which a program was called, without following links: an upgrade may change a link.
/// `None` if that is not `file`.
fn called(name: &OsStr, folder: &Path, folders: &OsStr, file: &Metadata) -> Option<PathBuf> {
    let is_file = |path: &PathBuf| {
        let found = fs::metadata(path).ok();
        found.is_some_and(|found| (found.dev(), found.ino()) == (file.dev(), file.ino()))
    };
    if name.as_bytes().contains(&b'/') {
        return Some(folder.join(name)).filter(is_file);
    }
    // As a shell finds it.
    let mut paths = env::split_paths(folders).map(|found| folder.join(found).join(name));
    paths.find(is_file)
}

fn without_mark(path: PathBuf) -> PathBuf {
    let mut bytes = path.into_os_string().into_vec();
    if bytes.ends_with(DELETED) {
        bytes.truncate(bytes.len().saturating_sub(DELETED.len()));
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_again_by_the_name_it_was_called_by() {
        let folder = env::temp_dir().join(format!("program-{}", std::process::id()));
        fs::create_dir_all(folder.join("bin")).unwrap();
        fs::write(folder.join("bin/real"), "1").unwrap();
        fs::write(folder.join("bin/other"), "2").unwrap();
        std::os::unix::fs::symlink("real", folder.join("bin/link")).unwrap();
        let file = fs::metadata(folder.join("bin/real")).unwrap();
        let folders = env::join_paths([folder.join("none"), folder.join("bin")]).unwrap();
        let find = |name: &str| called(OsStr::new(name), &folder, &folders, &file);
        let absolute = folder.join("bin/link");
        for (name, expected) in [
            ("bin/real", Some("bin/real")),
            ("./bin/real", Some("./bin/real")),
            ("bin/link", Some("bin/link")),
            ("link", Some("bin/link")),
            (absolute.to_str().unwrap(), Some("bin/link")),
            ("other", None),
            ("bin/other", None),
            ("-sh", None),
            ("", None),
        ] {
            assert_eq!(find(name), expected.map(|path| folder.join(path)), "{name}");
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_kernels_mark_of_a_removed_file_is_no_part_of_its_name() {
        for (path, expected) in [
            ("/usr/bin/gateway (deleted)", "/usr/bin/gateway"),
            ("/usr/bin/gateway", "/usr/bin/gateway"),
            (" (deleted)", ""),
        ] {
            assert_eq!(without_mark(path.into()), Path::new(expected));
        }
    }
}
