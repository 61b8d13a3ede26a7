//! A strict RFC 8259 scanner that turns bytes into events, and can pause and resume at any byte.
//!
//! Accepts exactly one value in UTF-8 with white space around it: no byte order mark, no lone
//! surrogates (they have no UTF-8), no nesting deeper than [`MAX_DEPTH`]. Its state is a few dozen
//! bytes, whatever the input.

use super::{
    ScanError,
    string::{self, StringState, StringStep},
};

/// Maximum nesting of arrays and objects.
pub const MAX_DEPTH: u8 = 32;

/// A part of a document. Bytes between two events are white space, or belong to the current token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonEvent {
    /// `{`
    ObjectStart,
    /// `}`
    ObjectEnd,
    /// `[`
    ArrayStart,
    /// `]`
    ArrayEnd,
    /// `,`
    Comma,
    /// `:`
    Colon,
    /// The quote that opens a member's name.
    KeyStart,
    /// The quote that closes a member's name.
    KeyEnd,
    /// The quote that opens a string.
    StringStart,
    /// The quote that closes a string.
    StringEnd,
    /// Unescaped bytes of a key or string; a character may be split between two such events.
    Text,
    /// Unescaped bytes that are all letters of base64. Best effort: such bytes may also be reported
    /// as [`JsonEvent::Text`].
    Letters,
    /// An escape of a key or string, decoded.
    Escaped(char),
    /// The first byte of a number, `true`, `false` or `null`.
    ScalarStart,
    /// The number or literal is complete.
    ScalarEnd,
}

/// The state of a scan between two bytes.
#[derive(Debug, Default)]
pub struct JsonScanner {
    expect: ScannerState,
    /// One bit per level, set for an object; the innermost level is the lowest bit.
    objects: u64,
    depth: u8,
}

#[derive(Clone, Copy, Debug, Default)]
enum ScannerState {
    #[default]
    Value,
    FirstElement,
    FirstKey,
    Key,
    Colon,
    CommaOrEnd,
    InKey(StringState),
    InString(StringState),
    InNumber(NumberState),
    InLiteral(&'static [u8]),
    End,
}

/// The last part of a number that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NumberState {
    Minus,
    Zero,
    Integer,
    Point,
    Fraction,
    E,
    ESign,
    Exponent,
}

impl JsonScanner {
    /// Returns the next event in `bytes` from `at` on, and moves `at` past it; `None` at the end of
    /// `bytes`.
    ///
    /// # Errors
    /// The input is not JSON, whatever follows. The scanner must not be used again.
    pub fn next(&mut self, bytes: &[u8], at: &mut usize) -> Result<Option<JsonEvent>, ScanError> {
        match &mut self.expect {
            ScannerState::InKey(text) => match text.step(bytes, at)? {
                StringStep::End => Ok(Some(self.then(ScannerState::Colon, JsonEvent::KeyEnd))),
                step => Ok(text_event(step)),
            },
            ScannerState::InString(text) => match text.step(bytes, at)? {
                StringStep::End => Ok(Some(self.after_value(JsonEvent::StringEnd))),
                step => Ok(text_event(step)),
            },
            ScannerState::InNumber(number) => {
                while let Some(&byte) = bytes.get(*at) {
                    if byte.is_ascii_digit() && number.continues() {
                        *at += 1;
                        continue;
                    }
                    match number.then(byte)? {
                        Some(next) => *number = next,
                        None => return Ok(Some(self.after_value(JsonEvent::ScalarEnd))),
                    }
                    *at += 1;
                }
                Ok(None)
            }
            ScannerState::InLiteral(rest) => {
                while let Some((&wanted, left)) = rest.split_first() {
                    match bytes.get(*at) {
                        Some(&byte) if byte == wanted => *rest = left,
                        Some(_) => return Err(ScanError::Unexpected),
                        None => return Ok(None),
                    }
                    *at += 1;
                }
                Ok(Some(self.after_value(JsonEvent::ScalarEnd)))
            }
            _ => self.structure(bytes, at),
        }
    }

    /// Reads the rest of a name or string after its opening quote at once, if it is short, plain
    /// and complete, instead of through several events. Consumes the closing quote, and the colon
    /// right after a name. `None`: continue with [`JsonScanner::next`].
    pub(super) fn short<'a>(&mut self, bytes: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
        let name = match self.expect {
            ScannerState::InKey(text) if text.is_fresh() => true,
            ScannerState::InString(text) if text.is_fresh() => false,
            _ => return None,
        };
        let text = string::short(bytes.get(*at..)?)?;
        *at += text.len() + 1;
        if !name {
            self.after_value(JsonEvent::StringEnd);
        } else if bytes.get(*at) == Some(&b':') {
            *at += 1;
            self.expect = ScannerState::Value;
        } else {
            self.expect = ScannerState::Colon;
        }
        Some(text)
    }

    /// Whether the name of a member comes next.
    pub(super) fn expects_member(&self) -> bool {
        matches!(self.expect, ScannerState::FirstKey | ScannerState::Key)
    }

    /// Skips a member that was read elsewhere, and the comma after it if there was one.
    pub(super) fn member_read(&mut self, comma: bool) {
        self.expect = match comma {
            true => ScannerState::Key,
            false => ScannerState::CommaOrEnd,
        };
    }

    /// Finishes the scan. Returns an event if the document is a number, which has no other end.
    ///
    /// # Errors
    /// [`ScanError::Incomplete`].
    pub fn finish(&mut self) -> Result<Option<JsonEvent>, ScanError> {
        match self.expect {
            ScannerState::End => Ok(None),
            ScannerState::InNumber(number) if self.depth == 0 && number.may_end() => {
                Ok(Some(self.after_value(JsonEvent::ScalarEnd)))
            }
            ScannerState::InLiteral([]) if self.depth == 0 => {
                Ok(Some(self.after_value(JsonEvent::ScalarEnd)))
            }
            _ => Err(ScanError::Incomplete),
        }
    }

    fn structure(&mut self, bytes: &[u8], at: &mut usize) -> Result<Option<JsonEvent>, ScanError> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(*at) {
            *at += 1;
        }
        let Some(&byte) = bytes.get(*at) else {
            return Ok(None);
        };
        *at += 1;
        let event = match (self.expect, byte) {
            (ScannerState::FirstKey, b'}') | (ScannerState::FirstElement, b']') => {
                self.close(byte)?
            }
            (ScannerState::FirstKey | ScannerState::Key, b'"') => self.then(
                ScannerState::InKey(StringState::default()),
                JsonEvent::KeyStart,
            ),
            (ScannerState::Value | ScannerState::FirstElement, _) => self.value(byte)?,
            (ScannerState::Colon, b':') => self.then(ScannerState::Value, JsonEvent::Colon),
            (ScannerState::CommaOrEnd, b',') if self.in_object() => {
                self.then(ScannerState::Key, JsonEvent::Comma)
            }
            (ScannerState::CommaOrEnd, b',') => self.then(ScannerState::Value, JsonEvent::Comma),
            (ScannerState::CommaOrEnd, b'}' | b']') => self.close(byte)?,
            _ => return Err(ScanError::Unexpected),
        };
        Ok(Some(event))
    }

    fn value(&mut self, byte: u8) -> Result<JsonEvent, ScanError> {
        let scalar = |state| Ok((state, JsonEvent::ScalarStart));
        let (expect, event) = match byte {
            b'{' => return self.open(true),
            b'[' => return self.open(false),
            b'"' => Ok((
                ScannerState::InString(StringState::default()),
                JsonEvent::StringStart,
            )),
            b'-' => scalar(ScannerState::InNumber(NumberState::Minus)),
            b'0' => scalar(ScannerState::InNumber(NumberState::Zero)),
            b'1'..=b'9' => scalar(ScannerState::InNumber(NumberState::Integer)),
            b't' => scalar(ScannerState::InLiteral(b"rue")),
            b'f' => scalar(ScannerState::InLiteral(b"alse")),
            b'n' => scalar(ScannerState::InLiteral(b"ull")),
            _ => Err(ScanError::Unexpected),
        }?;
        Ok(self.then(expect, event))
    }

    fn open(&mut self, object: bool) -> Result<JsonEvent, ScanError> {
        if self.depth == MAX_DEPTH {
            return Err(ScanError::Depth);
        }
        self.depth += 1;
        self.objects = (self.objects << 1) | u64::from(object);
        Ok(match object {
            true => self.then(ScannerState::FirstKey, JsonEvent::ObjectStart),
            false => self.then(ScannerState::FirstElement, JsonEvent::ArrayStart),
        })
    }

    fn close(&mut self, byte: u8) -> Result<JsonEvent, ScanError> {
        let object = byte == b'}';
        if self.depth == 0 || self.in_object() != object {
            return Err(ScanError::Unexpected);
        }
        self.depth -= 1;
        self.objects >>= 1;
        Ok(self.after_value(if object {
            JsonEvent::ObjectEnd
        } else {
            JsonEvent::ArrayEnd
        }))
    }

    fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }

    fn after_value(&mut self, event: JsonEvent) -> JsonEvent {
        let expect = if self.depth == 0 {
            ScannerState::End
        } else {
            ScannerState::CommaOrEnd
        };
        self.then(expect, event)
    }

    fn then(&mut self, expect: ScannerState, event: JsonEvent) -> JsonEvent {
        self.expect = expect;
        event
    }
}

fn text_event(step: StringStep) -> Option<JsonEvent> {
    match step {
        StringStep::Plain { letters: true } => Some(JsonEvent::Letters),
        StringStep::Plain { letters: false } => Some(JsonEvent::Text),
        StringStep::Escaped(decoded) => Some(JsonEvent::Escaped(decoded)),
        StringStep::More | StringStep::End => None,
    }
}

impl NumberState {
    /// The state after one more byte; `None` if the number ended before it.
    fn then(self, byte: u8) -> Result<Option<Self>, ScanError> {
        Ok(match (self, byte) {
            (Self::Minus, b'0') => Some(Self::Zero),
            (Self::Minus, b'1'..=b'9') | (Self::Integer, b'0'..=b'9') => Some(Self::Integer),
            (Self::Zero | Self::Integer, b'.') => Some(Self::Point),
            (Self::Point | Self::Fraction, b'0'..=b'9') => Some(Self::Fraction),
            (Self::Zero | Self::Integer | Self::Fraction, b'e' | b'E') => Some(Self::E),
            (Self::E, b'+' | b'-') => Some(Self::ESign),
            (Self::E | Self::ESign | Self::Exponent, b'0'..=b'9') => Some(Self::Exponent),
            (Self::Zero, b'0'..=b'9') => return Err(ScanError::Number),
            _ if self.may_end() => None,
            _ => return Err(ScanError::Number),
        })
    }

    /// Whether a digit leaves the state unchanged.
    fn continues(self) -> bool {
        matches!(self, Self::Integer | Self::Fraction | Self::Exponent)
    }

    fn may_end(self) -> bool {
        matches!(
            self,
            Self::Zero | Self::Integer | Self::Fraction | Self::Exponent
        )
    }
}
