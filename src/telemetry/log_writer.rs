//! Whole lines on their way to an output that may be slow: gathered in memory, and written by a thread of their own.
//!
//! No request ever waits for the output: a line that finds the memory full is dropped and counted. The thread writes what
//! has gathered, then rests a little, so that a busy gateway makes one write for many lines and wakes nobody for each. A process
//! that is killed loses what it had not written, at most the lines of one rest.

use std::{
    fmt,
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// Bytes of lines that wait at the most.
const MAX_QUEUED: usize = 16 * 1024 * 1024;
/// How long lines gather before they are written.
const WRITE_INTERVAL: Duration = Duration::from_millis(5);
/// How long the end waits for an output that does not take the last lines.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Memory that is kept for the next lines; what a burst took beyond is given back.
const KEPT_CAPACITY: usize = 256 * 1024;

/// A cheap handle that takes whole lines.
#[derive(Clone)]
pub struct LogWriter(LogSink);

#[derive(Clone)]
enum LogSink {
    Queue(Arc<LogQueue>),
    Memory(Arc<Mutex<Vec<u8>>>),
    Nowhere,
}

/// The thread that writes. Dropping it writes what is there, for at most a second.
pub(super) struct WriterThread(Arc<LogQueue>);

#[derive(Default)]
struct LogQueue {
    state: Mutex<QueueState>,
    /// There are lines, or it is over.
    ready: Condvar,
    /// The thread has written its last.
    ended: Condvar,
}

#[derive(Default)]
struct QueueState {
    queued: Vec<u8>,
    dropped: u64,
    /// The thread waits to be woken.
    asleep: bool,
    closing: bool,
    over: bool,
}

/// Starts the thread in front of `output`.
///
/// # Errors
/// The system gives no thread.
pub(super) fn start(output: impl Write + Send + 'static) -> io::Result<(LogWriter, WriterThread)> {
    let queue = Arc::new(LogQueue::default());
    let written = Arc::clone(&queue);
    thread::Builder::new()
        .name("log".into())
        .spawn(move || written.write_until_closed(output))?;
    Ok((
        LogWriter(LogSink::Queue(Arc::clone(&queue))),
        WriterThread(queue),
    ))
}

impl LogWriter {
    /// For tests: lines are collected in the memory that is returned beside the handle.
    pub fn capture() -> (Self, Arc<Mutex<Vec<u8>>>) {
        let memory = Arc::new(Mutex::new(Vec::new()));
        (Self(LogSink::Memory(Arc::clone(&memory))), memory)
    }

    /// LogWriter go nowhere.
    pub fn discard() -> Self {
        Self(LogSink::Nowhere)
    }

    /// Takes one line; the line feed at its end may be left out. Never waits.
    pub fn write(&self, line: &[u8]) {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        match &self.0 {
            LogSink::Queue(queue) => queue.push(line),
            LogSink::Memory(memory) => {
                let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
                memory.extend_from_slice(line);
                memory.push(b'\n');
            }
            LogSink::Nowhere => {}
        }
    }

    /// How many lines were dropped since the start.
    pub fn dropped(&self) -> u64 {
        match &self.0 {
            LogSink::Queue(queue) => queue.state().dropped,
            LogSink::Memory(_) | LogSink::Nowhere => 0,
        }
    }
}

impl Write for LogWriter {
    /// Takes one whole line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        Self::write(self, line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for LogWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogWriter")
    }
}

impl LogQueue {
    fn state(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut state = self.state();
        if state.queued.len().saturating_add(line.len()) >= MAX_QUEUED {
            state.dropped = state.dropped.saturating_add(1);
            return;
        }
        state.queued.extend_from_slice(line);
        state.queued.push(b'\n');
        if std::mem::take(&mut state.asleep) {
            self.ready.notify_one();
        }
    }

    fn write_until_closed(&self, mut output: impl Write) {
        let mut lines = Vec::new();
        while self.take(&mut lines) {
            if output
                .write_all(&lines)
                .and_then(|()| output.flush())
                .is_err()
            {
                // There is nobody else to tell.
                let lost = lines.iter().filter(|byte| **byte == b'\n').count();
                let mut state = self.state();
                state.dropped = state.dropped.saturating_add(lost as u64);
            }
            lines.clear();
            lines.shrink_to(KEPT_CAPACITY);
            if !self.state().closing {
                thread::sleep(WRITE_INTERVAL);
            }
        }
        self.state().over = true;
        self.ended.notify_all();
    }

    /// Waits for lines and takes all of them; `false` when there are none and never will be.
    fn take(&self, lines: &mut Vec<u8>) -> bool {
        let mut state = self.state();
        while state.queued.is_empty() && !state.closing {
            state.asleep = true;
            state = self
                .ready
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.asleep = false;
        std::mem::swap(&mut state.queued, lines);
        !lines.is_empty()
    }
}

impl Drop for WriterThread {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.closing = true;
        self.0.ready.notify_one();
        let waited = self
            .0
            .ended
            .wait_timeout_while(state, CLOSE_TIMEOUT, |state| !state.over);
        drop(waited);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// What was written, write by write.
    type Taken = Arc<Mutex<Vec<Vec<u8>>>>;

    /// An output that takes each write only when it is told to.
    struct Slow {
        go: mpsc::Receiver<()>,
        taken: Taken,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.go.recv().map_err(io::Error::other)?;
            self.taken.lock().unwrap().push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn slow() -> (Slow, mpsc::Sender<()>, Taken) {
        let (sender, go) = mpsc::channel();
        let taken = Arc::default();
        let slow = Slow {
            go,
            taken: Arc::clone(&taken),
        };
        (slow, sender, taken)
    }

    #[test]
    fn lines_come_out_whole_and_in_order_and_many_in_one_write() {
        let (output, go, taken) = slow();
        let (lines, writer) = start(output).unwrap();
        for number in 0..1000 {
            lines.write(format!("line {number}\n").as_bytes());
        }
        for _ in 0..1000 {
            go.send(()).unwrap();
        }
        drop(writer);
        let taken = taken.lock().unwrap();
        let wanted: String = (0..1000).map(|number| format!("line {number}\n")).collect();
        assert_eq!(String::from_utf8(taken.concat()).unwrap(), wanted);
        assert!(taken.len() < 500, "{} writes", taken.len());
    }

    #[test]
    fn an_output_that_takes_nothing_stops_nobody_and_what_is_dropped_is_counted() {
        let (output, go, _) = slow();
        let (lines, writer) = start(output).unwrap();
        let line = vec![b'x'; 1024 * 1024];
        for _ in 0..64 {
            lines.write(&line);
        }
        // One batch may be with the output, one gathers.
        assert!(lines.dropped() >= 64 - 2 * 16, "{}", lines.dropped());
        drop(go);
        drop(writer);
        assert_eq!(lines.dropped(), 64, "what the output refused is lost too");
    }
}
