//! One connection from the floor to the upstream: sends the signed request, reads the response, and
//! cuts its pictures. Never blocks.

use std::{
    io::{self, Read, Write},
    mem,
};

use mio::net::TcpStream;

use super::{buffer, front::SignedRequest, give_back};
use crate::{
    stream::remaining,
    wire::{self, Framing},
};

const PICTURE: &[u8] = b"\"pic\":\"";

pub(super) struct BackConnection {
    tcp: TcpStream,
    serves: usize,
    outgoing: Option<SignedRequest>,
    sent: usize,
    response: Vec<u8>,
    received: usize,
    /// Length of the response including its head, in bytes.
    whole: Option<usize>,
}

impl BackConnection {
    pub(super) fn new(tcp: TcpStream) -> Self {
        Self {
            tcp,
            serves: 0,
            outgoing: None,
            sent: 0,
            response: Vec::new(),
            received: 0,
            whole: None,
        }
    }

    pub(super) fn send(
        &mut self,
        serves: usize,
        outgoing: SignedRequest,
        buffers: &mut Vec<Vec<u8>>,
    ) -> io::Result<()> {
        self.serves = serves;
        self.outgoing = Some(outgoing);
        self.sent = 0;
        self.received = 0;
        self.whole = None;
        self.write(buffers)
    }

    pub(super) fn write(&mut self, buffers: &mut Vec<Vec<u8>>) -> io::Result<()> {
        while let Some(outgoing) = &self.outgoing {
            let end = outgoing.head.len() + outgoing.length;
            let pieces = [&outgoing.head[..], &outgoing.body[..outgoing.length]];
            match self.tcp.write_vectored(&remaining(&pieces, self.sent..end)) {
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
            if self.sent == end
                && let Some(done) = self.outgoing.take()
            {
                give_back(buffers, done.body);
            }
        }
        Ok(())
    }

    /// The index of the front connection and the cut response, once that is complete.
    pub(super) fn read(
        &mut self,
        scratch: &mut [u8],
        buffers: &mut Vec<Vec<u8>>,
    ) -> io::Result<Option<(usize, Vec<u8>)>> {
        loop {
            let space = match self.whole {
                None => &mut scratch[..],
                Some(whole) => &mut self.response[self.received..whole],
            };
            let asked = space.len();
            let read = match self.tcp.read(space) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            };
            if self.whole.is_none() {
                let begun = &scratch[..read];
                // The comparison's upstream never sends a head in parts.
                let head = wire::head(begun).ok_or(io::ErrorKind::InvalidData)?;
                let Framing::Length(length) = head.framing else {
                    return Err(io::ErrorKind::InvalidData.into());
                };
                let whole = head.length + length;
                if read == whole {
                    return Ok(Some((self.serves, cut(begun, head.length))));
                }
                self.response = buffer(buffers, whole);
                self.response[..read].copy_from_slice(begun);
                self.whole = Some(whole);
            }
            self.received += read;
            if self.whole == Some(self.received) {
                let response = mem::take(&mut self.response);
                let whole = &response[..self.received];
                let head = wire::head(whole).map_or(0, |head| head.length);
                let cut = cut(whole, head);
                give_back(buffers, response);
                return Ok(Some((self.serves, cut)));
            }
            if read < asked {
                return Ok(None);
            }
        }
    }
}

/// The response with its picture strings emptied.
fn cut(response: &[u8], head: usize) -> Vec<u8> {
    let mut body = &response[head..];
    let mut kept = Vec::with_capacity(4096);
    while let Some(found) = memchr::memmem::find(body, PICTURE) {
        let (before, picture) = body.split_at(found + PICTURE.len());
        kept.extend_from_slice(before);
        let end = memchr::memchr(b'"', picture).unwrap_or(picture.len());
        body = &picture[end..];
    }
    kept.extend_from_slice(body);
    let mut whole = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        kept.len()
    )
    .into_bytes();
    whole.extend_from_slice(&kept);
    whole
}
