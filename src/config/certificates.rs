//! When the certificates in a PEM file expire.
//!
//! Decides nothing by it: rustls checks certificates. A certificate that can't be read has no end
//! here.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::{certificate_end::certificate_end, telemetry::metrics::CertificateExpiries};

/// A value that is built from files with certificates, and when these expire.
pub struct CertifiedConfig<T> {
    /// The value.
    pub config: T,
    /// When its files expire.
    pub expiries: CertificateExpiries,
}

/// When a chain can't be verified any longer: the earliest end of its certificates.
pub(super) fn chain_expiry(path: &Path, pem: &[u8]) -> Option<(PathBuf, SystemTime)> {
    let earliest = ends(pem).min()?;
    Some((path.to_owned(), earliest))
}

/// When a file of authorities has none left: the latest end of its certificates. An old authority
/// may stand beside its successor.
pub(super) fn authorities_expiry(path: &Path, pem: &[u8]) -> Option<(PathBuf, SystemTime)> {
    let latest = ends(pem).max()?;
    Some((path.to_owned(), latest))
}

fn ends(pem: &[u8]) -> impl Iterator<Item = SystemTime> {
    let certificates = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok);
    certificates.filter_map(|certificate| certificate_end(&certificate))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate_end::tests::{certificate, seconds};

    #[test]
    fn a_chain_ends_with_its_first_certificate_and_authorities_with_their_last() {
        let pem = [(2031, 1, 1), (2030, 1, 1), (2032, 1, 1)]
            .map(|(year, month, day)| certificate(year, month, day).pem())
            .concat();
        let path = Path::new("tls.crt");
        let end = |expiry: Option<(PathBuf, SystemTime)>| {
            let (file, time) = expiry.unwrap();
            assert_eq!(file, path);
            seconds(time)
        };
        assert_eq!(end(chain_expiry(path, pem.as_bytes())), 1_893_456_000);
        assert_eq!(end(authorities_expiry(path, pem.as_bytes())), 1_956_528_000);
        assert!(chain_expiry(path, b"no certificate").is_none());
    }
}
