//! The queue between requests and the thread that writes.
//!
//! Bounded: a record that finds no room is lost and counted. Tells a thread that is stuck in a
//! write, since a disk that hangs reports no error. Never waits for the output.

use std::{
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use crate::verdict::sign::VerdictSigner;

/// Maximum size of all records that are not written yet, in bytes.
const MAX_QUEUED: usize = 8 * 1024 * 1024;
/// Records that a request waits for leave this much room, in bytes, to those of calls that were
/// made already.
const ROOM_FOR_RESULTS: usize = 4 * 1024 * 1024;
/// What a record takes besides its content, in bytes.
const OVERHEAD: usize = 64;
/// How long the thread may be busy with one group before the output counts as stuck.
pub(super) const STUCK_AFTER: Duration = Duration::from_secs(5);

/// A record that waits to be written.
pub(super) struct QueuedRecord {
    pub(super) content: String,
    /// Whether the record is given up if it can't be written at once. A record of a call that was
    /// made is kept until it can.
    pub(super) withdrawable: bool,
    /// Told whether the record was written, if a request waits for that.
    pub(super) waiter: Option<oneshot::Sender<bool>>,
    /// Whether it counts as failed already.
    pub(super) failed: bool,
}

/// What a reload can change of the thread's work.
pub(super) struct WriterOptions {
    /// Whether the log decides on readiness.
    pub(super) required: bool,
    /// The time between two checkpoints, at most.
    pub(super) checkpoint: Duration,
    /// Signs them; `None` without `[verdict]`.
    pub(super) signer: Option<Arc<VerdictSigner>>,
}

/// The queue.
pub(super) struct AuditQueue {
    state: Mutex<AuditQueueState>,
    /// Notified when there is something to do.
    ready: Condvar,
}

struct AuditQueueState {
    records: Vec<QueuedRecord>,
    /// Size of all records that are not written yet, with those that the thread has taken.
    size: usize,
    /// Records that found no room since the thread last asked.
    lost: u64,
    /// The last write failed.
    failing: bool,
    /// Since when the thread has been busy with what it took; `None` while it waits.
    busy_since: Option<Instant>,
    /// The thread was found stuck, and has not come back yet.
    stuck: bool,
    closing: bool,
    options: Arc<WriterOptions>,
}

/// What the thread takes from the queue.
pub(super) struct QueueTurn {
    pub(super) records: Vec<QueuedRecord>,
    pub(super) lost: u64,
    pub(super) closing: bool,
    pub(super) options: Arc<WriterOptions>,
}

impl QueuedRecord {
    /// A record that nobody waits for, and that is kept until it can be written.
    pub(super) fn kept(content: String) -> Self {
        Self {
            content,
            withdrawable: false,
            waiter: None,
            failed: false,
        }
    }

    /// Whether the request that waited for it no longer does.
    pub(super) fn is_given_up(&self) -> bool {
        let waiter = self.waiter.as_ref();
        waiter.is_some_and(|waiter| waiter.is_closed())
    }

    pub(super) fn size(&self) -> usize {
        self.content.len().saturating_add(OVERHEAD)
    }
}

impl AuditQueue {
    pub(super) fn new(options: &Arc<WriterOptions>) -> Self {
        Self {
            state: Mutex::new(AuditQueueState {
                records: Vec::new(),
                size: 0,
                lost: 0,
                failing: false,
                // It begins with a write.
                busy_since: Some(Instant::now()),
                stuck: false,
                closing: false,
                options: Arc::clone(options),
            }),
            ready: Condvar::new(),
        }
    }

    /// Queues a record. Returns `false` if it is lost: the queue is full or, for a withdrawable
    /// one, the log can't be written.
    pub(super) fn push(&self, record: QueuedRecord) -> bool {
        let mut state = self.state();
        let limit = match record.withdrawable {
            true if state.failing || state.stuck => return false,
            true => ROOM_FOR_RESULTS,
            false => MAX_QUEUED,
        };
        let size = state.size.saturating_add(record.size());
        if size > limit || state.closing {
            if !record.withdrawable {
                state.lost = state.lost.saturating_add(1);
            }
            return false;
        }
        state.size = size;
        state.records.push(record);
        self.ready.notify_one();
        true
    }

    /// Waits until there are records, the queue closes, or `until` has come, and takes all. While
    /// the log can't be written, new records do not end the wait.
    pub(super) fn wait(&self, until: Instant) -> QueueTurn {
        let mut state = self.state();
        state.busy_since = None;
        while !state.closing && (state.failing || state.records.is_empty()) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.ready.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.busy_since = Some(Instant::now());
        QueueTurn {
            records: mem::take(&mut state.records),
            lost: mem::take(&mut state.lost),
            closing: state.closing,
            options: Arc::clone(&state.options),
        }
    }

    /// Gives back the room of records that were written or given up.
    pub(super) fn release(&self, size: usize) {
        let mut state = self.state();
        state.size = state.size.saturating_sub(size);
    }

    pub(super) fn set_failing(&self, failing: bool) {
        self.state().failing = failing;
    }

    /// Whether records can't be written at present: the last write failed, or one hangs.
    pub(super) fn is_failing(&self) -> bool {
        let state = self.state();
        state.failing || state.stuck
    }

    /// Notes whether the thread has been busy for this long. Returns whether it is stuck.
    pub(super) fn notice_stuck(&self, limit: Duration) -> bool {
        let mut state = self.state();
        state.stuck |= state
            .busy_since
            .is_some_and(|since| since.elapsed() >= limit);
        state.stuck
    }

    /// Notes that a write has ended. Returns whether the thread was stuck in it.
    pub(super) fn came_back(&self) -> bool {
        mem::take(&mut self.state().stuck)
    }

    pub(super) fn options(&self) -> Arc<WriterOptions> {
        Arc::clone(&self.state().options)
    }

    pub(super) fn change_options(&self, options: &Arc<WriterOptions>) {
        self.state().options = Arc::clone(options);
        self.ready.notify_one();
    }

    pub(super) fn close(&self) {
        self.state().closing = true;
        self.ready.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, AuditQueueState> {
        // A panic leaves nothing half done, so poisoning does not matter.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
