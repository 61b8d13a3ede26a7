//! HTTP/2 as bytes: frames and uncompressed field blocks, right or wrong, as an attack needs them.
//!
//! Relies on the frame writer of the gateway's tests. Never reads anything, and never keeps a
//! peer's state.

use super::super::frames::{
    CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, INDEXED, INITIAL_WINDOW_SIZE,
    PING, PLAIN, PREFACE, PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE, put_frame, put_literal,
};

/// Frames in the order in which they are sent.
#[derive(Debug, Default)]
pub(crate) struct Frames(Vec<u8>);

impl Frames {
    /// The preface and a SETTINGS frame with this initial window for responses.
    pub(crate) fn preface(window: u32) -> Self {
        let mut frames = Self(PREFACE.to_vec());
        frames.window_setting(window);
        frames
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Any frame.
    pub(crate) fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        put_frame(&mut self.0, kind, flags, stream, payload);
    }

    /// A complete head. `end` also ends the stream.
    pub(crate) fn head(&mut self, stream: u32, block: &[u8], end: bool) {
        let flags = END_HEADERS | if end { END_STREAM } else { 0 };
        self.frame(HEADERS, flags, stream, block);
    }

    /// The start of a head that CONTINUATION frames go on with.
    pub(crate) fn open_head(&mut self, stream: u32, block: &[u8]) {
        self.frame(HEADERS, END_STREAM, stream, block);
    }

    pub(crate) fn continuation(&mut self, stream: u32, block: &[u8]) {
        self.frame(CONTINUATION, 0, stream, block);
    }

    pub(crate) fn data(&mut self, stream: u32, bytes: &[u8]) {
        self.frame(DATA, 0, stream, bytes);
    }

    pub(crate) fn reset(&mut self, stream: u32) {
        self.frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes());
    }

    pub(crate) fn priority(&mut self, stream: u32) {
        self.frame(PRIORITY, 0, stream, &[0, 0, 0, 0, 15]);
    }

    pub(crate) fn ping(&mut self) {
        self.frame(PING, 0, 0, b"attacker");
    }

    pub(crate) fn empty_settings(&mut self) {
        self.frame(SETTINGS, 0, 0, &[]);
    }

    pub(crate) fn window_setting(&mut self, window: u32) {
        let mut setting = INITIAL_WINDOW_SIZE.to_be_bytes().to_vec();
        setting.extend_from_slice(&window.to_be_bytes());
        self.frame(SETTINGS, 0, 0, &setting);
    }

    pub(crate) fn window_update(&mut self, stream: u32, more: u32) {
        self.frame(WINDOW_UPDATE, 0, stream, &more.to_be_bytes());
    }
}

/// The field block of a request; fields are literals that no table keeps.
pub(crate) fn request(method: &str, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in [
        (":method", method),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", path),
    ]
    .iter()
    .chain(fields)
    {
        put_literal(&mut block, PLAIN, name, value);
    }
    block
}

/// A literal field that the decoder puts into its table, as the newest entry.
pub(crate) fn indexed_field(block: &mut Vec<u8>, name: &str, value: &str) {
    put_literal(block, INDEXED, name, value);
}

/// A field that is not kept, with this many bytes.
pub(crate) fn filler(block: &mut Vec<u8>, bytes: usize) {
    put_literal(block, PLAIN, "x-filler", &"f".repeat(bytes));
}

/// A reference to the newest entry of the decoder's table: one byte.
pub(crate) const NEWEST_ENTRY: u8 = 0x80 | 62;
