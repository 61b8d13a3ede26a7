//! TLS of the public listener: builds a rustls configuration from PEM files, at the start and again
//! when the files change.
//!
//! Relies on aws-lc-rs. Never puts key material into an error, never offers less than TLS 1.2, and
//! never resumes a session of a client that has shown a certificate.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
    server::{
        NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier,
        danger::ClientCertVerifier,
    },
};

/// The TLS configuration of new handshakes, which can be replaced. It is replaced as a whole, so
/// that no session is resumed with another certificate than it began with.
#[derive(Clone)]
pub struct ServerTls(Arc<ArcSwap<ServerConfig>>);

/// The content of a PEM file.
#[derive(Clone, Copy)]
pub struct PemFile<'a> {
    /// Path, for error messages.
    pub path: &'a Path,
    /// Content.
    pub text: &'a [u8],
}

/// Why the files make no TLS configuration. Never holds a part of a file's content.
#[derive(Debug, thiserror::Error)]
pub enum ServerTlsError {
    /// A file has no item of the needed kind.
    #[error("`{path}` contains none; it must contain {wanted}")]
    Empty {
        /// The file.
        path: PathBuf,
        /// What it must contain.
        wanted: &'static str,
    },
    /// A file is not PEM. Without a source: the parser's message could repeat a line of the file.
    #[error("`{path}` is not valid PEM; it must contain {wanted}")]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What it must contain.
        wanted: &'static str,
    },
    /// A certificate of `client_ca` can't be a root.
    #[error("`{path}` contains a certificate that can't be used as an authority ({source})")]
    Authority {
        /// The file.
        path: PathBuf,
        /// Reported by rustls.
        source: rustls::Error,
    },
    /// The roots of `client_ca` make no verifier.
    #[error("`{path}` can't be used to check client certificates: {source}")]
    Verifier {
        /// The file.
        path: PathBuf,
        /// Reported by rustls.
        source: VerifierBuilderError,
    },
    /// The key is not that of the certificate.
    #[error(
        "the key in `{private_key}` does not belong to the first certificate in `{certificate}`"
    )]
    Mismatch {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        private_key: PathBuf,
    },
    /// The certificate can't be used.
    #[error("the first certificate in `{certificate}` can't be used ({source})")]
    Certificate {
        /// The file of the certificate.
        certificate: PathBuf,
        /// Reported by rustls.
        source: rustls::Error,
    },
    /// The key can't be used.
    #[error("the key in `{private_key}` can't be used with `{certificate}` ({source})")]
    Key {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        private_key: PathBuf,
        /// Reported by rustls.
        source: rustls::Error,
    },
    /// rustls can't be set up, whatever the files.
    #[error("TLS can't be set up: {0}")]
    Setup(#[source] rustls::Error),
}

impl ServerTlsError {
    /// What to do about it.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Empty { .. } | Self::NotPem { .. } => "name a PEM file that is complete",
            Self::Authority { .. } => "give the CA's own certificate",
            Self::Verifier { .. } => "give the certificates of the authorities of your clients",
            Self::Mismatch { .. } => {
                "give the pair that was issued together, the server's own certificate first"
            }
            Self::Certificate { .. } => "give an X.509 v3 server certificate",
            Self::Key { .. } => "give an RSA (2048 bits or more), ECDSA P-256/P-384 or Ed25519 key",
            Self::Setup(_) => "no file is to blame; report this",
        }
    }
}

impl ServerTls {
    /// Uses this configuration until it is replaced.
    pub fn new(config: Arc<ServerConfig>) -> Self {
        Self(Arc::new(ArcSwap::new(config)))
    }

    /// Uses another configuration for new handshakes. A handshake keeps the one it started with.
    pub fn replace(&self, config: Arc<ServerConfig>) {
        self.0.store(config);
    }

    /// The configuration of a new handshake.
    pub(super) fn current(&self) -> Arc<ServerConfig> {
        self.0.load_full()
    }
}

/// Builds the configuration from these files: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1 by ALPN. With
/// `client_ca`, peers must present a certificate that it issued, in each handshake: no session is
/// resumed.
///
/// # Errors
/// Says which file is wrong, and how to fix it.
pub fn server_config(
    certificate: &PemFile<'_>,
    private_key: &PemFile<'_>,
    client_ca: Option<&PemFile<'_>>,
) -> Result<Arc<ServerConfig>, ServerTlsError> {
    const KEY: &str = "a private key in PEM, unencrypted \
                       (`PRIVATE KEY`, `RSA PRIVATE KEY` or `EC PRIVATE KEY`)";
    let provider = Arc::new(aws_lc_rs::default_provider());
    let chain = certificates(certificate)?;
    let key = PrivateKeyDer::from_pem_slice(private_key.text)
        .map_err(|error| unreadable(private_key.path, &error, KEY))?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(ServerTlsError::Setup)?;
    let builder = match client_ca {
        Some(authority) => builder.with_client_cert_verifier(client_verifier(authority, provider)?),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| unusable_pair(certificate.path, private_key.path, error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    match client_ca {
        // Tickets save phones that return a full handshake.
        None => config.ticketer = aws_lc_rs::Ticketer::new().map_err(ServerTlsError::Setup)?,
        // A resumed session is not checked again, so it would outlive its client's certificate.
        Some(_) => {
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
    }
    Ok(Arc::new(config))
}

fn certificates(file: &PemFile<'_>) -> Result<Vec<CertificateDer<'static>>, ServerTlsError> {
    const CHAIN: &str = "certificates in PEM (`CERTIFICATE`), the server's own first";
    let read = CertificateDer::pem_slice_iter(file.text).collect::<Result<Vec<_>, _>>();
    match read {
        Ok(chain) if chain.is_empty() => {
            Err(unreadable(file.path, &pem::Error::NoItemsFound, CHAIN))
        }
        Ok(chain) => Ok(chain),
        Err(error) => Err(unreadable(file.path, &error, CHAIN)),
    }
}

fn client_verifier(
    file: &PemFile<'_>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, ServerTlsError> {
    let path = || file.path.to_owned();
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots
            .add(certificate)
            .map_err(|source| ServerTlsError::Authority {
                path: path(),
                source,
            })?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|source| ServerTlsError::Verifier {
            path: path(),
            source,
        })
}

fn unreadable(path: &Path, error: &pem::Error, wanted: &'static str) -> ServerTlsError {
    let path = path.to_owned();
    match error {
        pem::Error::NoItemsFound => ServerTlsError::Empty { path, wanted },
        _ => ServerTlsError::NotPem { path, wanted },
    }
}

fn unusable_pair(certificate: &Path, private_key: &Path, source: rustls::Error) -> ServerTlsError {
    let (certificate, private_key) = (certificate.to_owned(), private_key.to_owned());
    match source {
        rustls::Error::InconsistentKeys(_) => ServerTlsError::Mismatch {
            certificate,
            private_key,
        },
        rustls::Error::InvalidCertificate(_) => ServerTlsError::Certificate {
            certificate,
            source,
        },
        _ => ServerTlsError::Key {
            certificate,
            private_key,
            source,
        },
    }
}
