//! What a cut keeps of a response: its bytes with Qiniu's session id sealed, and the new names of
//! members that are kept back.
//!
//! Qiniu's session id itself is never part of what is held.

use std::time::SystemTime;

use zeroize::Zeroizing;

use super::kept_back::{KeptBackNames, NewNames};
use crate::{
    json::{
        rules::CaptureSlot,
        sink::{BufferSink, CapturedValue, CutSink},
    },
    session::ticket::SessionOwner,
};

/// Usual size of a response after the cut, in bytes.
const USUALLY_KEPT: usize = 512;

/// Collects what a cut keeps, and seals Qiniu's session id on the way.
pub(super) struct SealingSink<'h> {
    buffer: BufferSink,
    /// The session's owner, and when it was requested.
    seal: Option<(&'h SessionOwner, SystemTime)>,
    failed: bool,
    kept_back: NewNames<'h>,
}

impl<'h> SealingSink<'h> {
    pub(super) fn new(
        seal: Option<(&'h SessionOwner, SystemTime)>,
        known: &'h KeptBackNames,
    ) -> Self {
        Self {
            buffer: BufferSink::with_capacity(USUALLY_KEPT),
            seal,
            failed: false,
            kept_back: NewNames::new(known),
        }
    }

    /// Number of bytes kept so far.
    pub(super) fn len(&self) -> usize {
        self.buffer.len()
    }

    /// The bytes that were kept, and new names of members that were not; `None` if the session id
    /// can't be sealed.
    pub(super) fn finish(self) -> Option<(Vec<u8>, NewNames<'h>)> {
        (!self.failed).then(|| (self.buffer.into_bytes(), self.kept_back))
    }
}

impl CutSink for SealingSink<'_> {
    fn keep(&mut self, bytes: &[u8]) {
        self.buffer.keep(bytes);
    }

    fn insert(&mut self, bytes: &'static [u8]) {
        self.buffer.insert(bytes);
    }

    fn mark(&mut self) {
        self.buffer.mark();
    }

    fn rollback(&mut self) {
        self.buffer.rollback();
    }

    fn text(&mut self, _bytes: &[u8], _letters: bool) {}

    fn kept_back(&mut self, name: &[u8]) {
        self.kept_back.take(name);
    }

    fn replace(&mut self, _slot: CaptureSlot, value: &CapturedValue) {
        let sealed = match (value, self.seal) {
            (CapturedValue::String(id), Some((owner, sent))) => owner.seal(id, sent),
            // There is no session, as expected of an error.
            _ => return self.buffer.keep(b"null"),
        };
        match sealed {
            // A sealed id needs no escapes.
            Some(sealed) => {
                let sealed = Zeroizing::new(sealed);
                self.buffer.keep(b"\"");
                self.buffer.keep(sealed.as_bytes());
                self.buffer.keep(b"\"");
            }
            None => self.failed = true,
        }
    }
}
