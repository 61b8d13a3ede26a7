//! One connection behind the floor: the signed request out, the answer in, its pictures cut.

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
    answer: Vec<u8>,
    received: usize,
    /// Bytes of the answer, with its head.
    whole: Option<usize>,
}

impl BackConnection {
    pub(super) fn new(tcp: TcpStream) -> Self {
        Self {
            tcp,
            serves: 0,
            outgoing: None,
            sent: 0,
            answer: Vec::new(),
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

    /// The cut answer and whose it is, when it is complete.
    pub(super) fn read(
        &mut self,
        scratch: &mut [u8],
        buffers: &mut Vec<Vec<u8>>,
    ) -> io::Result<Option<(usize, Vec<u8>)>> {
        loop {
            let space = match self.whole {
                None => &mut scratch[..],
                Some(whole) => &mut self.answer[self.received..whole],
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
                // An answer's head that comes in parts does not happen here.
                let head = wire::head(begun).ok_or(io::ErrorKind::InvalidData)?;
                let Framing::Length(length) = head.framing else {
                    return Err(io::ErrorKind::InvalidData.into());
                };
                let whole = head.length + length;
                if read == whole {
                    return Ok(Some((self.serves, cut(begun, head.length))));
                }
                self.answer = buffer(buffers, whole);
                self.answer[..read].copy_from_slice(begun);
                self.whole = Some(whole);
            }
            self.received += read;
            if self.whole == Some(self.received) {
                let answer = mem::take(&mut self.answer);
                let whole = &answer[..self.received];
                let head = wire::head(whole).map_or(0, |head| head.length);
                let cut = cut(whole, head);
                give_back(buffers, answer);
                return Ok(Some((self.serves, cut)));
            }
            if read < asked {
                return Ok(None);
            }
        }
    }
}

/// The answer without what stands in its pictures' strings.
fn cut(answer: &[u8], head: usize) -> Vec<u8> {
    let mut body = &answer[head..];
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
