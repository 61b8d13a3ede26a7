//! Where each HTTP/1.1 message of a connection ends, read by the letter of RFC 9112.
//!
//! hyper's parsers forgive what other parsers read in another way: bare line feeds, text behind
//! the last chunk, repeated lengths. Two readings of one stream are how a request is smuggled
//! past a front. [`MessageFraming`] reads the stream before hyper does, and lets no byte pass
//! from the first one that breaks the grammar, so hyper and the wire can't disagree. It relies
//! on hyper for everything else in a head, and never copies a body.

use memchr::memchr2;

pub(super) use self::grammar::FramingError;
use self::grammar::{check_target, chunk_size, field_name, number, trim};

mod grammar;

/// Longest line that frames a body, and longest begin of a line that is kept until the rest of it
/// arrives, in bytes. Field lines of a head may be longer: hyper limits them.
const MAX_LINE: usize = 1024;

/// The names of the fields that frame a body. hyper refuses blanks before their colon.
const LENGTH: &[u8] = b"content-length";
const CODING: &[u8] = b"transfer-encoding";

/// The position in the stream, at any byte.
pub(super) struct MessageFraming {
    state: FramingState,
    /// The begin of a line whose end has not arrived.
    partial: Vec<u8>,
    /// Bytes read of a head that is not complete.
    head_bytes: usize,
    head: MessageHead,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FramingState {
    /// Before the first line of a head.
    Start,
    /// Between the field lines of a head.
    Fields,
    /// In a body of so many more bytes.
    Body(u64),
    /// At a chunk's size.
    ChunkSize,
    /// In a chunk of so many more bytes.
    ChunkData(u64),
    /// At the line break behind a chunk's data.
    ChunkEnd,
    /// Between the lines of the trailer section.
    Trailers,
}

/// What the field lines of one head say of its body.
#[derive(Clone, Copy, Default)]
struct MessageHead {
    http10: bool,
    length: Option<u64>,
    chunked: bool,
}

impl MessageFraming {
    pub(super) fn new() -> Self {
        Self {
            state: FramingState::Start,
            partial: Vec::new(),
            head_bytes: 0,
            head: MessageHead::default(),
        }
    }

    /// Whether the stream is between two messages, or in the head of one.
    pub(super) fn in_head(&self) -> bool {
        matches!(self.state, FramingState::Start | FramingState::Fields)
    }

    /// How many bytes of a head have been read that is not complete.
    pub(super) fn head_bytes(&self) -> usize {
        self.head_bytes
    }

    /// Reads the next bytes of the stream.
    ///
    /// # Errors
    /// The number of bytes before the line that breaks the grammar, and how it does. Nothing
    /// may be read afterwards.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<(), (usize, FramingError)> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let before = bytes.len() - rest.len();
            let taken = rest.len();
            rest = self.step(rest).map_err(|error| (before, error))?;
            self.head_bytes = match self.state {
                FramingState::Start if self.partial.is_empty() => 0,
                FramingState::Start | FramingState::Fields => {
                    self.head_bytes.saturating_add(taken - rest.len())
                }
                _ => 0,
            };
        }
        Ok(())
    }

    /// Reads a part of a body, or a line.
    fn step<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], FramingError> {
        match &mut self.state {
            FramingState::Body(left) => {
                let (taken, rest) = split(bytes, *left);
                *left -= taken;
                if *left == 0 {
                    self.state = FramingState::Start;
                }
                Ok(rest)
            }
            FramingState::ChunkData(left) => {
                let (taken, rest) = split(bytes, *left);
                *left -= taken;
                if *left == 0 {
                    self.state = FramingState::ChunkEnd;
                }
                Ok(rest)
            }
            FramingState::Start
            | FramingState::Fields
            | FramingState::ChunkSize
            | FramingState::ChunkEnd
            | FramingState::Trailers => self.line(bytes),
        }
    }

    /// Reads up to the end of a line, or keeps the begin of one.
    fn line<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], FramingError> {
        // A carriage return may be the last byte that has arrived.
        let open = self.partial.last() == Some(&b'\r');
        let end = match memchr2(b'\r', b'\n', bytes) {
            Some(at) if open && (at > 0 || bytes.first() != Some(&b'\n')) => {
                return Err(FramingError::BareLineBreak);
            }
            None if open => return Err(FramingError::BareLineBreak),
            Some(0) if open => 1,
            None => {
                self.keep(bytes);
                return Ok(&[]);
            }
            Some(at) => match bytes.get(at..) {
                Some([b'\r', b'\n', ..]) => at + 2,
                Some([b'\r']) => {
                    self.keep(bytes);
                    return Ok(&[]);
                }
                _ => return Err(FramingError::BareLineBreak),
            },
        };
        let (line, rest) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
        if self.partial.is_empty() {
            let line = line.strip_suffix(b"\r\n").unwrap_or(line);
            self.state = next(self.state, &mut self.head, line)?;
        } else {
            self.keep(line);
            let partial = std::mem::take(&mut self.partial);
            let line = partial.strip_suffix(b"\r\n").unwrap_or(&partial);
            self.state = next(self.state, &mut self.head, line)?;
        }
        Ok(rest)
    }

    fn keep(&mut self, bytes: &[u8]) {
        // Of a long line the begin is enough to tell its name, and its last byte is needed.
        let room = MAX_LINE.saturating_sub(self.partial.len());
        self.partial.extend(bytes.iter().take(room));
        if bytes.len() > room {
            self.partial.pop();
            self.partial.extend(bytes.last());
        }
    }
}

fn split(bytes: &[u8], left: u64) -> (u64, &[u8]) {
    let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
    let rest = bytes.get(taken..).unwrap_or_default();
    (taken as u64, rest)
}

/// The state behind a complete line, given without its line break.
fn next(
    state: FramingState,
    head: &mut MessageHead,
    line: &[u8],
) -> Result<FramingState, FramingError> {
    match state {
        // An empty line before a request is ignored (RFC 9112 section 2.2).
        FramingState::Start if line.is_empty() => Ok(FramingState::Start),
        FramingState::Start => {
            *head = MessageHead {
                http10: line.ends_with(b" HTTP/1.0"),
                ..MessageHead::default()
            };
            check_target(line)?;
            Ok(FramingState::Fields)
        }
        FramingState::Fields if line.is_empty() => Ok(head.body()),
        FramingState::Fields => {
            head.field(line)?;
            Ok(FramingState::Fields)
        }
        FramingState::ChunkSize | FramingState::Trailers if line.len() > MAX_LINE => {
            Err(FramingError::Chunk)
        }
        FramingState::ChunkSize => match chunk_size(line)? {
            0 => Ok(FramingState::Trailers),
            size => Ok(FramingState::ChunkData(size)),
        },
        FramingState::ChunkEnd if line.is_empty() => Ok(FramingState::ChunkSize),
        FramingState::ChunkEnd => Err(FramingError::Chunk),
        FramingState::Trailers if line.is_empty() => Ok(FramingState::Start),
        FramingState::Trailers => match field_name(line) {
            Some(_) => Ok(FramingState::Trailers),
            None => Err(FramingError::Trailer),
        },
        // Not made of lines.
        FramingState::Body(_) | FramingState::ChunkData(_) => Ok(state),
    }
}

impl MessageHead {
    /// The state behind the head.
    fn body(self) -> FramingState {
        match (self.chunked, self.length) {
            (true, _) => FramingState::ChunkSize,
            (false, Some(length)) if length > 0 => FramingState::Body(length),
            (false, _) => FramingState::Start,
        }
    }

    /// Reads a field line, of which only the two that frame the body matter.
    fn field(&mut self, line: &[u8]) -> Result<(), FramingError> {
        if let Some(b' ' | b'\t') = line.first() {
            return Err(FramingError::Folding);
        }
        // By the position of the colon first: most fields are told apart by one comparison.
        let colon = match (line.get(LENGTH.len()), line.get(CODING.len())) {
            (Some(b':'), _) => LENGTH.len(),
            (_, Some(b':')) => CODING.len(),
            _ => return Ok(()),
        };
        let (name, value) = line.split_at_checked(colon).unwrap_or((line, &[]));
        let value = value.get(1..).unwrap_or_default();
        if name.eq_ignore_ascii_case(LENGTH) {
            let length = number(trim(value), 10).ok_or(FramingError::Length)?;
            if self.length.replace(length).is_some() {
                return Err(FramingError::Length);
            }
        } else if name.eq_ignore_ascii_case(CODING) {
            if self.chunked || !trim(value).eq_ignore_ascii_case(b"chunked") {
                return Err(FramingError::TransferCoding);
            }
            if self.http10 {
                return Err(FramingError::CodingInHttp10);
            }
            self.chunked = true;
        }
        match self.chunked && self.length.is_some() {
            true => Err(FramingError::LengthAndCoding),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
