//! Cuts a JSON document while it arrives: applies [`CutRules`] to the scanner's events and passes
//! the bytes that stay to a [`CutSink`], unchanged.
//!
//! Whether a member stays is known only after its name, or inside a long string. So the cut sets a
//! mark before the member, passes its bytes on, and rolls back to the mark if the member is
//! removed. Relies on [`super::scalar`] and [`super::member`] for values that are no objects or
//! arrays. Never looks ahead, and never buffers more than a name or a captured value.

use super::{
    CutError,
    rules::{CutRules, MemberRule, NodeAction, NodeIndex},
    scanner::{JsonEvent, JsonScanner},
    sink::{CapturedValue, ChunkOutput, CutSink},
    state::{ContainerFrame, CurrentScalar, FrameStack, MemberName, NameHashes},
};

/// A cut in progress.
pub struct JsonCut<'r> {
    pub(super) rules: &'r CutRules,
    pub(super) scanner: JsonScanner,
    pub(super) frames: FrameStack,
    /// Hashes of the member names in the open objects that are watched.
    pub(super) names: NameHashes,
    pub(super) name: MemberName,
    /// The rules' node for the current or next value.
    pub(super) place: Option<NodeIndex>,
    pub(super) scalar: Option<CurrentScalar>,
    /// Depth of the container whose member or element is being removed.
    pub(super) removing: Option<usize>,
    values: Vec<CapturedValue>,
}

impl<'r> JsonCut<'r> {
    /// Starts a cut.
    pub fn new(rules: &'r CutRules) -> Self {
        Self {
            rules,
            scanner: JsonScanner::default(),
            frames: FrameStack::new(),
            names: NameHashes::new(),
            name: MemberName::new(&rules.seed),
            place: Some(CutRules::ROOT),
            scalar: None,
            removing: None,
            values: vec![CapturedValue::Absent; rules.slots()],
        }
    }

    /// Processes the next bytes of the document.
    ///
    /// # Errors
    /// The document is invalid; nothing of it may be used.
    pub fn feed(&mut self, chunk: &[u8], sink: &mut impl CutSink) -> Result<(), CutError> {
        let mut out = ChunkOutput::new(chunk, sink);
        let mut at = 0;
        loop {
            self.plain_members(&mut at, &mut out)?;
            let before = at;
            let event = self.scanner.next(chunk, &mut at)?;
            let bytes = chunk.get(before..at).unwrap_or_default();
            match event {
                Some(event) => {
                    self.on(event, bytes, at, &mut out)?;
                    if matches!(event, JsonEvent::KeyStart | JsonEvent::StringStart)
                        && let Some(text) = self.scanner.short(chunk, &mut at)
                    {
                        self.short(text, at, &mut out)?;
                    }
                }
                None => {
                    self.more(bytes, at, &mut out);
                    break;
                }
            }
        }
        if self.removing.is_none() {
            let sink = out.flush(chunk.len());
            let scalar = self.scalar.as_ref();
            if scalar.is_some_and(|scalar| scalar.is_settled(self.rules.max_scalar)) {
                sink.mark();
            }
        }
        Ok(())
    }

    /// Finishes the document, and returns the captured values by their slots.
    ///
    /// # Errors
    /// The document is incomplete.
    pub fn finish(mut self) -> Result<Vec<CapturedValue>, CutError> {
        self.scanner.finish()?;
        Ok(self.values)
    }

    fn on(
        &mut self,
        event: JsonEvent,
        bytes: &[u8],
        at: usize,
        out: &mut ChunkOutput<'_, impl CutSink>,
    ) -> Result<(), CutError> {
        match event {
            JsonEvent::Colon => {}
            JsonEvent::Comma => self.comma(at, out),
            JsonEvent::KeyStart => self.key_start(at, out),
            JsonEvent::KeyEnd => self.key_end(at, out)?,
            JsonEvent::Text | JsonEvent::Letters | JsonEvent::Escaped(_) => {
                self.text(event, bytes, at, out)
            }
            JsonEvent::ScalarStart | JsonEvent::StringStart => {
                self.value_start(at, out)?;
                self.scalar_start(event == JsonEvent::StringStart, bytes, at, out);
            }
            JsonEvent::ScalarEnd | JsonEvent::StringEnd => {
                if event == JsonEvent::ScalarEnd {
                    self.more(bytes, at, out);
                }
                self.scalar_end(at, out);
                self.value_end(at, out);
            }
            JsonEvent::ObjectStart | JsonEvent::ArrayStart => {
                self.value_start(at, out)?;
                self.container_start(event == JsonEvent::ObjectStart, at, out);
            }
            JsonEvent::ObjectEnd | JsonEvent::ArrayEnd => {
                if let [root] = self.frames.as_slice() {
                    out.flush(at.saturating_sub(1)).end(!root.kept_any);
                }
                if let Some(frame) = self.frames.pop() {
                    frame.close(&mut self.names);
                }
                self.value_end(at, out);
            }
        }
        Ok(())
    }

    /// A complete name or string that was read at once.
    fn short(
        &mut self,
        text: &[u8],
        at: usize,
        out: &mut ChunkOutput<'_, impl CutSink>,
    ) -> Result<(), CutError> {
        if !text.is_empty() {
            self.text(JsonEvent::Text, text, at, out);
        }
        if self.scalar.is_none() {
            return self.key_end(at, out);
        }
        self.scalar_end(at, out);
        self.value_end(at, out);
        Ok(())
    }

    /// A comma belongs to the member after it; the first member that stays has none.
    fn comma(&mut self, at: usize, out: &mut ChunkOutput<'_, impl CutSink>) {
        let Some(frame) = self.frames.last() else {
            return;
        };
        if self.removing.is_some() || !frame.object {
            return;
        }
        out.mark(at.saturating_sub(1));
        if !frame.kept_any {
            out.skip(at);
        }
    }

    fn key_start(&mut self, at: usize, out: &mut ChunkOutput<'_, impl CutSink>) {
        self.name.begin();
        let frame = self.frames.last();
        if self.removing.is_none() && frame.is_some_and(|frame| !frame.kept_any) {
            out.mark(at.saturating_sub(1));
        }
    }

    fn key_end(
        &mut self,
        at: usize,
        out: &mut ChunkOutput<'_, impl CutSink>,
    ) -> Result<(), CutError> {
        let Some(frame) = self.frames.last_mut() else {
            return Ok(());
        };
        let MemberRule {
            place,
            unknown,
            number,
        } = self.rules.member(frame.place, self.name.known());
        let hash = || self.name.hash();
        frame.add(number, hash, &mut self.names)?;
        self.place = place;
        let max = self.rules.max_scalar;
        let too_long = max.is_some_and(|max| self.name.raw_len() > max);
        if self.removing.is_some() {
            return Ok(());
        }
        if too_long || (unknown && place.is_none()) {
            self.keep_back(at, out);
        } else if unknown || self.rules.action(place).remove {
            self.remove(at, out);
        }
        Ok(())
    }

    /// The value after a name, an array's element, or the root.
    fn value_start(
        &mut self,
        at: usize,
        out: &mut ChunkOutput<'_, impl CutSink>,
    ) -> Result<(), CutError> {
        let Some(frame) = self.frames.last() else {
            // The root must be an object.
            return match out.chunk.get(at.saturating_sub(1)) {
                Some(b'{') => Ok(()),
                _ => Err(CutError::NotAnObject),
            };
        };
        if frame.object {
            return Ok(());
        }
        let (place, unknown) = self.rules.elements(frame.place);
        self.place = place;
        if self.removing.is_none() {
            out.mark(at.saturating_sub(1));
            if unknown || self.rules.action(place).remove {
                self.remove(at, out);
            }
        }
        Ok(())
    }

    fn container_start(
        &mut self,
        object: bool,
        at: usize,
        out: &mut ChunkOutput<'_, impl CutSink>,
    ) {
        self.set(self.rules.action(self.place), CapturedValue::Container);
        if self.removing.is_none() {
            out.mark(at);
        }
        let watched = object && self.rules.watched(self.place);
        let frame = ContainerFrame::new(object, self.place, watched, &self.names);
        self.frames.push(frame);
    }

    /// Removes a value that no rule names as removed, and reports its member's name.
    pub(super) fn keep_back(&mut self, at: usize, out: &mut ChunkOutput<'_, impl CutSink>) {
        if self.frames.last().is_some_and(|frame| frame.object) {
            out.kept_back(self.name.start());
        }
        self.remove(at, out);
    }

    fn remove(&mut self, at: usize, out: &mut ChunkOutput<'_, impl CutSink>) {
        let sink = out.roll_back(at);
        if self.frames.last().is_some_and(|frame| !frame.object) {
            sink.insert(b"null");
        }
        self.removing = Some(self.frames.len());
    }

    fn value_end(&mut self, at: usize, out: &mut ChunkOutput<'_, impl CutSink>) {
        if self.removing == Some(self.frames.len()) {
            self.removing = None;
            out.skip(at);
        } else if self.removing.is_none()
            && let Some(frame) = self.frames.last_mut()
        {
            frame.kept_any = true;
        }
    }

    pub(super) fn set(&mut self, action: NodeAction, value: CapturedValue) {
        let slot = action.capture.and_then(|slot| self.values.get_mut(slot));
        if let Some(slot) = slot {
            *slot = value;
        }
    }
}
