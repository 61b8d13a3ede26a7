//! HTTP/2 frames by hand (RFC 9113 section 4.1), where a library would not send them.
//!
//! A [`FrameClient`] writes bytes and reads frames. Fields are written as HPACK literals without
//! Huffman codes, and the client asks for no dynamic table, so that a status can be read without
//! one. Relies on nothing but tokio: the attack harness includes this file too.

#![allow(
    dead_code,
    reason = "each program that includes this file uses a part of it"
)]

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// Flags; the first also means an acknowledgement.
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;

/// Settings, and error codes (RFC 9113 section 7).
pub(crate) const HEADER_TABLE_SIZE: u16 = 1;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;
pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// A frame that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RawFrame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl RawFrame {
    /// The error code of a RST_STREAM or GOAWAY frame.
    pub(crate) fn error(&self) -> Option<u32> {
        let code = match self.kind {
            RST_STREAM => self.payload.get(..4)?,
            GOAWAY => self.payload.get(4..8)?,
            _ => return None,
        };
        Some(u32::from_be_bytes(code.try_into().ok()?))
    }

    /// The status of a HEADERS frame that needs no dynamic table.
    pub(crate) fn status(&self) -> Option<u16> {
        // A change of the table's size may come first.
        let block = self.payload.iter().position(|byte| byte >> 5 != 1)?;
        let field = self.payload.get(block..)?;
        let indexed = [200, 204, 206, 304, 400, 404, 500];
        match *field {
            [index @ 0x88..=0x8e, ..] => indexed.get(usize::from(index - 0x88)).copied(),
            // A literal whose name is the static entry 8.
            [0x08 | 0x18 | 0x48, length, ..] => {
                let value = field.get(2..2 + usize::from(length & 0x7f))?;
                match length & 0x80 {
                    0 => std::str::from_utf8(value).ok()?.parse().ok(),
                    _ => huffman_digits(value),
                }
            }
            _ => None,
        }
    }

    pub(crate) fn ends_stream(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }
}

/// Three digits in HPACK's Huffman code (RFC 7541 appendix B): 0, 1 and 2 have five bits, the
/// others six.
fn huffman_digits(value: &[u8]) -> Option<u16> {
    let mut bits = value
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |at| u16::from(byte >> at & 1)));
    let mut number = 0;
    for _ in 0..3 {
        let mut code = 0;
        for _ in 0..5 {
            code = code << 1 | bits.next()?;
        }
        let digit = match code {
            0..=2 => code,
            _ => (code << 1 | bits.next()?).checked_sub(0b01_1001)? + 3,
        };
        number = number * 10 + digit;
    }
    Some(number)
}

/// A frame with this payload.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(9 + payload.len());
    put_frame(&mut bytes, kind, flags, stream, payload);
    bytes
}

/// Adds a frame with this payload.
pub(crate) fn put_frame(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    bytes.extend(&(payload.len() as u32).to_be_bytes()[1..]);
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
}

pub(crate) fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let payload = values
        .iter()
        .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()[..]].concat());
    frame(SETTINGS, 0, 0, &payload.collect::<Vec<_>>())
}

pub(crate) fn settings_ack() -> Vec<u8> {
    frame(SETTINGS, ACK, 0, &[])
}

pub(crate) fn ping(payload: u64) -> Vec<u8> {
    frame(PING, 0, 0, &payload.to_be_bytes())
}

pub(crate) fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

pub(crate) fn reset(stream: u32, error: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &error.to_be_bytes())
}

/// A PRIORITY frame: depends on stream 0, with the default weight.
pub(crate) fn priority(stream: u32) -> Vec<u8> {
    frame(PRIORITY, 0, stream, &[0, 0, 0, 0, 15])
}

pub(crate) fn data(stream: u32, end: bool, bytes: &[u8]) -> Vec<u8> {
    frame(DATA, u8::from(end), stream, bytes)
}

/// A HEADERS frame with a complete block of these fields.
pub(crate) fn headers(stream: u32, end: bool, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | u8::from(end), stream, &block(fields))
}

/// A header block of literals that no table keeps.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        put_literal(&mut block, PLAIN, name, value);
    }
    block
}

/// The first byte of a literal that no table keeps, and of one that the receiver's dynamic table
/// keeps. The newest entry of that has the index 62.
pub(crate) const PLAIN: u8 = 0;
pub(crate) const INDEXED: u8 = 0x40;

/// Adds a literal field to a header block.
pub(crate) fn put_literal(bytes: &mut Vec<u8>, first: u8, name: &str, value: &str) {
    bytes.push(first);
    for text in [name, value] {
        // Lengths have a prefix of seven bits (RFC 7541 section 5.1).
        let mut length = text.len();
        if length < 127 {
            bytes.push(length as u8);
        } else {
            bytes.push(127);
            length -= 127;
            while length >= 128 {
                bytes.push(length as u8 | 128);
                length >>= 7;
            }
            bytes.push(length as u8);
        }
        bytes.extend(text.as_bytes());
    }
}

/// A client that writes bytes and reads frames.
pub(crate) struct FrameClient<S> {
    pub(crate) stream: S,
    read: Vec<u8>,
}

impl FrameClient<TcpStream> {
    /// Connects in plain text, and sends the preface and settings.
    pub(crate) async fn connect(address: SocketAddr) -> io::Result<Self> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        Self::begin(tcp).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> FrameClient<S> {
    /// Sends the preface and settings: no dynamic table.
    pub(crate) async fn begin(stream: S) -> io::Result<Self> {
        let mut client = Self::reading(stream);
        let settings = settings(&[(HEADER_TABLE_SIZE, 0)]);
        client.send(&[PREFACE, &settings].concat()).await?;
        Ok(client)
    }

    /// A client on a connection that has begun.
    pub(crate) fn reading(stream: S) -> Self {
        Self {
            stream,
            read: Vec::new(),
        }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// The next frame; `None` at the end of the connection, and after an error.
    pub(crate) async fn next(&mut self) -> Option<RawFrame> {
        loop {
            if let Some((frame, length)) = parse(&self.read) {
                self.read.drain(..length);
                return Some(frame);
            }
            let mut bytes = [0; 16 * 1024];
            let read = self.stream.read(&mut bytes).await.unwrap_or(0);
            if read == 0 {
                return None;
            }
            self.read.extend(&bytes[..read]);
        }
    }

    /// Reads until a frame of this kind that is no acknowledgement, for this stream.
    pub(crate) async fn until(&mut self, kind: u8, stream: u32) -> Option<RawFrame> {
        loop {
            let frame = self.next().await?;
            let ack = matches!(frame.kind, SETTINGS | PING) && frame.flags & ACK != 0;
            if frame.kind == kind && frame.stream == stream && !ack {
                return Some(frame);
            }
        }
    }

    /// Reads until the acknowledgement of a SETTINGS or PING frame.
    pub(crate) async fn acknowledged(&mut self, kind: u8) -> Option<RawFrame> {
        loop {
            let frame = self.next().await?;
            if frame.kind == kind && frame.flags & ACK != 0 {
                return Some(frame);
            }
        }
    }

    /// The error code of the GOAWAY frame that ends the connection, if one comes before its end.
    /// A graceful one (`NO_ERROR`) is passed over.
    pub(crate) async fn goaway(&mut self) -> Option<u32> {
        loop {
            let error = self.until(GOAWAY, 0).await?.error()?;
            if error != NO_ERROR {
                return Some(error);
            }
        }
    }

    /// The status of the response on this stream, or `Err` with the code of a reset.
    pub(crate) async fn response(&mut self, stream: u32) -> Option<Result<u16, u32>> {
        loop {
            let frame = self.next().await?;
            match frame.kind {
                HEADERS if frame.stream == stream => return frame.status().map(Ok),
                RST_STREAM if frame.stream == stream => return frame.error().map(Err),
                _ => {}
            }
        }
    }
}

/// The first frame in these bytes, and the number of its bytes.
fn parse(bytes: &[u8]) -> Option<(RawFrame, usize)> {
    let (head, rest) = bytes.split_at_checked(9)?;
    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0, |sum, byte| sum << 8 | u32::from(*byte))
    };
    let length = number(&head[..3]) as usize;
    let frame = RawFrame {
        kind: head[3],
        flags: head[4],
        stream: number(&head[5..]) & 0x7fff_ffff,
        payload: rest.get(..length)?.to_vec(),
    };
    Some((frame, 9 + length))
}
