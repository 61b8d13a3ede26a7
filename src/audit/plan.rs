//! Which records make the next group, and in which order.
//!
//! Relies on [`super::group`] to write them. Decides by the state of the thread alone, and changes
//! nothing.

use super::{queue::QueuedRecord, writer::AuditWriter};

/// Maximum size of the records that are written at once, in bytes. After a time of trouble, a disk
/// must have room for so much to take anything.
const MAX_GROUP: usize = 64 * 1024;

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

impl AuditWriter {
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
