//! The queue between requests and the thread that writes.
//!
//! Bounded: a record that finds no room is lost and counted. Never waits for the output.

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
            true if state.failing => return false,
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
        while !state.closing && (state.failing || state.records.is_empty()) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.ready.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
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

    pub(super) fn is_failing(&self) -> bool {
        self.state().failing
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
