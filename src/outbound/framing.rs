//! Where a response's body ends: by its length, by chunks (RFC 9112 section 7.1), or with the
//! connection.
//!
//! Keeps a few words of state whatever the input, and never copies a byte of the body.

use super::MalformedResponse;

/// Maximum size of a chunk's size line, and of all trailers together, in bytes.
const MAX_LINE: usize = 1024;

/// How the body is delimited, and how much of it is still missing.
#[derive(Debug)]
pub enum BodyFraming {
    /// This many bytes are still missing.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked(ChunkedBody),
    /// The body ends where the connection ends.
    UntilClose,
}

/// The reading position inside a chunked body.
#[derive(Debug)]
pub struct ChunkedBody {
    state: ChunkState,
    /// Bytes of the current size line, or of the trailers.
    line: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChunkState {
    Size {
        value: u64,
        digits: u8,
    },
    Extension(u64),
    SizeEnd(u64),
    Data(u64),
    DataCr,
    DataLf,
    /// In the trailers; `true` at the start of a line.
    Trailer(bool),
    /// After a carriage return in the trailers; `true` if its line is empty.
    TrailerLf(bool),
    Done,
}

/// What the next received bytes are.
pub enum FramedPiece {
    /// This many bytes belong to the body.
    Body(usize),
    /// This many bytes belong to the framing.
    Skip(usize),
    /// The body ended before the first of them.
    End,
}

impl BodyFraming {
    /// A body of `bytes` bytes.
    pub fn length(bytes: u64) -> Self {
        Self::Length(bytes)
    }

    /// A chunked body before its first byte.
    pub fn chunked() -> Self {
        Self::Chunked(ChunkedBody {
            state: ChunkState::Size {
                value: 0,
                digits: 0,
            },
            line: 0,
        })
    }

    /// Whether the body is complete.
    pub fn is_done(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunked) => chunked.state == ChunkState::Done,
            Self::UntilClose => false,
        }
    }

    /// Whether the body is complete if the connection ends here.
    pub fn may_close(&self) -> bool {
        self.is_done() || matches!(self, Self::UntilClose)
    }

    /// Says what the first bytes of `bytes`, which must not be empty, are.
    ///
    /// # Errors
    /// A chunk is malformed, or its head is too long.
    pub fn next(&mut self, bytes: &[u8]) -> Result<FramedPiece, MalformedResponse> {
        match self {
            Self::UntilClose => Ok(FramedPiece::Body(bytes.len())),
            Self::Length(0) => Ok(FramedPiece::End),
            Self::Length(left) => Ok(FramedPiece::Body(take(left, bytes.len()))),
            Self::Chunked(chunked) => chunked.next(bytes),
        }
    }
}

/// Subtracts up to `available` from `left`, and returns how many were subtracted.
fn take(left: &mut u64, available: usize) -> usize {
    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(available);
    *left = left.saturating_sub(taken as u64);
    taken
}

impl ChunkedBody {
    fn next(&mut self, bytes: &[u8]) -> Result<FramedPiece, MalformedResponse> {
        let mut used = 0;
        for &byte in bytes {
            if let ChunkState::Data(left) = &mut self.state {
                if used > 0 {
                    return Ok(FramedPiece::Skip(used));
                }
                let taken = take(left, bytes.len());
                if *left == 0 {
                    self.state = ChunkState::DataCr;
                }
                return Ok(FramedPiece::Body(taken));
            }
            if self.state == ChunkState::Done {
                return Ok(if used == 0 {
                    FramedPiece::End
                } else {
                    FramedPiece::Skip(used)
                });
            }
            self.line = self.line.saturating_add(1);
            if self.line > MAX_LINE {
                return Err(MalformedResponse::ChunkHeadTooLong);
            }
            self.state = self.state.then(byte).ok_or(MalformedResponse::Chunk)?;
            if matches!(self.state, ChunkState::Data(_) | ChunkState::DataCr) {
                self.line = 0;
            }
            used += 1;
        }
        Ok(FramedPiece::Skip(used))
    }
}

impl ChunkState {
    /// The state after `byte`; `None` if it may not come here.
    fn then(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Size { value, digits }, _) if byte.is_ascii_hexdigit() && digits < 15 => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                Self::Size {
                    value: (value << 4) | u64::from(digit),
                    digits: digits + 1,
                }
            }
            (Self::Size { value, digits: 1.. }, b'\r') | (Self::Extension(value), b'\r') => {
                Self::SizeEnd(value)
            }
            (Self::Size { value, digits: 1.. }, b';' | b' ' | b'\t') => Self::Extension(value),
            (Self::Extension(value), byte) if byte != b'\n' => Self::Extension(value),
            (Self::SizeEnd(0), b'\n') => Self::Trailer(true),
            (Self::SizeEnd(value), b'\n') => Self::Data(value),
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::Size {
                value: 0,
                digits: 0,
            },
            (Self::Trailer(start), b'\r') => Self::TrailerLf(start),
            (Self::Trailer(_), byte) if byte != b'\n' => Self::Trailer(false),
            (Self::TrailerLf(true), b'\n') => Self::Done,
            (Self::TrailerLf(false), b'\n') => Self::Trailer(true),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `text` in parts of `step` bytes: the body, and whether it is complete.
    fn read(text: &str, step: usize) -> Result<(String, bool), MalformedResponse> {
        let mut framing = BodyFraming::chunked();
        let mut body = Vec::new();
        for part in text.as_bytes().chunks(step) {
            let mut at = 0;
            while at < part.len() {
                match framing.next(&part[at..])? {
                    FramedPiece::Body(length) => {
                        body.extend_from_slice(&part[at..at + length]);
                        at += length;
                    }
                    FramedPiece::Skip(length) => at += length,
                    FramedPiece::End => break,
                }
            }
        }
        Ok((String::from_utf8(body).unwrap(), framing.is_done()))
    }

    #[test]
    fn chunks_are_read_however_they_arrive() {
        let text = "5\r\nhello\r\n6 ;a=b\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n";
        for step in 1..=text.len() {
            assert_eq!(read(text, step), Ok(("hello world".into(), true)));
        }
        for end in 1..text.len() {
            assert!(!read(&text[..end], 3).unwrap().1, "{end}");
        }
    }

    #[test]
    fn malformed_chunks_are_rejected() {
        for text in [
            "\r\n",
            "g\r\n",
            "-1\r\n",
            "5\nhello",
            "5\r\nhelloX",
            "1000000000000000\r\n",
            "0\r\n\n",
            ";x\r\n",
            "2\r\nab\n",
        ] {
            assert!(read(text, 64).is_err(), "{text:?}");
        }
        assert!(read(&format!("1;{}\r\n", "x".repeat(2000)), 64).is_err());
    }
}
