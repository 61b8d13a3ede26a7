//! The connections of normal users: a pool for HTTP/1.1, a few shared ones for HTTP/2, and fresh
//! ones.
//!
//! Relies on hyper as the client. Each kept connection comes from a loopback address of its own
//! (127.0.1.0/24), as users do. A request of which a byte may have been sent is never sent again;
//! one that found its connection closed before takes another (RFC 9110, section 9.2.2).

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http_body_util::BodyExt;
use hyper::{
    Request,
    client::conn::{TrySendError, http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{sync::Semaphore, time::timeout};
use tokio_rustls::TlsConnector;

use super::{
    attacks::wire::{Duplex, TlsClient, server_name, tcp},
    requests::Pieces,
};

/// Kept connections, and requests at a time on one of HTTP/2.
const HTTP1_CONNECTIONS: usize = 16;
const HTTP2_CONNECTIONS: usize = 4;
const STREAMS: usize = 16;
/// Connections that a request tries which were closed before it was sent: all kept ones, at most.
const TRIES: usize = HTTP1_CONNECTIONS + 1;
/// For a connection and its TLS handshake.
const CONNECT: Duration = Duration::from_secs(5);
/// The same for users who wait while a restart lets them.
const PATIENT_CONNECT: Duration = Duration::from_secs(10);

/// Where and how normal users connect.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    /// `None`: plain HTTP.
    pub(crate) tls: Option<TlsClient>,
    /// Whether users wait for longer than the time in which attacks must not hold them up.
    pub(crate) patient: bool,
}

/// A status and a body.
pub(crate) type Answer = (u16, Vec<u8>);

/// One connection.
pub(crate) enum Client {
    Http1(http1::SendRequest<Pieces>),
    Http2(http2::SendRequest<Pieces>),
}

/// All kept connections.
pub(crate) struct Clients {
    site: Site,
    idle: Mutex<Vec<Client>>,
    http1: Semaphore,
    shared: Vec<tokio::sync::Mutex<Option<http2::SendRequest<Pieces>>>>,
    http2: Semaphore,
    next: AtomicUsize,
}

impl Site {
    /// Opens a connection.
    pub(crate) async fn connect(&self, source: usize, http2: bool) -> io::Result<Client> {
        let longest = match self.patient {
            true => PATIENT_CONNECT,
            false => CONNECT,
        };
        timeout(longest, self.open(source, http2)).await?
    }

    async fn open(&self, source: usize, http2: bool) -> io::Result<Client> {
        let from = Ipv4Addr::new(127, 0, 1, (source % 250) as u8 + 1);
        let tcp = tcp(self.address, from, None).await?;
        let stream: Box<dyn Duplex> = match &self.tls {
            None => Box::new(tcp),
            Some(tls) => {
                let config = if http2 { &tls.http2 } else { &tls.http1 };
                let connector = TlsConnector::from(Arc::clone(config));
                Box::new(connector.connect(server_name()?, tcp).await?)
            }
        };
        let stream = TokioIo::new(stream);
        if http2 {
            let handshake = http2::handshake(TokioExecutor::new(), stream).await;
            let (sender, connection) = handshake.map_err(io::Error::other)?;
            tokio::spawn(connection);
            Ok(Client::Http2(sender))
        } else {
            let handshake = http1::handshake(stream).await;
            let (sender, connection) = handshake.map_err(io::Error::other)?;
            tokio::spawn(connection);
            Ok(Client::Http1(sender))
        }
    }
}

/// Why there is no response.
pub(crate) enum SendError {
    /// The connection was closed before anything of this request was sent.
    Unsent(Box<Request<Pieces>>),
    /// Something may have been sent.
    Lost(io::Error),
}

impl SendError {
    fn new(mut error: TrySendError<Request<Pieces>>, version: &str) -> Self {
        match error.take_message() {
            Some(request) => Self::Unsent(Box::new(request)),
            None => Self::Lost(io::Error::other(format!(
                "{version}: {}",
                error.into_error()
            ))),
        }
    }
}

impl From<SendError> for io::Error {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Unsent(_) => Self::other("a connection was closed before it was used"),
            SendError::Lost(error) => error,
        }
    }
}

impl Client {
    /// Sends a request and reads its whole response.
    pub(crate) async fn send(&mut self, request: Request<Pieces>) -> Result<Answer, SendError> {
        let response = match self {
            Self::Http1(sender) => match sender.ready().await {
                Ok(()) => sender.try_send_request(request).await,
                Err(_) => return Err(SendError::Unsent(Box::new(request))),
            },
            Self::Http2(sender) => match sender.ready().await {
                Ok(()) => sender.try_send_request(request).await,
                Err(_) => return Err(SendError::Unsent(Box::new(request))),
            },
        };
        let version = self.version();
        let response = response.map_err(|error| SendError::new(error, version))?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await;
        let body = body.map_err(|error| {
            let cut = format!("{version}: a response was cut off: {error}");
            SendError::Lost(io::Error::other(cut))
        })?;
        Ok((status, body.to_bytes().to_vec()))
    }

    fn version(&self) -> &'static str {
        match self {
            Self::Http1(_) => "HTTP/1.1",
            Self::Http2(_) => "HTTP/2",
        }
    }
}

impl Clients {
    pub(crate) fn new(site: Site) -> Self {
        Self {
            site,
            idle: Mutex::default(),
            http1: Semaphore::new(HTTP1_CONNECTIONS),
            shared: (0..HTTP2_CONNECTIONS)
                .map(|_| tokio::sync::Mutex::default())
                .collect(),
            http2: Semaphore::new(HTTP2_CONNECTIONS * STREAMS),
            next: AtomicUsize::new(0),
        }
    }

    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    /// Sends a request on a kept connection, or on a new one in its place.
    pub(crate) async fn send(&self, request: Request<Pieces>, http2: bool) -> io::Result<Answer> {
        let mut request = Box::new(request);
        for _ in 0..TRIES {
            match self.try_send(*request, http2).await? {
                Ok(answer) => return Ok(answer),
                Err(SendError::Unsent(back)) => request = back,
                Err(SendError::Lost(error)) => return Err(error),
            }
        }
        Err(io::Error::other(
            "each connection was closed before it was used",
        ))
    }

    async fn try_send(
        &self,
        request: Request<Pieces>,
        http2: bool,
    ) -> io::Result<Result<Answer, SendError>> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if http2 {
            let _permit = self.http2.acquire().await.map_err(io::Error::other)?;
            let sender = self.shared(number % HTTP2_CONNECTIONS).await?;
            return Ok(Client::Http2(sender).send(request).await);
        }
        let _permit = self.http1.acquire().await.map_err(io::Error::other)?;
        let mut client = match self.idle() {
            Some(client) => client,
            None => self.site.connect(number, false).await?,
        };
        let answer = client.send(request).await;
        if answer.is_ok() {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.push(client);
        }
        Ok(answer)
    }

    /// An idle connection that is still open.
    fn idle(&self) -> Option<Client> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(client) = idle.pop() {
            match &client {
                Client::Http1(sender) if sender.is_closed() => {}
                _ => return Some(client),
            }
        }
        None
    }

    async fn shared(&self, index: usize) -> io::Result<http2::SendRequest<Pieces>> {
        let mut shared = self.shared[index].lock().await;
        if let Some(sender) = shared.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let source = HTTP1_CONNECTIONS + index;
        match self.site.connect(source, true).await? {
            Client::Http2(sender) => {
                *shared = Some(sender.clone());
                Ok(sender)
            }
            Client::Http1(_) => Err(io::Error::other("HTTP/2 was asked for")),
        }
    }
}
