//! The audit log: one line for each `verify` that reached Qiniu, each tied to the line before.
//!
//! A request only queues a record ([`queue`]). A thread of its own ([`writer`], [`plan`],
//! [`group`]) ties the records together ([`chain`]), signs checkpoints ([`checkpoint`]) and writes
//! to a file or a FIFO ([`output`], [`tail`]), all that wait in one group. A call that never ends
//! has a record too ([`open_calls`]). [`verify`] checks what was written.
//!
//! With `audit.required`, a call waits until its record has been written, and is refused if it
//! can't be. Without, nothing waits: what can't be written is kept for a while, then lost and
//! counted. A record names the user. It never contains a picture, a token or a session id.

mod chain;
mod checkpoint;
mod group;
mod open_calls;
mod output;
mod plan;
mod queue;
mod record;
mod tail;
pub mod verify;
mod writer;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::timeout};

pub use self::{
    chain::{ChainId, LineError, RecordHash},
    checkpoint::{CheckpointError, CheckpointKeys, CheckpointKeysError},
    output::{AuditPathError, examine},
    record::{AuditedRequest, AuditedResult},
    tail::TailError,
};
use self::{
    queue::{QueuedRecord, WriterOptions},
    record::{VerifyEvent, content},
    writer::WriterHandle,
};
use crate::{lifecycle::Readiness, telemetry::metrics::Metrics, verdict::sign::VerdictSigner};

/// How long a call waits for its record to be written, with `audit.required`.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// The code of a call of which nobody knows how it ended.
const UNKNOWN: &str = "outcome_unknown";
/// How long a stop waits for the last records.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// `[audit]`, checked.
#[derive(Clone, Debug)]
pub struct AuditSettings {
    /// The file or FIFO.
    pub path: PathBuf,
    /// Whether a call whose record can't be written is refused.
    pub required: bool,
    /// The time between two signed checkpoints, at most.
    pub checkpoint: Duration,
    /// The claim of the user's token that says what the user has consented to.
    pub consent_claim: Option<String>,
}

/// Takes the records of requests. A reload makes a new one, for the same thread.
pub struct AuditLog {
    thread: Arc<WriterHandle>,
    options: Arc<WriterOptions>,
    consent_claim: Option<Box<str>>,
}

/// A call that is under way. If it is dropped before [`AuditLog::end`], its record says that its
/// outcome is unknown.
pub struct OpenCall {
    thread: Arc<WriterHandle>,
    number: u64,
}

/// A record could not be written, and the call that it is about must not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit log can't be written")]
pub struct AuditUnavailable;

impl AuditLog {
    /// Starts the thread, which opens the output. `signer` signs checkpoints.
    ///
    /// # Errors
    /// The log can't be written at its path, or the system can't start a thread. A full disk and a
    /// FIFO without a reader are no errors yet.
    pub fn start(
        settings: &AuditSettings,
        signer: Option<&Arc<VerdictSigner>>,
        metrics: &Arc<Metrics>,
        readiness: &Arc<Readiness>,
    ) -> io::Result<Self> {
        examine(&settings.path).map_err(io::Error::other)?;
        let options = settings.writer_options(signer);
        let path = settings.path.clone();
        let thread = WriterHandle::spawn(path, &options, metrics, readiness)?;
        Ok(Self::with(Arc::new(thread), options, settings))
    }

    /// The same log with other settings, of which the path is the same. The thread continues with
    /// what it has until [`AuditLog::come_into_use`].
    pub fn followed_by(
        &self,
        settings: &AuditSettings,
        signer: Option<&Arc<VerdictSigner>>,
    ) -> Self {
        let options = settings.writer_options(signer);
        Self::with(Arc::clone(&self.thread), options, settings)
    }

    /// Lets the thread follow these settings.
    pub fn come_into_use(&self) {
        self.thread.reconfigure(&self.options);
    }

    fn with(
        thread: Arc<WriterHandle>,
        options: Arc<WriterOptions>,
        settings: &AuditSettings,
    ) -> Self {
        Self {
            thread,
            options,
            consent_claim: settings.consent_claim.as_deref().map(Into::into),
        }
    }

    /// The claim that a token must have for a `verify`.
    pub fn consent_claim(&self) -> Option<&str> {
        self.consent_claim.as_deref()
    }

    /// Records that a call is about to be made, if the log is required.
    ///
    /// # Errors
    /// The record was not written, and the call must not be made.
    pub async fn begin(&self, request: &AuditedRequest<'_>) -> Result<OpenCall, AuditUnavailable> {
        if self.options.required {
            let record = content(VerifyEvent::Begin, request, &AuditedResult::default());
            self.write_or_withdraw(record).await?;
        }
        let unknown = AuditedResult {
            code: UNKNOWN,
            ..AuditedResult::default()
        };
        let record = content(VerifyEvent::Verify, request, &unknown);
        Ok(OpenCall {
            number: self.thread.open_calls.begin(record),
            thread: Arc::clone(&self.thread),
        })
    }

    /// Records how a call ended. Waits for the record if the log is required; but if it can't be
    /// written now, the response goes out, and the record is written as soon as it can be.
    pub async fn end(
        &self,
        call: OpenCall,
        request: &AuditedRequest<'_>,
        result: &AuditedResult<'_>,
    ) {
        let record = content(VerifyEvent::Verify, request, result);
        let calls = &self.thread.open_calls;
        let queued = calls.end(call.number, |_| self.queue(record, false));
        let Some(Some(written)) = queued else {
            return;
        };
        if self.options.required {
            let _ = timeout(WRITE_TIMEOUT, written).await;
        }
    }

    /// Records that a retry gets the response of an earlier call.
    ///
    /// # Errors
    /// The log is required and the record was not written: the response must not be given.
    pub async fn replay(
        &self,
        request: &AuditedRequest<'_>,
        result: &AuditedResult<'_>,
    ) -> Result<(), AuditUnavailable> {
        let record = content(VerifyEvent::Replay, request, result);
        if self.options.required {
            return self.write_or_withdraw(record).await;
        }
        drop(self.queue(record, false));
        Ok(())
    }

    /// Writes what is queued, and ends the thread. Waits for it for [`CLOSE_TIMEOUT`] at most.
    pub async fn close(&self) {
        if timeout(CLOSE_TIMEOUT, self.thread.close()).await.is_err() {
            tracing::error!(
                "the last audit records could not be written in time; look at the disk of audit.path"
            );
        }
    }

    async fn write_or_withdraw(&self, record: String) -> Result<(), AuditUnavailable> {
        let Some(written) = self.queue(record, true) else {
            return Err(AuditUnavailable);
        };
        match timeout(WRITE_TIMEOUT, written).await {
            Ok(Ok(true)) => Ok(()),
            Ok(_) => Err(AuditUnavailable),
            Err(_) => {
                self.thread.timed_out();
                Err(AuditUnavailable)
            }
        }
    }

    /// Queues a record; `None` if there is no room for it.
    fn queue(&self, content: String, withdrawable: bool) -> Option<oneshot::Receiver<bool>> {
        let (waiter, written) = oneshot::channel();
        let queued = self.thread.queue(QueuedRecord {
            content,
            withdrawable,
            waiter: Some(waiter).filter(|_| self.options.required),
            failed: false,
        });
        queued.then_some(written)
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        let queue = |content| self.thread.queue(QueuedRecord::kept(content));
        self.thread.open_calls.end(self.number, queue);
    }
}

impl AuditSettings {
    fn writer_options(&self, signer: Option<&Arc<VerdictSigner>>) -> Arc<WriterOptions> {
        Arc::new(WriterOptions {
            required: self.required,
            checkpoint: self.checkpoint,
            signer: signer.map(Arc::clone),
        })
    }
}
