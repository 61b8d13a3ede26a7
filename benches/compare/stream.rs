//! A non-blocking, edge-triggered connection of the generator or the floor, plain or TLS.
//!
//! Relies on a read buffer of the event loop, so one system call reads many TLS records. Never
//! holds a buffer of its own between events.

use std::{
    io::{self, BufRead, ErrorKind, IoSlice, Read, Write},
    ops::Range,
    sync::Arc,
};

use mio::{Interest, Registry, Token, net::TcpStream};
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};

/// Plaintext that is encrypted at once, in bytes. It stays in memory until it is written.
const TLS_PORTION: usize = 256 * 1024;

pub(crate) struct Stream {
    pub(crate) tcp: TcpStream,
    tls: Option<Box<Connection>>,
}

/// How a read ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadOutcome {
    /// More bytes may be available.
    More,
    /// Nothing more is available until the next event.
    WouldBlock,
    End,
}

impl Stream {
    pub(crate) fn client(
        tcp: TcpStream,
        tls: Option<Arc<ClientConfig>>,
    ) -> Result<Self, rustls::Error> {
        let tls = match tls {
            Some(config) => {
                let name = rustls::pki_types::ServerName::try_from("localhost")
                    .map_err(|error| rustls::Error::General(error.to_string()))?;
                Some(Connection::from(ClientConnection::new(config, name)?))
            }
            None => None,
        };
        Ok(Self::new(tcp, tls))
    }

    pub(crate) fn server(
        tcp: TcpStream,
        tls: Option<Arc<ServerConfig>>,
    ) -> Result<Self, rustls::Error> {
        let tls = match tls {
            Some(config) => Some(Connection::from(ServerConnection::new(config)?)),
            None => None,
        };
        Ok(Self::new(tcp, tls))
    }

    fn new(tcp: TcpStream, tls: Option<Connection>) -> Self {
        let tls = tls.map(|mut tls| {
            tls.set_buffer_limit(None);
            Box::new(tls)
        });
        Self { tcp, tls }
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut self.tcp, token, both)
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether the TLS handshake is in progress. Nothing can be written until it ends.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Reads the socket once and passes the bytes to `sink`.
    pub(crate) fn read(
        &mut self,
        scratch: &mut [u8],
        mut sink: impl FnMut(&[u8]),
    ) -> io::Result<ReadOutcome> {
        let read = match self.tcp.read(scratch) {
            Ok(0) => return Ok(ReadOutcome::End),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Ok(ReadOutcome::WouldBlock);
            }
            Err(error) => return Err(error),
        };
        match &mut self.tls {
            None => sink(&scratch[..read]),
            Some(tls) => {
                let mut sealed = &scratch[..read];
                while !sealed.is_empty() {
                    tls.read_tls(&mut sealed)?;
                    let state = tls.process_new_packets().map_err(io::Error::other)?;
                    if state.plaintext_bytes_to_read() > 0 {
                        open(tls, &mut sink)?;
                    }
                }
                self.flush()?;
            }
        }
        // A short read means that the socket is empty (epoll(7)).
        Ok(if read < scratch.len() {
            ReadOutcome::WouldBlock
        } else {
            ReadOutcome::More
        })
    }

    /// Writes a part of `slices`, and returns its length. `WouldBlock` as for a socket.
    pub(crate) fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.tcp.write_vectored(slices);
        };
        if tls.is_handshaking() {
            return Err(ErrorKind::WouldBlock.into());
        }
        while tls.wants_write() {
            tls.write_tls(&mut self.tcp)?;
        }
        let mut taken = 0;
        for slice in slices {
            let portion = slice.len().min(TLS_PORTION - taken);
            tls.writer().write_all(&slice[..portion])?;
            taken += portion;
            if taken == TLS_PORTION {
                break;
            }
        }
        self.flush()?;
        Ok(taken)
    }

    /// Writes pending TLS records until the socket is full.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else {
            return Ok(());
        };
        while tls.wants_write() {
            match tls.write_tls(&mut self.tcp) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Passes the decrypted bytes to `sink` without copying them.
fn open(tls: &mut Connection, sink: &mut impl FnMut(&[u8])) -> io::Result<()> {
    loop {
        let mut reader = tls.reader();
        let length = match reader.fill_buf() {
            Ok([]) => return Ok(()),
            Ok(bytes) => {
                sink(bytes);
                bytes.len()
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        reader.consume(length);
    }
}

/// The slices that cover `range` of the concatenated pieces.
pub(crate) fn remaining<'a>(pieces: &[&'a [u8]], range: Range<usize>) -> Vec<IoSlice<'a>> {
    let mut slices = Vec::with_capacity(pieces.len());
    let mut start = 0;
    for piece in pieces {
        let end = start + piece.len();
        let (from, to) = (range.start.max(start), range.end.min(end));
        if from < to {
            slices.push(IoSlice::new(&piece[from - start..to - start]));
        }
        start = end;
    }
    slices
}
