//! What stays of an answer, with Qiniu's session id sealed on the way: it never stands in what is held.

use std::time::SystemTime;

use crate::{
    json::{
        rules::CaptureSlot,
        sink::{BufferSink, CutSink},
        value::CapturedValue,
    },
    session::ticket::SessionOwner,
};

/// Collects what stays of an answer.
pub(super) struct SealingSink<'h> {
    kept: BufferSink,
    /// Whom a session is for, and when it was asked for.
    seal: Option<(&'h SessionOwner, SystemTime)>,
    failed: bool,
}

impl<'h> SealingSink<'h> {
    /// With room for so many bytes.
    pub(super) fn new(seal: Option<(&'h SessionOwner, SystemTime)>, room: usize) -> Self {
        Self {
            kept: BufferSink::with_capacity(room),
            seal,
            failed: false,
        }
    }

    /// How much is held.
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// What stayed.
    ///
    /// # Errors
    /// A session id could not be sealed.
    pub(super) fn into_bytes(self) -> Result<Vec<u8>, &'static str> {
        if self.failed {
            return Err("the session id can't be sealed");
        }
        Ok(self.kept.into_bytes())
    }
}

impl CutSink for SealingSink<'_> {
    fn keep(&mut self, bytes: &[u8]) {
        self.kept.keep(bytes);
    }

    fn insert(&mut self, bytes: &'static [u8]) {
        self.kept.insert(bytes);
    }

    fn mark(&mut self) {
        self.kept.mark();
    }

    fn rollback(&mut self) {
        self.kept.rollback();
    }

    fn text(&mut self, _bytes: &[u8], _letters: bool) {}

    fn replace(&mut self, _slot: CaptureSlot, value: &CapturedValue) {
        let sealed = match (value, self.seal) {
            (CapturedValue::String(id), Some((owner, sent))) => owner.seal(id, sent),
            // No session, which is right beside an error of Qiniu's.
            _ => return self.kept.keep(b"null"),
        };
        match sealed {
            // It needs no escapes.
            Some(sealed) => {
                self.kept.keep(b"\"");
                self.kept.keep(sealed.as_bytes());
                self.kept.keep(b"\"");
            }
            None => self.failed = true,
        }
    }
}
