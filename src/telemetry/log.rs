//! One stream of lines on standard output: events of `tracing`, and access records handed over whole.
//!
//! Relies on a writer thread behind a bounded queue: when standard output can't keep up, lines are dropped and counted,
//! and no request ever waits. Never writes what other crates say below `warn`: at `debug` and `trace` HTTP and TLS
//! libraries print headers and bodies.

use std::{
    fmt, io,
    io::Write,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    Layer,
    filter::Targets,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer, time::FormatTime},
    layer::SubscriberExt,
    registry::LookupSpan,
};

use super::{LogFormat, LogSettings, timestamp};

/// Lines waiting for standard output; at some 500 bytes each about 16 MB at the worst.
const QUEUED_LINES: usize = 32_768;

/// The running log. Keep it until the end of `main`: dropping it writes out what is queued.
pub struct Log {
    lines: Lines,
    _worker: WorkerGuard,
}

impl Log {
    /// A handle for access records, which go to the same stream.
    pub fn lines(&self) -> Lines {
        self.lines.clone()
    }
}

/// Starts the log for the whole process.
///
/// # Errors
/// A log was started before; as a clause for a person.
pub fn init(settings: LogSettings) -> Result<Log, String> {
    let (writer, worker) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(QUEUED_LINES)
        .thread_name("log")
        .finish(io::stdout());
    let lines = Lines(Sink::Queue {
        dropped: writer.error_counter(),
        writer,
    });
    subscribe(settings, lines.clone())?;
    Ok(Log {
        lines,
        _worker: worker,
    })
}

/// Sends the process's events where `lines` go.
///
/// # Errors
/// A log was started before; as a clause for a person.
pub fn subscribe(settings: LogSettings, lines: Lines) -> Result<(), String> {
    tracing::subscriber::set_global_default(subscriber(settings, move || lines.clone()))
        .map_err(|_| "the log was started twice in one process".to_owned())
}

/// Separate from [`init`] so that tests can look at the lines.
fn subscriber<W, M>(settings: LogSettings, writer: M) -> Box<dyn Subscriber + Send + Sync>
where
    W: Write + 'static,
    M: Fn() -> W + Send + Sync + 'static,
{
    let filter = Targets::new()
        .with_default(settings.level.min(Level::WARN))
        .with_target(env!("CARGO_CRATE_NAME"), settings.level);
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    match settings.format {
        LogFormat::Json => Box::new(
            tracing_subscriber::registry().with(layer.event_format(JsonLines).with_filter(filter)),
        ),
        LogFormat::Text => Box::new(
            tracing_subscriber::registry()
                .with(layer.with_timer(Utc).with_ansi(false).with_filter(filter)),
        ),
    }
}

/// A cheap handle that writes whole lines to the log.
#[derive(Clone)]
pub struct Lines(Sink);

#[derive(Clone)]
enum Sink {
    Queue {
        writer: NonBlocking,
        dropped: ErrorCounter,
    },
    Memory(Arc<Mutex<Vec<u8>>>),
    Nowhere,
}

impl Lines {
    /// For tests: lines are collected in the memory that is returned beside the handle.
    pub fn capture() -> (Self, Arc<Mutex<Vec<u8>>>) {
        let memory = Arc::new(Mutex::new(Vec::new()));
        (Self(Sink::Memory(Arc::clone(&memory))), memory)
    }

    /// Lines go nowhere.
    pub fn discard() -> Self {
        Self(Sink::Nowhere)
    }

    /// Writes one line; the line feed at its end may be left out. Never waits: a line that finds the queue full is
    /// dropped and counted.
    pub fn write(&self, mut line: Vec<u8>) {
        if line.last() != Some(&b'\n') {
            line.push(b'\n');
        }
        match &self.0 {
            // The queue's own counter keeps account of a failure, and there is nobody else to tell.
            Sink::Queue { writer, .. } => drop(writer.clone().write_all(&line)),
            Sink::Memory(memory) => memory
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend_from_slice(&line),
            Sink::Nowhere => {}
        }
    }

    /// How many lines were dropped since the start, events and access records together.
    pub fn dropped(&self) -> u64 {
        match &self.0 {
            Sink::Queue { dropped, .. } => {
                u64::try_from(dropped.dropped_lines()).unwrap_or(u64::MAX)
            }
            Sink::Memory(_) | Sink::Nowhere => 0,
        }
    }
}

impl Write for Lines {
    /// Takes one whole line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        Self::write(self, line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lines")
    }
}

/// The time of a text line.
struct Utc;

impl FormatTime for Utc {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        writer.write_str(&timestamp::rfc3339_millis(SystemTime::now()))
    }
}

/// An event as one flat JSON object: `time`, `level`, `message`, then its own fields.
struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = JsonFields::default();
        event.record(&mut fields);
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warn",
            Level::INFO => "info",
            Level::DEBUG => "debug",
            Level::TRACE => "trace",
        };
        let time = timestamp::rfc3339_millis(SystemTime::now());
        let message = json_text(&fields.message);
        writeln!(
            writer,
            r#"{{"time":"{time}","level":"{level}","message":{message}{}}}"#,
            fields.others
        )
    }
}

#[derive(Default)]
struct JsonFields {
    message: String,
    /// `,"name":value` for each field.
    others: String,
}

impl JsonFields {
    /// `value` is JSON already.
    fn push(&mut self, field: &Field, value: &str) {
        // A field may not take the place of the line's own members.
        let prefix = if matches!(field.name(), "time" | "level") {
            "field_"
        } else {
            ""
        };
        let name = json_text(&format!("{prefix}{}", field.name()));
        self.others.push_str(&format!(",{name}:{value}"));
    }
}

impl Visit for JsonFields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.push(field, &json_text(value));
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field, &value.to_string());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field, &value.to_string());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field, if value { "true" } else { "false" });
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.push(field, &serde_json::Value::from(value).to_string());
    }
}

fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
