//! The file or FIFO that an audit log is written to.
//!
//! A file is opened for appending, with mode 0600 if it is made. It is locked for each group of
//! records, so that two processes may continue one chain, as while one takes over from the other.
//! A FIFO is never waited for: without a reader, or with one that does not read, a write fails.
//! Never follows a symbolic link, and never writes to anything else.

use std::{
    fs::{self, File, Metadata, OpenOptions, TryLockError},
    io::{self, ErrorKind, Write},
    os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::fs::{Access, OFlags, access};

use super::tail::{FileTail, TailError};

/// Mode of a file that is made: its owner alone may read it.
const MODE: u32 = 0o600;
/// How long another process may hold the lock of a file, or a reader leave a FIFO full, before the
/// write counts as failed.
const WAIT: Duration = Duration::from_secs(1);
/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(5);

/// Why an audit log can't be written where it should be.
#[derive(Debug, thiserror::Error)]
pub enum AuditPathError {
    /// It is a symbolic link.
    #[error("it is a symbolic link, which is not followed")]
    Link,
    /// It is a folder, a device or a socket.
    #[error("it is neither a file nor a FIFO")]
    WrongKind,
    /// The system does not let the gateway open it.
    #[error("it can't be opened for writing")]
    Open(#[source] io::Error),
    /// Its folder is missing, or no file can be made in it.
    #[error("no file can be made in its folder")]
    Folder(#[source] io::Error),
    /// It holds something else.
    #[error("it is not continued")]
    Tail(#[from] TailError),
}

/// Why records could not be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum AuditWriteError {
    #[error(transparent)]
    Path(#[from] AuditPathError),
    #[error("the FIFO has no reader")]
    NoReader,
    #[error("the reader of the FIFO does not read")]
    FullFifo,
    #[error("another program holds the lock of the file")]
    Locked,
    #[error("the system provides no random bytes")]
    NoRandomness,
    #[error("the write failed")]
    Write(#[from] io::Error),
}

/// An open file or FIFO.
pub(super) struct AuditOutput {
    file: File,
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
    pub(super) is_fifo: bool,
    /// Length of the file when it was last written or read here. Another one means that somebody
    /// else has changed it.
    length: Option<u64>,
    /// What a full FIFO has not taken of a line longer than `PIPE_BUF`.
    rest: Vec<u8>,
}

/// Checks whether an audit log can be written at `path`, without changing anything.
///
/// # Errors
/// It can't.
pub fn examine(path: &Path) -> Result<(), AuditPathError> {
    let Some(found) = kind(path)? else {
        let folder = folder(path);
        if !fs::metadata(folder)
            .map_err(AuditPathError::Folder)?
            .is_dir()
        {
            return Err(AuditPathError::Folder(ErrorKind::NotADirectory.into()));
        }
        let allowed = access(folder, Access::WRITE_OK | Access::EXEC_OK);
        return allowed.map_err(|error| AuditPathError::Folder(error.into()));
    };
    access(path, Access::WRITE_OK).map_err(|error| AuditPathError::Open(error.into()))?;
    if found.file_type().is_file() {
        let file = File::open(path).map_err(AuditPathError::Open)?;
        FileTail::read(&file)?;
    }
    Ok(())
}

/// What is at `path`; `None` if there is nothing.
fn kind(path: &Path) -> Result<Option<Metadata>, AuditPathError> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(AuditPathError::Open(error)),
    };
    let kind = found.file_type();
    if kind.is_symlink() {
        Err(AuditPathError::Link)
    } else if kind.is_file() || kind.is_fifo() {
        Ok(Some(found))
    } else {
        Err(AuditPathError::WrongKind)
    }
}

impl AuditOutput {
    /// Opens what is at `path`, or makes a file.
    pub(super) fn open(path: &Path) -> Result<Self, AuditWriteError> {
        let found = kind(path)?;
        let is_new = found.is_none();
        let is_fifo = found.is_some_and(|found| found.file_type().is_fifo());
        let mut options = OpenOptions::new();
        if is_fifo {
            options.write(true);
        } else {
            options.read(true).append(true).create(true).mode(MODE);
        }
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let flags = i32::try_from(flags.bits()).unwrap_or_default();
        let file = match options.custom_flags(flags).open(path) {
            Ok(file) => file,
            // What open(2) says of a FIFO that nobody reads.
            Err(error) if is_fifo && error.raw_os_error() == Some(NO_READER) => {
                return Err(AuditWriteError::NoReader);
            }
            Err(error) => return Err(AuditPathError::Open(error).into()),
        };
        let opened = file.metadata()?;
        let kind = opened.file_type();
        if kind.is_fifo() != is_fifo || !(is_fifo || kind.is_file()) {
            // It was replaced in between.
            return Err(AuditPathError::WrongKind.into());
        }
        if is_new {
            sync_folder(path);
        }
        Ok(Self {
            file,
            path: path.to_owned(),
            identity: identity(&opened),
            is_fifo,
            length: None,
            rest: Vec::new(),
        })
    }

    /// A device, in the place of a file that could be written so far.
    #[cfg(test)]
    pub(super) fn unchecked(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).open(path)?;
        Ok(Self {
            identity: identity(&file.metadata()?),
            file,
            path: path.to_owned(),
            is_fifo: false,
            length: Some(0),
            rest: Vec::new(),
        })
    }

    /// Whether `path` is another file by now, or none: the log was rotated.
    pub(super) fn was_moved(&self) -> bool {
        let now = fs::symlink_metadata(&self.path);
        now.map_or(true, |now| identity(&now) != self.identity)
    }

    /// Whether the file has no record, as when it was last read or written.
    pub(super) fn is_empty(&self) -> bool {
        self.length == Some(0)
    }

    /// Whether no name leads to the file any more.
    pub(super) fn is_removed(&self) -> Result<bool, AuditWriteError> {
        Ok(self.file.metadata()?.nlink() == 0)
    }

    /// Keeps other processes from writing to the file until [`AuditOutput::unlock`].
    pub(super) fn lock(&self) -> Result<(), AuditWriteError> {
        let since = Instant::now();
        loop {
            match self.file.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::Error(error)) => return Err(error.into()),
                Err(TryLockError::WouldBlock) if since.elapsed() > WAIT => {
                    return Err(AuditWriteError::Locked);
                }
                Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
            }
        }
    }

    pub(super) fn unlock(&self) {
        // Closing the file unlocks it in any case.
        let _ = self.file.unlock();
    }

    /// The end of the file, if it is not as this process left it. What is torn is cut off.
    pub(super) fn changed_tail(&mut self) -> Result<Option<FileTail>, AuditWriteError> {
        if self.is_fifo || self.length == Some(self.file.metadata()?.len()) {
            return Ok(None);
        }
        let tail = FileTail::read(&self.file).map_err(AuditPathError::Tail)?;
        if tail.torn > 0 {
            self.file.set_len(tail.whole)?;
        }
        self.length = Some(tail.whole);
        Ok(Some(tail))
    }

    /// Appends whole lines, and waits until the disk has them: all or none. To a FIFO, one line.
    pub(super) fn append(&mut self, lines: &[u8]) -> Result<(), AuditWriteError> {
        if self.is_fifo {
            return self.append_to_fifo(lines);
        }
        let before = self.length.take();
        let written = self.file.write_all(lines);
        if let Err(error) = written.and_then(|()| self.file.sync_data()) {
            // A full disk may have taken a part. And what a disk has failed to sync, it may lose
            // later without a word: it has to be written anew. If it can't be cut off now, the
            // next try reads where the file ends.
            if let Some(before) = before
                && self.file.set_len(before).is_ok()
            {
                self.length = Some(before);
            }
            return Err(error.into());
        }
        self.length = before.and_then(|before| before.checked_add(lines.len() as u64));
        Ok(())
    }

    /// A line of up to `PIPE_BUF` (4 KiB on Linux) is taken whole or not at all (pipe(7)). Of a
    /// longer one the rest is kept for the next call.
    fn append_to_fifo(&mut self, line: &[u8]) -> Result<(), AuditWriteError> {
        let mut rest = std::mem::take(&mut self.rest);
        let sent = self.send(&mut rest);
        self.rest = rest;
        sent?;
        let mut line = line.to_vec();
        let whole = line.len();
        match self.send(&mut line) {
            Err(_) if line.len() < whole => self.rest = line,
            sent => sent?,
        }
        Ok(())
    }

    /// Sends bytes and removes what was taken.
    fn send(&self, bytes: &mut Vec<u8>) -> Result<(), AuditWriteError> {
        let since = Instant::now();
        while !bytes.is_empty() {
            match (&self.file).write(bytes) {
                Ok(taken) => drop(bytes.drain(..taken.min(bytes.len()))),
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::BrokenPipe => return Err(AuditWriteError::NoReader),
                    ErrorKind::WouldBlock if since.elapsed() > WAIT => {
                        return Err(AuditWriteError::FullFifo);
                    }
                    ErrorKind::WouldBlock => thread::sleep(PAUSE),
                    _ => return Err(error.into()),
                },
            }
        }
        Ok(())
    }
}

/// `ENXIO`.
const NO_READER: i32 = rustix::io::Errno::NXIO.raw_os_error();

/// The folder of a file.
fn folder(path: &Path) -> &Path {
    let parent = path.parent();
    let parent = parent.filter(|folder| !folder.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// Waits until the disk has the name of a file that was made. Without, a loss of power could take
/// the file with all its records. Not all file systems and permissions allow it.
fn sync_folder(path: &Path) {
    let _ = File::open(folder(path)).and_then(|folder| folder.sync_all());
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

#[cfg(test)]
mod tests {
    use rustix::fs::inotify;

    use super::*;

    /// Nobody can lose power here; that the folder is opened besides the file shows the attempt.
    #[cfg(target_os = "linux")]
    #[test]
    fn the_name_of_a_new_file_is_synced_and_that_of_an_old_one_is_not() {
        let folder = std::env::temp_dir().join(format!("audit-folder-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let watch = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
        inotify::add_watch(&watch, &folder, inotify::WatchFlags::OPEN).unwrap();
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&watch, &mut buffer);
        let path = folder.join("audit.jsonl");
        for expected in [1, 0] {
            drop(AuditOutput::open(&path).unwrap());
            let mut of_folder = 0;
            while let Ok(event) = events.next() {
                of_folder += usize::from(event.file_name().is_none());
            }
            assert_eq!(of_folder, expected);
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
