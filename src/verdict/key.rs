//! The keys of verdicts: Ed25519, in PEM, each named by its thumbprint (RFC 7638), so that a key has the same name on
//! every replica and for ever.
//!
//! A private key is never shown: no error repeats a part of what was read.

use aws_lc_rs::{
    digest::{SHA256, digest},
    signature::{Ed25519KeyPair, KeyPair as _, Signature},
};
use data_encoding::BASE64URL_NOPAD;
use rustls::pki_types::pem::{PemObject, SectionKind};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// What stands in front of the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410).
const SPKI: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// Signs verdicts.
pub struct VerdictSigningKey {
    pair: Ed25519KeyPair,
    public: VerdictPublicKey,
}

/// Checks verdicts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerdictPublicKey {
    /// The key itself, base64url.
    x: String,
    /// Its thumbprint.
    id: String,
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
    /// A PKCS#8 PEM text with an Ed25519 key, as `keygen verdict` and OpenSSL write it.
    ///
    /// # Errors
    /// What is wrong with the text, as a clause for a person.
    pub fn from_pem(pem: &Secret) -> Result<Self, &'static str> {
        let (kind, der) = only_block(pem.reveal())?;
        let der = Zeroizing::new(der);
        match kind {
            SectionKind::PrivateKey => {}
            SectionKind::PublicKey => return Err("is a public key; the private one signs"),
            SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey => {
                return Err("is a private key of another type than Ed25519");
            }
            _ => return Err("holds no private key"),
        }
        let pair = Ed25519KeyPair::from_pkcs8(&der)
            .map_err(|_| "is a private key of another type than Ed25519, or damaged")?;
        let public = VerdictPublicKey::new(pair.public_key().as_ref());
        Ok(Self { pair, public })
    }

    /// Its public half.
    pub fn public(&self) -> &VerdictPublicKey {
        &self.public
    }

    /// The signature of these bytes.
    pub(super) fn sign(&self, bytes: &[u8]) -> Option<Signature> {
        self.pair.try_sign(bytes).ok()
    }
}

impl VerdictPublicKey {
    /// A PEM text with an Ed25519 `PUBLIC KEY`.
    ///
    /// # Errors
    /// What is wrong with the text, as a clause for a person.
    pub fn from_pem(pem: &[u8]) -> Result<Self, &'static str> {
        let (kind, der) = only_block(pem)?;
        match kind {
            SectionKind::PublicKey => {}
            SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey => {
                return Err("holds a private key, which must not be published");
            }
            _ => return Err("holds no public key"),
        }
        match der.strip_prefix(&SPKI) {
            Some(key) if key.len() == 32 => Ok(Self::new(key)),
            _ => Err("is a public key of another type than Ed25519"),
        }
    }

    fn new(key: &[u8]) -> Self {
        let x = BASE64URL_NOPAD.encode(key);
        let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        let id = BASE64URL_NOPAD.encode(digest(&SHA256, members.as_bytes()).as_ref());
        Self { x, id }
    }

    /// Its name, `kid`.
    pub fn id(&self) -> &str {
        &self.id
    }

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

/// The only block of a PEM text: of two nobody could say which one counts.
fn only_block(pem: &[u8]) -> Result<(SectionKind, Vec<u8>), &'static str> {
    let mut blocks = <(SectionKind, Vec<u8>)>::pem_slice_iter(pem);
    match (blocks.next(), blocks.next()) {
        (Some(Ok(block)), None) => Ok(block),
        (Some(Ok(_)), Some(_)) => Err("holds more than one PEM block"),
        (Some(Err(_)), _) => Err("is damaged PEM"),
        (None, _) => Err("holds no PEM block with a key"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8037 appendix A.1 to A.3.
    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";

    #[test]
    fn a_key_is_named_by_its_thumbprint() {
        let private = VerdictSigningKey::from_pem(&Secret::new(PRIVATE)).unwrap();
        let public = VerdictPublicKey::from_pem(PUBLIC.as_bytes()).unwrap();
        assert_eq!(private.public(), &public);
        assert_eq!(public.x, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert_eq!(public.id(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn anything_but_one_ed25519_key_is_refused_and_never_repeated() {
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
            let why = VerdictSigningKey::from_pem(&Secret::new(text)).err();
            assert!(why.is_some_and(|why| !why.contains("nWGxne")), "{text}");
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
            "holds a private key, which must not be published"
        );
    }
}
