//! One connection: TCP, or TLS over it; and the memory that its answers are read into.

use std::{
    io::{self, IoSlice},
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use arc_swap::ArcSwap;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::origin::Origin;

/// Bytes of memory that a connection keeps between two answers at the most: what a small answer takes. It is got once for
/// each connection and not for each call, since the allocator is slowest at blocks that are held across a wait.
const KEPT_BUFFER: usize = 4 * 1024;

/// A connected stream.
pub struct OutboundConnection {
    stream: OutboundStream,
    buffer: Vec<u8>,
}

enum OutboundStream {
    Plain(TcpStream),
    /// The certificate is checked.
    Tls(Box<TlsStream<TcpStream>>),
}

impl OutboundConnection {
    /// Connects, and shakes hands where there is TLS. Has no time limit of its own.
    ///
    /// # Errors
    /// What the system or TLS says.
    pub async fn open(origin: &Origin, tls: Option<Arc<ClientConfig>>) -> io::Result<Self> {
        let stream = TcpStream::connect((origin.host.as_str(), origin.port)).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = tls else {
            return Ok(Self::new(OutboundStream::Plain(stream)));
        };
        let name = ServerName::try_from(origin.host.clone()).map_err(io::Error::other)?;
        let stream = TlsConnector::from(tls).connect(name, stream).await?;
        Ok(Self::new(OutboundStream::Tls(Box::new(stream))))
    }

    fn new(stream: OutboundStream) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// An empty buffer to read an answer into.
    pub(super) fn take_buffer(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buffer)
    }

    /// Keeps a buffer for the next answer, unless it has become large.
    pub(super) fn keep_buffer(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= KEPT_BUFFER {
            buffer.clear();
            self.buffer = buffer;
        }
    }

    /// Whether the peer has neither closed the connection nor sent anything that nobody asked for.
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
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            OutboundStream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            OutboundStream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            OutboundStream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            OutboundStream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// What connections are opened with, which may be replaced: one that is open stays what it is.
#[derive(Clone)]
pub struct ClientTls(Arc<ArcSwap<ClientConfig>>);

impl ClientTls {
    /// With this, until it is replaced.
    pub fn new(config: Arc<ClientConfig>) -> Self {
        Self(Arc::new(ArcSwap::new(config)))
    }

    /// For connections that are opened from now on.
    pub fn replace(&self, config: Arc<ClientConfig>) {
        self.0.store(config);
    }

    pub(crate) fn current(&self) -> Arc<ClientConfig> {
        self.0.load_full()
    }
}

/// The configuration for HTTP/1.1 with whoever has a certificate of these authorities: a PEM file, by its name and content. Without
/// one the system's roots are trusted, or, where the system has none (a minimal container), those of Mozilla's that are built in.
///
/// # Errors
/// What is wrong with the file, as a clause for a person.
pub fn client_config(authorities: Option<(&Path, &[u8])>) -> Result<Arc<ClientConfig>, String> {
    let roots = match authorities {
        Some((path, text)) => roots_of(path, text)?,
        None => usual_roots(),
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS can't be set up: {error}"))?
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

fn roots_of(path: &Path, text: &[u8]) -> Result<RootCertStore, String> {
    let path = path.display();
    let read = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
    let certificates = match read {
        Ok(certificates) if !certificates.is_empty() => certificates,
        Ok(_) | Err(pem::Error::NoItemsFound) => {
            return Err(format!(
                "{path} holds no certificate; it must be PEM, `-----BEGIN CERTIFICATE-----`"
            ));
        }
        // The error's own text could repeat a line of the file, which may be another than was meant.
        Err(_) => return Err(format!("{path} is not valid PEM")),
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate).map_err(|error| {
            format!("{path} holds a certificate that can't be trusted: {error}")
        })?;
    }
    Ok(roots)
}
