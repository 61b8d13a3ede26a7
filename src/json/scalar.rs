//! The strings, numbers and literals of a document that is cut: which of them stay, are captured,
//! or are replaced.
//!
//! A part of [`JsonCut`]: relies on it for names and places. Never decides what is valid JSON.

use super::{
    cut::JsonCut,
    scanner::JsonEvent,
    sink::{ChunkOutput, CutSink},
    state::CurrentScalar,
};

impl JsonCut<'_> {
    pub(super) fn scalar_start(
        &mut self,
        string: bool,
        bytes: &[u8],
        at: usize,
        out: &mut ChunkOutput<'_, impl CutSink>,
    ) {
        let action = self.rules.action(self.place);
        let scalar = CurrentScalar::begin(action, string, bytes);
        // The only literal that begins with an `n`.
        let is_null = !string && bytes.last() == Some(&b'n');
        if action.passage && !is_null && self.removing.is_none() {
            self.keep_back(at, out);
        }
        if self.removing.is_none() {
            if action.replace {
                out.mark(at.saturating_sub(1));
            } else if scalar.is_settled(self.rules.max_scalar) {
                out.mark(at);
            }
            if action.stream {
                out.flush(at);
            }
        }
        self.scalar = Some(scalar);
    }

    /// Bytes that the scanner consumed without an event of their own: a part of an escape, of a
    /// number or of a literal, or white space.
    pub(super) fn more(
        &mut self,
        bytes: &[u8],
        at: usize,
        out: &mut ChunkOutput<'_, impl CutSink>,
    ) {
        match &mut self.scalar {
            Some(scalar) => {
                scalar.count(bytes.len());
                // The decoded character of an escape comes at its end.
                if !scalar.string {
                    scalar.take(bytes);
                }
                self.too_long(at, out);
            }
            // A part of an escape in a name. Elsewhere it has no effect: names count from zero.
            None => self.name.count(bytes.len()),
        }
    }

    pub(super) fn text(
        &mut self,
        event: JsonEvent,
        bytes: &[u8],
        at: usize,
        out: &mut ChunkOutput<'_, impl CutSink>,
    ) {
        let mut buffer = [0; 4];
        let decoded = match event {
            JsonEvent::Escaped(decoded) => decoded.encode_utf8(&mut buffer).as_bytes(),
            _ => bytes,
        };
        match &mut self.scalar {
            Some(scalar) => {
                scalar.count(bytes.len());
                if scalar.action.stream {
                    out.text(decoded, event == JsonEvent::Letters);
                } else {
                    scalar.take(decoded);
                }
                self.too_long(at, out);
            }
            None => self.name.take(decoded, bytes.len()),
        }
    }

    /// Removes a scalar as soon as it is longer than allowed, before its end.
    fn too_long(&mut self, at: usize, out: &mut ChunkOutput<'_, impl CutSink>) {
        let scalar = self.scalar.as_ref();
        let too_long = scalar.is_some_and(|scalar| scalar.is_too_long(self.rules.max_scalar));
        if too_long && self.removing.is_none() {
            self.keep_back(at, out);
        }
    }

    pub(super) fn scalar_end(&mut self, at: usize, out: &mut ChunkOutput<'_, impl CutSink>) {
        let Some(scalar) = self.scalar.take() else {
            return;
        };
        let action = scalar.action;
        let value = scalar.value();
        if let Some(slot) = action.capture.filter(|_| action.replace)
            && self.removing.is_none()
        {
            out.roll_back(at).replace(slot, &value);
        }
        self.set(action, value);
    }
}
