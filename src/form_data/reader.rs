//! Finds the parts of a form, strictly by RFC 2046 section 5.1.1: lines end with CR LF, and every
//! boundary begins a line.
//!
//! The text between the boundaries is searched for the whole delimiter, a line break included. It
//! holds one carriage return, its first byte, so at the end of a piece at most one place can be the
//! beginning of a delimiter. That much is remembered as a number, never as bytes.

use std::ops::Range;

use memchr::{memchr, memmem::Finder, memrchr};

use super::{
    Boundary, FormError, MAX_HEAD, MAX_PARTS,
    part::{self, PartHead},
};
use crate::wipe::{self, WipedVec};

/// Length of the line break that a delimiter begins with, in bytes.
const LINE_BREAK: usize = 2;

/// What was found in a form.
#[derive(Debug, PartialEq, Eq)]
pub enum FormEvent<'a> {
    /// A part begins.
    Part(PartHead<'a>),
    /// The next bytes of its content.
    Content(&'a [u8]),
    /// The part is complete.
    End,
}

/// Reads a form that arrives in pieces.
pub struct FormReader {
    /// Finds the delimiter: a line break, two hyphens and the boundary.
    finder: Finder<'static>,
    state: FormState,
    /// Whether a part has begun. What precedes the first boundary is ignored.
    in_part: bool,
    /// The bytes of a delimiter that the last piece ended with, as their place in it. Those before
    /// it are taken as given: at the start of a form or of a content, a line begins.
    held: Range<usize>,
    head: WipedVec,
    /// Where the current line of the header begins.
    line: usize,
    parts: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FormState {
    /// The content of a part, or what precedes the first.
    Content,
    /// Behind a boundary.
    Boundary,
    /// Behind a boundary and a hyphen.
    Hyphen,
    /// Behind a boundary and blanks.
    Padding,
    /// Behind a boundary and a carriage return.
    Return,
    /// The header of a part.
    Head,
    /// Behind the last boundary. What follows is ignored.
    End,
}

/// What the search for a delimiter found.
enum Found<'a> {
    /// The delimiter.
    Delimiter,
    /// Content of this piece.
    Content(&'a [u8]),
    /// This part of the delimiter turned out to be content.
    Held(Range<usize>),
    /// Nothing else in this piece.
    Nothing,
}

impl FormReader {
    /// A reader of a form with this boundary.
    pub fn new(boundary: &Boundary) -> Self {
        let delimiter = [b"\r\n--", &*boundary.0].concat();
        Self {
            finder: Finder::new(&delimiter).into_owned(),
            state: FormState::Content,
            in_part: false,
            held: LINE_BREAK..LINE_BREAK,
            head: WipedVec::default(),
            line: 0,
            parts: 0,
        }
    }

    /// The next event in `piece`, which is moved behind it; `None` if there is none in the rest.
    ///
    /// # Errors
    /// The bytes are not a form.
    pub fn next<'r, 'p: 'r>(
        &'r mut self,
        piece: &mut &'p [u8],
    ) -> Result<Option<FormEvent<'r>>, FormError> {
        while !piece.is_empty() {
            match self.state {
                FormState::Content => match self.search(piece) {
                    Found::Content(content) if self.in_part => {
                        return Ok(Some(FormEvent::Content(content)));
                    }
                    Found::Held(place) if self.in_part => {
                        let held = self.finder.needle().get(place);
                        return Ok(Some(FormEvent::Content(held.unwrap_or_default())));
                    }
                    Found::Delimiter => {
                        self.state = FormState::Boundary;
                        if std::mem::take(&mut self.in_part) {
                            return Ok(Some(FormEvent::End));
                        }
                    }
                    Found::Content(_) | Found::Held(_) | Found::Nothing => {}
                },
                FormState::Head => {
                    if self.head_ends(piece)? {
                        self.begin()?;
                        return Ok(Some(FormEvent::Part(part::read(&self.head)?)));
                    }
                }
                FormState::End => *piece = &[],
                _ => self.boundary(piece)?,
            }
        }
        Ok(None)
    }

    /// Checks that the form is complete.
    ///
    /// # Errors
    /// `Incomplete`.
    pub fn finish(&self) -> Result<(), FormError> {
        match self.state {
            FormState::End => Ok(()),
            _ => Err(FormError::Incomplete),
        }
    }

    /// Searches for the delimiter.
    fn search<'a>(&mut self, piece: &mut &'a [u8]) -> Found<'a> {
        let delimiter = self.finder.needle();
        if self.held.end > 0 {
            let wanted = delimiter.get(self.held.end..).unwrap_or_default();
            let same = piece.iter().zip(wanted).take_while(|(a, b)| a == b).count();
            self.held.end += same;
            *piece = piece.get(same..).unwrap_or_default();
            if self.held.end == delimiter.len() {
                self.held = 0..0;
                return Found::Delimiter;
            }
            if piece.is_empty() {
                return Found::Nothing;
            }
            let content = std::mem::take(&mut self.held);
            if !content.is_empty() {
                return Found::Held(content);
            }
        }
        let begun = match self.finder.find(piece) {
            Some(0) => {
                *piece = piece.get(delimiter.len()..).unwrap_or_default();
                return Found::Delimiter;
            }
            Some(at) => {
                let (content, rest) = piece.split_at(at);
                *piece = rest;
                return Found::Content(content);
            }
            None => begun(delimiter, piece),
        };
        let (content, _) = piece.split_at(piece.len().saturating_sub(begun));
        self.held = 0..begun;
        *piece = &[];
        match content {
            [] => Found::Nothing,
            content => Found::Content(content),
        }
    }

    /// Reads one byte behind a boundary.
    fn boundary(&mut self, piece: &mut &[u8]) -> Result<(), FormError> {
        let Some((byte, rest)) = piece.split_first() else {
            return Ok(());
        };
        *piece = rest;
        self.state = match (self.state, byte) {
            (FormState::Boundary, b'-') => FormState::Hyphen,
            (FormState::Hyphen, b'-') => FormState::End,
            (FormState::Boundary | FormState::Padding, b' ' | b'\t') => FormState::Padding,
            (FormState::Boundary | FormState::Padding, b'\r') => FormState::Return,
            (FormState::Boundary | FormState::Padding, b'\n') => return Err(FormError::LineEnd),
            (FormState::Return, b'\n') => {
                self.head.wipe();
                self.line = 0;
                FormState::Head
            }
            _ => return Err(FormError::Boundary),
        };
        Ok(())
    }

    /// Takes the next bytes of a header, and returns whether its last line is complete.
    fn head_ends(&mut self, piece: &mut &[u8]) -> Result<bool, FormError> {
        while !piece.is_empty() {
            let end = memchr(b'\n', piece);
            let taken = end.map_or(piece.len(), |end| end.saturating_add(1));
            let (bytes, rest) = piece.split_at(taken);
            *piece = rest;
            if self.head.len().saturating_add(bytes.len()) > MAX_HEAD {
                return Err(FormError::LongHead);
            }
            wipe::append(&mut self.head, bytes);
            if end.is_none() {
                break;
            }
            match self.head.get(self.line..) {
                Some(b"\r\n") => return Ok(true),
                Some([.., b'\r', b'\n']) => self.line = self.head.len(),
                _ => return Err(FormError::LineEnd),
            }
        }
        Ok(false)
    }

    /// Begins the content of a part.
    fn begin(&mut self) -> Result<(), FormError> {
        self.parts = self.parts.saturating_add(1);
        if self.parts > MAX_PARTS {
            return Err(FormError::TooManyParts);
        }
        self.state = FormState::Content;
        self.in_part = true;
        self.held = LINE_BREAK..LINE_BREAK;
        Ok(())
    }
}

/// How many bytes at the end of `piece` are the beginning of a delimiter.
fn begun(delimiter: &[u8], piece: &[u8]) -> usize {
    let longest = delimiter.len().saturating_sub(1);
    let end = piece.len().saturating_sub(longest);
    let end = piece.get(end..).unwrap_or_default();
    let begun = memrchr(b'\r', end).and_then(|at| end.get(at..));
    begun
        .filter(|begun| delimiter.starts_with(begun))
        .map_or(0, <[u8]>::len)
}
