//! One connection of the load generator: sends a request, reads its answer, says when it is done.
//!
//! Driven by the rig's loop; never waits.

use std::{io, sync::Arc, time::Instant};

use crate::{
    stream::{ReadOutcome, Stream, remaining},
    wire::{self, Framing},
};

/// A request in three pieces, so that a video is not copied for each.
#[derive(Clone, Default)]
pub(crate) struct LoadRequest {
    /// The head, and the body up to the video.
    pub(crate) front: Vec<u8>,
    pub(crate) video: Option<Arc<Vec<u8>>>,
    pub(crate) back: &'static [u8],
    /// Send this much of it and no more.
    pub(crate) stop_at: Option<usize>,
}

impl LoadRequest {
    fn pieces(&self) -> [&[u8]; 3] {
        let video = self.video.as_ref().map_or(&[][..], |video| video);
        [&self.front, video, self.back]
    }
}

/// What came back.
#[derive(Debug, Default)]
pub(crate) struct LoadResponse {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// Bytes of the body, which may not have been kept.
    pub(crate) length: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Sending,
    Waiting,
}

pub(crate) struct LoadConnection {
    /// Its place among its like.
    pub(crate) index: usize,
    stream: Stream,
    request: LoadRequest,
    sent: usize,
    phase: Phase,
    answer: ResponseReader,
    /// Which request of the run this is.
    pub(crate) number: usize,
    /// From when its time counts.
    pub(crate) since: Instant,
}

#[derive(Default)]
struct ResponseReader {
    /// The head, and the body as far as it is kept.
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
            answer: ResponseReader::default(),
            number: 0,
            since: Instant::now(),
        }
    }

    /// All that it should send has been taken by the socket.
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
        self.answer = ResponseReader {
            bytes: std::mem::take(&mut self.answer.bytes),
            keep,
            ..ResponseReader::default()
        };
        self.answer.bytes.clear();
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

    /// The answer, when it is complete.
    pub(crate) fn readable(&mut self, scratch: &mut [u8]) -> io::Result<Option<LoadResponse>> {
        loop {
            let was_shaking = self.stream.is_shaking();
            let reading = &mut self.answer;
            let after = self.stream.read(scratch, |bytes| reading.take(bytes))?;
            if was_shaking && !self.stream.is_shaking() {
                self.writable()?;
            }
            if let Some(answer) = self.answer.complete() {
                self.phase = Phase::Idle;
                return Ok(Some(answer));
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
            // Enough to say what went wrong.
            rest.iter().take(300).copied().collect()
        };
        Some(LoadResponse {
            status: wire::status(head.line),
            length: self.whole.map_or(body.len(), |whole| whole - head.length),
            body,
        })
    }
}
