//! The session of an upload while that arrives: its id is opened as soon as it has come, and the video's fingerprint taken as
//! it passes.
//!
//! Relies on [`crate::session`]. Only for routes whose sessions are bound to callers.

use std::time::SystemTime;

use crate::session::{
    UploadFingerprint,
    fingerprint::Fingerprint,
    ticket::{SessionOwner, Ticket, TicketError},
};

/// An upload that may claim its session.
pub struct Upload {
    /// The opened session.
    pub ticket: Ticket,
    /// What it is known by.
    pub fingerprint: Fingerprint,
}

pub(super) struct Uploading {
    owner: SessionOwner,
    fingerprint: UploadFingerprint,
    opened: Option<Result<Ticket, TicketError>>,
}

impl Uploading {
    pub(super) fn new(owner: SessionOwner) -> Self {
        Self {
            fingerprint: owner.fingerprint(),
            owner,
            opened: None,
        }
    }

    /// Opens the session; its id as a JSON value, or `null` if it is refused.
    pub(super) fn open(&mut self, text: &str) -> String {
        let opened = self.owner.open(text, SystemTime::now());
        let id = match &opened {
            Ok(ticket) => serde_json::Value::from(ticket.id.reveal()).to_string(),
            Err(_) => "null".to_owned(),
        };
        self.opened = Some(opened);
        id
    }

    /// Refuses what can't be a session id at all.
    pub(super) fn reject(&mut self) {
        self.opened = Some(Err(TicketError::Rejected));
    }

    /// Takes the next bytes of the video's base64.
    pub(super) fn video(&mut self, base64: &[u8]) {
        self.fingerprint.feed(base64);
    }

    /// What is wrong already, so that the rest need not be awaited.
    ///
    /// # Errors
    /// Why the session is refused.
    pub(super) fn so_far(&self) -> Result<(), TicketError> {
        match self.opened {
            Some(Err(refusal)) => Err(refusal),
            _ => Ok(()),
        }
    }

    /// Says that the upload is over, and what was asked about the video.
    ///
    /// # Errors
    /// Why the session is refused.
    pub(super) fn finish(self, asked: &[u8]) -> Result<Upload, TicketError> {
        let ticket = self.opened.unwrap_or(Err(TicketError::Rejected))?;
        let fingerprint = self.fingerprint.finish(&ticket, asked);
        Ok(Upload {
            ticket,
            fingerprint,
        })
    }
}
