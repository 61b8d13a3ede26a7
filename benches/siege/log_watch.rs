//! Reads what the gateway writes, so that it never waits, and counts what should not be there.
//!
//! Relies on one JSON object a line. Never keeps access records.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use memchr::memmem;

/// Different events that are kept with their number.
const EVENTS: usize = 40;

/// What was read up to now.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogSummary {
    /// Lines of a panic, on either stream.
    pub(crate) panics: u64,
    pub(crate) lines: u64,
    /// Events of the levels `warn` and `error`, by level and message.
    pub(crate) events: BTreeMap<String, u64>,
}

/// Reads the streams of one process until they end.
#[derive(Clone, Default)]
pub(crate) struct LogWatch(Arc<Mutex<LogSummary>>);

impl LogWatch {
    pub(crate) fn read(&self, stream: impl Read + Send + 'static) {
        let summary = Arc::clone(&self.0);
        thread::spawn(move || {
            let (mut reader, mut line) = (BufReader::with_capacity(1 << 16, stream), Vec::new());
            loop {
                line.clear();
                if !matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
                    return;
                }
                summary
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .add(&line);
            }
        });
    }

    pub(crate) fn summary(&self) -> LogSummary {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl LogSummary {
    fn add(&mut self, line: &[u8]) {
        self.lines += 1;
        if memmem::find(line, b"panicked at").is_some() {
            self.panics += 1;
            eprintln!("{}", String::from_utf8_lossy(line).trim_end());
        }
        if memmem::find(line, b"\"level\":").is_none() {
            return;
        }
        let event: serde_json::Value = serde_json::from_slice(line).unwrap_or_default();
        let level = event["level"]
            .as_str()
            .unwrap_or_default()
            .to_ascii_lowercase();
        if level != "warn" && level != "error" {
            return;
        }
        let text = event["message"].as_str().unwrap_or_default();
        let event = format!("{level}: {text}");
        if self.events.len() < EVENTS || self.events.contains_key(&event) {
            *self.events.entry(event).or_default() += 1;
        }
    }
}
