//! Where an answer's body ends: by length, by chunks (RFC 9112 section 7.1) or with the connection.

/// Bytes of a chunk's size line, and of the trailers, at the most.
const MAX_LINE: usize = 1024;

/// How the body is delimited, and how much of it is still to come.
#[derive(Debug)]
pub enum BodyFraming {
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked(ChunkedBody),
    /// All that comes.
    UntilClose,
}

/// The place inside a chunked body.
#[derive(Debug)]
pub struct ChunkedBody {
    state: ChunkState,
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
    /// In the trailers; `true`: at the start of a line.
    Trailer(bool),
    TrailerLf(bool),
    Done,
}

/// A piece of what arrived.
pub enum FramedPiece {
    /// So many bytes belong to the body.
    Body(usize),
    /// So many bytes belong to the framing.
    Skip(usize),
    /// The body ended before these bytes.
    End,
}

impl BodyFraming {
    /// A body of this length.
    pub fn length(bytes: u64) -> Self {
        Self::Length(bytes)
    }

    /// A body in chunks, of which nothing was read yet.
    pub fn chunked() -> Self {
        Self::Chunked(ChunkedBody {
            state: ChunkState::Size {
                value: 0,
                digits: 0,
            },
            line: 0,
        })
    }

    /// Whether no byte is missing any more.
    pub fn is_done(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunked) => chunked.state == ChunkState::Done,
            Self::UntilClose => false,
        }
    }

    /// Whether the body may end where the connection ends.
    pub fn may_close(&self) -> bool {
        self.is_done() || matches!(self, Self::UntilClose)
    }

    /// What the first of `bytes` (at least one) are.
    ///
    /// # Errors
    /// What is wrong with the framing.
    pub fn next(&mut self, bytes: &[u8]) -> Result<FramedPiece, &'static str> {
        match self {
            Self::UntilClose => Ok(FramedPiece::Body(bytes.len())),
            Self::Length(0) => Ok(FramedPiece::End),
            Self::Length(left) => Ok(FramedPiece::Body(take(left, bytes.len()))),
            Self::Chunked(chunked) => chunked.next(bytes),
        }
    }
}

/// Takes up to `available` off `left`; how many.
fn take(left: &mut u64, available: usize) -> usize {
    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(available);
    *left = left.saturating_sub(taken as u64);
    taken
}

impl ChunkedBody {
    fn next(&mut self, bytes: &[u8]) -> Result<FramedPiece, &'static str> {
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
                return Err("a chunk of the answer has too long a head");
            }
            self.state = self
                .state
                .then(byte)
                .ok_or("a chunk of the answer is malformed")?;
            if matches!(self.state, ChunkState::Data(_) | ChunkState::DataCr) {
                self.line = 0;
            }
            used += 1;
        }
        Ok(FramedPiece::Skip(used))
    }
}

impl ChunkState {
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

    /// The body and whether it is complete; the bytes behind it must be `rest`.
    fn read(text: &str, step: usize) -> Result<(String, bool), &'static str> {
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
    fn malformed_chunks_are_refused() {
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
