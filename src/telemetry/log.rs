//! Log lines on standard output, written by a thread of their own. When a reader is too slow lines are dropped and
//! counted, never waited for.
//!
//! Other crates are heard from `warn` on only, whatever the level: at their finer levels they print what they carry.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    filter::Targets,
    fmt::{self, format::Writer, time::FormatTime},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use super::{LogFormat, LogSettings, timestamp};

/// The log of the process; lines still held are written when it is dropped.
pub struct Log {
    lines: Lines,
    _worker: WorkerGuard,
}

/// Takes whole lines. Cheap to clone.
#[derive(Clone)]
pub struct Lines(To);

#[derive(Clone)]
enum To {
    Output(NonBlocking, ErrorCounter),
    Memory(Arc<Mutex<Vec<u8>>>),
    Nowhere,
}

/// Sends the process's events and records to standard output.
///
/// # Errors
/// The process has a log already.
pub fn init(settings: LogSettings) -> Result<Log, String> {
    let (writer, worker) = NonBlockingBuilder::default()
        .lossy(true)
        .finish(io::stdout());
    let lines = Lines(To::Output(writer.clone(), writer.error_counter()));
    subscribe(settings, lines.clone())?;
    Ok(Log {
        lines,
        _worker: worker,
    })
}

/// Sends the process's events where `lines` go.
///
/// # Errors
/// The process has a log already.
pub fn subscribe(settings: LogSettings, lines: Lines) -> Result<(), String> {
    let level = LevelFilter::from_level(settings.level);
    let others = level.min(LevelFilter::WARN);
    let filter = Targets::new()
        .with_default(others)
        .with_target("liveness_gateway", level);
    let registry = tracing_subscriber::registry().with(filter);
    let layer = fmt::layer()
        .with_timer(Clock)
        .with_target(false)
        .with_ansi(false)
        .with_writer(move || LineWriter(lines.clone()));
    match settings.format {
        LogFormat::Json => registry
            .with(
                layer
                    .json()
                    .flatten_event(true)
                    .with_current_span(false)
                    .with_span_list(false),
            )
            .try_init(),
        LogFormat::Text => registry.with(layer).try_init(),
    }
    .map_err(|error| error.to_string())
}

impl Log {
    /// For access records.
    pub fn lines(&self) -> Lines {
        self.lines.clone()
    }
}

impl Lines {
    /// Collects lines in memory, for tests.
    pub fn capture() -> (Self, Arc<Mutex<Vec<u8>>>) {
        let memory = Arc::default();
        (Self(To::Memory(Arc::clone(&memory))), memory)
    }

    /// Takes lines and forgets them.
    pub fn discard() -> Self {
        Self(To::Nowhere)
    }

    /// Writes a line, which ends with its newline.
    pub fn write(&self, line: &[u8]) {
        match &self.0 {
            // The writer hands the line to its thread or drops and counts it; it has no other failure.
            To::Output(writer, _) => drop(writer.clone().write_all(line)),
            To::Memory(memory) => memory
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend_from_slice(line),
            To::Nowhere => {}
        }
    }

    /// Lines that were dropped so far.
    pub fn dropped(&self) -> u64 {
        match &self.0 {
            To::Output(_, counter) => counter.dropped_lines() as u64,
            To::Memory(_) | To::Nowhere => 0,
        }
    }
}

struct LineWriter(Lines);

impl Write for LineWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Clock;

impl FormatTime for Clock {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        writer.write_str(&timestamp::rfc3339_millis(SystemTime::now()))
    }
}
