//! The thread that writes an audit log.
//!
//! Takes all records that wait, ties them to the chain, and writes them as one group; only then
//! their requests continue. What could not be written is tried again every second. Notices by
//! itself that the file was rotated. Relies on [`super::output`] to write all of a group or none.
//! Never skips a number: what is lost is said by a record of its own.

use std::{
    error::Error,
    io,
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use tokio::sync::Notify;

use super::{
    chain::ChainHead,
    open_calls::OpenCalls,
    output::{AuditOutput, AuditWriteError},
    queue::{AuditQueue, QueueTurn, QueuedRecord, STUCK_AFTER, WriterOptions},
};
use crate::{
    lifecycle::Readiness,
    telemetry::{
        metrics::{Metrics, labels::AuditOutcome},
        repeated::RepeatedLine,
    },
};

/// The pause before another try, and between two looks at a file that may have been rotated.
const TICK: Duration = Duration::from_secs(1);

/// The thread, as the rest of the gateway sees it. Dropping it ends the thread, once what is queued
/// has been written.
pub(super) struct WriterHandle {
    path: PathBuf,
    queue: Arc<AuditQueue>,
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
    /// Notified when the thread has ended.
    ended: Arc<Notify>,
    /// Calls that were made, and whose end is not recorded yet.
    pub(super) open_calls: OpenCalls,
    stuck: RepeatedLine,
}

/// The state of the thread.
pub(super) struct AuditWriter {
    pub(super) path: PathBuf,
    pub(super) queue: Arc<AuditQueue>,
    pub(super) metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
    ended: Arc<Notify>,
    pub(super) options: Arc<WriterOptions>,
    pub(super) output: Option<AuditOutput>,
    pub(super) head: Option<ChainHead>,
    /// The open file ends with a record that says that it is continued elsewhere.
    pub(super) handed_over: bool,
    /// The last file was rotated, and the next one has no record yet.
    pub(super) rotated: bool,
    /// Length of the torn record that was cut off at the start, in bytes.
    pub(super) torn: u64,
    /// Records that were taken from the queue and are not written yet.
    pub(super) pending: Vec<QueuedRecord>,
    pub(super) started: bool,
    pub(super) stopping: bool,
    /// Records that were lost since the last one that says so.
    pub(super) lost: u64,
    /// Since when the log can't be written.
    pub(super) failing_since: Option<SystemTime>,
    pub(super) last_checkpoint: Instant,
    trouble: RepeatedLine,
}

impl WriterHandle {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system can't.
    pub(super) fn spawn(
        path: PathBuf,
        options: &Arc<WriterOptions>,
        metrics: &Arc<Metrics>,
        readiness: &Arc<Readiness>,
    ) -> io::Result<Self> {
        let handle = Self::new(path.clone(), options, metrics, readiness);
        let writer = AuditWriter::new(path, &handle);
        let thread = thread::Builder::new().name("audit".into());
        thread.spawn(move || writer.run())?;
        Ok(handle)
    }

    fn new(
        path: PathBuf,
        options: &Arc<WriterOptions>,
        metrics: &Arc<Metrics>,
        readiness: &Arc<Readiness>,
    ) -> Self {
        let handle = Self {
            path,
            queue: Arc::new(AuditQueue::new(options)),
            metrics: Arc::clone(metrics),
            readiness: Arc::clone(readiness),
            ended: Arc::default(),
            open_calls: OpenCalls::default(),
            stuck: RepeatedLine::default(),
        };
        handle.show_readiness();
        handle
    }

    /// Queues a record, or counts it as failed. Returns whether it was queued.
    pub(super) fn queue(&self, mut record: QueuedRecord) -> bool {
        record.failed = self.is_stuck(STUCK_AFTER);
        let failed = record.failed;
        let queued = self.queue.push(record);
        if failed || !queued {
            self.metrics.count_audit_record(AuditOutcome::Failed);
        }
        queued
    }

    /// Counts a record whose request has waited for it in vain.
    pub(super) fn timed_out(&self) {
        self.metrics.count_audit_record(AuditOutcome::Failed);
        self.is_stuck(STUCK_AFTER);
    }

    /// Whether the thread has been in one write for this long, which is then told.
    fn is_stuck(&self, limit: Duration) -> bool {
        if !self.queue.notice_stuck(limit) {
            return false;
        }
        self.show_readiness();
        let effect = effect(&self.queue.options());
        self.stuck.log(|left_out| {
            tracing::error!(
                left_out,
                path = %self.path.display(),
                "a write of audit records does not end: the disk hangs, or the server that it is \
                 on; look into the system's log (`dmesg`), or restart with another audit.path; \
                 {effect}"
            );
        });
        true
    }

    /// Continues with these options.
    pub(super) fn reconfigure(&self, options: &Arc<WriterOptions>) {
        self.queue.change_options(options);
        self.show_readiness();
    }

    /// Records the calls that have not ended, ends the thread, and waits until it has written what
    /// is queued.
    pub(super) async fn close(&self) {
        self.open_calls.abandon(|content| {
            self.queue(QueuedRecord::kept(content));
        });
        self.queue.close();
        self.ended.notified().await;
    }

    fn show_readiness(&self) {
        show_readiness(&self.readiness, &self.queue);
    }
}

impl Drop for WriterHandle {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl AuditWriter {
    /// The state before the output is opened.
    fn new(path: PathBuf, handle: &WriterHandle) -> Self {
        Self {
            path,
            queue: Arc::clone(&handle.queue),
            metrics: Arc::clone(&handle.metrics),
            readiness: Arc::clone(&handle.readiness),
            ended: Arc::clone(&handle.ended),
            options: handle.queue.options(),
            output: None,
            head: None,
            handed_over: false,
            rotated: false,
            torn: 0,
            pending: Vec::new(),
            started: false,
            stopping: false,
            lost: 0,
            failing_since: None,
            last_checkpoint: Instant::now(),
            trouble: RepeatedLine::default(),
        }
    }

    fn run(mut self) {
        while !self.stopping {
            self.write();
            let more = !self.pending.is_empty() && self.failing_since.is_none();
            let pause = if more { Duration::ZERO } else { TICK };
            let turn = self.queue.wait(Instant::now() + pause);
            self.take(turn);
        }
        while self.write() && !self.pending.is_empty() {}
        let unwritten = self.pending.len() as u64 + self.lost;
        if unwritten > 0 {
            tracing::error!(unwritten, "audit records are lost, as the gateway stops");
        }
        self.ended.notify_one();
    }

    fn take(&mut self, turn: QueueTurn) {
        self.pending.extend(turn.records);
        self.lost = self.lost.saturating_add(turn.lost);
        self.stopping = turn.closing;
        self.options = turn.options;
    }

    /// Writes what is due, and says how it went. Returns whether it could be written.
    fn write(&mut self) -> bool {
        // Nobody waits any more for a record that a request has given up.
        self.give_up(QueuedRecord::is_given_up);
        let written = self.write_group();
        match &written {
            Ok(()) => self.works(),
            Err(error) => self.fails(error),
        }
        written.is_ok()
    }

    fn works(&mut self) {
        let was_stuck = self.queue.came_back();
        let since = self.failing_since.take();
        if was_stuck || since.is_some() {
            let elapsed = since.map(|since| since.elapsed().unwrap_or_default());
            let seconds = elapsed.map(|elapsed| elapsed.as_secs());
            tracing::info!(seconds, "audit records are written again");
            self.queue.set_failing(false);
            show_readiness(&self.readiness, &self.queue);
        }
    }

    fn fails(&mut self, error: &AuditWriteError) {
        for record in &mut self.pending {
            let is_counted = std::mem::replace(&mut record.failed, true);
            // One whose request no longer waits has been counted by its timeout, if by anything.
            let is_given_up = record.withdrawable && record.is_given_up();
            if !is_counted && !is_given_up {
                self.metrics.count_audit_record(AuditOutcome::Failed);
            }
            if let Some(waiter) = record.waiter.take() {
                let _ = waiter.send(false);
            }
        }
        self.give_up(|_| true);
        self.queue.came_back();
        if self.failing_since.is_none() {
            self.failing_since = Some(SystemTime::now());
            self.queue.set_failing(true);
            show_readiness(&self.readiness, &self.queue);
        }
        let effect = effect(&self.options);
        let error = with_causes(error);
        let (path, waiting) = (self.path.display(), self.pending.len());
        self.trouble.log(|left_out| {
            tracing::error!(
                left_out,
                %path,
                waiting,
                "audit records can't be written: {error}; free the disk, or correct the file, its \
                 permissions or the FIFO's reader; {effect}"
            );
        });
    }

    /// Removes the withdrawable records that this applies to. They do not count: one that could not
    /// be written counts as failed already, and a caller that has left is no failure.
    fn give_up(&mut self, applies: impl Fn(&QueuedRecord) -> bool) {
        let gone = |record: &mut QueuedRecord| record.withdrawable && applies(record);
        for record in self.pending.extract_if(.., gone) {
            self.queue.release(record.size());
        }
    }
}

/// Shows the state of a log that is required; another one does not decide on readiness.
fn show_readiness(readiness: &Readiness, queue: &AuditQueue) {
    readiness.update_audit(|| queue.options().required.then(|| !queue.is_failing()));
}

/// What it means for requests that records can't be written.
fn effect(options: &WriterOptions) -> &'static str {
    match options.required {
        true => "no call is made meanwhile (audit.required)",
        false => "calls are made all the same, and their records kept while there is room",
    }
}

/// The text of an error and its causes.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.extend([": ", &error.to_string()]);
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
