//! The bare floor: a single-threaded epoll loop that does the job and nothing else. It reads a
//! request, computes the HMAC as it arrives, and writes it upstream with one vectored write. It
//! reads the response, cuts the pictures by a plain search, and writes the rest.
//!
//! Relies on peers that use HTTP/1.1 with a length. Never authenticates, limits or checks anything,
//! and has no timeouts, no log and no metrics. It is a yardstick, not a gateway.

mod back;
mod front;

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use self::{
    back::BackConnection,
    front::{FrontConnection, Signer},
};
use crate::stream::Stream;

const LISTENER: Token = Token(0);
const SCRATCH: usize = 256 * 1024;
/// Buffers kept for later bodies, so that their pages are mapped already.
const KEPT_BUFFERS: usize = 64;
const WORTH_KEEPING: usize = 64 * 1024;

pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) upstream: SocketAddr,
    /// The directory of `cert.pem` and `key.pem`; `None`: plain HTTP.
    pub(crate) tls: Option<PathBuf>,
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
}

/// The state that all connections share.
struct Floor {
    poll: Poll,
    fronts: Vec<Option<FrontConnection>>,
    backs: Vec<Option<BackConnection>>,
    /// Indexes of idle upstream connections.
    idle: Vec<usize>,
    buffers: Vec<Vec<u8>>,
    scratch: Vec<u8>,
    signer: Signer,
    upstream: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
}

/// Runs until it is killed.
pub(crate) fn run(settings: Settings) -> io::Result<()> {
    let tls = settings.tls.as_deref().map(server_config).transpose()?;
    let poll = Poll::new()?;
    let mut listener = TcpListener::bind(settings.listen)?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut floor = Floor {
        poll,
        fronts: Vec::new(),
        backs: Vec::new(),
        idle: Vec::new(),
        buffers: Vec::new(),
        scratch: vec![0; SCRATCH],
        signer: Signer::new(&settings),
        upstream: settings.upstream,
        tls,
    };
    let mut events = Events::with_capacity(1024);
    loop {
        match floor.poll.poll(&mut events, None) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result?,
        }
        for event in &events {
            let Token(token) = event.token();
            match token {
                0 => floor.accept(&listener)?,
                // Odd tokens are front connections, even ones are back connections.
                _ if token % 2 == 1 => {
                    floor.front(token / 2, event.is_readable(), event.is_writable());
                }
                _ => floor.back(token / 2 - 1, event.is_readable(), event.is_writable()),
            }
        }
    }
}

impl Floor {
    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        loop {
            let tcp = match listener.accept() {
                Ok((tcp, _)) => tcp,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            tcp.set_nodelay(true)?;
            let place = free(&mut self.fronts);
            let mut stream = Stream::server(tcp, self.tls.clone()).map_err(io::Error::other)?;
            stream.register(self.poll.registry(), Token(place * 2 + 1))?;
            self.fronts[place] = Some(FrontConnection::new(stream));
        }
    }

    fn front(&mut self, place: usize, readable: bool, writable: bool) {
        let Some(Some(front)) = self.fronts.get_mut(place) else {
            return;
        };
        let mut alive = !writable || front.write().is_ok();
        if alive && readable {
            let read = front.read(&mut self.scratch, &self.signer, &mut self.buffers);
            alive = matches!(read, Ok(true));
            if front.is_ready() {
                alive &= self.send(place).is_ok();
            }
        }
        if !alive {
            self.fronts[place] = None;
        }
    }

    /// Sends a complete request on an upstream connection.
    fn send(&mut self, place: usize) -> io::Result<()> {
        let back = match self.idle.pop() {
            Some(back) => back,
            None => {
                let tcp = std::net::TcpStream::connect(self.upstream)?;
                tcp.set_nodelay(true)?;
                tcp.set_nonblocking(true)?;
                let back = free(&mut self.backs);
                let mut tcp = TcpStream::from_std(tcp);
                let both = Interest::READABLE | Interest::WRITABLE;
                self.poll
                    .registry()
                    .register(&mut tcp, Token(back * 2 + 2), both)?;
                self.backs[back] = Some(BackConnection::new(tcp));
                back
            }
        };
        let (Some(Some(front)), Some(Some(connection))) =
            (self.fronts.get_mut(place), self.backs.get_mut(back))
        else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        connection.send(place, front.take_request(), &mut self.buffers)
    }

    fn back(&mut self, place: usize, readable: bool, writable: bool) {
        let Some(Some(back)) = self.backs.get_mut(place) else {
            return;
        };
        let mut alive = !writable || back.write(&mut self.buffers).is_ok();
        if alive && readable {
            match back.read(&mut self.scratch, &mut self.buffers) {
                Ok(Some((front, response))) => {
                    self.idle.push(place);
                    if let Some(Some(connection)) = self.fronts.get_mut(front)
                        && connection.response(response).is_err()
                    {
                        self.fronts[front] = None;
                    }
                }
                Ok(None) => {}
                Err(_) => alive = false,
            }
        }
        if !alive {
            self.idle.retain(|idle| *idle != place);
            self.backs[place] = None;
        }
    }
}

/// A buffer of at least `length` bytes, reused if possible.
fn buffer(buffers: &mut Vec<Vec<u8>>, length: usize) -> Vec<u8> {
    if length < WORTH_KEEPING {
        return vec![0; length];
    }
    let fits = buffers.iter().rposition(|buffer| buffer.len() >= length);
    fits.map_or_else(|| vec![0; length], |index| buffers.swap_remove(index))
}

fn give_back(buffers: &mut Vec<Vec<u8>>, buffer: Vec<u8>) {
    if buffer.len() >= WORTH_KEEPING && buffers.len() < KEPT_BUFFERS {
        buffers.push(buffer);
    }
}

fn free<T>(places: &mut Vec<Option<T>>) -> usize {
    let free = places.iter().position(Option::is_none);
    free.unwrap_or_else(|| {
        places.push(None);
        places.len() - 1
    })
}

fn server_config(folder: &Path) -> io::Result<Arc<ServerConfig>> {
    let certificate =
        CertificateDer::from_pem_file(folder.join("cert.pem")).map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).map_err(io::Error::other)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(vec![certificate], key)
        })
        .map_err(io::Error::other)?;
    Ok(Arc::new(config))
}
