//! When a new content is used, and when it is not. Each poll is called by hand, so no time passes.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use super::*;
use crate::{
    rotation::{InputFile, InputFormat, InputSource, Loaded, Loader, LoaderInput},
    secret::Secret,
    telemetry::{log::LogWriter, metrics::TextFormat},
};

/// A folder that is removed at the end of a test.
struct WatchedFolder(PathBuf);

impl WatchedFolder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("watch-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }

    fn part(&self, name: &str) -> LoaderInput {
        LoaderInput {
            key: format!("section.{name}"),
            source: InputSource::File(InputFile {
                path: self.0.join(name),
                shown: self.0.join(name).display().to_string(),
                format: InputFormat::Secret,
            }),
            check: LoaderInput::any,
            secret_source: Some(format!("file `{name}`")),
        }
    }
}

impl Drop for WatchedFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The values that were applied, in order.
type Used = Arc<Mutex<Vec<String>>>;

struct Observed {
    poll: Box<dyn FnMut()>,
    used: Used,
    /// The number of values that were built.
    made: Arc<AtomicU32>,
    metrics: Arc<Metrics>,
}

impl Observed {
    fn of(parts: Vec<LoaderInput>) -> Self {
        let made = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&made);
        let loader = Loader::new(parts, move |texts| {
            count.fetch_add(1, Ordering::Relaxed);
            let text = |text: &Secret| String::from_utf8(text.reveal().to_vec()).unwrap();
            let all = texts.iter().map(text).collect::<Vec<_>>().join("+");
            match all.contains("bad") {
                true => Err(LoadError::of(0, "is bad", "write a good one")),
                false => Ok(all),
            }
        });
        let Loaded {
            value: first,
            reloadable,
            ..
        } = loader.load().unwrap();
        let used: Used = Arc::new(Mutex::new(vec![first]));
        let put = Arc::clone(&used);
        let metrics = Metrics::new(LogWriter::discard());
        let apply = move |value| {
            put.lock().unwrap().push(value);
            Ok(())
        };
        let report = metrics.reload_report(ReloadedPart::Store);
        let mut poller = Poller::new(reloadable.unwrap(), apply, report);
        Self {
            poll: Box::new(move || poller.poll()),
            used,
            made,
            metrics,
        }
    }

    /// How many contents were used and refused, and whether the last one is in use.
    fn counted(&self) -> [u32; 3] {
        let text = self.metrics.encode(TextFormat::Prometheus);
        [
            "reloads_total{what=\"store\",outcome=\"success\"} ",
            "reloads_total{what=\"store\",outcome=\"refused\"} ",
            "last_reload_successful{what=\"store\"} ",
        ]
        .map(|series| {
            let (_, value) = text.split_once(series).unwrap();
            value.lines().next().unwrap().parse().unwrap()
        })
    }

    /// The value in use after this many polls.
    fn after(&mut self, polls: u32) -> String {
        (0..polls).for_each(|_| (self.poll)());
        self.used.lock().unwrap().last().unwrap().clone()
    }

    fn made(&self) -> u32 {
        self.made.load(Ordering::Relaxed)
    }
}

#[test]
fn a_content_is_used_once_it_was_read_twice() {
    let folder = WatchedFolder::new();
    folder.write("key", "one");
    let mut seen = Observed::of(vec![folder.part("key")]);
    assert_eq!(seen.after(5), "one");
    folder.write("key", "two");
    assert_eq!(seen.after(1), "one");
    assert_eq!(seen.after(1), "two");
    assert_eq!(seen.after(20), "two");
    assert_eq!(seen.made(), 2);
    // With another line end it is the same secret.
    folder.write("key", "two\n");
    assert_eq!(seen.after(20), "two");
    assert_eq!(seen.made(), 2);
}

#[test]
fn each_content_counts_once_as_used_or_refused() {
    let folder = WatchedFolder::new();
    folder.write("key", "one");
    let mut seen = Observed::of(vec![folder.part("key")]);
    seen.after(5);
    assert_eq!(seen.counted(), [0, 0, 1]);
    for (content, counted) in [
        ("two", [1, 0, 1]),
        ("bad", [1, 1, 0]),
        // The content in use is there again: nothing was reloaded, and nothing is refused.
        ("two", [1, 1, 1]),
        ("worse than bad", [1, 2, 0]),
        ("three", [2, 2, 1]),
    ] {
        folder.write("key", content);
        seen.after(5);
        assert_eq!(seen.counted(), counted, "{content}");
    }
    fs::remove_file(folder.0.join("key")).unwrap();
    seen.after(5);
    assert_eq!(seen.counted(), [2, 3, 0]);
}

#[test]
fn a_file_that_is_being_written_is_not_used() {
    let folder = WatchedFolder::new();
    folder.write("key", "one");
    let mut seen = Observed::of(vec![folder.part("key")]);
    for length in 1..8 {
        folder.write("key", &"growing"[..length]);
        assert_eq!(seen.after(1), "one");
    }
    assert_eq!(seen.after(1), "growing");
}

#[test]
fn a_change_waits_for_the_files_that_belong_to_it() {
    let folder = WatchedFolder::new();
    folder.write("id", "id1");
    folder.write("key", "key1");
    let parts = || vec![folder.part("id"), folder.part("key")];
    let mut seen = Observed::of(parts());
    folder.write("id", "id2");
    assert_eq!(seen.after(9), "id1+key1");
    folder.write("key", "key2");
    assert_eq!(seen.after(1), "id1+key1");
    assert_eq!(seen.after(1), "id2+key2");
    // After ten polls one alone is used.
    folder.write("key", "key3");
    assert_eq!(seen.after(9), "id2+key2");
    assert_eq!(seen.after(1), "id2+key3");
    // An input that is not a file cannot change.
    let given = LoaderInput {
        source: InputSource::Fixed(Secret::new("given")),
        ..folder.part("id")
    };
    let mut seen = Observed::of(vec![given, folder.part("key")]);
    folder.write("key", "key4");
    assert_eq!(seen.after(2), "given+key4");
}

#[test]
fn an_invalid_content_is_evaluated_once_and_the_old_value_stays() {
    let folder = WatchedFolder::new();
    folder.write("key", "one");
    let mut seen = Observed::of(vec![folder.part("key")]);
    folder.write("key", "bad");
    assert_eq!(seen.after(30), "one");
    assert_eq!(seen.made(), 2);
    folder.write("key", "another bad one");
    assert_eq!(seen.after(30), "one");
    assert_eq!(seen.made(), 3);
    // The content in use again: nothing is built.
    folder.write("key", "one");
    assert_eq!(seen.after(30), "one");
    assert_eq!(seen.made(), 3);
    // The same invalid content is evaluated again after that.
    folder.write("key", "bad");
    assert_eq!(seen.after(30), "one");
    assert_eq!(seen.made(), 4);
    folder.write("key", "two");
    assert_eq!(seen.after(2), "two");
}

#[test]
fn an_unreadable_file_leaves_the_old_value_in_use() {
    let folder = WatchedFolder::new();
    folder.write("key", "one");
    let mut seen = Observed::of(vec![folder.part("key")]);
    let path = folder.0.join("key");
    fs::remove_file(&path).unwrap();
    assert_eq!(seen.after(3), "one");
    fs::create_dir(&path).unwrap();
    assert_eq!(seen.after(3), "one");
    fs::remove_dir(&path).unwrap();
    for wrong in ["", "\n", &"x".repeat(64 * 1024 + 1)] {
        folder.write("key", wrong);
        assert_eq!(seen.after(3), "one");
    }
    assert_eq!(seen.made(), 1);
    folder.write("key", &"x".repeat(64 * 1024));
    assert_eq!(seen.after(2).len(), 64 * 1024);
}

#[test]
fn a_change_of_a_symbolic_link_is_noticed() {
    let folder = WatchedFolder::new();
    let version = |number: &str| {
        let inner = folder.0.join(number);
        fs::create_dir(&inner).unwrap();
        fs::write(inner.join("key"), number).unwrap();
        // The same length and, within the clock's resolution, the same time.
        symlink(Path::new(number), folder.0.join("..data_tmp")).unwrap();
        fs::rename(folder.0.join("..data_tmp"), folder.0.join("..data")).unwrap();
    };
    version("v1");
    symlink("..data/key", folder.0.join("key")).unwrap();
    let mut seen = Observed::of(vec![folder.part("key")]);
    version("v2");
    assert_eq!(seen.after(2), "v2");
    fs::remove_dir_all(folder.0.join("v2")).unwrap();
    assert_eq!(seen.after(3), "v2");
    version("v3");
    assert_eq!(seen.after(2), "v3");
}

#[test]
fn a_value_without_a_file_is_not_reloadable() {
    let input = LoaderInput {
        key: "section.key".into(),
        source: InputSource::Fixed(Secret::new("given")),
        check: LoaderInput::any,
        secret_source: None,
    };
    let loader = Loader::new(vec![input], |texts| Ok(texts.len()));
    let Loaded {
        value, reloadable, ..
    } = loader.load().unwrap();
    assert!(value == 1 && reloadable.is_none());
}

#[test]
fn a_panic_in_one_poller_does_not_end_the_others() {
    let folder = WatchedFolder::new();
    folder.write("key", "one");
    let (told, news) = std::sync::mpsc::channel();
    let mut reloader = Reloader::new(Metrics::new(LogWriter::discard()));
    reloader.at_each_poll(|| panic!("a bug"));
    let loader = Loader::new(vec![folder.part("key")], |texts| {
        Ok(texts[0].reveal().to_vec())
    });
    let reloadable = loader.load().unwrap().reloadable;
    reloader.add(ReloadedPart::Store, reloadable, move |value| {
        told.send(value.clone()).unwrap();
        assert_ne!(value, b"two", "another bug");
        Ok(())
    });
    for text in ["two", "three"] {
        folder.write("key", text);
        for _ in 0..STABLE_POLLS {
            reloader.poll();
        }
        assert_eq!(news.try_recv().unwrap(), text.as_bytes());
    }
}
