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
    output::{AuditOutput, AuditWriteError},
    queue::{AuditQueue, QueueTurn, QueuedRecord, WriterOptions},
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
/// Maximum size of the records that are written at once, in bytes. After a time of trouble, a disk
/// must have room for so much to take anything.
const MAX_GROUP: usize = 64 * 1024;

/// The thread, as the rest of the gateway sees it. Dropping it ends the thread, once what is queued
/// has been written.
pub(super) struct WriterHandle {
    queue: Arc<AuditQueue>,
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
    /// Notified when the thread has ended.
    ended: Arc<Notify>,
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

/// One record of the next group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlannedRecord {
    /// The process has started.
    Start,
    /// The pending record of this index.
    Pending(usize),
    /// The log could not be written for a while.
    Gap,
    /// A signed checkpoint.
    Checkpoint,
    /// The process stops.
    Stop,
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
        let handle = Self {
            queue: Arc::new(AuditQueue::new(options)),
            metrics: Arc::clone(metrics),
            readiness: Arc::clone(readiness),
            ended: Arc::default(),
        };
        handle.show_readiness();
        let writer = AuditWriter {
            path,
            queue: Arc::clone(&handle.queue),
            metrics: Arc::clone(metrics),
            readiness: Arc::clone(readiness),
            ended: Arc::clone(&handle.ended),
            options: Arc::clone(options),
            output: None,
            head: None,
            handed_over: false,
            torn: 0,
            pending: Vec::new(),
            started: false,
            stopping: false,
            lost: 0,
            failing_since: None,
            last_checkpoint: Instant::now(),
            trouble: RepeatedLine::default(),
        };
        let thread = thread::Builder::new().name("audit".into());
        thread.spawn(move || writer.run())?;
        Ok(handle)
    }

    /// Queues a record, or counts it as failed. Returns whether it was queued.
    pub(super) fn queue(&self, record: QueuedRecord) -> bool {
        let queued = self.queue.push(record);
        if !queued {
            self.metrics.count_audit_record(AuditOutcome::Failed);
        }
        queued
    }

    /// Continues with these options.
    pub(super) fn reconfigure(&self, options: &Arc<WriterOptions>) {
        self.queue.change_options(options);
        self.show_readiness();
    }

    /// Ends the thread, and waits until it has written what is queued.
    pub(super) async fn close(&self) {
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
        self.give_up(|record| {
            record
                .waiter
                .as_ref()
                .is_some_and(|waiter| waiter.is_closed())
        });
        let written = self.write_group();
        match &written {
            Ok(()) => self.works(),
            Err(error) => self.fails(error),
        }
        written.is_ok()
    }

    fn works(&mut self) {
        if let Some(since) = self.failing_since.take() {
            let seconds = since.elapsed().unwrap_or_default().as_secs();
            tracing::info!(seconds, "audit records are written again");
            self.queue.set_failing(false);
            show_readiness(&self.readiness, &self.queue);
        }
    }

    fn fails(&mut self, error: &AuditWriteError) {
        for record in &mut self.pending {
            if !std::mem::replace(&mut record.failed, true) {
                self.metrics.count_audit_record(AuditOutcome::Failed);
            }
            if let Some(waiter) = record.waiter.take() {
                let _ = waiter.send(false);
            }
        }
        self.give_up(|_| true);
        if self.failing_since.is_none() {
            self.failing_since = Some(SystemTime::now());
            self.queue.set_failing(true);
            show_readiness(&self.readiness, &self.queue);
        }
        let effect = match self.options.required {
            true => "no call is made meanwhile (audit.required)",
            false => "calls are made all the same, and their records kept while there is room",
        };
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

    /// Removes the withdrawable records that this applies to.
    fn give_up(&mut self, applies: impl Fn(&QueuedRecord) -> bool) {
        let gone = |record: &mut QueuedRecord| record.withdrawable && applies(record);
        for record in self.pending.extract_if(.., gone) {
            if !record.failed {
                self.metrics.count_audit_record(AuditOutcome::Failed);
            }
            self.queue.release(record.size());
        }
    }

    /// The records of the next group, in their order.
    pub(super) fn plan(&self) -> Vec<PlannedRecord> {
        let overdue = self.last_checkpoint.elapsed() >= self.options.checkpoint;
        let gap = self.failing_since.is_some() || self.lost > 0;
        let begin = (!self.started).then_some(PlannedRecord::Start);
        let mut size: usize = 0;
        let sizes = self.pending.iter().map(QueuedRecord::size);
        let fits = |more: &usize| {
            size = size.saturating_add(*more);
            size <= MAX_GROUP
        };
        // A single record fits, whatever its size.
        let count = sizes
            .take_while(fits)
            .count()
            .max(1)
            .min(self.pending.len());
        let all = count == self.pending.len();
        let pending = (0..count).map(PlannedRecord::Pending);
        let end = [
            gap.then_some(PlannedRecord::Gap),
            (overdue && self.options.signer.is_some() && !self.stopping)
                .then_some(PlannedRecord::Checkpoint),
            (self.stopping && all).then_some(PlannedRecord::Stop),
        ];
        let end = end.into_iter().flatten();
        begin.into_iter().chain(pending).chain(end).collect()
    }
}

/// Shows the state of a log that is required; another one does not decide on readiness.
fn show_readiness(readiness: &Readiness, queue: &AuditQueue) {
    readiness.update_audit(|| queue.options().required.then(|| !queue.is_failing()));
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
