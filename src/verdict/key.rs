//! The keys of verdicts: Ed25519 in PEM. The id of a key is its thumbprint (RFC 7638), so a key has
//! the same id on every replica and at any time.
//!
//! A private key is never shown: no error contains a part of the text.

use aws_lc_rs::{
    digest::{SHA256, digest},
    signature::{Ed25519KeyPair, KeyPair as _, Signature},
};
use data_encoding::BASE64URL_NOPAD;
use rustls::pki_types::pem::{PemObject, SectionKind};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// The bytes before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410).
const SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// Signs verdicts.
pub struct VerdictSigningKey {
    pair: Ed25519KeyPair,
    public: VerdictPublicKey,
}

/// Verifies verdicts. The gateway only publishes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerdictPublicKey {
    /// The key itself, base64url.
    x: String,
    /// The thumbprint.
    id: String,
}

/// Why a text is not accepted as a key. Never holds a part of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerdictKeyError {
    /// No PEM block of a known kind.
    #[error("no PEM block with a key")]
    NoBlock,
    /// A PEM block that cannot be decoded.
    #[error("damaged PEM")]
    DamagedPem,
    /// Two PEM blocks, so that the intended one is not clear.
    #[error("more than one PEM block")]
    SeveralBlocks,
    /// A public key in place of the signing key.
    #[error("a public key; the private key signs")]
    PublicKey,
    /// Not a private key.
    #[error("no private key")]
    NoPrivateKey,
    /// A private key in place of a public one.
    #[error("a private key, which must not be published")]
    PrivateKey,
    /// Not a public key.
    #[error("no public key")]
    NoPublicKey,
    /// A key of another type.
    #[error("not an Ed25519 key, or a damaged one")]
    NoEd25519,
}

/// A public key as a JSON Web Key (RFC 8037).
#[derive(Serialize)]
pub(super) struct PublicJwk<'a> {
    kty: &'static str,
    crv: &'static str,
    x: &'a str,
    kid: &'a str,
    alg: &'static str,
    r#use: &'static str,
}

impl VerdictSigningKey {
    /// Reads an Ed25519 key in PKCS#8 PEM, as written by `keygen verdict` and OpenSSL.
    ///
    /// # Errors
    /// The text is not exactly one such key.
    pub fn from_pem(pem: &Secret) -> Result<Self, VerdictKeyError> {
        let (kind, der) = only_block(pem.reveal())?;
        let der = Zeroizing::new(der);
        match kind {
            SectionKind::PrivateKey => {}
            SectionKind::PublicKey => return Err(VerdictKeyError::PublicKey),
            SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey => {
                return Err(VerdictKeyError::NoEd25519);
            }
            _ => return Err(VerdictKeyError::NoPrivateKey),
        }
        let pair = Ed25519KeyPair::from_pkcs8(&der).map_err(|_| VerdictKeyError::NoEd25519)?;
        let public = VerdictPublicKey::new(pair.public_key().as_ref());
        Ok(Self { pair, public })
    }

    /// Its public key.
    pub fn public(&self) -> &VerdictPublicKey {
        &self.public
    }

    /// Signs these bytes; `None` if the library fails.
    pub(super) fn sign(&self, bytes: &[u8]) -> Option<Signature> {
        self.pair.try_sign(bytes).ok()
    }
}

impl VerdictPublicKey {
    /// Reads an Ed25519 `PUBLIC KEY` in PEM.
    ///
    /// # Errors
    /// The text is not exactly one such key.
    pub fn from_pem(pem: &[u8]) -> Result<Self, VerdictKeyError> {
        let (kind, der) = only_block(pem)?;
        match kind {
            SectionKind::PublicKey => {}
            SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey => {
                return Err(VerdictKeyError::PrivateKey);
            }
            _ => return Err(VerdictKeyError::NoPublicKey),
        }
        match der.strip_prefix(&SPKI_PREFIX) {
            Some(key) if key.len() == 32 => Ok(Self::new(key)),
            _ => Err(VerdictKeyError::NoEd25519),
        }
    }

    fn new(key: &[u8]) -> Self {
        let x = BASE64URL_NOPAD.encode(key);
        let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        let id = BASE64URL_NOPAD.encode(digest(&SHA256, members.as_bytes()).as_ref());
        Self { x, id }
    }

    /// Its `kid`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key as it is published.
    pub(super) fn jwk(&self) -> PublicJwk<'_> {
        PublicJwk {
            kty: "OKP",
            crv: "Ed25519",
            x: &self.x,
            kid: &self.id,
            alg: "EdDSA",
            r#use: "sig",
        }
    }
}

/// The only block of a PEM text.
fn only_block(pem: &[u8]) -> Result<(SectionKind, Vec<u8>), VerdictKeyError> {
    let mut blocks = <(SectionKind, Vec<u8>)>::pem_slice_iter(pem);
    match (blocks.next(), blocks.next()) {
        (Some(Ok(block)), None) => Ok(block),
        (Some(Ok(_)), Some(_)) => Err(VerdictKeyError::SeveralBlocks),
        (Some(Err(_)), _) => Err(VerdictKeyError::DamagedPem),
        (None, _) => Err(VerdictKeyError::NoBlock),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8037 appendix A.1 to A.3.
    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
        -----END PRIVATE KEY-----\n";
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n\
        -----END PUBLIC KEY-----\n";

    #[test]
    fn the_id_of_a_key_is_its_thumbprint() {
        let private = VerdictSigningKey::from_pem(&Secret::new(PRIVATE)).unwrap();
        let public = VerdictPublicKey::from_pem(PUBLIC.as_bytes()).unwrap();
        assert_eq!(private.public(), &public);
        assert_eq!(public.x, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert_eq!(public.id(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn only_one_ed25519_key_is_accepted_and_no_error_repeats_the_text() {
        let p256 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let (ec, ec_public) = (p256.serialize_pem(), p256.public_key_pem());
        let damaged = PRIVATE.replace("MC4CAQAwBQYDK2Vw", "MC4CAQAwBQYDK2Vx");
        let sec1 = PRIVATE.replace("PRIVATE KEY", "EC PRIVATE KEY");
        let encrypted = PRIVATE.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        for text in [
            "",
            "no PEM",
            &ec,
            PUBLIC,
            &damaged,
            &sec1,
            &encrypted,
            &format!("{PRIVATE}{PRIVATE}"),
            &PRIVATE.replace("MC4", "!!!"),
        ] {
            let error = VerdictSigningKey::from_pem(&Secret::new(text)).err();
            let error = error.expect(text).to_string();
            assert!(!error.contains("nWGxne"), "{error}");
        }
        for text in [
            "",
            &ec_public,
            PRIVATE,
            &ec,
            &format!("{PUBLIC}{PUBLIC}"),
            &format!("{PUBLIC}{PRIVATE}"),
            &PUBLIC.replace("AyEA11", "AyEA1"),
        ] {
            assert!(
                VerdictPublicKey::from_pem(text.as_bytes()).is_err(),
                "{text}"
            );
        }
        assert_eq!(
            VerdictPublicKey::from_pem(PRIVATE.as_bytes()).unwrap_err(),
            VerdictKeyError::PrivateKey
        );
    }
}
