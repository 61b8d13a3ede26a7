//! An attacker's connections, and the count of what came of them.
//!
//! Connects from loopback addresses of its own (127.66.0.0/16), so that limits by address tell
//! attackers and normal users apart. Never connects to anything but a loopback address.

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpSocket, TcpStream},
    time::{Instant, timeout},
};
use tokio_rustls::TlsConnector;

/// The longest wait for a connection and its TLS handshake. A full house lets attackers wait.
const CONNECT: Duration = Duration::from_secs(15);

/// A connection, plain or over TLS.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// How TLS is spoken, with the protocol chosen already.
#[derive(Clone)]
pub(crate) struct TlsClient {
    pub(crate) http1: Arc<ClientConfig>,
    pub(crate) http2: Arc<ClientConfig>,
}

impl TlsClient {
    /// Trusts this certificate alone. Sessions are not resumed: each handshake is a full one.
    pub(crate) fn new(certificate: CertificateDer<'static>) -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(certificate)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = rustls::client::Resumption::disabled();
        let protocol = |name: &[u8]| {
            let mut config = config.clone();
            config.alpn_protocols = vec![name.to_vec()];
            Arc::new(config)
        };
        Ok(Self {
            http1: protocol(b"http/1.1"),
            http2: protocol(b"h2"),
        })
    }
}

/// What is attacked, by whom.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) public: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// `None`: the public listener speaks plain HTTP.
    pub(crate) tls: Option<TlsClient>,
    /// The attackers' own valid tokens, one for each account.
    pub(crate) tokens: Arc<Vec<String>>,
    /// Numbers of connections are multiplied by this.
    pub(crate) scale: f64,
    /// When the attack ends.
    pub(crate) until: Instant,
}

/// Which protocol a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
    /// No TLS and nothing above it.
    Bytes,
}

impl Target {
    /// `count` at the scale of this run, at least one.
    pub(crate) fn scaled(&self, count: usize) -> usize {
        ((count as f64 * self.scale).ceil() as usize).max(1)
    }

    pub(crate) fn token(&self, account: usize) -> &str {
        let index = account.checked_rem(self.tokens.len()).unwrap_or(0);
        self.tokens.get(index).map_or("", String::as_str)
    }

    /// Connects from the attackers' address with this number. `receive` limits the socket's
    /// receive buffer, in bytes.
    pub(crate) async fn connect(
        &self,
        source: usize,
        protocol: Protocol,
        receive: Option<u32>,
    ) -> io::Result<Box<dyn Duplex>> {
        let connecting = async {
            let tcp = tcp(self.public, attacker(source), receive).await?;
            let config = match (&self.tls, protocol) {
                (None, _) | (_, Protocol::Bytes) => return Ok(Box::new(tcp) as Box<dyn Duplex>),
                (Some(tls), Protocol::Http1) => &tls.http1,
                (Some(tls), Protocol::Http2) => &tls.http2,
            };
            let stream = TlsConnector::from(Arc::clone(config))
                .connect(server_name()?, tcp)
                .await?;
            Ok(Box::new(stream) as Box<dyn Duplex>)
        };
        timeout(CONNECT, connecting).await?
    }

    /// Connects to the admin listener.
    pub(crate) async fn connect_admin(&self, source: usize) -> io::Result<Box<dyn Duplex>> {
        let connecting = tcp(self.admin, attacker(source), None);
        let tcp = timeout(CONNECT, connecting).await??;
        Ok(Box::new(tcp))
    }
}

/// The name in the gateway's certificate.
pub(crate) fn server_name() -> io::Result<rustls::pki_types::ServerName<'static>> {
    rustls::pki_types::ServerName::try_from("localhost").map_err(io::Error::other)
}

/// The first message of a TLS handshake, as bytes.
pub(crate) fn client_hello(tls: &TlsClient) -> io::Result<Vec<u8>> {
    let name = server_name()?;
    let config = Arc::clone(&tls.http1);
    let mut client = rustls::ClientConnection::new(config, name).map_err(io::Error::other)?;
    let mut hello = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut hello)?;
    }
    Ok(hello)
}

/// The attackers' address with this number.
fn attacker(number: usize) -> Ipv4Addr {
    let part = |number: usize| (number % 250) as u8 + 1;
    Ipv4Addr::new(127, 66, part(number / 250), part(number))
}

/// Connects from this loopback address.
pub(crate) async fn tcp(
    to: SocketAddr,
    from: Ipv4Addr,
    receive: Option<u32>,
) -> io::Result<TcpStream> {
    if !to.ip().is_loopback() {
        return Err(io::Error::other("only a loopback address may be attacked"));
    }
    let socket = TcpSocket::new_v4()?;
    if let Some(bytes) = receive {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.bind(SocketAddr::from((from, 0)))?;
    let tcp = socket.connect(to).await?;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

/// What an attack did, while it runs.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) opened: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) ended: AtomicU64,
    pub(crate) bytes: AtomicU64,
    answers: Mutex<BTreeMap<u16, u64>>,
    victims: Mutex<Vec<f64>>,
    victims_lost: AtomicU64,
}

/// What an attack did.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct AttackReport {
    /// Connections opened.
    pub(crate) opened: u64,
    /// Connections that could not be opened.
    pub(crate) failed: u64,
    /// Connections that the gateway ended.
    pub(crate) ended: u64,
    pub(crate) bytes: u64,
    /// The number of responses by status.
    pub(crate) answers: BTreeMap<u16, u64>,
    /// Seconds that requests of normal users took on the attackers' own connection.
    pub(crate) victims: Vec<f64>,
    pub(crate) victims_lost: u64,
}

pub(crate) fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

impl Tally {
    pub(crate) fn answered(&self, status: u16, times: u64) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        *answers.entry(status).or_default() += times;
    }

    /// A request of a normal user on the attackers' connection: its seconds, or `None` if it was
    /// lost.
    pub(crate) fn victim(&self, seconds: Option<f64>) {
        match seconds {
            Some(seconds) => {
                let mut victims = self.victims.lock().unwrap_or_else(PoisonError::into_inner);
                victims.push(seconds);
            }
            None => count(&self.victims_lost, 1),
        }
    }

    /// The counts up to now.
    pub(crate) fn report(&self) -> AttackReport {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        AttackReport {
            opened: load(&self.opened),
            failed: load(&self.failed),
            ended: load(&self.ended),
            bytes: load(&self.bytes),
            answers: self
                .answers
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
            victims: self
                .victims
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
            victims_lost: load(&self.victims_lost),
        }
    }
}

impl AttackReport {
    /// Adds the counts of another round.
    pub(crate) fn add(&mut self, other: Self) {
        self.opened += other.opened;
        self.failed += other.failed;
        self.ended += other.ended;
        self.bytes += other.bytes;
        for (status, times) in other.answers {
            *self.answers.entry(status).or_default() += times;
        }
        self.victims.extend(other.victims);
        self.victims_lost += other.victims_lost;
    }
}
