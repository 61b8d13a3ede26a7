//! Where each HTTP/1.1 message of a connection ends, read by the letter of RFC 9112.
//!
//! hyper's parsers forgive what other parsers read in another way: bare line feeds, text behind
//! the last chunk, repeated lengths, fragments. Two readings of one stream are how a request is
//! smuggled past a front. [`MessageFraming`] reads the stream before hyper does, and lets no byte
//! pass from the first one that breaks the grammar, so hyper and the wire can't disagree. It
//! relies on hyper for the fields of a head that frame nothing: hyper refuses bare carriage
//! returns, control characters and invalid names there. It never copies a body.

use memchr::{memchr, memchr_iter};

pub use self::grammar::FramingError;
use self::{
    grammar::{chunk_size, trailer_name},
    head::MessageHead,
    whole::whole_head,
};
use crate::wipe::{self, WipedVec};

mod grammar;
mod head;
mod whole;

/// Longest request line, in bytes. RFC 9112 section 3 recommends 8000 at least.
const MAX_REQUEST_LINE: usize = 8192;
/// Longest line that frames a body, and longest begin of a field line that is kept until the rest
/// of it arrives, in bytes. Other field lines may be longer: hyper limits them.
const MAX_LINE: usize = 1024;
/// Most empty lines before a request. hyper keeps them in memory, where no budget counts them.
const MAX_EMPTY_LINES: usize = 8;
/// Largest trailer section, in bytes. Trailers are dropped, but hyper collects them first.
const MAX_TRAILERS: usize = 8192;

/// The position in the stream, at any byte.
#[derive(Default)]
pub struct MessageFraming {
    state: FramingState,
    /// The begin of a line whose end has not arrived.
    partial: WipedVec,
    /// Bytes read of a head that is not complete.
    head_bytes: usize,
    /// Empty lines before the next head.
    empty_lines: usize,
    head: MessageHead,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum FramingState {
    /// Before the first line of a head.
    #[default]
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
    /// Between the lines of the trailer section, behind so many bytes of it.
    Trailers(usize),
}

impl MessageFraming {
    /// Before the first byte of a connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the stream is between two messages, or in the head of one.
    pub fn in_head(&self) -> bool {
        matches!(self.state, FramingState::Start | FramingState::Fields)
    }

    /// Whether the last message is complete, and of the next one nothing has been read.
    pub(super) fn is_between_messages(&self) -> bool {
        self.state == FramingState::Start && self.partial.is_empty()
    }

    /// How many bytes of a head have been read that is not complete.
    pub fn head_bytes(&self) -> usize {
        self.head_bytes
    }

    /// Reads the next bytes of the stream.
    ///
    /// # Errors
    /// The number of bytes before the lines that break the grammar, and how they do. Nothing may
    /// be read afterwards.
    pub fn read(&mut self, bytes: &[u8]) -> Result<(), (usize, FramingError)> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let before = bytes.len() - rest.len();
            let read = self.step(rest).map_err(|error| (before, error))?;
            rest = rest.get(read..).unwrap_or_default();
            self.head_bytes = match self.state {
                FramingState::Start if self.partial.is_empty() => 0,
                FramingState::Start | FramingState::Fields => self.head_bytes.saturating_add(read),
                _ => 0,
            };
        }
        Ok(())
    }

    /// Reads a part of a body, or lines. Returns the number of bytes, at least one.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, FramingError> {
        let (left, behind) = match &mut self.state {
            FramingState::Start
                if self.partial.is_empty()
                    && let Some((read, head)) = whole_head(bytes) =>
            {
                self.empty_lines = 0;
                self.state = behind_head(head);
                return Ok(read);
            }
            FramingState::Body(left) => (left, FramingState::Start),
            FramingState::ChunkData(left) => (left, FramingState::ChunkEnd),
            FramingState::Start
            | FramingState::Fields
            | FramingState::ChunkSize
            | FramingState::ChunkEnd
            | FramingState::Trailers(_) => {
                return match self.partial.is_empty() {
                    true => self.lines(bytes),
                    false => self.rest_of_line(bytes),
                };
            }
        };
        let read = usize::try_from(*left)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        *left -= read as u64;
        if *left == 0 {
            self.state = behind;
        }
        Ok(read)
    }

    /// Reads lines that arrive whole, and keeps the begin of one that does not.
    fn lines(&mut self, bytes: &[u8]) -> Result<usize, FramingError> {
        let mut begin = 0;
        for end in memchr_iter(b'\n', bytes) {
            let line = without_break(bytes.get(begin..=end).unwrap_or_default())?;
            begin = end + 1;
            if self.state == FramingState::Fields && MessageHead::ignores(line) {
                continue;
            }
            self.state = self.next(line)?;
            if self.state != FramingState::Fields {
                return Ok(begin);
            }
        }
        self.keep(bytes.get(begin..).unwrap_or_default())?;
        Ok(bytes.len())
    }

    /// Reads up to the end of a line whose begin was kept.
    fn rest_of_line(&mut self, bytes: &[u8]) -> Result<usize, FramingError> {
        let Some(end) = memchr(b'\n', bytes) else {
            self.keep(bytes)?;
            return Ok(bytes.len());
        };
        let read = end + 1;
        self.keep(bytes.get(..read).unwrap_or_default())?;
        let line = std::mem::take(&mut self.partial);
        self.state = self.next(without_break(&line)?)?;
        Ok(read)
    }

    /// Keeps a part of a line. Of a long field line, the begin is enough to tell its name, and
    /// the last two bytes to see its line break.
    fn keep(&mut self, bytes: &[u8]) -> Result<(), FramingError> {
        let (max, too_long) = match self.state {
            FramingState::Start => (MAX_REQUEST_LINE, Some(FramingError::RequestLineTooLong)),
            FramingState::Fields => (MAX_LINE, None),
            _ => (MAX_LINE, Some(FramingError::Chunk)),
        };
        if self.partial.len() + bytes.len() <= max {
            wipe::append(&mut self.partial, bytes);
            return Ok(());
        }
        if let Some(error) = too_long {
            return Err(error);
        }
        let last = match bytes {
            [.., first, second] => [Some(*first), Some(*second)],
            _ => [self.partial.last().copied(), bytes.last().copied()],
        };
        let missing = (max - 2).saturating_sub(self.partial.len());
        wipe::append(&mut self.partial, bytes.get(..missing).unwrap_or(bytes));
        self.partial.truncate(max - 2);
        self.partial.extend(last.into_iter().flatten());
        Ok(())
    }

    /// The state behind a complete line, given without its line break.
    fn next(&mut self, line: &[u8]) -> Result<FramingState, FramingError> {
        match self.state {
            // An empty line before a request is ignored (RFC 9112 section 2.2).
            FramingState::Start if line.is_empty() => {
                self.empty_lines = self.empty_lines.saturating_add(1);
                match self.empty_lines <= MAX_EMPTY_LINES {
                    true => Ok(FramingState::Start),
                    false => Err(FramingError::RequestLine),
                }
            }
            FramingState::Start if line.len() > MAX_REQUEST_LINE - 2 => {
                Err(FramingError::RequestLineTooLong)
            }
            FramingState::Start => {
                self.empty_lines = 0;
                self.head = MessageHead::begin(line)?;
                Ok(FramingState::Fields)
            }
            FramingState::Fields if line.is_empty() => Ok(behind_head(self.head)),
            FramingState::Fields => {
                self.head.field(line)?;
                Ok(FramingState::Fields)
            }
            FramingState::ChunkEnd if line.is_empty() => Ok(FramingState::ChunkSize),
            FramingState::Trailers(_) if line.is_empty() => Ok(FramingState::Start),
            _ if line.len() > MAX_LINE - 2 => Err(FramingError::Chunk),
            FramingState::ChunkSize => Ok(match chunk_size(line)? {
                0 => FramingState::Trailers(0),
                size => FramingState::ChunkData(size),
            }),
            FramingState::Trailers(before) => {
                trailer_name(line)?;
                let bytes = before + line.len() + 2;
                match bytes <= MAX_TRAILERS {
                    true => Ok(FramingState::Trailers(bytes)),
                    false => Err(FramingError::Trailer),
                }
            }
            // The last two are not made of lines.
            FramingState::ChunkEnd | FramingState::Body(_) | FramingState::ChunkData(_) => {
                Err(FramingError::Chunk)
            }
        }
    }
}

/// The state behind a complete head.
fn behind_head(head: MessageHead) -> FramingState {
    match head.length() {
        _ if head.is_chunked() => FramingState::ChunkSize,
        None | Some(0) => FramingState::Start,
        Some(length) => FramingState::Body(length),
    }
}

/// A line without its line break, which must be CRLF (RFC 9112 section 2.2).
fn without_break(line: &[u8]) -> Result<&[u8], FramingError> {
    line.strip_suffix(b"\r\n").ok_or(FramingError::BareLineFeed)
}

#[cfg(test)]
mod tests;
