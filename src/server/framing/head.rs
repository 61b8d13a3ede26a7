//! What a head says of its message's body: the request line, `Content-Length` and
//! `Transfer-Encoding`.
//!
//! Relies on its owner for the line breaks. Looks at no other field, and never allocates.

use super::grammar::{FramingError, coding, number, request_line, trim};

/// The names of the fields that frame a body. hyper refuses blanks before their colon.
const LENGTH: &[u8] = b"Content-Length";
const CODING: &[u8] = b"Transfer-Encoding";
/// Longest line of these fields, in bytes. Of a longer one that arrives in pieces, only the begin
/// is known.
const MAX_FRAMING_FIELD: usize = 512;
/// Longest body that a head may declare, in bytes. A parser with signed numbers reads a longer one
/// as negative.
const MAX_LENGTH: u64 = i64::MAX as u64;

/// What the lines of one head say so far.
#[derive(Clone, Copy, Default)]
pub(super) struct MessageHead {
    http10: bool,
    length: Option<u64>,
    chunked: bool,
}

impl MessageHead {
    /// Begins with a request line.
    pub(super) fn begin(line: &[u8]) -> Result<Self, FramingError> {
        Ok(Self {
            http10: request_line(line)?,
            ..Self::default()
        })
    }

    /// The body's length, if the head states it.
    pub(super) fn length(self) -> Option<u64> {
        self.length
    }

    /// Whether the body comes in chunks.
    pub(super) fn is_chunked(self) -> bool {
        self.chunked
    }

    /// Whether the first byte shows that this line is a field that frames nothing.
    #[inline]
    pub(super) fn ignores(line: &[u8]) -> bool {
        match line.first() {
            Some(b'c' | b'C' | b't' | b'T' | b' ' | b'\t') | None => false,
            Some(_) => true,
        }
    }

    /// Reads a field line, of which only the two that frame the body matter.
    pub(super) fn field(&mut self, line: &[u8]) -> Result<(), FramingError> {
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
        let value = trim(value.get(1..).unwrap_or_default());
        let short = line.len() <= MAX_FRAMING_FIELD;
        if is(name, LENGTH) {
            let length = number(value, 10).filter(|length| *length <= MAX_LENGTH && short);
            let length = length.ok_or(FramingError::Length)?;
            if self.length.replace(length).is_some() {
                return Err(FramingError::Length);
            }
        } else if is(name, CODING) {
            if self.http10 {
                return Err(FramingError::CodingInHttp10);
            }
            if self.chunked || !short {
                return Err(FramingError::TransferCoding);
            }
            coding(value)?;
            self.chunked = true;
        }
        match self.chunked && self.length.is_some() {
            true => Err(FramingError::LengthAndCoding),
            false => Ok(()),
        }
    }
}

/// Compares names, the usual spelling first.
fn is(name: &[u8], other: &[u8]) -> bool {
    name == other || name.eq_ignore_ascii_case(other)
}
