//! The session of an upload while that arrives: its id is opened as soon as it has come, and the video's fingerprint taken as
//! it passes.
//!
//! Relies on [`crate::session`]. Only for routes whose sessions are bound to callers.

use std::time::SystemTime;

use crate::session::{
    BodyPrint,
    fingerprint::Fingerprint,
    ticket::{Holder, NotOpened, Ticket},
};

/// An upload that may claim its session.
pub struct Upload {
    /// The opened session.
    pub ticket: Ticket,
    /// What it is known by.
    pub print: Fingerprint,
}

pub(super) struct Uploading {
    holder: Holder,
    print: BodyPrint,
    opened: Option<Result<Ticket, NotOpened>>,
}

impl Uploading {
    pub(super) fn new(holder: Holder) -> Self {
        Self {
            print: holder.fingerprint(),
            holder,
            opened: None,
        }
    }

    /// Opens the session; its id as a JSON value, or `null` if it is refused.
    pub(super) fn open(&mut self, text: &str) -> String {
        let opened = self.holder.open(text, SystemTime::now());
        let id = match &opened {
            Ok(ticket) => serde_json::Value::from(ticket.id.reveal()).to_string(),
            Err(_) => "null".to_owned(),
        };
        self.opened = Some(opened);
        id
    }

    /// Refuses what can't be a session id at all.
    pub(super) fn reject(&mut self) {
        self.opened = Some(Err(NotOpened::Rejected));
    }

    /// Takes the next bytes of the video's base64.
    pub(super) fn video(&mut self, base64: &[u8]) {
        self.print.feed(base64);
    }

    /// What is wrong already, so that the rest need not be awaited.
    ///
    /// # Errors
    /// Why the session is refused.
    pub(super) fn so_far(&self) -> Result<(), NotOpened> {
        match self.opened {
            Some(Err(refusal)) => Err(refusal),
            _ => Ok(()),
        }
    }

    /// Says that the upload is over, and what was asked about the video.
    ///
    /// # Errors
    /// Why the session is refused.
    pub(super) fn finish(self, asked: &[u8]) -> Result<Upload, NotOpened> {
        let ticket = self.opened.unwrap_or(Err(NotOpened::Rejected))?;
        let print = self.print.finish(&ticket, asked);
        Ok(Upload { ticket, print })
    }
}
