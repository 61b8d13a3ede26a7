//! The format of log lines, and which events are written.

use std::sync::{Arc, Mutex};

use super::*;

struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(format: LogFormat, level: Level, emit: impl FnOnce()) -> String {
    let memory = Arc::new(Mutex::new(Vec::new()));
    let writer = Arc::clone(&memory);
    let settings = LogSettings { format, level };
    let (subscriber, _) = subscriber(settings, move || Memory(Arc::clone(&writer)));
    tracing::subscriber::with_default(subscriber, emit);
    String::from_utf8(std::mem::take(&mut memory.lock().unwrap())).unwrap()
}

#[test]
fn a_json_line_is_one_flat_object() {
    let text = logged(LogFormat::Json, Level::INFO, || {
        tracing::warn!(
            count = 3_u64,
            ok = true,
            name = "a\"b\nc",
            time = "mine",
            shown = ?Some(1),
            "two\nlines"
        );
    });
    assert_eq!(text.matches('\n').count(), 1, "{text}");
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["level"], "warn");
    assert_eq!(line["message"], "two\nlines");
    assert_eq!(line["count"], 3);
    assert_eq!(line["ok"], true);
    assert_eq!(line["name"], "a\"b\nc");
    assert_eq!(line["field_time"], "mine");
    assert_eq!(line["shown"], "Some(1)");
    let time = line["time"].as_str().unwrap();
    assert_eq!((time.len(), time.ends_with('Z')), (24, true), "{time}");
}

#[test]
fn other_crates_are_logged_only_from_warn_and_h2_from_error() {
    for format in [LogFormat::Json, LogFormat::Text] {
        let text = logged(format, Level::TRACE, || {
            tracing::trace!("ours");
            tracing::info!(target: "hyper::proto", "head and body");
            tracing::trace!(target: "h2", "head and body");
            tracing::warn!(target: "h2::proto::ping_pong", "head and body");
            tracing::warn!(target: "rustls", "grave");
        });
        assert!(
            text.contains("ours") && text.contains("grave") && !text.contains("head and body"),
            "{text}"
        );
    }
}

#[test]
fn events_below_the_level_are_not_written() {
    let text = logged(LogFormat::Json, Level::ERROR, || {
        tracing::warn!("ours");
        tracing::warn!(target: "hyper", "theirs");
        tracing::error!("grave");
    });
    assert!(
        text.contains("grave") && text.lines().count() == 1,
        "{text}"
    );
}

#[test]
fn captured_lines_end_in_one_line_feed() {
    let (writer, memory) = LogWriter::capture();
    writer.clone().write(b"{\"a\":1}");
    writer.write(b"{\"b\":2}\n");
    assert_eq!(*memory.lock().unwrap(), b"{\"a\":1}\n{\"b\":2}\n");
    assert_eq!(writer.dropped(), 0);
    LogWriter::discard().write(b"x");
}

#[test]
fn format_and_level_change_while_the_log_runs() {
    let memory = Arc::new(Mutex::new(Vec::new()));
    let writer = Arc::clone(&memory);
    let settings = |format, level| LogSettings { format, level };
    let first = settings(LogFormat::Json, Level::INFO);
    let (subscriber, control) = subscriber(first, move || Memory(Arc::clone(&writer)));
    // The same two places in the code each time.
    let emit = |name: &str| {
        tracing::debug!("low {name}");
        tracing::info!("high {name}");
    };
    tracing::subscriber::with_default(subscriber, || {
        emit("one");
        control.change(settings(LogFormat::Text, Level::DEBUG));
        emit("two");
        control.change(settings(LogFormat::Json, Level::WARN));
        emit("three");
        control.change(first);
        emit("four");
    });
    let text = String::from_utf8(std::mem::take(&mut memory.lock().unwrap())).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let parts = ["\"high one\"", "low two", "high two", "\"high four\""];
    assert_eq!(lines.len(), parts.len(), "{text}");
    for (line, part) in lines.iter().zip(parts) {
        assert!(line.contains(part), "{line}");
        assert_eq!(line.starts_with('{'), part.starts_with('"'), "{line}");
    }
}
