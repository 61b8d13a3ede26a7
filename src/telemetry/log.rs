//! The process's log: `tracing` events and access records, as one stream of lines on standard
//! output.
//!
//! Relies on [`log_writer`], so no request waits for standard output. Never writes events of other
//! crates below `warn`: at `debug` and `trace`, HTTP and TLS libraries print headers and bodies.

use std::{
    fmt,
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer, Registry,
    filter::Targets,
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Full, Writer},
        time::FormatTime,
    },
    layer::SubscriberExt,
    registry::LookupSpan,
    reload,
};

pub use super::log_writer::LogWriter;
use super::{log_line::LogFormat, log_writer, timestamp};

/// The checked `[log]` section.
#[derive(Clone, Copy, Debug)]
pub struct LogSettings {
    /// Format of every line.
    pub format: LogFormat,
    /// Least severe level that is written.
    pub level: Level,
}

/// The running log. Keep it until the end of `main`: dropping it flushes the queued lines.
pub struct LogGuard {
    writer: LogWriter,
    control: LogControl,
    _thread: log_writer::WriterThread,
}

impl LogGuard {
    /// A handle for access records, which go to the same stream as events.
    pub fn writer(&self) -> LogWriter {
        self.writer.clone()
    }

    /// A handle that changes the log while it runs.
    pub fn control(&self) -> LogControl {
        self.control.clone()
    }
}

/// Changes the format and the level of a running log.
#[derive(Clone)]
pub struct LogControl {
    filter: reload::Handle<Targets, Registry>,
    text: Arc<AtomicBool>,
}

impl LogControl {
    /// Writes events as these settings say from now on. Access records have a format of their own.
    pub fn change(&self, settings: LogSettings) {
        self.text
            .store(settings.format == LogFormat::Text, Ordering::Relaxed);
        // It fails only when there is no log any more.
        let _ = self.filter.reload(filter(settings.level));
    }
}

/// Why the log could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The system can't start the writing thread.
    #[error("the log thread can't be started: {0}")]
    Thread(#[source] io::Error),
    /// The process has a log already.
    #[error("the log was started twice in one process")]
    AlreadyStarted(#[source] tracing::subscriber::SetGlobalDefaultError),
}

/// Starts the log of the whole process, on standard output.
///
/// # Errors
/// Fails if the process has a log already, or if the system can't start a thread.
pub fn init(settings: LogSettings) -> Result<LogGuard, LogError> {
    let (writer, thread) = log_writer::start(io::stdout()).map_err(LogError::Thread)?;
    let control = subscribe(settings, writer.clone())?;
    Ok(LogGuard {
        writer,
        control,
        _thread: thread,
    })
}

/// Sends all events of the process to `writer`.
///
/// # Errors
/// Fails if the process has a log already.
pub fn subscribe(settings: LogSettings, writer: LogWriter) -> Result<LogControl, LogError> {
    let (subscriber, control) = subscriber(settings, move || writer.clone());
    tracing::subscriber::set_global_default(subscriber).map_err(LogError::AlreadyStarted)?;
    Ok(control)
}

/// Separate from [`subscribe`] so that tests can use it for one thread.
fn subscriber<W, M>(
    settings: LogSettings,
    make_writer: M,
) -> (Box<dyn Subscriber + Send + Sync>, LogControl)
where
    W: Write + 'static,
    M: Fn() -> W + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(filter(settings.level));
    let text = Arc::new(AtomicBool::new(settings.format == LogFormat::Text));
    let format = EventFormat {
        text: Format::default().with_timer(UtcTimer).with_ansi(false),
        is_text: Arc::clone(&text),
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(make_writer);
    let layer = layer.with_ansi(false).event_format(format);
    let subscriber = tracing_subscriber::registry().with(layer.with_filter(filter));
    let control = LogControl {
        filter: handle,
        text,
    };
    (Box::new(subscriber), control)
}

fn filter(level: Level) -> Targets {
    Targets::new()
        .with_default(level.min(Level::WARN))
        // It warns of what peers do, for each frame, and shows their bytes.
        .with_target("h2", Level::ERROR)
        .with_target(env!("CARGO_CRATE_NAME"), level)
}

/// Writes an event in the format of the moment.
struct EventFormat {
    text: Format<Full, UtcTimer>,
    is_text: Arc<AtomicBool>,
}

impl<S, N> FormatEvent<S, N> for EventFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        match self.is_text.load(Ordering::Relaxed) {
            true => self.text.format_event(context, writer, event),
            false => write_json(writer, event),
        }
    }
}

/// Writes the time of a text line.
struct UtcTimer;

impl FormatTime for UtcTimer {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        writer.write_str(&timestamp::rfc3339_millis(SystemTime::now()))
    }
}

/// Writes an event as one flat JSON object: `time`, `level`, `message`, then its own fields.
fn write_json(mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
    let mut fields = JsonFieldVisitor::default();
    event.record(&mut fields);
    let level = match *event.metadata().level() {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    };
    let time = timestamp::rfc3339_millis(SystemTime::now());
    let message = json_string(&fields.message);
    writeln!(
        writer,
        r#"{{"time":"{time}","level":"{level}","message":{message}{}}}"#,
        fields.others
    )
}

#[derive(Default)]
struct JsonFieldVisitor {
    message: String,
    /// `,"name":value` for each field but the message.
    others: String,
}

impl JsonFieldVisitor {
    /// Appends a field whose value is JSON already.
    fn push(&mut self, field: &Field, value: &str) {
        // A field must not replace the line's own members.
        let prefix = if matches!(field.name(), "time" | "level") {
            "field_"
        } else {
            ""
        };
        let name = json_string(&format!("{prefix}{}", field.name()));
        self.others.push_str(&format!(",{name}:{value}"));
    }
}

impl Visit for JsonFieldVisitor {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.push(field, &json_string(value));
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

fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
