//! One connection of the load generator: sends a request, and reads its response.
//!
//! Relies on the event loop of `rig`. Never blocks.

use std::{io, sync::Arc, time::Instant};

use crate::{
    stream::{ReadOutcome, Stream, remaining},
    wire::{self, Framing},
};

/// A request in three pieces, so that the video is shared by all requests.
#[derive(Clone, Default)]
pub(crate) struct LoadRequest {
    /// The head, and the body before the video.
    pub(crate) front: Vec<u8>,
    pub(crate) video: Option<Arc<Vec<u8>>>,
    pub(crate) back: &'static [u8],
    /// Send only this many bytes.
    pub(crate) stop_at: Option<usize>,
}

impl LoadRequest {
    fn pieces(&self) -> [&[u8]; 3] {
        let video = self.video.as_ref().map_or(&[][..], |video| video);
        [&self.front, video, self.back]
    }
}

/// A complete response.
#[derive(Debug, Default)]
pub(crate) struct LoadResponse {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// Length of the body, in bytes, even if it was not kept.
    pub(crate) length: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Sending,
    Waiting,
}

pub(crate) struct LoadConnection {
    /// The index of this connection.
    pub(crate) index: usize,
    stream: Stream,
    request: LoadRequest,
    sent: usize,
    phase: Phase,
    response: ResponseReader,
    /// The number of the current request in its run.
    pub(crate) number: usize,
    /// When the latency of the current request begins.
    pub(crate) since: Instant,
}

#[derive(Default)]
struct ResponseReader {
    /// The head, and the kept part of the body.
    bytes: Vec<u8>,
    received: usize,
    whole: Option<usize>,
    chunked: bool,
    keep: bool,
}

impl LoadConnection {
    pub(crate) fn new(index: usize, stream: Stream) -> Self {
        Self {
            index,
            stream,
            request: LoadRequest::default(),
            sent: 0,
            phase: Phase::Idle,
            response: ResponseReader::default(),
            number: 0,
            since: Instant::now(),
        }
    }

    /// Whether the socket has taken everything that is to be sent.
    pub(crate) fn has_sent(&self) -> bool {
        self.phase != Phase::Sending
    }

    pub(crate) fn begin(
        &mut self,
        request: LoadRequest,
        number: usize,
        keep: bool,
    ) -> io::Result<()> {
        self.request = request;
        self.sent = 0;
        self.phase = Phase::Sending;
        self.number = number;
        self.response = ResponseReader {
            bytes: std::mem::take(&mut self.response.bytes),
            keep,
            ..ResponseReader::default()
        };
        self.response.bytes.clear();
        self.writable()
    }

    pub(crate) fn writable(&mut self) -> io::Result<()> {
        self.stream.flush()?;
        while self.phase == Phase::Sending {
            let pieces = self.request.pieces();
            let all: usize = pieces.iter().map(|piece| piece.len()).sum();
            let end = self.request.stop_at.unwrap_or(all).min(all);
            if self.sent >= end {
                self.phase = Phase::Waiting;
                return Ok(());
            }
            match self.stream.write(&remaining(&pieces, self.sent..end)) {
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads from the socket; returns the response once it is complete.
    pub(crate) fn readable(&mut self, scratch: &mut [u8]) -> io::Result<Option<LoadResponse>> {
        loop {
            let was_handshaking = self.stream.is_handshaking();
            let reading = &mut self.response;
            let after = self.stream.read(scratch, |bytes| reading.take(bytes))?;
            if was_handshaking && !self.stream.is_handshaking() {
                self.writable()?;
            }
            if let Some(response) = self.response.complete() {
                self.phase = Phase::Idle;
                return Ok(Some(response));
            }
            match after {
                ReadOutcome::More => {}
                ReadOutcome::WouldBlock => return Ok(None),
                ReadOutcome::End => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }
}

impl ResponseReader {
    fn take(&mut self, bytes: &[u8]) {
        self.received += bytes.len();
        if self.whole.is_none() || self.keep || self.chunked {
            self.bytes.extend_from_slice(bytes);
        }
        if self.whole.is_none()
            && !self.chunked
            && let Some(head) = wire::head(&self.bytes)
        {
            match head.framing {
                Framing::Length(length) => self.whole = Some(head.length + length),
                Framing::Chunked => self.chunked = true,
            }
        }
    }

    fn complete(&self) -> Option<LoadResponse> {
        if self.whole.is_none() && !self.chunked {
            return None;
        }
        if self.whole.is_some_and(|whole| self.received < whole) {
            return None;
        }
        let head = wire::head(&self.bytes)?;
        let rest = &self.bytes[head.length..];
        let body = if self.chunked {
            wire::unchunk(rest)?
        } else if self.keep {
            rest.to_vec()
        } else {
            // Enough for an error message.
            rest.iter().take(300).copied().collect()
        };
        Some(LoadResponse {
            status: wire::status(head.line),
            length: self.whole.map_or(body.len(), |whole| whole - head.length),
            body,
        })
    }
}
