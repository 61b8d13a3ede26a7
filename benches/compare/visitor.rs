//! One connection of the load generator: sends a request, reads its answer, says when it is done.
//!
//! Driven by the rig's loop; never waits.

use std::{io, sync::Arc, time::Instant};

use crate::{
    stream::{After, Stream, remaining},
    wire::{self, Framing},
};

/// A request in three pieces, so that a video is not copied for each.
#[derive(Clone, Default)]
pub(crate) struct Request {
    /// The head, and the body up to the video.
    pub(crate) front: Vec<u8>,
    pub(crate) video: Option<Arc<Vec<u8>>>,
    pub(crate) back: &'static [u8],
    /// Send this much of it and no more.
    pub(crate) stop_at: Option<usize>,
}

impl Request {
    fn pieces(&self) -> [&[u8]; 3] {
        let video = self.video.as_ref().map_or(&[][..], |video| video);
        [&self.front, video, self.back]
    }
}

/// What came back.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// Bytes of the body, which may not have been kept.
    pub(crate) length: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Idle,
    Sending,
    Waiting,
}

pub(crate) struct Visitor {
    /// Its place among its like.
    pub(crate) index: usize,
    stream: Stream,
    request: Request,
    sent: usize,
    doing: Doing,
    answer: Reading,
    /// Which request of the run this is.
    pub(crate) number: usize,
    /// From when its time counts.
    pub(crate) since: Instant,
}

#[derive(Default)]
struct Reading {
    /// The head, and the body as far as it is kept.
    bytes: Vec<u8>,
    received: usize,
    whole: Option<usize>,
    chunked: bool,
    keep: bool,
}

impl Visitor {
    pub(crate) fn new(index: usize, stream: Stream) -> Self {
        Self {
            index,
            stream,
            request: Request::default(),
            sent: 0,
            doing: Doing::Idle,
            answer: Reading::default(),
            number: 0,
            since: Instant::now(),
        }
    }

    /// All that it should send has been taken by the socket.
    pub(crate) fn has_sent(&self) -> bool {
        self.doing != Doing::Sending
    }

    pub(crate) fn begin(&mut self, request: Request, number: usize, keep: bool) -> io::Result<()> {
        self.request = request;
        self.sent = 0;
        self.doing = Doing::Sending;
        self.number = number;
        self.answer = Reading {
            bytes: std::mem::take(&mut self.answer.bytes),
            keep,
            ..Reading::default()
        };
        self.answer.bytes.clear();
        self.writable()
    }

    pub(crate) fn writable(&mut self) -> io::Result<()> {
        self.stream.flush()?;
        while self.doing == Doing::Sending {
            let pieces = self.request.pieces();
            let all: usize = pieces.iter().map(|piece| piece.len()).sum();
            let end = self.request.stop_at.unwrap_or(all).min(all);
            if self.sent >= end {
                self.doing = Doing::Waiting;
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
    pub(crate) fn readable(&mut self, scratch: &mut [u8]) -> io::Result<Option<Answer>> {
        loop {
            let was_shaking = self.stream.is_shaking();
            let reading = &mut self.answer;
            let after = self.stream.read(scratch, |bytes| reading.take(bytes))?;
            if was_shaking && !self.stream.is_shaking() {
                self.writable()?;
            }
            if let Some(answer) = self.answer.complete() {
                self.doing = Doing::Idle;
                return Ok(Some(answer));
            }
            match after {
                After::More => {}
                After::Later => return Ok(None),
                After::End => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }
}

impl Reading {
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

    fn complete(&self) -> Option<Answer> {
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
        Some(Answer {
            status: wire::status(head.line),
            length: self.whole.map_or(body.len(), |whole| whole - head.length),
            body,
        })
    }
}
