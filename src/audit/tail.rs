//! The end of an audit file: its last whole record, and what a killed process or a full disk left
//! behind it.
//!
//! Relies on positions, and never moves that of the file. Never reads more than the last line and a
//! group, however large the file is.

use std::{fs::File, io, os::unix::fs::FileExt};

use super::chain::{LINE_START, MAX_LINE, SealedRecord};

/// How much is read, in bytes: the whole last line, and what was written of a group behind it. The
/// records of a group have 64 KiB without their hashes, less than 128 KiB with them.
const WINDOW: usize = 4 * (MAX_LINE + 1);

/// The end of a file.
#[derive(Debug, Default)]
pub(super) struct FileTail {
    /// The last whole record; `None` in a file without one.
    pub(super) last: Option<SealedRecord>,
    /// Length of the whole records, in bytes.
    pub(super) whole: u64,
    /// Length of the torn record behind them, in bytes.
    pub(super) torn: u64,
}

/// Why a file is not continued.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// What stands at its end is not an audit log's.
    #[error("its end is no record of an audit log")]
    Foreign,
    /// It can't be read.
    #[error("it can't be read")]
    Read(#[from] io::Error),
}

impl FileTail {
    /// Reads the end of a file.
    ///
    /// # Errors
    /// The file can't be read, or is none of ours.
    pub(super) fn read(file: &File) -> Result<Self, TailError> {
        let length = file.metadata()?.len();
        let start = length.saturating_sub(WINDOW as u64);
        let mut window = vec![0; usize::try_from(length - start).unwrap_or(WINDOW)];
        file.read_exact_at(&mut window, start)?;
        let feed = window.iter().rposition(|byte| *byte == b'\n');
        let (lines, torn) = window.split_at(feed.map_or(0, |feed| feed + 1));
        if !is_torn(torn) {
            return Err(TailError::Foreign);
        }
        let torn = torn.len() as u64;
        let Some(lines) = lines.strip_suffix(b"\n") else {
            let whole = length - torn;
            // Without a line feed in it, the file is one torn line or nothing.
            return match whole {
                0 => Ok(Self {
                    last: None,
                    whole,
                    torn,
                }),
                _ => Err(TailError::Foreign),
            };
        };
        let line = match lines.iter().rposition(|byte| *byte == b'\n') {
            Some(feed) => lines.get(feed + 1..).unwrap_or_default(),
            None if start == 0 => lines,
            None => return Err(TailError::Foreign),
        };
        let last = SealedRecord::parse(line).map_err(|_| TailError::Foreign)?;
        Ok(Self {
            last: Some(last),
            whole: length - torn,
            torn,
        })
    }
}

/// Whether bytes without a line feed may be the beginning of a record. A machine that loses its
/// power may leave zeros behind it, in the place of a whole group.
fn is_torn(bytes: &[u8]) -> bool {
    let end = bytes.iter().rposition(|byte| *byte != 0);
    let begun = bytes.get(..end.map_or(0, |end| end + 1)).unwrap_or(bytes);
    let known = begun
        .iter()
        .zip(LINE_START)
        .all(|(byte, known)| byte == known);
    begun.len() <= MAX_LINE && known
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        io::Write as _,
        path::PathBuf,
        sync::atomic::{AtomicU32, Ordering},
    };

    use super::*;
    use crate::audit::chain::ChainHead;

    static COUNT: AtomicU32 = AtomicU32::new(0);

    /// A file that is removed when dropped.
    struct TestFile(PathBuf, File);

    impl TestFile {
        fn with(bytes: &[u8]) -> Self {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("audit-tail-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            File::create(&path).unwrap().write_all(bytes).unwrap();
            let file = File::open(&path).unwrap();
            Self(path, file)
        }
    }

    impl Drop for TestFile {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    fn tail(bytes: &[u8]) -> Result<(Option<u64>, u64, u64), TailError> {
        let file = TestFile::with(bytes);
        let tail = FileTail::read(&file.1)?;
        Ok((tail.last.map(|last| last.number), tail.whole, tail.torn))
    }

    fn records(count: usize, user: usize) -> String {
        let mut head = ChainHead::begin().unwrap();
        let mut text = String::new();
        let user = "u".repeat(user);
        for _ in 0..count {
            let content = format!("\"time\":\"\",\"event\":\"verify\",\"user\":\"{user}\"");
            head.append(&mut text, &content);
        }
        text
    }

    #[test]
    fn the_last_whole_record_is_found_wherever_the_file_was_cut() {
        let text = records(3, 10);
        let lengths: Vec<_> = text.lines().map(|line| line.len() + 1).collect();
        for cut in 0..=text.len() {
            let whole = (0..=3)
                .rev()
                .find(|count| lengths[..*count].iter().sum::<usize>() <= cut)
                .unwrap();
            let length: usize = lengths[..whole].iter().sum();
            let last = whole.checked_sub(1).map(|last| last as u64);
            let found = tail(&text.as_bytes()[..cut]).unwrap();
            assert_eq!(found, (last, length as u64, (cut - length) as u64), "{cut}");
        }
        // A loss of power may leave zeros in the place of a group, or of the end of it.
        for (begun, zeros) in [(0, 700), (0, 110_000), (150, 110_000)] {
            let file = [text.as_bytes(), &text.as_bytes()[..begun], &vec![0; zeros]].concat();
            let torn = (begun + zeros) as u64;
            assert_eq!(tail(&file).unwrap(), (Some(2), text.len() as u64, torn));
        }
    }

    #[test]
    fn only_the_end_of_a_large_file_is_read() {
        let text = records(40, 9000);
        assert!(text.len() > WINDOW);
        let torn = format!("{text}{}", &text[..8000]);
        let found = tail(torn.as_bytes()).unwrap();
        assert_eq!(found, (Some(39), text.len() as u64, 8000));
    }

    #[test]
    fn a_file_of_another_program_is_not_continued() {
        let ours = records(1, 10);
        for bytes in [
            "x".to_owned(),
            "{}\n".into(),
            "2026-01-01 a line of a log\n".into(),
            format!("{ours}\n"),
            format!("{ours}another line"),
            ours.replace("uu", "uv"),
            "x".repeat(3 * WINDOW),
            format!("{ours}\0\0x"),
            format!("{ours}{{\"chain\":\"{}", "0".repeat(MAX_LINE)),
        ] {
            let found = tail(bytes.as_bytes());
            assert!(matches!(found, Err(TailError::Foreign)), "{found:?}");
        }
    }
}
