//! Reads one public key from a PEM text.
//!
//! Relies on `key` for which keys are acceptable. Never repeats the content of a text in an error,
//! because it may be a private key that was put there by mistake.

use pem::Pem;
use rustls::{pki_types::CertificateDer, server::ParsedCertificate};

use super::{key::VerificationKey, key_set_error::KeySetError};

/// The key of a text with exactly one block.
pub(super) fn key_of_pem(text: &[u8]) -> Result<VerificationKey, KeySetError> {
    let block = only_block(text)?;
    match block.tag() {
        "PUBLIC KEY" => Ok(VerificationKey::from_spki(block.contents())?),
        "RSA PUBLIC KEY" => Ok(VerificationKey::from_rsa_der(block.contents())?),
        "CERTIFICATE" => key_of_certificate(block.contents()),
        other => Err(KeySetError::UnexpectedPem(other.to_owned())),
    }
}

/// The only block of a PEM text. Text around it and spaces around its lines are ignored.
fn only_block(text: &[u8]) -> Result<Pem, KeySetError> {
    let text = std::str::from_utf8(text).map_err(|_| KeySetError::NoText)?;
    // Without blank lines: `pem` would read the lines before one as headers.
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let lines: Vec<_> = lines.into_iter().filter(|line| !line.is_empty()).collect();
    let label = |line: &&str| {
        let label = line.strip_prefix("-----BEGIN ")?.strip_suffix("-----")?;
        Some(label.to_owned())
    };
    let mut labels = lines.iter().filter_map(label);
    let label = labels.next().ok_or(KeySetError::NoPemBlock)?;
    if label.contains("PRIVATE KEY") {
        return Err(KeySetError::PrivateKey(label));
    }
    if let Some(next) = labels.next() {
        return Err(KeySetError::SeveralPemBlocks(label, next));
    }
    let block = pem::parse(lines.join("\n")).ok();
    block
        .filter(|block| block.tag() == label)
        .ok_or(KeySetError::DamagedPem(label))
}

fn key_of_certificate(der: &[u8]) -> Result<VerificationKey, KeySetError> {
    let der = CertificateDer::from(der);
    let certificate =
        ParsedCertificate::try_from(&der).map_err(|_| KeySetError::InvalidCertificate)?;
    let spki = certificate.subject_public_key_info();
    Ok(VerificationKey::from_spki(&spki)?)
}
