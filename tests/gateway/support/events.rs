//! The events of the library: one log for the whole process, which the first test that asks
//! installs. Other tests write to it at the same time, so a test asks for what names its own parts.

use std::sync::{Arc, Mutex, OnceLock};

use liveness_gateway::telemetry::{
    LogFormat, LogSettings,
    log::{self, LogWriter},
};

use tracing::Level;

use super::found;

/// Keeps the events from here on. A test that looks for one calls it before anything is logged.
pub(crate) fn keep() {
    memory();
}

/// The events of this process, if the test has it to itself ([`super::own_process`]).
pub(crate) fn capture(level: Level) -> Arc<Mutex<Vec<u8>>> {
    let (lines, memory) = LogWriter::capture();
    let format = LogFormat::Json;
    log::subscribe(LogSettings { format, level }, lines).unwrap();
    memory
}

fn memory() -> &'static Mutex<Vec<u8>> {
    static MEMORY: OnceLock<Arc<Mutex<Vec<u8>>>> = OnceLock::new();
    MEMORY.get_or_init(|| capture(Level::DEBUG))
}

/// The lines so far that contain `part`.
pub(crate) fn logged_with(part: &str) -> Vec<String> {
    lines(&[part])
}

/// Waits for a line that contains all of these parts. Returns all such lines.
pub(crate) async fn logged(parts: &[&str]) -> Vec<String> {
    let found = found(async || Some(lines(parts)).filter(|lines| !lines.is_empty())).await;
    found.unwrap_or_else(|| {
        let some: Vec<_> = parts.iter().flat_map(|part| logged_with(part)).collect();
        panic!("no line has all of {parts:?}; these have some: {some:#?}");
    })
}

fn lines(parts: &[&str]) -> Vec<String> {
    let memory = memory().lock().unwrap();
    let lines = str::from_utf8(&memory).unwrap().lines();
    let lines = lines.filter(|line| parts.iter().all(|part| line.contains(part)));
    lines.map(str::to_owned).collect()
}
