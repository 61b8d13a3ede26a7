//! Cutting a JSON document while it arrives: follows the scanner's events with [`Rules`] and tells a [`Sink`] which
//! bytes stay, byte for byte as they came.
//!
//! Whether a member stays is known only behind its name, or in a long string. So the cut sets a mark in front of the
//! member, passes its bytes on, and takes them back to the mark when the member has to go.

use std::{
    collections::HashSet,
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
};

use super::{
    rules::{Action, Place, Rules, Slot},
    scanner::{Error, Event, Scanner},
    sink::Sink,
    value::{MAX_CAPTURE, Scalar, Value},
};

/// Members of an object in which duplicates are looked for.
const MAX_MEMBERS: usize = 1024;

/// Why a document can't be cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CutError {
    /// Not JSON.
    Json(Error),
    /// JSON, but not an object.
    NotAnObject,
    /// A member stands twice where that would be ambiguous.
    DuplicateKey,
    /// Over 1,024 members in an object that is looked at.
    TooManyMembers,
}

impl fmt::Display for CutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => error.fmt(f),
            Self::NotAnObject => f.write_str("the JSON is not an object"),
            Self::DuplicateKey => f.write_str("an object has two members of the same name"),
            Self::TooManyMembers => f.write_str("an object has more than 1024 members"),
        }
    }
}

impl From<Error> for CutError {
    fn from(error: Error) -> Self {
        Self::Json(error)
    }
}

/// A cut under way.
pub struct Cut<'r> {
    rules: &'r Rules,
    scanner: Scanner,
    frames: Vec<Frame>,
    hashes: RandomState,
    /// The member name being read: its first bytes, its length (decoded, and in the document), its hash.
    key: Vec<u8>,
    key_length: usize,
    key_raw_length: usize,
    key_hash: Option<std::hash::DefaultHasher>,
    /// The place and fate of the value that comes next or is being read.
    place: Option<Place>,
    scalar: Option<Scalar>,
    /// Depth of the container whose member or element is being left out.
    removing: Option<usize>,
    values: Vec<Value>,
}

struct Frame {
    object: bool,
    place: Option<Place>,
    kept_any: bool,
    seen: Option<HashSet<u64>>,
}

/// The bytes of the chunk from `from` on are still to be passed to the sink; `None` while removing.
struct Run<'c> {
    chunk: &'c [u8],
    from: usize,
}

impl Run<'_> {
    fn flush(&mut self, to: usize, sink: &mut impl Sink) {
        if let Some(bytes) = self
            .chunk
            .get(self.from..to)
            .filter(|bytes| !bytes.is_empty())
        {
            sink.keep(bytes);
        }
        self.from = to;
    }
}

impl<'r> Cut<'r> {
    /// A cut that has seen nothing yet.
    pub fn new(rules: &'r Rules) -> Self {
        Self {
            rules,
            scanner: Scanner::default(),
            frames: Vec::new(),
            hashes: RandomState::new(),
            key: Vec::new(),
            key_length: 0,
            key_raw_length: 0,
            key_hash: None,
            place: Some(Rules::ROOT),
            scalar: None,
            removing: None,
            values: vec![Value::Absent; rules.slots()],
        }
    }

    /// Takes the next bytes of the document.
    ///
    /// # Errors
    /// The document is unfit; nothing of it may be used.
    pub fn feed(&mut self, chunk: &[u8], sink: &mut impl Sink) -> Result<(), CutError> {
        let mut run = Run { chunk, from: 0 };
        let mut at = 0;
        loop {
            let before = at;
            let event = self.scanner.next(chunk, &mut at)?;
            let bytes = chunk.get(before..at).unwrap_or_default();
            match event {
                Some(event) => self.on(event, bytes, at, &mut run, sink)?,
                None => {
                    self.more(bytes, &mut run, sink);
                    break;
                }
            }
        }
        if self.removing.is_none() {
            run.flush(chunk.len(), sink);
        }
        Ok(())
    }

    /// Says that the document is over; the wanted values by their slots.
    ///
    /// # Errors
    /// The document is not whole.
    pub fn finish(mut self) -> Result<Vec<Value>, CutError> {
        self.scanner.finish()?;
        Ok(self.values)
    }

    fn on(
        &mut self,
        event: Event,
        bytes: &[u8],
        at: usize,
        run: &mut Run<'_>,
        sink: &mut impl Sink,
    ) -> Result<(), CutError> {
        match event {
            Event::Colon => {}
            Event::Comma => self.comma(at, run, sink),
            Event::KeyStart => self.key_start(at, run, sink),
            Event::KeyEnd => self.key_end(at, run, sink)?,
            Event::Text | Event::Escaped(_) => self.text(event, bytes, at, run, sink),
            Event::ScalarStart | Event::StringStart => {
                self.value_start(at, run, sink)?;
                self.scalar_start(event == Event::StringStart, bytes, at, run, sink);
            }
            Event::ScalarEnd | Event::StringEnd => {
                self.more_scalar(bytes, at, run, sink);
                self.scalar_end();
                self.value_end(at, run);
            }
            Event::ObjectStart | Event::ArrayStart => {
                self.value_start(at, run, sink)?;
                self.container_start(event == Event::ObjectStart, at, run, sink);
            }
            Event::ObjectEnd | Event::ArrayEnd => {
                self.frames.pop();
                self.value_end(at, run);
            }
        }
        Ok(())
    }

    /// In front of a member: its comma goes with it, and the first that stays has none.
    fn comma(&mut self, at: usize, run: &mut Run<'_>, sink: &mut impl Sink) {
        let Some(frame) = self.frames.last() else {
            return;
        };
        if self.removing.is_some() || !frame.object {
            return;
        }
        run.flush(at.saturating_sub(1), sink);
        sink.mark();
        if !frame.kept_any {
            run.from = at;
        }
    }

    fn key_start(&mut self, at: usize, run: &mut Run<'_>, sink: &mut impl Sink) {
        self.key.clear();
        self.key_length = 0;
        self.key_raw_length = 0;
        let frame = self.frames.last();
        self.key_hash = frame
            .and_then(|frame| frame.seen.as_ref())
            .map(|_| self.hashes.build_hasher());
        if self.removing.is_none() && frame.is_some_and(|frame| !frame.kept_any) {
            run.flush(at.saturating_sub(1), sink);
            sink.mark();
        }
    }

    fn key_end(
        &mut self,
        at: usize,
        run: &mut Run<'_>,
        sink: &mut impl Sink,
    ) -> Result<(), CutError> {
        let depth = self.frames.len();
        let Some(frame) = self.frames.last_mut() else {
            return Ok(());
        };
        if let (Some(seen), Some(hash)) = (&mut frame.seen, self.key_hash.take()) {
            if seen.len() >= MAX_MEMBERS {
                return Err(CutError::TooManyMembers);
            }
            if !seen.insert(hash.finish()) {
                return Err(CutError::DuplicateKey);
            }
        }
        let name = if self.key_length == self.key.len() {
            self.key.as_slice()
        } else {
            &[]
        };
        let (place, unknown) = self.rules.member(frame.place, name);
        self.place = place;
        let too_long = self
            .rules
            .max_scalar
            .is_some_and(|most| self.key_raw_length > most);
        if self.removing.is_none() && (unknown || too_long || self.rules.action(place).remove) {
            self.remove(depth, at, run, sink);
        }
        Ok(())
    }

    /// Behind a name, or in front of an array's element or the root.
    fn value_start(
        &mut self,
        at: usize,
        run: &mut Run<'_>,
        sink: &mut impl Sink,
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
            run.flush(at.saturating_sub(1), sink);
            sink.mark();
            if self.rules.action(self.place).remove {
                self.remove(self.frames.len(), at, run, sink);
            }
        }
        Ok(())
    }

    fn container_start(
        &mut self,
        object: bool,
        at: usize,
        run: &mut Run<'_>,
        sink: &mut impl Sink,
    ) {
        self.set(self.rules.action(self.place), Value::Container);
        if self.removing.is_none() {
            run.flush(at, sink);
            sink.mark();
        }
        let seen = (object && self.rules.watched(self.place)).then(HashSet::new);
        self.frames.push(Frame {
            object,
            place: self.place,
            kept_any: false,
            seen,
        });
    }

    fn scalar_start(
        &mut self,
        string: bool,
        bytes: &[u8],
        at: usize,
        run: &mut Run<'_>,
        sink: &mut impl Sink,
    ) {
        let action = self.rules.action(self.place);
        let mut decoded = Vec::new();
        if !string && action.capture.is_some() {
            decoded.extend(bytes.last());
        }
        self.scalar = Some(Scalar {
            action,
            string,
            raw_length: usize::from(!string),
            decoded,
        });
        if self.rules.max_scalar.is_none() && self.removing.is_none() {
            // Nothing can take this member out any more, so a long string need not wait for its end.
            run.flush(at, sink);
            sink.mark();
        }
    }

    /// Bytes that the scanner used without an event: a part of an escape, of a number or a literal, or white space.
    fn more(&mut self, bytes: &[u8], run: &mut Run<'_>, sink: &mut impl Sink) {
        match &mut self.scalar {
            Some(scalar) if scalar.string => {
                // The first half of an escape; its decoded character comes with the rest.
                scalar.raw_length = scalar.raw_length.saturating_add(bytes.len());
                self.too_long(run.chunk.len(), run, sink);
            }
            Some(_) => self.more_scalar(bytes, run.chunk.len(), run, sink),
            // The same in a name. Outside of one it does not matter: each name starts to count anew.
            None => self.key_raw_length = self.key_raw_length.saturating_add(bytes.len()),
        }
    }

    fn more_scalar(&mut self, bytes: &[u8], at: usize, run: &mut Run<'_>, sink: &mut impl Sink) {
        if let Some(scalar) = &mut self.scalar
            && !scalar.string
        {
            scalar.raw_length = scalar.raw_length.saturating_add(bytes.len());
            if scalar.action.capture.is_some() {
                scalar.take(bytes);
            }
            self.too_long(at, run, sink);
        }
    }

    fn text(
        &mut self,
        event: Event,
        bytes: &[u8],
        at: usize,
        run: &mut Run<'_>,
        sink: &mut impl Sink,
    ) {
        let mut buffer = [0; 4];
        let decoded = match event {
            Event::Escaped(decoded) => decoded.encode_utf8(&mut buffer).as_bytes(),
            _ => bytes,
        };
        match &mut self.scalar {
            Some(scalar) => {
                scalar.raw_length = scalar.raw_length.saturating_add(bytes.len());
                if scalar.action.stream {
                    sink.text(decoded);
                } else if scalar.action.capture.is_some() {
                    scalar.take(decoded);
                }
                self.too_long(at, run, sink);
            }
            None => {
                self.key_raw_length = self.key_raw_length.saturating_add(bytes.len());
                self.key_length = self.key_length.saturating_add(decoded.len());
                if self.key_length <= MAX_CAPTURE {
                    self.key.extend_from_slice(decoded);
                }
                if let Some(hash) = &mut self.key_hash {
                    hash.write(decoded);
                }
            }
        }
    }

    /// Takes a scalar out as soon as it is longer than allowed, not only at its end.
    fn too_long(&mut self, at: usize, run: &mut Run<'_>, sink: &mut impl Sink) {
        let long = match (&self.scalar, self.rules.max_scalar) {
            (Some(scalar), Some(most)) => scalar.raw_length > most,
            _ => false,
        };
        if long && self.removing.is_none() {
            self.remove(self.frames.len(), at, run, sink);
        }
    }

    fn remove(&mut self, depth: usize, at: usize, run: &mut Run<'_>, sink: &mut impl Sink) {
        sink.rollback();
        if self.frames.last().is_some_and(|frame| !frame.object) {
            sink.insert(b"null");
        }
        run.from = at;
        self.removing = Some(depth);
    }

    fn scalar_end(&mut self) {
        let Some(scalar) = self.scalar.take() else {
            return;
        };
        let action = scalar.action;
        let value = scalar.value();
        self.set(action, value);
    }

    fn value_end(&mut self, at: usize, run: &mut Run<'_>) {
        if self.removing == Some(self.frames.len()) {
            self.removing = None;
            run.from = at;
        } else if self.removing.is_none()
            && let Some(frame) = self.frames.last_mut()
        {
            frame.kept_any = true;
        }
    }

    fn set(&mut self, action: Action, value: Value) {
        if let Some(place) = action
            .capture
            .and_then(|slot: Slot| self.values.get_mut(slot))
        {
            *place = value;
        }
    }
}
