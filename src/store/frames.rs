//! Finds where each request and each reply on a connection to a server ends (RESP2), and refuses
//! what no server of ours sends: other types, endless or deeply nested values.
//!
//! The parser of the `redis` crate stands behind it. That one takes any size and any number of
//! values, and what it has begun it keeps in memory. So a number is judged here as soon as it is
//! announced, before anything that follows it is read. Keeps nothing of the content, and does not
//! read it: whether a number or an ending is well formed, the parser behind decides too.

/// Maximum length of a request or a reply, in bytes. The longest are a sealed response, which is at
/// most twice as long as a response may be, and the list of nodes of a cluster.
pub const MAX_FRAME: usize = 4 * 1024 * 1024;
/// Maximum number of values in a reply: each takes some fifty bytes of memory, whatever its length.
const MAX_VALUES: usize = 1 << 18;
/// Maximum number of arrays in each other. A list of nodes has four.
const MAX_NESTED: usize = 8;

/// Not RESP2, or more than a server of ours sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a reply of the protocol, or one of extreme size")]
pub struct InvalidFrame;

/// Where a stream of requests or replies stands.
#[derive(Debug, Default)]
pub struct RespFrames {
    part: FramePart,
    /// How many values are left of each array that has begun, the outermost first.
    open: Vec<usize>,
    /// Bytes of the current frame so far, with the strings that were announced.
    length: usize,
    /// Values of the current frame so far, with the arrays that were announced.
    values: usize,
    is_error: bool,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum FramePart {
    /// The type of a value.
    #[default]
    Type,
    /// The rest of a line of text, whose last byte was a carriage return or not.
    Text { returns: bool },
    /// The rest of the line that announces a string or an array.
    Announcement(Announcement),
    /// So many bytes of a string, with its ending.
    Content(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Announcement {
    of_array: bool,
    number: Option<usize>,
    /// `-1`: no string, or no array.
    negative: bool,
    returns: bool,
}

/// A frame that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndedFrame {
    /// It is an error reply.
    pub is_error: bool,
}

impl RespFrames {
    /// Takes the next bytes, up to the end of a frame. Returns how many were taken, and the frame
    /// if one has ended with them.
    ///
    /// # Errors
    /// The bytes are to be refused, and so is everything after them.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(usize, Option<EndedFrame>), InvalidFrame> {
        let mut taken: usize = 0;
        while let Some((&byte, rest)) = bytes.get(taken..).and_then(<[u8]>::split_first) {
            if let FramePart::Content(left) = self.part {
                // Its length has been counted already.
                let skipped = left.min(rest.len().saturating_add(1));
                taken = taken.saturating_add(skipped);
                self.part = FramePart::Content(left.saturating_sub(skipped));
                if left > skipped {
                    continue;
                }
            } else {
                taken = taken.saturating_add(1);
                self.grow(1, 0)?;
                if !self.step(byte)? {
                    continue;
                }
            }
            if let Some(ended) = self.value_ended() {
                return Ok((taken, Some(ended)));
            }
        }
        Ok((taken, None))
    }

    /// Takes a byte that is not part of a string. Returns whether a value has ended with it.
    fn step(&mut self, byte: u8) -> Result<bool, InvalidFrame> {
        self.part = match (self.part, byte) {
            (FramePart::Type, b'+' | b'-' | b':') => {
                self.is_error = byte == b'-' && self.open.is_empty();
                self.grow(0, 1)?;
                FramePart::Text { returns: false }
            }
            (FramePart::Type, b'$' | b'*') => {
                self.grow(0, 1)?;
                FramePart::Announcement(Announcement {
                    of_array: byte == b'*',
                    number: None,
                    negative: false,
                    returns: false,
                })
            }
            (FramePart::Text { returns: true }, b'\n') => return Ok(true),
            (FramePart::Text { .. }, byte) => FramePart::Text {
                returns: byte == b'\r',
            },
            (FramePart::Announcement(line), byte) => match line.next(byte)? {
                Some(line) => FramePart::Announcement(line),
                None => return self.announced(line),
            },
            (FramePart::Type | FramePart::Content(_), _) => return Err(InvalidFrame),
        };
        Ok(false)
    }

    /// Begins a string or an array. Returns whether it has ended already.
    fn announced(&mut self, line: Announcement) -> Result<bool, InvalidFrame> {
        let number = line.number.ok_or(InvalidFrame)?;
        match (line.negative, line.of_array) {
            (true, _) if number == 1 => Ok(true),
            (true, _) => Err(InvalidFrame),
            (false, false) => {
                let with_ending = number.saturating_add(2);
                self.grow(with_ending, 0)?;
                self.part = FramePart::Content(with_ending);
                Ok(false)
            }
            (false, true) if number == 0 => Ok(true),
            (false, true) => {
                // Before the values come.
                if number > MAX_VALUES || self.open.len() >= MAX_NESTED {
                    return Err(InvalidFrame);
                }
                self.open.push(number);
                self.part = FramePart::Type;
                Ok(false)
            }
        }
    }

    fn grow(&mut self, bytes: usize, values: usize) -> Result<(), InvalidFrame> {
        self.length = self.length.saturating_add(bytes);
        self.values = self.values.saturating_add(values);
        match self.length <= MAX_FRAME && self.values <= MAX_VALUES {
            true => Ok(()),
            false => Err(InvalidFrame),
        }
    }

    /// Ends a value, and the arrays of which it is the last. Returns the frame if it ends, too.
    fn value_ended(&mut self) -> Option<EndedFrame> {
        self.part = FramePart::Type;
        while let Some(left) = self.open.last_mut() {
            *left = left.saturating_sub(1);
            if *left > 0 {
                return None;
            }
            self.open.pop();
        }
        (self.length, self.values) = (0, 0);
        Some(EndedFrame {
            is_error: std::mem::take(&mut self.is_error),
        })
    }
}

impl Announcement {
    /// The line with one more byte; `None` at its end.
    fn next(self, byte: u8) -> Result<Option<Self>, InvalidFrame> {
        match byte {
            b'\n' if self.returns => Ok(None),
            b'\r' if !self.returns => Ok(Some(Self {
                returns: true,
                ..self
            })),
            b'-' if !self.negative && self.number.is_none() && !self.returns => Ok(Some(Self {
                negative: true,
                ..self
            })),
            b'0'..=b'9' if !self.returns => {
                let digit = usize::from(byte.saturating_sub(b'0'));
                let number = self.number.unwrap_or(0).checked_mul(10);
                let number = number.and_then(|number| number.checked_add(digit));
                Ok(Some(Self {
                    number: Some(number.ok_or(InvalidFrame)?),
                    ..self
                }))
            }
            _ => Err(InvalidFrame),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many bytes each frame has.
    fn lengths(bytes: &[u8]) -> Result<Vec<usize>, InvalidFrame> {
        let (mut frames, mut lengths, mut at) = (RespFrames::default(), Vec::new(), 0);
        while at < bytes.len() {
            let (taken, ended) = frames.take(&bytes[at..])?;
            lengths.extend(ended.map(|_| taken));
            at += taken;
        }
        Ok(lengths)
    }

    #[test]
    fn the_end_of_each_reply_is_found() {
        for (bytes, expected) in [
            ("+OK\r\n:1\r\n", &[5, 4][..]),
            ("$3\r\na\r\n\r\n$0\r\n\r\n$-1\r\n", &[9, 6, 5]),
            ("*0\r\n*-1\r\n", &[4, 5]),
            ("*2\r\n*2\r\n:1\r\n$1\r\nx\r\n*0\r\n+a\rb\r\n", &[23, 6]),
            ("*1\r\n:1", &[]),
        ] {
            assert_eq!(
                lengths(bytes.as_bytes()).as_deref(),
                Ok(expected),
                "{bytes}"
            );
        }
        let mut frames = RespFrames::default();
        let is_error = |ended: Option<EndedFrame>| ended.map(|it| it.is_error);
        let (_, ended) = frames.take(b"-ERR no\r\n").unwrap();
        assert_eq!(is_error(ended), Some(true));
        let (_, ended) = frames.take(b"*1\r\n-ERR no\r\n").unwrap();
        assert_eq!(is_error(ended), Some(false));
    }

    #[test]
    fn what_no_server_sends_is_refused_as_soon_as_it_is_announced() {
        let nested = "*1\r\n".repeat(MAX_NESTED + 1);
        let many = format!("*{}\r\n", MAX_VALUES + 1);
        let long = format!("${MAX_FRAME}\r\n");
        let sum = format!("*2\r\n${}\r\n", MAX_FRAME / 2);
        let half = "x".repeat(MAX_FRAME / 2);
        let sum = format!("{sum}{half}\r\n${}\r\n", MAX_FRAME / 2);
        let values = format!("*{MAX_VALUES}\r\n{}", ":1\r\n".repeat(MAX_VALUES));
        for bytes in [
            "HTTP/1.1 400 Bad Request\r\n\r\n",
            "%1\r\n",
            "|1\r\n",
            "_\r\n",
            ">1\r\n",
            "$-2\r\n",
            "$\r\n",
            "$1 \r\n",
            "$+1\r\n",
            "$1\n",
            "*99999999999999999999999\r\n",
            &nested,
            &many,
            &long,
            &sum,
            &values,
        ] {
            let shown = &bytes[..bytes.len().min(40)];
            assert_eq!(lengths(bytes.as_bytes()), Err(InvalidFrame), "{shown}");
        }
        let text = format!("+{}", "x".repeat(MAX_FRAME));
        assert_eq!(lengths(text.as_bytes()), Err(InvalidFrame));
        // The next reply has all of it again.
        let largest = format!("${}\r\n{half}\r\n", MAX_FRAME / 2).repeat(3);
        assert_eq!(lengths(largest.as_bytes()).unwrap().len(), 3);
    }
}
