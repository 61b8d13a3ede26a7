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

use crate::wipe::WipedVec;

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
    opened: Option<Ticket>,
    /// Why the session id is rejected. Not in one value with `opened`: a refusal is far shorter
    /// than a ticket, and moving the value would copy what an earlier call left on the stack, such
    /// as a part of the id, to where the rest of the ticket would be.
    refused: Option<TicketError>,
}

impl ArrivingAttempt {
    pub(super) fn new(owner: SessionOwner) -> Self {
        Self {
            fingerprint: owner.start_fingerprint(),
            owner,
            opened: None,
            refused: None,
        }
    }

    /// Opens the session. Returns Qiniu's id as a JSON value, or `null` if the id is rejected.
    pub(super) fn open(&mut self, text: &str) -> WipedVec {
        match self.owner.open(text, SystemTime::now()) {
            Ok(ticket) => json(Some(self.opened.insert(ticket).id.reveal())),
            Err(refusal) => {
                self.refused = Some(refusal);
                json(None)
            }
        }
    }

    /// Rejects a member that is not a string.
    pub(super) fn reject(&mut self) {
        self.refused = Some(TicketError::Rejected);
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
        self.refused.map_or(Ok(()), Err)
    }

    /// Finishes the attempt. `asked` is the text of the members beside the video.
    ///
    /// # Errors
    /// The session id was rejected, or is missing.
    pub(super) fn finish(mut self: Box<Self>, asked: &[u8]) -> Result<VerifyAttempt, TicketError> {
        self.so_far()?;
        let ticket = self.opened.take().ok_or(TicketError::Rejected)?;
        let fingerprint = ticket.fingerprint(&self.fingerprint, asked);
        Ok(VerifyAttempt {
            ticket,
            fingerprint,
        })
    }
}

/// A string as JSON, or `null`.
pub(super) fn json(text: Option<&str>) -> WipedVec {
    // An escape takes six bytes at most, so the buffer never moves.
    let room = text.map_or(0, str::len).saturating_mul(6).saturating_add(4);
    let mut json = WipedVec::new(Vec::with_capacity(room));
    // Memory takes all that is written to it.
    let _ = serde_json::to_writer(&mut *json, &text);
    json
}
