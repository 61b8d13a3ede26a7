//! The seal key and the keys derived from it: one for each purpose, so that no key can be turned
//! against another purpose.
//!
//! From the 32 bytes of `sessions.seal_key`, HKDF-SHA256 (RFC 5869) derives the key that seals
//! session ids (AES-256-GCM-SIV, RFC 8452), the key of session digests (HMAC-SHA256), the key of
//! fingerprints, and the key that seals a cached response before it leaves the process. Relies on
//! `aws-lc-rs`. Never prints or logs a key.

use std::sync::Arc;

use aws_lc_rs::{
    aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    error::Unspecified,
    hkdf, hmac,
};
use data_encoding::BASE64;
use zeroize::Zeroizing;

use super::fingerprint::{self, FingerprintKey};
use crate::{secret::Secret, wipe::WipedVec};

/// Length of a seal key, in bytes.
const KEY_BYTES: usize = 32;
/// The HKDF salt: another program with the same 32 bytes derives other keys.
const SALT: &[u8] = b"liveness-gateway sessions 1";
/// Length of the AES-256-GCM-SIV tag, in bytes.
const TAG_BYTES: usize = 16;
/// How much longer a sealed text is than its plaintext, in bytes.
pub(super) const OVERHEAD: usize = NONCE_LEN + TAG_BYTES;

/// The 32 bytes that all keys are derived from.
#[derive(Clone)]
pub struct SealKey(Zeroizing<[u8; KEY_BYTES]>);

/// A text is not a seal key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not base64 of 32 bytes")]
pub struct SealKeyError;

impl SealKey {
    /// Parses a key in the form that `keygen seal` prints.
    ///
    /// # Errors
    /// The text is not base64 of 32 bytes.
    pub fn from_base64(text: &Secret) -> Result<Self, SealKeyError> {
        let bytes = BASE64.decode(text.reveal()).map_err(|_| SealKeyError)?;
        let bytes = Zeroizing::new(bytes);
        let bytes = bytes.as_slice().try_into().map_err(|_| SealKeyError)?;
        Ok(Self(Zeroizing::new(bytes)))
    }

    /// Generates a random key.
    ///
    /// # Errors
    /// The system provides no randomness.
    pub fn random() -> Result<Self, Unspecified> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        aws_lc_rs::rand::fill(bytes.as_mut())?;
        Ok(Self(bytes))
    }

    /// Returns whether both keys are equal, in constant time.
    pub fn is(&self, other: &Self) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(self.reveal(), other.reveal()).is_ok()
    }

    /// The key itself, for deriving other keys. Never pass it to anything that logs.
    pub fn reveal(&self) -> &[u8] {
        self.0.as_slice()
    }
}

/// The keys of all purposes, derived from one seal key.
pub struct DerivedKeys {
    /// The key they are derived from.
    pub(super) root: SealKey,
    ids: RandomizedNonceKey,
    responses: RandomizedNonceKey,
    pub(super) digests: hmac::Key,
    pub(super) fingerprints: Arc<FingerprintKey>,
}

impl DerivedKeys {
    /// Derives all keys from `key`.
    pub(crate) fn derive(key: &SealKey) -> Result<Self, Unspecified> {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(key.reveal());
        let derive = |purpose: &[u8], bytes: &mut [u8]| {
            root.expand(&[purpose], OutputLength(bytes.len()))?
                .fill(bytes)
        };
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        derive(b"session ids", bytes.as_mut())?;
        let ids = RandomizedNonceKey::new(&AES_256_GCM_SIV, bytes.as_slice())?;
        derive(b"kept answers", bytes.as_mut())?;
        let responses = RandomizedNonceKey::new(&AES_256_GCM_SIV, bytes.as_slice())?;
        derive(b"names of sessions", bytes.as_mut())?;
        let digests = hmac::Key::new(hmac::HMAC_SHA256, bytes.as_slice());
        let mut long = Zeroizing::new([0; fingerprint::KEY_BYTES]);
        derive(b"fingerprints", long.as_mut())?;
        Ok(Self {
            root: key.clone(),
            ids,
            responses,
            digests,
            fingerprints: Arc::new(FingerprintKey::new(&long)),
        })
    }

    /// Seals the parts of a session id as one text, bound to `owner`.
    pub(super) fn seal_id(&self, owner: &[u8], plain: &[&[u8]]) -> Result<Vec<u8>, Unspecified> {
        seal(&self.ids, owner, plain)
    }

    /// Opens a session id; `None` if it was sealed with other keys, for another owner, or not at
    /// all.
    pub(super) fn open_id(&self, owner: &[u8], sealed: &[u8]) -> Option<WipedVec> {
        open(&self.ids, owner, sealed)
    }

    /// Seals a response, bound to the digest of its session.
    pub(crate) fn seal_response(
        &self,
        digest: &[u8],
        plain: &[u8],
    ) -> Result<Vec<u8>, Unspecified> {
        seal(&self.responses, digest, &[plain])
    }

    /// Opens a sealed response; `None` if it belongs to another session or is forged.
    pub(crate) fn open_response(&self, digest: &[u8], sealed: &[u8]) -> Option<WipedVec> {
        open(&self.responses, digest, sealed)
    }
}

/// How many bytes HKDF is to produce.
struct OutputLength(usize);

impl hkdf::KeyType for OutputLength {
    fn len(&self) -> usize {
        self.0
    }
}

/// Seals the parts of a text as one: nonce, ciphertext, tag. Encrypts in the returned buffer, so
/// that no other copy of the plaintext is made.
fn seal(key: &RandomizedNonceKey, bound: &[u8], plain: &[&[u8]]) -> Result<Vec<u8>, Unspecified> {
    let length: usize = plain.iter().map(|part| part.len()).sum();
    let mut sealed = Vec::with_capacity(length.saturating_add(OVERHEAD));
    sealed.extend_from_slice(&[0; NONCE_LEN]);
    for part in plain {
        sealed.extend_from_slice(part);
    }
    let (front, text) = sealed
        .split_first_chunk_mut::<NONCE_LEN>()
        .ok_or(Unspecified)?;
    let (nonce, tag) = key.seal_in_place_separate_tag(Aad::from(bound), text)?;
    *front = *nonce.as_ref();
    sealed.extend_from_slice(tag.as_ref());
    Ok(sealed)
}

fn open(key: &RandomizedNonceKey, bound: &[u8], sealed: &[u8]) -> Option<WipedVec> {
    let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let mut text = WipedVec::new(text.to_vec());
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let length = key
        .open_in_place(nonce, Aad::from(bound), &mut text)
        .ok()?
        .len();
    text.truncate(length);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_key_is_base64_of_32_bytes_and_nothing_else() {
        let good = BASE64.encode(&[7; 32]);
        assert!(SealKey::from_base64(&Secret::new(good.as_str())).is_ok());
        for wrong in [
            "",
            "short",
            &BASE64.encode(&[7; 31]),
            &BASE64.encode(&[7; 33]),
            &format!(" {good}"),
            &good.replace('=', ""),
            &data_encoding::BASE64URL.encode(&[0xff; 32]),
        ] {
            let parsed = SealKey::from_base64(&Secret::new(wrong));
            assert_eq!(parsed.err(), Some(SealKeyError), "{wrong}");
        }
    }

    #[test]
    fn each_purpose_has_its_own_key() {
        let keys = DerivedKeys::derive(&SealKey(Zeroizing::new([1; 32]))).unwrap();
        let sealed = keys.seal_response(b"digest", b"response").unwrap();
        assert_eq!(
            *keys.open_response(b"digest", &sealed).unwrap(),
            b"response"
        );
        assert!(keys.open_response(b"other", &sealed).is_none());
        assert!(open(&keys.ids, b"digest", &sealed).is_none());
    }

    #[test]
    fn sealing_twice_gives_different_texts_and_any_flipped_bit_is_detected() {
        let keys = DerivedKeys::derive(&SealKey::random().unwrap()).unwrap();
        let sealed = keys.seal_id(b"owner", &[b"te", b"xt"]).unwrap();
        assert_ne!(sealed, keys.seal_id(b"owner", &[b"te", b"xt"]).unwrap());
        assert_eq!(sealed.len(), OVERHEAD + 4);
        for bit in 0..sealed.len() * 8 {
            let mut forged = sealed.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(keys.open_id(b"owner", &forged).is_none());
        }
        assert!(keys.open_id(b"owner", &sealed[..OVERHEAD - 1]).is_none());
    }
}
