//! The inside of a JSON string: escapes and UTF-8 (RFC 8259 section 7, RFC 3629), resumable at any
//! byte.
//!
//! Relies on [`super::letters`] for long runs. Copies nothing, and its state is a few bytes.

use super::{
    ScanError,
    letters::{all, is_letter, is_plain, letter_blocks, plain_blocks},
};

/// Maximum number of plain bytes in one step, so that they are still in the processor's first cache
/// when they are processed next.
const RUN: usize = 32 * 1024;

/// Maximum size of a string that is read at once, in bytes.
const SHORT: usize = 256;

/// The result of a step inside a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StringStep {
    /// Unescaped bytes. With `letters`, all of them are letters of base64.
    Plain { letters: bool },
    /// A complete escape, decoded.
    Escaped(char),
    /// The closing quote.
    End,
    /// The bytes end inside an escape, or there are none.
    More,
}

/// The state inside a string between two bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StringState {
    escape: EscapeState,
    /// Number of UTF-8 continuation bytes that must follow.
    owed: u8,
    /// Range of the next continuation byte.
    low: u8,
    high: u8,
}

#[derive(Clone, Copy, Debug, Default)]
enum EscapeState {
    #[default]
    None,
    Backslash,
    Hex {
        digits: u8,
        unit: u16,
        first: Option<u16>,
    },
    /// After a high surrogate: `\u` must follow.
    PairBackslash(u16),
    PairU(u16),
}

impl StringState {
    /// Whether the state is that of the start.
    pub(super) fn is_fresh(self) -> bool {
        matches!(self.escape, EscapeState::None) && self.owed == 0
    }

    /// Reads `bytes` from `at` on, up to the end of a run of plain bytes, an escape, the closing
    /// quote or the end of `bytes`.
    pub(super) fn step(&mut self, bytes: &[u8], at: &mut usize) -> Result<StringStep, ScanError> {
        let start = *at;
        let mut letters = true;
        let bytes = match bytes.get(..start.saturating_add(RUN)) {
            Some(run) => run,
            None => bytes,
        };
        while let Some(&byte) = bytes.get(*at) {
            if !matches!(self.escape, EscapeState::None) {
                *at += 1;
                if let Some(decoded) = self.escaped(byte)? {
                    return Ok(StringStep::Escaped(decoded));
                }
                continue;
            }
            if self.owed > 0 {
                if byte < self.low || byte > self.high {
                    return Err(ScanError::Utf8);
                }
                (self.owed, self.low, self.high) = (self.owed.saturating_sub(1), 0x80, 0xBF);
                *at += 1;
                letters = false;
                continue;
            }
            match byte {
                b'"' | b'\\' if *at > start => return Ok(StringStep::Plain { letters }),
                b'"' => {
                    *at += 1;
                    return Ok(StringStep::End);
                }
                b'\\' => {
                    self.escape = EscapeState::Backslash;
                    *at += 1;
                }
                0..=0x1F => return Err(ScanError::ControlCharacter),
                0x20..=0x7F => {
                    let run = plain_run(bytes.get(*at..).unwrap_or_default());
                    *at += run.length;
                    letters &= run.letters;
                }
                lead => {
                    letters = false;
                    (self.owed, self.low, self.high) = continuation(lead)?;
                    *at += 1;
                }
            }
        }
        let inside_escape = !matches!(self.escape, EscapeState::None);
        Ok(if inside_escape || *at == start {
            StringStep::More
        } else {
            StringStep::Plain { letters }
        })
    }

    fn escaped(&mut self, byte: u8) -> Result<Option<char>, ScanError> {
        let (next, decoded) = match (self.escape, byte) {
            (EscapeState::Backslash, b'u') => (
                EscapeState::Hex {
                    digits: 0,
                    unit: 0,
                    first: None,
                },
                None,
            ),
            (EscapeState::Backslash, _) => (EscapeState::None, Some(short_escape(byte)?)),
            (
                EscapeState::Hex {
                    digits,
                    unit,
                    first,
                },
                _,
            ) => {
                let unit = (unit << 4) | u16::from(hex(byte)?);
                if digits < 3 {
                    (
                        EscapeState::Hex {
                            digits: digits + 1,
                            unit,
                            first,
                        },
                        None,
                    )
                } else {
                    match first {
                        Some(high) => (EscapeState::None, Some(pair(high, unit)?)),
                        None if (0xD800..0xDC00).contains(&unit) => {
                            (EscapeState::PairBackslash(unit), None)
                        }
                        None => (
                            EscapeState::None,
                            Some(char::from_u32(u32::from(unit)).ok_or(ScanError::Surrogate)?),
                        ),
                    }
                }
            }
            (EscapeState::PairBackslash(high), b'\\') => (EscapeState::PairU(high), None),
            (EscapeState::PairU(high), b'u') => (
                EscapeState::Hex {
                    digits: 0,
                    unit: 0,
                    first: Some(high),
                },
                None,
            ),
            _ => return Err(ScanError::Surrogate),
        };
        self.escape = next;
        Ok(decoded)
    }
}

/// The bytes before the closing quote, if they are plain ASCII, short and complete.
pub(super) fn short(bytes: &[u8]) -> Option<&[u8]> {
    let run = plain_run(bytes.get(..SHORT).unwrap_or(bytes)).length;
    bytes.get(..run).filter(|_| bytes.get(run) == Some(&b'"'))
}

/// The plain bytes at the start of a text.
struct PlainRun {
    length: usize,
    /// Whether all of them are known to be letters of base64.
    letters: bool,
}

/// Counts the printable ASCII bytes other than `"` and `\` at the start of `bytes`. Most of a body
/// is one such run, nearly all of it letters of base64, so whole blocks are judged at once: as
/// letters first, and from the first block with another byte on as plain bytes. Most other strings
/// are a few words long, so words are tried first.
fn plain_run(bytes: &[u8]) -> PlainRun {
    let plain = |length, letters| PlainRun { length, letters };
    let first = match plain_words(bytes, 4) {
        Ok(first) => first,
        Err(run) => return plain(run, false),
    };
    let (start, rest) = bytes.split_at_checked(first).unwrap_or((bytes, &[]));
    let letters = match all(start, is_letter) {
        true => letter_blocks(rest),
        false => 0,
    };
    let blocks = letters + plain_blocks(rest.get(letters..).unwrap_or_default());
    let only_letters = letters > 0 && blocks == letters;
    let rest = rest.get(blocks..).unwrap_or_default();
    let end = match plain_words(rest, 8) {
        Ok(words) => {
            let left = rest.get(words..).unwrap_or_default();
            let stop = left.iter().position(|byte| !is_plain(*byte));
            words + stop.unwrap_or(left.len())
        }
        Err(words) => words,
    };
    let end_letters = || all(rest.get(..end).unwrap_or_default(), is_letter);
    plain(first + blocks + end, only_letters && end_letters())
}

/// Checks up to `most` words of eight bytes. `Ok` with the number of bytes checked if all are
/// plain, otherwise `Err` with the number of plain bytes before the first that is not.
fn plain_words(bytes: &[u8], most: usize) -> Result<usize, usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    let mut run = 0;
    let (words, _) = bytes.as_chunks::<8>();
    for word in words.iter().take(most) {
        let word = u64::from_le_bytes(*word);
        // Sets the high bit of each byte below `n` whose own high bit is clear. A borrow may set
        // high bits after the first such byte, but never before it.
        let below = |word: u64, n: u64| word.wrapping_sub(n * ONES) & !word;
        let quote = below(word ^ (u64::from(b'"') * ONES), 1);
        let backslash = below(word ^ (u64::from(b'\\') * ONES), 1);
        let special = (word | below(word, 0x20) | quote | backslash) & HIGH;
        if special != 0 {
            return Err(run + (special.trailing_zeros() / 8) as usize);
        }
        run += 8;
    }
    Ok(run)
}

/// The number of continuation bytes after a lead byte, and the range of the first one (RFC 3629
/// section 4).
fn continuation(lead: u8) -> Result<(u8, u8, u8), ScanError> {
    Ok(match lead {
        0xC2..=0xDF => (1, 0x80, 0xBF),
        0xE0 => (2, 0xA0, 0xBF),
        0xED => (2, 0x80, 0x9F),
        0xE1..=0xEF => (2, 0x80, 0xBF),
        0xF0 => (3, 0x90, 0xBF),
        0xF1..=0xF3 => (3, 0x80, 0xBF),
        0xF4 => (3, 0x80, 0x8F),
        _ => return Err(ScanError::Utf8),
    })
}

fn short_escape(byte: u8) -> Result<char, ScanError> {
    Ok(match byte {
        b'"' | b'\\' | b'/' => char::from(byte),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        _ => return Err(ScanError::Escape),
    })
}

fn hex(byte: u8) -> Result<u8, ScanError> {
    match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        b'A'..=b'F' => Ok(byte - b'A' + 10),
        _ => Err(ScanError::Escape),
    }
}

fn pair(high: u16, low: u16) -> Result<char, ScanError> {
    char::decode_utf16([high, low])
        .next()
        .and_then(Result::ok)
        .ok_or(ScanError::Surrogate)
}
