//! Writes one group of records: to a file all at once, to a FIFO one by one.
//!
//! A file is locked meanwhile, and its end is read again if another process has written to it, so
//! that the chain goes on where it really ends. Never forgets a record that was not written.

use std::time::{Instant, SystemTime};

use super::{
    chain::ChainHead,
    checkpoint::sign_checkpoint,
    output::{AuditOutput, AuditWriteError},
    plan::PlannedRecord,
    writer::AuditWriter,
};
use crate::telemetry::{metrics::labels::AuditOutcome, timestamp::rfc3339_millis};

/// The event of a file's last record when the log continues in another file.
const ROTATE: &str = "rotate";
/// The event of the first record of that other file.
const CONTINUE: &str = "continue";

/// Whether a group was written.
enum GroupOutcome {
    Written,
    /// The log was rotated: the group belongs to the next file.
    Rotated,
}

impl AuditWriter {
    /// Writes all records that are due, and notices a rotation.
    pub(super) fn write_group(&mut self) -> Result<(), AuditWriteError> {
        loop {
            let plan = self.plan();
            let output = match self.output.take() {
                Some(output) => output,
                // The file that follows a rotated one is made at once, so that a process that is
                // killed now leaves a file to continue from.
                None if plan.is_empty() && !self.rotated => return Ok(()),
                None => AuditOutput::open(&self.path)?,
            };
            let (is_fifo, moved) = (output.is_fifo, output.was_moved());
            self.output = Some(output);
            if plan.is_empty() && !moved && !self.rotated {
                return Ok(());
            }
            let outcome = match is_fifo {
                true if moved => GroupOutcome::Rotated,
                true => self.write_to_fifo(&plan)?,
                false => self.write_to_file(&plan)?,
            };
            match outcome {
                GroupOutcome::Written => {
                    self.rotated = false;
                    return Ok(());
                }
                GroupOutcome::Rotated => {
                    self.output = None;
                    self.rotated = !is_fifo;
                }
            }
        }
    }

    fn write_to_file(&mut self, plan: &[PlannedRecord]) -> Result<GroupOutcome, AuditWriteError> {
        if let Some(output) = &self.output {
            output.lock()?;
        }
        let outcome = self.write_locked(plan);
        if let Some(output) = &self.output {
            output.unlock();
        }
        outcome
    }

    fn write_locked(&mut self, plan: &[PlannedRecord]) -> Result<GroupOutcome, AuditWriteError> {
        self.catch_up()?;
        // Asked under the lock: nobody writes to a file behind the record that ends it.
        if self.output.as_ref().is_none_or(AuditOutput::was_moved) {
            self.hand_over()?;
            return Ok(GroupOutcome::Rotated);
        }
        let is_empty = self.output.as_ref().is_some_and(AuditOutput::is_empty);
        let continues = is_empty && self.head.is_some();
        let mut head = self.current_head()?;
        let mut lines = String::new();
        if continues {
            let content = self.event(CONTINUE, "", true, &head);
            head.append(&mut lines, &content);
        }
        for record in plan {
            let content = self.content(*record, &head);
            head.append(&mut lines, &content);
        }
        match &mut self.output {
            Some(output) if !lines.is_empty() => output.append(lines.as_bytes())?,
            _ => return Ok(GroupOutcome::Written),
        }
        if continues {
            self.note_head(&head);
            self.last_checkpoint = Instant::now();
        }
        self.head = Some(head);
        // What follows a record that says that the file ends, as where it was renamed back.
        self.handed_over = false;
        self.conclude(plan);
        Ok(GroupOutcome::Written)
    }

    fn write_to_fifo(&mut self, plan: &[PlannedRecord]) -> Result<GroupOutcome, AuditWriteError> {
        for (done, record) in plan.iter().enumerate() {
            let mut head = self.current_head()?;
            let mut line = String::new();
            let content = self.content(*record, &head);
            head.append(&mut line, &content);
            let Some(output) = &mut self.output else {
                return Ok(GroupOutcome::Rotated);
            };
            if let Err(error) = output.append(line.as_bytes()) {
                self.conclude(plan.get(..done).unwrap_or_default());
                return Err(error);
            }
            self.head = Some(head);
        }
        self.conclude(plan);
        Ok(GroupOutcome::Written)
    }

    /// Continues where the file ends, if that is further on than this process knows. If it is not,
    /// somebody has shortened the file, and the next record shows that.
    fn catch_up(&mut self) -> Result<(), AuditWriteError> {
        let Some(output) = &mut self.output else {
            return Ok(());
        };
        let Some(tail) = output.changed_tail()? else {
            return Ok(());
        };
        if !self.started {
            self.torn = self.torn.saturating_add(tail.torn);
        }
        self.handed_over = tail.last.as_ref().is_some_and(|last| last.event == ROTATE);
        if let Some(found) = tail.last.map(|last| last.head()) {
            let known = self.head.as_ref();
            let behind = |known: &ChainHead| known.chain != found.chain || known.next < found.next;
            if known.is_none_or(behind) {
                self.head = Some(found);
            }
        }
        Ok(())
    }

    /// Ends a file that was rotated: its last record says that the log continues elsewhere.
    fn hand_over(&mut self) -> Result<(), AuditWriteError> {
        let (false, Some(mut head)) = (self.handed_over, self.head.clone()) else {
            return Ok(());
        };
        let content = self.event(ROTATE, "", true, &head);
        let mut line = String::new();
        head.append(&mut line, &content);
        // An old file that can't take it must not keep the log from going on in the next one.
        if let Some(output) = &mut self.output
            && !output.is_removed()?
            && output.append(line.as_bytes()).is_ok()
        {
            self.note_head(&head);
            self.head = Some(head);
        }
        Ok(())
    }

    fn current_head(&self) -> Result<ChainHead, AuditWriteError> {
        match &self.head {
            Some(head) => Ok(head.clone()),
            None => ChainHead::begin().map_err(|_| AuditWriteError::NoRandomness),
        }
    }

    /// The members of a record, without braces.
    fn content(&self, record: PlannedRecord, head: &ChainHead) -> String {
        match record {
            PlannedRecord::Pending(index) => {
                let record = self.pending.get(index);
                record
                    .map(|record| record.content.clone())
                    .unwrap_or_default()
            }
            PlannedRecord::Start => {
                let version = env!("CARGO_PKG_VERSION");
                let mut members = format!(",\"version\":\"{version}\"");
                if self.torn > 0 {
                    members.push_str(&format!(",\"torn_bytes\":{}", self.torn));
                }
                self.event("start", &members, true, head)
            }
            PlannedRecord::Gap => {
                let mut members = format!(",\"lost\":{}", self.lost);
                if let Some(since) = self.failing_since {
                    members.push_str(&format!(",\"since\":\"{}\"", rfc3339_millis(since)));
                }
                self.event("gap", &members, false, head)
            }
            PlannedRecord::Checkpoint => self.event("checkpoint", "", true, head),
            PlannedRecord::Stop => self.event("stop", "", true, head),
        }
    }

    /// The members of a record of the log's own. Signed, it proves all records before it.
    fn event(&self, event: &str, members: &str, signed: bool, head: &ChainHead) -> String {
        let now = SystemTime::now();
        let mut content = format!(
            "\"time\":\"{}\",\"event\":\"{event}\"{members}",
            rfc3339_millis(now)
        );
        let signer = self.options.signer.as_ref().filter(|_| signed);
        if let Some(token) = signer.and_then(|it| sign_checkpoint(it, head, event, now)) {
            content.extend([",\"checkpoint\":\"", &token, "\""]);
        }
        content
    }

    /// These records are on the disk, or in the pipe.
    fn conclude(&mut self, written: &[PlannedRecord]) {
        let pending = |record: &&PlannedRecord| matches!(record, PlannedRecord::Pending(_));
        let written_requests = written
            .iter()
            .filter(pending)
            .count()
            .min(self.pending.len());
        for record in self.pending.drain(..written_requests) {
            self.metrics.count_audit_record(AuditOutcome::Written);
            self.queue.release(record.size());
            if let Some(waiter) = record.waiter {
                let _ = waiter.send(true);
            }
        }
        for record in written {
            match record {
                PlannedRecord::Pending(_) => {}
                PlannedRecord::Gap => self.lost = 0,
                PlannedRecord::Start => self.started = true,
                PlannedRecord::Checkpoint | PlannedRecord::Stop => {}
            }
            let proves = !matches!(record, PlannedRecord::Pending(_) | PlannedRecord::Gap);
            if proves && let Some(head) = &self.head {
                self.note_head(head);
                self.last_checkpoint = Instant::now();
            }
        }
    }

    /// Logs where the chain ends, so that whoever keeps the log elsewhere can tell a file that was
    /// cut off later.
    fn note_head(&self, head: &ChainHead) {
        let record = head.next.saturating_sub(1);
        let (chain, hash) = (&head.chain, head.hash);
        tracing::info!(%chain, record, %hash, "the audit log ends here");
    }
}
