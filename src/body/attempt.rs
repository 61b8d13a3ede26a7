//! The session of an upload, while the body arrives.
//!
//! The session id is opened as soon as it has arrived, and the video's fingerprint is computed
//! as the video passes. Relies on [`crate::session`]. Only used where sessions are bound.

use std::time::SystemTime;

use crate::session::{
    fingerprint::Fingerprint,
    keyring::UploadFingerprint,
    ticket::{SessionOwner, Ticket, TicketError},
};

/// An upload that may claim its session.
pub struct VerifyAttempt {
    /// The opened session.
    pub ticket: Ticket,
    /// The fingerprint of the body, which identifies a retry.
    pub fingerprint: Fingerprint,
}

/// An attempt whose body is still arriving.
pub(super) struct ArrivingAttempt {
    owner: SessionOwner,
    fingerprint: UploadFingerprint,
    opened: Option<Result<Ticket, TicketError>>,
}

impl ArrivingAttempt {
    pub(super) fn new(owner: SessionOwner) -> Self {
        Self {
            fingerprint: owner.start_fingerprint(),
            owner,
            opened: None,
        }
    }

    /// Opens the session. Returns Qiniu's id as a JSON value, or `null` if the id is rejected.
    pub(super) fn open(&mut self, text: &str) -> String {
        let opened = self.owner.open(text, SystemTime::now());
        let id = match &opened {
            Ok(ticket) => serde_json::Value::from(ticket.id.reveal()).to_string(),
            Err(_) => "null".to_owned(),
        };
        self.opened = Some(opened);
        id
    }

    /// Rejects a member that is not a string.
    pub(super) fn reject(&mut self) {
        self.opened = Some(Err(TicketError::Rejected));
    }

    /// Adds the next bytes of the video's base64.
    pub(super) fn video(&mut self, base64: &[u8]) {
        self.fingerprint.feed(base64);
    }

    /// Checks the session id as soon as it is known, before the rest of the body.
    ///
    /// # Errors
    /// The session id was rejected.
    pub(super) fn so_far(&self) -> Result<(), TicketError> {
        match self.opened {
            Some(Err(refusal)) => Err(refusal),
            _ => Ok(()),
        }
    }

    /// Finishes the attempt. `asked` is the text of the members beside the video.
    ///
    /// # Errors
    /// The session id was rejected, or is missing.
    pub(super) fn finish(self, asked: &[u8]) -> Result<VerifyAttempt, TicketError> {
        let ticket = self.opened.unwrap_or(Err(TicketError::Rejected))?;
        let fingerprint = ticket.fingerprint(self.fingerprint, asked);
        Ok(VerifyAttempt {
            ticket,
            fingerprint,
        })
    }
}
