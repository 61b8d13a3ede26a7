//! One connection to another server: TCP, or TLS over TCP, with the buffer its responses are read
//! into; and the certificate authorities that such connections trust.
//!
//! [`super::dial`] opens them. Certificates are always verified. Nothing here has a timeout.

use std::{
    io::{self, IoSlice},
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::SystemTime,
};

use arc_swap::ArcSwap;
use rustls::{
    ClientConfig, ProtocolVersion, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{certificate_end::certificate_end, wipe::WipedVec};

/// Maximum size of the buffer that a connection keeps between two responses, in bytes: enough for a
/// small response. It is allocated once per connection rather than once per request, because the
/// allocator is slowest at blocks that are held across a wait.
const KEPT_BUFFER: usize = 4 * 1024;

/// A connected stream.
pub struct OutboundConnection {
    stream: OutboundStream,
    /// Wiped between two responses.
    buffer: WipedVec,
}

enum OutboundStream {
    Plain(TcpStream),
    /// The server's certificate is verified.
    Tls(Box<TlsStream<TcpStream>>),
    /// TLS to a server within TLS to a proxy.
    TlsInTls(Box<TlsStream<TlsStream<TcpStream>>>),
}

/// What the handshake with a server has agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsDetails {
    /// The version of TLS, in words.
    pub version: &'static str,
    /// When the server's own certificate expires, if that can be read.
    pub certificate_end: Option<SystemTime>,
}

impl OutboundConnection {
    /// A connection without TLS over this stream.
    pub(super) fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self::new(OutboundStream::Plain(stream)))
    }

    /// The same connection after a TLS handshake with the server of this name, within the TLS that
    /// it has already.
    pub(super) async fn with_tls(self, host: &str, tls: Arc<ClientConfig>) -> io::Result<Self> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let tls = TlsConnector::from(tls);
        let stream = match self.stream {
            OutboundStream::Plain(stream) => {
                OutboundStream::Tls(Box::new(tls.connect(name, stream).await?))
            }
            OutboundStream::Tls(stream) => {
                OutboundStream::TlsInTls(Box::new(tls.connect(name, *stream).await?))
            }
            // There is one proxy at most.
            OutboundStream::TlsInTls(_) => return Err(io::ErrorKind::Unsupported.into()),
        };
        Ok(Self::new(stream))
    }

    fn new(stream: OutboundStream) -> Self {
        Self {
            stream,
            buffer: WipedVec::default(),
        }
    }

    /// What the last handshake has agreed on. `None` without TLS.
    pub fn tls_details(&self) -> Option<TlsDetails> {
        let session = match &self.stream {
            OutboundStream::Plain(_) => return None,
            OutboundStream::Tls(stream) => stream.get_ref().1,
            OutboundStream::TlsInTls(stream) => stream.get_ref().1,
        };
        let own = session.peer_certificates().and_then(<[_]>::first);
        Some(TlsDetails {
            version: match session.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
                Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
                _ => "TLS",
            },
            certificate_end: own.and_then(|certificate| certificate_end(certificate)),
        })
    }

    /// Takes an empty buffer to read a response into.
    pub(super) fn take_buffer(&mut self) -> WipedVec {
        std::mem::take(&mut self.buffer)
    }

    /// Keeps a buffer for the next response, unless it has become large.
    pub(super) fn keep_buffer(&mut self, mut buffer: WipedVec) {
        if buffer.capacity() <= KEPT_BUFFER {
            buffer.wipe();
            self.buffer = buffer;
        }
    }

    /// Whether the server has neither closed the connection nor sent bytes that no request asked
    /// for.
    pub fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        let mut context = Context::from_waker(Waker::noop());
        Pin::new(self)
            .poll_read(&mut context, &mut ReadBuf::new(&mut byte))
            .is_pending()
    }
}

impl AsyncRead for OutboundConnection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            OutboundStream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            OutboundStream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
            OutboundStream::TlsInTls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for OutboundConnection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            OutboundStream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            OutboundStream::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
            OutboundStream::TlsInTls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            OutboundStream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            OutboundStream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            OutboundStream::TlsInTls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            OutboundStream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            OutboundStream::Tls(stream) => Pin::new(stream).poll_flush(cx),
            OutboundStream::TlsInTls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            OutboundStream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            OutboundStream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            OutboundStream::TlsInTls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// The TLS configuration for new connections. Replacing it leaves open connections unchanged.
#[derive(Clone)]
pub struct ClientTls(Arc<ArcSwap<ClientConfig>>);

impl ClientTls {
    /// Uses `config` until it is replaced.
    pub fn new(config: Arc<ClientConfig>) -> Self {
        Self(Arc::new(ArcSwap::new(config)))
    }

    /// Uses `config` for connections opened from now on.
    pub fn replace(&self, config: Arc<ClientConfig>) {
        self.0.store(config);
    }

    pub(crate) fn current(&self) -> Arc<ClientConfig> {
        self.0.load_full()
    }
}

/// Why a TLS configuration can't be built.
#[derive(Debug, thiserror::Error)]
pub enum ClientTlsError {
    /// The TLS library rejects the protocol versions.
    #[error("TLS can't be set up: {0}")]
    Setup(#[source] rustls::Error),
    /// The file has no PEM block of a certificate.
    #[error("{} holds no certificate; it must be PEM, `-----BEGIN CERTIFICATE-----`", .0.display())]
    NoCertificate(PathBuf),
    /// The file is not PEM.
    #[error("{} is not valid PEM", .0.display())]
    NotPem(PathBuf),
    /// A certificate in the file can't be a trust anchor.
    #[error("{path} holds a certificate that can't be trusted: {1}", path = .0.display())]
    Certificate(PathBuf, #[source] rustls::Error),
}

/// Builds the TLS configuration for HTTP/1.1 with servers whose certificates are issued by
/// `authorities`: the path and content of a PEM file. Without one, trusts the system's roots, or
/// Mozilla's built-in roots if the system has none (a minimal container).
///
/// # Errors
/// The file holds no certificate, or one that can't be used.
pub fn client_config(
    authorities: Option<(&Path, &[u8])>,
) -> Result<Arc<ClientConfig>, ClientTlsError> {
    let roots = match authorities {
        Some((path, text)) => roots_of(path, text)?,
        None => usual_roots(),
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(ClientTlsError::Setup)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn usual_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

fn roots_of(path: &Path, text: &[u8]) -> Result<RootCertStore, ClientTlsError> {
    let file = || path.to_owned();
    let read = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
    let certificates = match read {
        Ok(certificates) if !certificates.is_empty() => certificates,
        Ok(_) | Err(pem::Error::NoItemsFound) => {
            return Err(ClientTlsError::NoCertificate(file()));
        }
        // The error's own text could quote a line of the file, which may be the wrong file.
        Err(_) => return Err(ClientTlsError::NotPem(file())),
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots
            .add(certificate)
            .map_err(|error| ClientTlsError::Certificate(file(), error))?;
    }
    Ok(roots)
}
