//! Writes log lines to an output that may be slow, from a thread of its own.
//!
//! Lines are queued in memory. A request never waits for the output: a line that finds the queue
//! full is dropped and counted. The thread writes all queued lines at once and then pauses, so that
//! a busy gateway makes one write for many lines and rarely wakes the thread. A process that is
//! killed loses the lines of at most one pause.

use std::{
    fmt,
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// Maximum size of the queue, in bytes.
const MAX_QUEUED: usize = 16 * 1024 * 1024;
/// Pause between two writes.
const WRITE_INTERVAL: Duration = Duration::from_millis(5);
/// How long a drop of [`WriterThread`] waits for an output that does not take the last lines.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Buffer capacity kept between writes, in bytes. Memory above it is freed after a burst.
const KEPT_CAPACITY: usize = 256 * 1024;

/// A handle that takes whole lines. Cheap to clone.
#[derive(Clone)]
pub struct LogWriter(LogSink);

#[derive(Clone)]
enum LogSink {
    Queue(Arc<LogQueue>),
    Memory(Arc<Mutex<Vec<u8>>>),
    Discard,
}

/// The writing thread. Dropping this flushes the queue, for at most [`CLOSE_TIMEOUT`].
pub(super) struct WriterThread(Arc<LogQueue>);

#[derive(Default)]
struct LogQueue {
    state: Mutex<QueueState>,
    /// Notified when lines are queued, and when the queue closes.
    ready: Condvar,
    /// Notified when the thread has written its last line.
    ended: Condvar,
}

#[derive(Default)]
struct QueueState {
    queued: Vec<u8>,
    dropped: u64,
    /// The thread waits for `ready`.
    asleep: bool,
    closing: bool,
    ended: bool,
}

/// Starts a thread that writes to `output`.
///
/// # Errors
/// Fails if the system can't start a thread.
pub(super) fn start(output: impl Write + Send + 'static) -> io::Result<(LogWriter, WriterThread)> {
    let queue = Arc::new(LogQueue::default());
    let written = Arc::clone(&queue);
    thread::Builder::new()
        .name("log".into())
        .spawn(move || written.write_until_closed(output))?;
    let writer = LogWriter(LogSink::Queue(Arc::clone(&queue)));
    Ok((writer, WriterThread(queue)))
}

impl LogWriter {
    /// Collects lines in the returned memory, for tests.
    pub fn capture() -> (Self, Arc<Mutex<Vec<u8>>>) {
        let memory = Arc::new(Mutex::new(Vec::new()));
        (Self(LogSink::Memory(Arc::clone(&memory))), memory)
    }

    /// Discards every line.
    pub fn discard() -> Self {
        Self(LogSink::Discard)
    }

    /// Takes one line, with or without a line feed at its end. Never blocks on the output.
    pub fn write(&self, line: &[u8]) {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        match &self.0 {
            LogSink::Queue(queue) => queue.push(line),
            LogSink::Memory(memory) => {
                let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
                memory.extend_from_slice(line);
                memory.push(b'\n');
            }
            LogSink::Discard => {}
        }
    }

    /// Number of lines dropped since the start.
    pub fn dropped(&self) -> u64 {
        match &self.0 {
            LogSink::Queue(queue) => queue.state().dropped,
            LogSink::Memory(_) | LogSink::Discard => 0,
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

/// An output, and the last byte that it took.
struct LineEndOutput<W> {
    output: W,
    last: u8,
}

impl<W: Write> Write for LineEndOutput<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.output.write(bytes)?;
        if let Some(last) = bytes.get(..taken).and_then(<[u8]>::last) {
            self.last = *last;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
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

    fn write_until_closed(&self, output: impl Write) {
        let mut lines = Vec::new();
        let mut output = LineEndOutput {
            output,
            last: b'\n',
        };
        while self.take(&mut lines) {
            // The line that follows a torn one must not become a part of it.
            let separator: &[u8] = match output.last {
                b'\n' => b"",
                _ => b"\n",
            };
            let written = output
                .write_all(separator)
                .and_then(|()| output.write_all(&lines))
                .and_then(|()| output.flush());
            if written.is_err() {
                // There is no other place to report this.
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
        self.state().ended = true;
        self.ended.notify_all();
    }

    /// Waits for lines and takes all of them. Returns `false` once the queue is empty and closed.
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
            .wait_timeout_while(state, CLOSE_TIMEOUT, |state| !state.ended);
        drop(waited);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// The bytes of each write.
    type Writes = Arc<Mutex<Vec<Vec<u8>>>>;

    /// An output whose writes block until the test permits them, one by one.
    struct BlockingOutput {
        permits: mpsc::Receiver<()>,
        writes: Writes,
    }

    impl Write for BlockingOutput {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.permits.recv().map_err(io::Error::other)?;
            self.writes.lock().unwrap().push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn blocking_output() -> (BlockingOutput, mpsc::Sender<()>, Writes) {
        let (sender, permits) = mpsc::channel();
        let writes = Arc::default();
        let output = BlockingOutput {
            permits,
            writes: Arc::clone(&writes),
        };
        (output, sender, writes)
    }

    #[test]
    fn lines_are_written_whole_in_order_and_many_in_one_write() {
        let (output, permits, writes) = blocking_output();
        let (writer, thread) = start(output).unwrap();
        for number in 0..1000 {
            writer.write(format!("line {number}\n").as_bytes());
        }
        for _ in 0..1000 {
            permits.send(()).unwrap();
        }
        drop(thread);
        let writes = writes.lock().unwrap();
        let wanted: String = (0..1000).map(|number| format!("line {number}\n")).collect();
        assert_eq!(String::from_utf8(writes.concat()).unwrap(), wanted);
        assert!(writes.len() < 500, "{} writes", writes.len());
    }

    /// A disk that is full at the second write, until somebody makes room. The first one, if it is
    /// still to come, takes 5 bytes.
    #[derive(Clone)]
    struct FullOnce(Arc<Mutex<(Vec<u8>, u32)>>);

    impl Write for FullOnce {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut state = self.0.lock().unwrap();
            state.1 += 1;
            let room = match state.1 {
                1 => 5,
                2 => return Err(io::ErrorKind::StorageFull.into()),
                _ => bytes.len(),
            };
            let taken = bytes.len().min(room);
            state.0.extend(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_behind_one_that_was_not_written_is_whole() {
        for (writes, wanted) in [(0, "torn \nwhole line\n"), (1, "whole line\n")] {
            let output = FullOnce(Arc::new(Mutex::new((Vec::new(), writes))));
            let (writer, thread) = start(output.clone()).unwrap();
            writer.write(b"torn line");
            while writer.dropped() == 0 {
                thread::yield_now();
            }
            writer.write(b"whole line");
            drop(thread);
            let written = output.0.lock().unwrap().0.clone();
            assert_eq!(String::from_utf8(written).unwrap(), wanted);
        }
    }

    #[test]
    fn a_blocked_output_delays_no_writer_and_dropped_lines_are_counted() {
        let (output, permits, _) = blocking_output();
        let (writer, thread) = start(output).unwrap();
        let line = vec![b'x'; 1024 * 1024];
        for _ in 0..64 {
            writer.write(&line);
        }
        // One batch may be with the output, one in the queue.
        assert!(writer.dropped() >= 64 - 2 * 16, "{}", writer.dropped());
        drop(permits);
        drop(thread);
        // On a busy machine, the thread may take longer than a drop waits.
        while writer.dropped() < 64 {
            thread::yield_now();
        }
        assert_eq!(writer.dropped(), 64, "failed writes are counted as dropped");
    }
}
