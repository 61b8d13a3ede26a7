//! TLS towards others: whom it trusts, the system's roots or the operator's own file. Certificates are always checked.

use std::{path::Path, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem, pem::PemObject},
};

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
