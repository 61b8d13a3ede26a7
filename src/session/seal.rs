//! The seal key, and what is made of it: one key for each purpose, so that no purpose can be turned against another.
//!
//! From 32 bytes HKDF-SHA256 (RFC 5869) derives the key that seals session ids (AES-256-GCM-SIV, RFC 8452), the one that
//! names sessions in the ledger (HMAC-SHA256), the one of the fingerprints, and the one that seals an answer before it may leave
//! the process. Relies on `aws-lc-rs`. What seals and opens at one time is a [`super::keyring::Keyring`]. Never fingerprints or logs a
//! key.

use aws_lc_rs::{
    aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    error::Unspecified,
    hkdf, hmac,
};
use data_encoding::BASE64;
use zeroize::Zeroizing;

use super::fingerprint;
use crate::{secret::Secret, store::NamesSeal};

/// Bytes of a seal key.
const KEY_BYTES: usize = 32;
/// Keys of other programs that were given the same 32 bytes have nothing in common with ours.
const SALT: &[u8] = b"liveness-gateway sessions 1";
/// Bytes that AES-256-GCM-SIV adds behind the text.
const TAG_BYTES: usize = 16;
/// Bytes that sealing adds in all.
pub(super) const OVERHEAD: usize = NONCE_LEN + TAG_BYTES;

/// The 32 bytes that everything here is derived from.
#[derive(Clone)]
pub struct SealKey(Zeroizing<[u8; KEY_BYTES]>);

impl SealKey {
    /// Reads a key as `keygen seal` fingerprints it.
    ///
    /// # Errors
    /// It is not base64 of 32 bytes.
    pub fn from_base64(text: &Secret) -> Result<Self, &'static str> {
        const WRONG: &str = "is not base64 of 32 bytes";
        let bytes = Zeroizing::new(BASE64.decode(text.reveal()).map_err(|_| WRONG)?);
        let bytes = bytes.as_slice().try_into().map_err(|_| WRONG)?;
        Ok(Self(Zeroizing::new(bytes)))
    }

    /// Whether both are one key.
    pub fn is(&self, other: &Self) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(self.0.as_slice(), other.0.as_slice())
            .is_ok()
    }

    /// Seals how callers are named in the store, for replicas that have this key too.
    ///
    /// # Errors
    /// No key can be derived.
    pub fn names_in_store(&self) -> Result<NamesSeal, Unspecified> {
        NamesSeal::of(self.0.as_slice())
    }

    /// A new key that nobody else has.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn random() -> Result<Self, Unspecified> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        aws_lc_rs::rand::fill(bytes.as_mut())?;
        Ok(Self(bytes))
    }
}

/// The keys of all purposes, made of one seal key.
pub(super) struct Keys {
    /// What they are made of.
    pub(super) root: SealKey,
    ids: RandomizedNonceKey,
    answers: RandomizedNonceKey,
    pub(super) names: hmac::Key,
    pub(super) fingerprints: std::sync::Arc<fingerprint::Key>,
}

/// Asks HKDF for so many bytes.
struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl Keys {
    pub(super) fn derive(key: &SealKey) -> Result<Self, Unspecified> {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(key.0.as_slice());
        let derive = |purpose: &[u8], bytes: &mut [u8]| {
            root.expand(&[purpose], Length(bytes.len()))?.fill(bytes)
        };
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        derive(b"session ids", bytes.as_mut())?;
        let ids = RandomizedNonceKey::new(&AES_256_GCM_SIV, bytes.as_slice())?;
        derive(b"kept answers", bytes.as_mut())?;
        let answers = RandomizedNonceKey::new(&AES_256_GCM_SIV, bytes.as_slice())?;
        derive(b"names of sessions", bytes.as_mut())?;
        let names = hmac::Key::new(hmac::HMAC_SHA256, bytes.as_slice());
        let mut long = Zeroizing::new([0; fingerprint::KEY_BYTES]);
        derive(b"fingerprints", long.as_mut())?;
        let fingerprints = fingerprint::Key::new(&long).into();
        Ok(Self {
            root: key.clone(),
            ids,
            answers,
            names,
            fingerprints,
        })
    }

    /// Seals an id and what goes with it, bound to `owner`: a nonce, the text, its tag.
    pub(super) fn seal_id(&self, owner: &[u8], plain: &[&[u8]]) -> Result<Vec<u8>, Unspecified> {
        seal(&self.ids, owner, plain)
    }

    /// Opens an id; `None`: it was sealed with other keys, for another owner, or not at all.
    pub(super) fn open_id(&self, owner: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        open(&self.ids, owner, sealed)
    }

    /// Seals an answer, bound to the name of its session.
    pub(super) fn seal_answer(&self, name: &[u8], plain: &[u8]) -> Result<Vec<u8>, Unspecified> {
        seal(&self.answers, name, &[plain])
    }

    /// Opens such an answer; `None`: it is another's, or none of ours.
    pub(super) fn open_answer(&self, name: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        open(&self.answers, name, sealed)
    }
}

/// Seals the parts of a text as one, in the memory that it is given away in: there is no other copy of it.
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

fn open(key: &RandomizedNonceKey, bound: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let mut text = text.to_vec();
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
    fn a_key_is_base64_of_32_bytes_and_nothing_else() {
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
            assert!(
                SealKey::from_base64(&Secret::new(wrong)).is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn purposes_have_keys_of_their_own() {
        let keys = Keys::derive(&SealKey(Zeroizing::new([1; 32]))).unwrap();
        let sealed = keys.seal_answer(b"name", b"answer").unwrap();
        assert_eq!(keys.open_answer(b"name", &sealed).unwrap(), b"answer");
        assert!(keys.open_answer(b"other", &sealed).is_none());
        assert!(open(&keys.ids, b"name", &sealed).is_none());
    }

    #[test]
    fn two_seals_of_one_text_differ_and_any_flipped_bit_is_seen() {
        let ring = Keys::derive(&SealKey::random().unwrap()).unwrap();
        let sealed = ring.seal_id(b"owner", &[b"te", b"xt"]).unwrap();
        assert_ne!(sealed, ring.seal_id(b"owner", &[b"te", b"xt"]).unwrap());
        assert_eq!(sealed.len(), OVERHEAD + 4);
        for bit in 0..sealed.len() * 8 {
            let mut forged = sealed.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(ring.open_id(b"owner", &forged).is_none());
        }
        assert!(ring.open_id(b"owner", &sealed[..OVERHEAD - 1]).is_none());
    }
}
