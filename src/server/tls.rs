//! TLS of the public listener: from PEM files to a rustls configuration, before anything listens, and again when they change.
//!
//! Relies on aws-lc-rs. Never puts key material into an error, and never offers less than TLS 1.2.

use std::{path::Path, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};

/// What handshakes are made with, which may be replaced: a handshake keeps what it began with. All of it is replaced at
/// once, since what is remembered of old sessions must not outlive the authority that vouched for a client.
#[derive(Clone)]
pub struct ServerTls(Arc<ArcSwap<ServerConfig>>);

/// A PEM file, read.
#[derive(Clone, Copy)]
pub struct PemFile<'a> {
    /// For messages.
    pub path: &'a Path,
    /// Its content.
    pub text: &'a [u8],
}

impl ServerTls {
    /// With this, until it is replaced.
    pub fn new(config: Arc<ServerConfig>) -> Self {
        Self(Arc::new(ArcSwap::new(config)))
    }

    /// For handshakes that begin from now on.
    pub fn replace(&self, config: Arc<ServerConfig>) {
        self.0.store(config);
    }

    pub(super) fn current(&self) -> Arc<ServerConfig> {
        self.0.load_full()
    }
}

/// The configuration for these files: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1 by ALPN. With `client_ca`, peers must
/// present a certificate issued by it.
///
/// # Errors
/// What is wrong with which file, and the mend, as a clause for a person.
pub fn server_config(
    certificate: &PemFile<'_>,
    private_key: &PemFile<'_>,
    client_ca: Option<&PemFile<'_>>,
) -> Result<Arc<ServerConfig>, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let chain = certificates(certificate)?;
    let key = PrivateKeyDer::from_pem_slice(private_key.text).map_err(|error| {
        unreadable(private_key.path, &error, "a private key in PEM, unencrypted (`PRIVATE KEY`, `RSA PRIVATE KEY` or `EC PRIVATE KEY`)")
    })?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| format!("TLS can't be set up: {error}"))?;
    let builder = match client_ca {
        Some(authority) => builder.with_client_cert_verifier(client_verifier(authority, provider)?),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| mismatch(certificate.path, private_key.path, &error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    if client_ca.is_none() {
        // Phones come back often: tickets spare them a full handshake. Not with client certificates, which a ticket
        // would outlive.
        config.ticketer =
            aws_lc_rs::Ticketer::new().map_err(|error| format!("TLS can't be set up: {error}"))?;
    }
    Ok(Arc::new(config))
}

fn certificates(file: &PemFile<'_>) -> Result<Vec<CertificateDer<'static>>, String> {
    let wanted = "certificates in PEM (`CERTIFICATE`), the server's own first";
    let read = CertificateDer::pem_slice_iter(file.text).collect::<Result<Vec<_>, _>>();
    match read {
        Ok(chain) if chain.is_empty() => {
            Err(unreadable(file.path, &pem::Error::NoItemsFound, wanted))
        }
        Ok(chain) => Ok(chain),
        Err(error) => Err(unreadable(file.path, &error, wanted)),
    }
}

fn client_verifier(
    file: &PemFile<'_>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| {
            format!("`{}` holds a certificate that can't be used as an authority ({error}); give the CA's own certificate", file.path.display())
        })?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| {
            format!(
                "`{}` can't be used to check clients' certificates: {error}",
                file.path.display()
            )
        })
}

fn unreadable(path: &Path, error: &pem::Error, wanted: &str) -> String {
    let path = path.display();
    match error {
        pem::Error::NoItemsFound => format!("`{path}` holds none; it must hold {wanted}"),
        // The error's own text could repeat a line of the file.
        _ => format!("`{path}` is not valid PEM; it must hold {wanted}"),
    }
}

fn mismatch(certificate: &Path, private_key: &Path, error: &rustls::Error) -> String {
    let (certificate, private_key) = (certificate.display(), private_key.display());
    match error {
        rustls::Error::InconsistentKeys(_) => format!(
            "the key in `{private_key}` does not belong to the first certificate in `{certificate}`; \
             give the pair that was issued together, the server's own certificate first"
        ),
        rustls::Error::InvalidCertificate(_) => format!(
            "the first certificate in `{certificate}` can't be used ({error}); give an X.509 v3 server certificate"
        ),
        _ => format!(
            "the key in `{private_key}` can't be used with `{certificate}` ({error}); give an RSA (2048 bits or more), \
             ECDSA P-256/P-384 or Ed25519 key"
        ),
    }
}
