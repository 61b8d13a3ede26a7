//! TLS towards others: the system's roots, or the operator's own file. Certificates are always checked.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

/// The TLS configuration for outgoing connections. Without `ca_file` the system's roots are trusted, or, where the system has
/// none (a minimal container), those of Mozilla's that are built in.
///
/// # Errors
/// What is wrong with `ca_file`, as a clause for a person.
pub fn client_tls(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            let shown = path.display();
            let certificates = CertificateDer::pem_file_iter(path)
                .map_err(|error| format!("can't read the CA certificates in {shown}: {error}"))?;
            for certificate in certificates {
                let certificate =
                    certificate.map_err(|error| format!("{shown} is not PEM: {error}"))?;
                roots.add(certificate).map_err(|error| {
                    format!("{shown} holds a certificate that can't be trusted: {error}")
                })?;
            }
            if roots.is_empty() {
                return Err(format!(
                    "{shown} holds no certificate; it must be PEM, `-----BEGIN CERTIFICATE-----`"
                ));
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            }
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS can't be set up: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
