//! Counts the frames of an HTTP/2 connection that are no requests, and ends the connection of a
//! peer that sends too many.
//!
//! h2 answers pings, applies settings and decodes heads for as long as a peer sends them. A
//! [`FrameGuard`] reads the frame headers before h2 does, charges each frame to a budget that
//! refills with time and with honest work, and says when it is used up. Relies on
//! [`FrameReader`] for the frames, and on its owner for what became of the heads. Never looks into
//! a payload, and never counts a request.

use tokio::time::Instant;

use super::frames::{
    END_HEADERS, END_STREAM, FrameHeader, FrameReader, FrameStep, HEADER_LENGTH, PADDED, kind,
};

/// How much a peer may send at once that is no request, in points. A frame that h2 handles in a
/// fraction of a microsecond costs one point.
const BUDGET: u32 = 10_000;
/// Points that return in each second.
const REFILL: u32 = 330;

/// A ping, a window update, a priority, a frame of an unknown type, or a tiny DATA frame.
const CHEAP: u32 = 1;
/// Further bytes of a frame that cost one point more.
const CHEAP_BYTES: u32 = 256;
/// A frame that changes every open stream (SETTINGS, GOAWAY), carries nothing (empty DATA), or
/// continues a head.
const DEAR: u32 = 10;
/// A stream that either side resets. More than [`RESPONSE`]: a request that is reset may end as if
/// it had its response.
const RESET: u32 = 20;
/// A head that never became a request: malformed, too large, or one stream too many.
const REFUSED_HEAD: u32 = 50;
/// Bytes of such a head that cost one point more. A byte may refer to kilobytes of fields.
const REFUSED_HEAD_BYTES: u32 = 32;
/// What an unfinished head takes at most, in bytes: its decoded fields, and one frame. One with
/// more bytes than that is a flood.
const OPEN_HEAD: usize = (128 + 16) * 1024;
/// A second head of a stream (trailers).
const TRAILERS: u32 = 20;

/// What a response returns: room for resets, window updates and pings of its request.
const RESPONSE: u32 = 10;
/// Bytes of DATA that return one point.
const DATA_BYTES: u32 = 4096;
/// DATA frames with less than this are tiny.
const TINY_DATA: u32 = 128;
/// The most that padding can add to a frame (RFC 9113 section 6.1).
const MAX_PADDING: u32 = 256;

/// Bytes of DATA that a connection may hand up before others get their turn. A quarter of it costs
/// several uploads on one connection 4 % of the processor's time.
const TURN: u32 = 1024 * 1024;
/// DATA frames from this size on are an upload. A byte of anything else weighs as much as
/// [`OTHER_WEIGHT`] bytes of an upload.
const UPLOAD_DATA: u32 = 1024;
const OTHER_WEIGHT: u32 = 64;

/// The peer sent too much that is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many frames that are no requests")]
pub struct FrameFlood;

/// The frames of one connection so far.
#[derive(Debug)]
pub struct FrameGuard {
    reader: FrameReader,
    budget: Budget,
    /// Work handed up in this turn, in bytes of an upload.
    turn: u32,
    /// What a byte of the current payload weighs in a turn.
    weight: u32,
    head: HeadProgress,
    /// The newest stream of the peer.
    newest_stream: u32,
    /// Heads of new streams that are complete, and those that were charged since they did not
    /// become requests.
    heads: u64,
    refused: u64,
    /// The longest head of this turn, in bytes.
    longest_head: u32,
    responses: u64,
    in_preface: bool,
}

/// The head that is arriving. Until it ends, no other frame may come (RFC 9113 section 6.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HeadProgress {
    None,
    /// In a frame that does not end the head, or between two frames.
    Open {
        bytes: u32,
        new: bool,
    },
    /// In the payload of the frame that ends it.
    Ending {
        bytes: u32,
        new: bool,
    },
}

impl FrameGuard {
    /// At the first byte of a client's stream.
    pub fn begin() -> Self {
        Self {
            reader: FrameReader::behind_preface(),
            budget: Budget::new(),
            turn: 0,
            weight: OTHER_WEIGHT,
            head: HeadProgress::None,
            newest_stream: 0,
            heads: 0,
            refused: 0,
            longest_head: 0,
            responses: 0,
            in_preface: true,
        }
    }

    /// Reads the next bytes of the stream.
    ///
    /// # Errors
    /// The budget is used up. Nothing may be read afterwards.
    pub fn read(&mut self, mut bytes: &[u8]) -> Result<(), FrameFlood> {
        while let Some((step, rest)) = self.reader.step(bytes) {
            let weight = match step {
                FrameStep::Skipped(bytes) => bytes.saturating_mul(self.weight),
                FrameStep::Partial => 0,
                FrameStep::Header(header) => {
                    self.frame(header)?;
                    HEADER_LENGTH * OTHER_WEIGHT
                }
            };
            self.turn = self.turn.saturating_add(weight);
            if !self.reader.in_payload() {
                self.payload_ended();
            }
            bytes = rest;
        }
        Ok(())
    }

    /// Charges a frame.
    fn frame(&mut self, header: FrameHeader) -> Result<(), FrameFlood> {
        self.weight = OTHER_WEIGHT;
        let long = header.length / CHEAP_BYTES;
        match header.kind {
            kind::DATA => self.data(header),
            kind::HEADERS => self.headers(header),
            kind::CONTINUATION => {
                if let HeadProgress::Open { bytes, new } = self.head {
                    self.head_frame(header, bytes, new);
                    if bytes as usize > OPEN_HEAD {
                        return Err(FrameFlood);
                    }
                }
                self.budget.charge(DEAR)
            }
            kind::RST_STREAM => self.budget.charge(RESET.saturating_add(long)),
            kind::SETTINGS | kind::GOAWAY | kind::PUSH_PROMISE => {
                self.budget.charge(DEAR.saturating_add(long))
            }
            _ => self.budget.charge(CHEAP.saturating_add(long)),
        }
    }

    fn data(&mut self, header: FrameHeader) -> Result<(), FrameFlood> {
        let padding = if header.has(PADDED) { MAX_PADDING } else { 0 };
        let bytes = header.length.saturating_sub(padding);
        if bytes >= UPLOAD_DATA {
            self.weight = 1;
        }
        if bytes >= TINY_DATA {
            self.budget.restore(bytes / DATA_BYTES);
            return Ok(());
        }
        let empty = header.length == 0 && !header.has(END_STREAM);
        self.budget.charge(if empty { DEAR } else { CHEAP })
    }

    fn headers(&mut self, header: FrameHeader) -> Result<(), FrameFlood> {
        let new = header.stream > self.newest_stream;
        if new {
            self.newest_stream = header.stream;
        }
        self.head_frame(header, 0, new);
        // A new head is charged when it is known what became of it.
        match new {
            true => Ok(()),
            false => self.budget.charge(TRAILERS),
        }
    }

    fn head_frame(&mut self, header: FrameHeader, before: u32, new: bool) {
        let bytes = before.saturating_add(header.length);
        self.head = match header.has(END_HEADERS) {
            true => HeadProgress::Ending { bytes, new },
            false => HeadProgress::Open { bytes, new },
        };
    }

    fn payload_ended(&mut self) {
        self.in_preface = false;
        if let HeadProgress::Ending { bytes, new } = self.head {
            self.head = HeadProgress::None;
            if new {
                self.heads = self.heads.saturating_add(1);
                self.longest_head = self.longest_head.max(bytes);
            }
        }
    }

    /// Begins a turn. `requests` and `responses` are those of the connection so far. h2 has handled
    /// what it got in earlier turns, so a head that has not become a request was refused. (If h2
    /// waits for the peer to read, it is only late, and offsets a refused one later.)
    ///
    /// # Errors
    /// As [`FrameGuard::read`].
    pub fn begin_turn(&mut self, requests: u64, responses: u64) -> Result<(), FrameFlood> {
        self.turn = 0;
        let new = points(responses.saturating_sub(self.responses));
        self.responses = responses;
        self.budget.restore(new.saturating_mul(RESPONSE));
        let refused = self.heads.saturating_sub(requests);
        let refused = refused.saturating_sub(self.refused);
        self.refused = self.refused.saturating_add(refused);
        let each = REFUSED_HEAD.saturating_add(self.longest_head / REFUSED_HEAD_BYTES);
        self.longest_head = 0;
        self.budget.charge(points(refused).saturating_mul(each))
    }

    /// Whether others should get their turn before this connection hands up more.
    pub fn turn_is_over(&self) -> bool {
        self.turn >= TURN
    }

    /// Charges a stream that the gateway resets: the peer may have provoked it.
    ///
    /// # Errors
    /// As [`FrameGuard::read`].
    pub fn reset_by_us(&mut self) -> Result<(), FrameFlood> {
        self.budget.charge(RESET)
    }

    /// What a head that has begun and not ended takes, in bytes; the preface counts as one. Nothing
    /// else can arrive meanwhile.
    pub fn unfinished_head(&self) -> Option<usize> {
        match self.head {
            HeadProgress::None => self.in_preface.then_some(0),
            // h2 keeps its fields decoded, however few bytes they were.
            HeadProgress::Open { .. } => Some(OPEN_HEAD),
            HeadProgress::Ending { bytes, .. } => Some(bytes as usize),
        }
    }

    /// The newest stream of the peer.
    pub fn newest_stream(&self) -> u32 {
        self.newest_stream
    }
}

fn points(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Points that refill with time.
#[derive(Debug)]
struct Budget {
    spent: u32,
    refilled: Instant,
}

impl Budget {
    fn new() -> Self {
        Self {
            spent: 0,
            refilled: Instant::now(),
        }
    }

    fn restore(&mut self, points: u32) {
        self.spent = self.spent.saturating_sub(points);
    }

    fn charge(&mut self, points: u32) -> Result<(), FrameFlood> {
        self.spent = self.spent.saturating_add(points);
        if self.spent <= BUDGET {
            return Ok(());
        }
        // The clock is read only when it matters.
        let now = Instant::now();
        let elapsed = now.saturating_duration_since(self.refilled).as_millis();
        let returned = elapsed.saturating_mul(REFILL.into()) / 1000;
        self.refilled = now;
        self.restore(u32::try_from(returned).unwrap_or(u32::MAX));
        match self.spent <= BUDGET {
            true => Ok(()),
            false => Err(FrameFlood),
        }
    }
}

#[cfg(test)]
mod tests;
