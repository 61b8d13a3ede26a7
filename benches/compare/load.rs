//! The load generator's connections to a proxy: they send requests, and report the responses.
//!
//! Relies on the event loop of `rig`. Never blocks.

mod http1;
mod http2;
mod socket;
mod translate;

use std::{io, time::Instant};

use bytes::Bytes;

use self::{http1::Http1Connection, http2::Http2Connection};
use crate::stream::Stream;

/// The part of a body that is kept for an error message, in bytes.
const ERROR_BODY: usize = 300;

/// A request in three pieces, so that the video is shared by all requests.
#[derive(Clone, Default)]
pub(crate) struct LoadRequest {
    /// The head as HTTP/1.1 writes it, and the body before the video.
    pub(crate) front: Vec<u8>,
    pub(crate) video: Bytes,
    pub(crate) back: &'static [u8],
    /// Send only this many bytes. Only over HTTP/1.1.
    pub(crate) stop_at: Option<usize>,
}

impl LoadRequest {
    fn pieces(&self) -> [&[u8]; 3] {
        [&self.front, &self.video, self.back]
    }
}

/// A request to send, and what to do with its response.
pub(crate) struct LoadTask {
    pub(crate) request: LoadRequest,
    /// The number of the request in its run.
    pub(crate) number: usize,
    /// When its latency begins.
    pub(crate) since: Instant,
    /// Keep the whole body of the response.
    pub(crate) keep: bool,
}

impl Default for LoadTask {
    fn default() -> Self {
        Self {
            request: LoadRequest::default(),
            number: 0,
            since: Instant::now(),
            keep: false,
        }
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

/// A response, and the request that it answers.
pub(crate) struct LoadAnswer {
    /// The index of the connection.
    pub(crate) connection: usize,
    /// As in [`LoadTask`].
    pub(crate) number: usize,
    pub(crate) since: Instant,
    pub(crate) response: LoadResponse,
}

pub(crate) enum LoadConnection {
    Http1(Http1Connection),
    Http2(Http2Connection),
}

impl LoadConnection {
    pub(crate) fn http1(index: usize, stream: Stream) -> Self {
        Self::Http1(Http1Connection::new(index, stream))
    }

    pub(crate) fn http2(index: usize, stream: Stream) -> Self {
        Self::Http2(Http2Connection::new(index, stream))
    }

    /// Whether the socket has taken everything that is to be sent.
    pub(crate) fn has_sent(&self) -> bool {
        match self {
            Self::Http1(connection) => connection.has_sent(),
            Self::Http2(connection) => connection.is_idle(),
        }
    }

    /// Sends a request. Over HTTP/1.1, the one before must have been answered.
    pub(crate) fn begin(&mut self, task: LoadTask) -> io::Result<()> {
        match self {
            Self::Http1(connection) => connection.begin(task),
            Self::Http2(connection) => connection.begin(task),
        }
    }

    /// Handles an event of the socket.
    pub(crate) fn event(
        &mut self,
        (readable, writable): (bool, bool),
        scratch: &mut [u8],
        answered: &mut dyn FnMut(LoadAnswer),
    ) -> io::Result<()> {
        match self {
            Self::Http1(connection) => {
                if writable {
                    connection.writable()?;
                }
                if readable && let Some(answer) = connection.readable(scratch)? {
                    answered(answer);
                }
            }
            Self::Http2(connection) => connection.event(readable, answered)?,
        }
        Ok(())
    }
}
