//! One connection of the load generator that speaks HTTP/1.1: one request after the other.
//!
//! Relies on the event loop of `rig`. Never blocks.

use std::io;

use super::{ERROR_BODY, LoadAnswer, LoadResponse, LoadTask};
use crate::{
    stream::{ReadOutcome, Stream, remaining},
    wire::{self, Framing},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Sending,
    Waiting,
}

pub(crate) struct Http1Connection {
    index: usize,
    stream: Stream,
    /// The current request, or the last one.
    task: LoadTask,
    sent: usize,
    phase: Phase,
    response: ResponseReader,
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

impl Http1Connection {
    pub(super) fn new(index: usize, stream: Stream) -> Self {
        Self {
            index,
            stream,
            task: LoadTask::default(),
            sent: 0,
            phase: Phase::Idle,
            response: ResponseReader::default(),
        }
    }

    pub(super) fn has_sent(&self) -> bool {
        self.phase != Phase::Sending
    }

    pub(super) fn begin(&mut self, task: LoadTask) -> io::Result<()> {
        self.sent = 0;
        self.phase = Phase::Sending;
        self.response = ResponseReader {
            bytes: std::mem::take(&mut self.response.bytes),
            keep: task.keep,
            ..ResponseReader::default()
        };
        self.response.bytes.clear();
        self.task = task;
        self.writable()
    }

    pub(super) fn writable(&mut self) -> io::Result<()> {
        self.stream.flush()?;
        while self.phase == Phase::Sending {
            let pieces = self.task.request.pieces();
            let all: usize = pieces.iter().map(|piece| piece.len()).sum();
            let end = self.task.request.stop_at.unwrap_or(all).min(all);
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
    pub(super) fn readable(&mut self, scratch: &mut [u8]) -> io::Result<Option<LoadAnswer>> {
        loop {
            let was_handshaking = self.stream.is_handshaking();
            let reading = &mut self.response;
            let after = self.stream.read(scratch, |bytes| reading.take(bytes))?;
            if was_handshaking && !self.stream.is_handshaking() {
                self.writable()?;
            }
            if let Some(response) = self.response.complete() {
                self.phase = Phase::Idle;
                return Ok(Some(LoadAnswer {
                    connection: self.index,
                    number: self.task.number,
                    since: self.task.since,
                    response,
                }));
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
            rest.iter().take(ERROR_BODY).copied().collect()
        };
        Some(LoadResponse {
            status: wire::status(head.line),
            length: self.whole.map_or(body.len(), |whole| whole - head.length),
            body,
        })
    }
}
