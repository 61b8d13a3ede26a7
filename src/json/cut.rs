//! Cutting a JSON document while it arrives: follows the scanner's events with [`CutRules`] and tells a [`CutSink`] which
//! bytes stay, byte for byte as they came.
//!
//! Whether a member stays is known only behind its name, or in a long string. So the cut sets a mark in front of the
//! member, passes its bytes on, and takes them back to the mark when the member has to go.

use super::{
    CutError,
    rules::{CaptureSlot, CutRules, NodeAction, NodeIndex},
    scanner::{JsonEvent, JsonScanner},
    sink::{CapturedValue, CutSink, PendingChunk},
    state::{ContainerFrame, CurrentScalar, FrameStack, MemberName, NameHashes},
};

/// A cut under way.
pub struct JsonCut<'r> {
    pub(super) rules: &'r CutRules,
    pub(super) scanner: JsonScanner,
    pub(super) frames: FrameStack,
    /// Hashes of the names in the open objects that are watched.
    pub(super) names: NameHashes,
    name: MemberName,
    /// The place and fate of the value that comes next or is being read.
    place: Option<NodeIndex>,
    scalar: Option<CurrentScalar>,
    /// Depth of the container whose member or element is being left out.
    pub(super) removing: Option<usize>,
    values: Vec<CapturedValue>,
}

impl<'r> JsonCut<'r> {
    /// A cut that has seen nothing yet.
    pub fn new(rules: &'r CutRules) -> Self {
        Self {
            rules,
            scanner: JsonScanner::default(),
            frames: FrameStack::new(),
            names: NameHashes::new(),
            name: MemberName::new(rules.seed),
            place: Some(CutRules::ROOT),
            scalar: None,
            removing: None,
            values: vec![CapturedValue::Absent; rules.slots()],
        }
    }

    /// Takes the next bytes of the document.
    ///
    /// # Errors
    /// The document is unfit; nothing of it may be used.
    pub fn feed(&mut self, chunk: &[u8], sink: &mut impl CutSink) -> Result<(), CutError> {
        let mut run = PendingChunk::new(chunk, sink);
        let mut at = 0;
        loop {
            self.plain_members(&mut at, &mut run)?;
            let before = at;
            let event = self.scanner.next(chunk, &mut at)?;
            let bytes = chunk.get(before..at).unwrap_or_default();
            match event {
                Some(event) => {
                    self.on(event, bytes, at, &mut run)?;
                    if matches!(event, JsonEvent::KeyStart | JsonEvent::StringStart)
                        && let Some(text) = self.scanner.short(chunk, &mut at)
                    {
                        self.short(text, at, &mut run)?;
                    }
                }
                None => {
                    self.more(bytes, &mut run);
                    break;
                }
            }
        }
        if self.removing.is_none() {
            let stays = |scalar: &CurrentScalar| self.stays(scalar);
            let sink = run.flush(chunk.len());
            if self.scalar.as_ref().is_some_and(stays) {
                sink.mark();
            }
        }
        Ok(())
    }

    /// Says that the document is over; the wanted values by their slots.
    ///
    /// # Errors
    /// The document is not whole.
    pub fn finish(mut self) -> Result<Vec<CapturedValue>, CutError> {
        self.scanner.finish()?;
        Ok(self.values)
    }

    fn on(
        &mut self,
        event: JsonEvent,
        bytes: &[u8],
        at: usize,
        run: &mut PendingChunk<'_, impl CutSink>,
    ) -> Result<(), CutError> {
        match event {
            JsonEvent::Colon => {}
            JsonEvent::Comma => self.comma(at, run),
            JsonEvent::KeyStart => self.key_start(at, run),
            JsonEvent::KeyEnd => self.key_end(at, run)?,
            JsonEvent::Text | JsonEvent::Letters | JsonEvent::Escaped(_) => {
                self.text(event, bytes, at, run)
            }
            JsonEvent::ScalarStart | JsonEvent::StringStart => {
                self.value_start(at, run)?;
                self.scalar_start(event == JsonEvent::StringStart, bytes, at, run);
            }
            JsonEvent::ScalarEnd | JsonEvent::StringEnd => {
                self.more_scalar(bytes, at, run);
                self.scalar_end(at, run);
                self.value_end(at, run);
            }
            JsonEvent::ObjectStart | JsonEvent::ArrayStart => {
                self.value_start(at, run)?;
                self.container_start(event == JsonEvent::ObjectStart, at, run);
            }
            JsonEvent::ObjectEnd | JsonEvent::ArrayEnd => {
                if let [root] = self.frames.as_slice() {
                    run.flush(at.saturating_sub(1)).end(!root.kept_any);
                }
                if let Some(frame) = self.frames.pop() {
                    frame.close(&mut self.names);
                }
                self.value_end(at, run);
            }
        }
        Ok(())
    }

    /// A whole name or string.
    fn short(
        &mut self,
        text: &[u8],
        at: usize,
        run: &mut PendingChunk<'_, impl CutSink>,
    ) -> Result<(), CutError> {
        if !text.is_empty() {
            self.text(JsonEvent::Text, text, at, run);
        }
        if self.scalar.is_none() {
            return self.key_end(at, run);
        }
        self.scalar_end(at, run);
        self.value_end(at, run);
        Ok(())
    }

    /// In front of a member: its comma goes with it, and the first that stays has none.
    fn comma(&mut self, at: usize, run: &mut PendingChunk<'_, impl CutSink>) {
        let Some(frame) = self.frames.last() else {
            return;
        };
        if self.removing.is_some() || !frame.object {
            return;
        }
        run.mark(at.saturating_sub(1));
        if !frame.kept_any {
            run.skip(at);
        }
    }

    fn key_start(&mut self, at: usize, run: &mut PendingChunk<'_, impl CutSink>) {
        self.name.begin();
        let frame = self.frames.last();
        if self.removing.is_none() && frame.is_some_and(|frame| !frame.kept_any) {
            run.mark(at.saturating_sub(1));
        }
    }

    fn key_end(
        &mut self,
        at: usize,
        run: &mut PendingChunk<'_, impl CutSink>,
    ) -> Result<(), CutError> {
        let depth = self.frames.len();
        let Some(frame) = self.frames.last() else {
            return Ok(());
        };
        frame.note(self.name.hash(), &mut self.names)?;
        let (place, unknown) = self.rules.member(frame.place, self.name.known());
        self.place = place;
        let too_long = self
            .rules
            .max_scalar
            .is_some_and(|most| self.name.raw_len() > most);
        if self.removing.is_none() && (unknown || too_long || self.rules.action(place).remove) {
            self.remove(depth, at, run);
        }
        Ok(())
    }

    /// Behind a name, or in front of an array's element or the root.
    fn value_start(
        &mut self,
        at: usize,
        run: &mut PendingChunk<'_, impl CutSink>,
    ) -> Result<(), CutError> {
        let Some(frame) = self.frames.last() else {
            // Only an object may be the root; the container's own start settles which it is.
            return if run.chunk.get(at.saturating_sub(1)) == Some(&b'{') {
                Ok(())
            } else {
                Err(CutError::NotAnObject)
            };
        };
        if frame.object {
            return Ok(());
        }
        self.place = self.rules.elements(frame.place);
        if self.removing.is_none() {
            run.mark(at.saturating_sub(1));
            if self.rules.action(self.place).remove {
                self.remove(self.frames.len(), at, run);
            }
        }
        Ok(())
    }

    fn container_start(
        &mut self,
        object: bool,
        at: usize,
        run: &mut PendingChunk<'_, impl CutSink>,
    ) {
        self.set(self.rules.action(self.place), CapturedValue::Container);
        if self.removing.is_none() {
            run.mark(at);
        }
        let watched = object && self.rules.watched(self.place);
        let frame = ContainerFrame::new(object, self.place, watched, &self.names);
        self.frames.push(frame);
    }

    fn scalar_start(
        &mut self,
        string: bool,
        bytes: &[u8],
        at: usize,
        run: &mut PendingChunk<'_, impl CutSink>,
    ) {
        let action = self.rules.action(self.place);
        let scalar = CurrentScalar::begin(action, string, bytes);
        if self.removing.is_none() {
            if action.replace {
                run.mark(at.saturating_sub(1));
            } else if self.stays(&scalar) {
                run.mark(at);
            }
            if action.stream {
                run.flush(at);
            }
        }
        self.scalar = Some(scalar);
    }

    /// Whether nothing can take a scalar out any more once its member is not being removed, so that a long string need not
    /// wait for its end.
    fn stays(&self, scalar: &CurrentScalar) -> bool {
        self.rules.max_scalar.is_none() && !scalar.action.replace
    }

    /// Bytes that the scanner used without an event: a part of an escape, of a number or a literal, or white space.
    fn more(&mut self, bytes: &[u8], run: &mut PendingChunk<'_, impl CutSink>) {
        match &mut self.scalar {
            Some(scalar) if scalar.string => {
                // The first half of an escape; its decoded character comes with the rest.
                scalar.raw_length = scalar.raw_length.saturating_add(bytes.len());
                self.too_long(run.chunk.len(), run);
            }
            Some(_) => self.more_scalar(bytes, run.chunk.len(), run),
            // The same in a name. Outside of one it does not matter: each name starts to count anew.
            None => self.name.part_of_escape(bytes.len()),
        }
    }

    fn more_scalar(&mut self, bytes: &[u8], at: usize, run: &mut PendingChunk<'_, impl CutSink>) {
        if let Some(scalar) = &mut self.scalar
            && !scalar.string
        {
            scalar.raw_length = scalar.raw_length.saturating_add(bytes.len());
            if scalar.action.capture.is_some() {
                scalar.take(bytes);
            }
            self.too_long(at, run);
        }
    }

    fn text(
        &mut self,
        event: JsonEvent,
        bytes: &[u8],
        at: usize,
        run: &mut PendingChunk<'_, impl CutSink>,
    ) {
        let mut buffer = [0; 4];
        let decoded = match event {
            JsonEvent::Escaped(decoded) => decoded.encode_utf8(&mut buffer).as_bytes(),
            _ => bytes,
        };
        match &mut self.scalar {
            Some(scalar) => {
                scalar.raw_length = scalar.raw_length.saturating_add(bytes.len());
                if scalar.action.stream {
                    run.text(decoded, event == JsonEvent::Letters);
                } else if scalar.action.capture.is_some() {
                    scalar.take(decoded);
                }
                self.too_long(at, run);
            }
            None => self.name.take(decoded, bytes.len()),
        }
    }

    /// Takes a scalar out as soon as it is longer than allowed, not only at its end.
    fn too_long(&mut self, at: usize, run: &mut PendingChunk<'_, impl CutSink>) {
        let long = match (&self.scalar, self.rules.max_scalar) {
            // What is replaced is not passed on at any length.
            (Some(scalar), Some(most)) if !scalar.action.replace => scalar.raw_length > most,
            _ => false,
        };
        if long && self.removing.is_none() {
            self.remove(self.frames.len(), at, run);
        }
    }

    fn remove(&mut self, depth: usize, at: usize, run: &mut PendingChunk<'_, impl CutSink>) {
        let sink = run.take_back(at);
        if self.frames.last().is_some_and(|frame| !frame.object) {
            sink.insert(b"null");
        }
        self.removing = Some(depth);
    }

    fn scalar_end(&mut self, at: usize, run: &mut PendingChunk<'_, impl CutSink>) {
        let Some(scalar) = self.scalar.take() else {
            return;
        };
        let action = scalar.action;
        let value = scalar.value();
        if let Some(slot) = action.capture.filter(|_| action.replace)
            && self.removing.is_none()
        {
            run.take_back(at).replace(slot, &value);
        }
        self.set(action, value);
    }

    fn value_end(&mut self, at: usize, run: &mut PendingChunk<'_, impl CutSink>) {
        if self.removing == Some(self.frames.len()) {
            self.removing = None;
            run.skip(at);
        } else if self.removing.is_none()
            && let Some(frame) = self.frames.last_mut()
        {
            frame.kept_any = true;
        }
    }

    pub(super) fn set(&mut self, action: NodeAction, value: CapturedValue) {
        if let Some(place) = action
            .capture
            .and_then(|slot: CaptureSlot| self.values.get_mut(slot))
        {
            *place = value;
        }
    }
}
