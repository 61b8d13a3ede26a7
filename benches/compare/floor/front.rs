//! One connection from a caller to the floor: reads a request, and writes the response. Never
//! blocks.

use std::io::{self, Read};

use data_encoding::BASE64URL;
use hmac::{Hmac, KeyInit, Mac};
use mio::net::TcpStream;
use sha1::Sha1;

use super::{Settings, buffer};
use crate::{
    stream::{ReadOutcome, Stream},
    wire::{self, Framing},
};

/// Bytes read at once; they are hashed while still in the cache.
const PORTION: usize = 256 * 1024;

/// The start of every signature.
pub(super) struct Signer {
    keyed: Hmac<Sha1>,
    access_key: String,
    host: String,
}

impl Signer {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            keyed: Hmac::new_from_slice(settings.secret_key.as_bytes())
                .unwrap_or_else(|_| Hmac::new(&Default::default())),
            access_key: settings.access_key.clone(),
            host: settings.upstream.to_string(),
        }
    }
}

/// A request that is being received and hashed.
struct ReceivedRequest {
    body: Vec<u8>,
    filled: usize,
    length: usize,
    mac: Hmac<Sha1>,
    path: String,
}

/// A signed request: a head, and the first `length` bytes of a buffer.
pub(super) struct SignedRequest {
    pub(super) head: Vec<u8>,
    pub(super) body: Vec<u8>,
    pub(super) length: usize,
}

pub(super) struct FrontConnection {
    stream: Stream,
    head: Vec<u8>,
    incoming: Option<ReceivedRequest>,
    ready: Option<SignedRequest>,
    response: Vec<u8>,
    response_sent: usize,
}

impl FrontConnection {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            head: Vec::new(),
            incoming: None,
            ready: None,
            response: Vec::new(),
            response_sent: 0,
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready.is_some()
    }

    pub(super) fn take_request(&mut self) -> SignedRequest {
        self.ready.take().unwrap_or(SignedRequest {
            head: Vec::new(),
            body: Vec::new(),
            length: 0,
        })
    }

    /// Reads the socket; `false` once the peer has closed it.
    pub(super) fn read(
        &mut self,
        scratch: &mut [u8],
        signer: &Signer,
        buffers: &mut Vec<Vec<u8>>,
    ) -> io::Result<bool> {
        loop {
            let Self {
                stream,
                head,
                incoming,
                ..
            } = self;
            let after = match incoming {
                // Without TLS, the body is read directly into its buffer.
                Some(incoming) if !stream.is_tls() => incoming.read(&mut stream.tcp)?,
                _ => stream.read(scratch, |bytes| {
                    take(bytes, head, incoming, signer, buffers);
                })?,
            };
            if let Some(done) = incoming.take_if(|incoming| incoming.filled == incoming.length) {
                self.ready = Some(done.sign(signer));
            }
            match after {
                ReadOutcome::More => {}
                ReadOutcome::WouldBlock => return Ok(true),
                ReadOutcome::End => return Ok(false),
            }
        }
    }

    pub(super) fn response(&mut self, response: Vec<u8>) -> io::Result<()> {
        self.response = response;
        self.response_sent = 0;
        self.write()
    }

    pub(super) fn write(&mut self) -> io::Result<()> {
        self.stream.flush()?;
        while self.response_sent < self.response.len() {
            let rest = io::IoSlice::new(&self.response[self.response_sent..]);
            match self.stream.write(&[rest]) {
                Ok(written) => self.response_sent += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn take(
    bytes: &[u8],
    head: &mut Vec<u8>,
    incoming: &mut Option<ReceivedRequest>,
    signer: &Signer,
    buffers: &mut Vec<Vec<u8>>,
) {
    if let Some(incoming) = incoming {
        incoming.push(bytes);
        return;
    }
    // A head usually arrives complete. It is copied only if it does not.
    if head.is_empty() {
        if let Some(begun) = ReceivedRequest::begin(bytes, signer, buffers) {
            *incoming = Some(begun);
        } else {
            head.extend_from_slice(bytes);
        }
    } else {
        head.extend_from_slice(bytes);
        if let Some(begun) = ReceivedRequest::begin(head, signer, buffers) {
            *incoming = Some(begun);
            head.clear();
        }
    }
}

impl ReceivedRequest {
    fn begin(bytes: &[u8], signer: &Signer, buffers: &mut Vec<Vec<u8>>) -> Option<Self> {
        let head = wire::head(bytes)?;
        let Framing::Length(length) = head.framing else {
            return None;
        };
        let path = head.line.split(|&byte| byte == b' ').nth(1)?;
        let path = String::from_utf8_lossy(path).into_owned();
        let mut mac = signer.keyed.clone();
        let text = format!(
            "POST {path}\nHost: {}\nContent-Type: application/json\n\n",
            signer.host
        );
        mac.update(text.as_bytes());
        let mut begun = Self {
            body: buffer(buffers, length),
            filled: 0,
            length,
            mac,
            path,
        };
        begun.push(&bytes[head.length..]);
        Some(begun)
    }

    fn push(&mut self, bytes: &[u8]) {
        let bytes = &bytes[..bytes.len().min(self.length - self.filled)];
        self.body[self.filled..self.filled + bytes.len()].copy_from_slice(bytes);
        self.mac.update(bytes);
        self.filled += bytes.len();
    }

    fn read(&mut self, tcp: &mut TcpStream) -> io::Result<ReadOutcome> {
        let end = self.length.min(self.filled + PORTION);
        let space = &mut self.body[self.filled..end];
        let read = match tcp.read(space) {
            Ok(0) => return Ok(ReadOutcome::End),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Ok(ReadOutcome::WouldBlock);
            }
            Err(error) => return Err(error),
        };
        self.mac.update(&space[..read]);
        let filled = read == space.len();
        self.filled += read;
        // After the last byte of a request, nothing follows before its response.
        Ok(if filled && self.filled < self.length {
            ReadOutcome::More
        } else {
            ReadOutcome::WouldBlock
        })
    }

    fn sign(self, signer: &Signer) -> SignedRequest {
        let signature = BASE64URL.encode(&self.mac.finalize().into_bytes());
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nAuthorization: Qiniu {}:{signature}\r\n\r\n",
            self.path, signer.host, self.length, signer.access_key
        );
        SignedRequest {
            head: head.into_bytes(),
            body: self.body,
            length: self.length,
        }
    }
}
