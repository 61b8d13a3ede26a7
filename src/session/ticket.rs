//! Sealed session ids: what a frontend gets in place of Qiniu's session id.
//!
//! The text is `lg1.` followed by unpadded base64url of a nonce, the ciphertext and its tag. The
//! plaintext holds a version, the time at which the session ends, and Qiniu's id. It is bound to
//! the deployment and the owner (issuer and user), each with its length in front, so that no two
//! owners have the same encoding. An id that does not open is refused with one error whatever the
//! reason; only the owner of a real id learns that it has expired. Relies on [`super::keyring`].
//! Never prints a session id.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::hmac;
use data_encoding::BASE64URL_NOPAD;
use zeroize::Zeroizing;

use super::{
    fingerprint::Fingerprint,
    keyring::{LIFETIME, SealKeyring, SessionKeys, UploadFingerprint},
    seal::{DerivedKeys, OVERHEAD},
};
use crate::wipe;

const PREFIX: &str = "lg1.";
const VERSION: u8 = 1;
/// Maximum length of Qiniu's id, in bytes; real ids have 23.
const MAX_ID: usize = 512;
/// Length of what precedes the id in the plaintext: the version and the end of the session.
const FRONT: usize = 1 + 8;
/// Maximum length of a sealed id, in characters.
const MAX_TEXT: usize = PREFIX.len() + (OVERHEAD + FRONT + MAX_ID).div_ceil(3) * 4;

/// The caller that sessions are bound to, for one request. It opens ids with the keys that were in
/// use when it was made.
#[derive(Clone)]
pub struct SessionOwner {
    session_keys: Arc<SessionKeys>,
    keyring: Arc<SealKeyring>,
    /// Deployment, issuer and user, each with its length in front.
    bound: Vec<u8>,
}

/// An opened session: the right to one `verify`.
pub struct Ticket {
    /// Qiniu's session id.
    pub id: SessionId,
    /// Identifies the session in the ledger and in the store.
    pub digest: SessionDigest,
    /// When the session ends.
    pub ends: Instant,
    keys: Arc<DerivedKeys>,
}

/// Qiniu's session id. It has no `Debug` or `Display`, so it can't be printed by accident.
pub struct SessionId(Zeroizing<String>);

/// A keyed hash of a session and its owner. It reveals nothing about them, and nobody can choose
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionDigest(pub(crate) [u8; 16]);

/// Why a session id is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// It is forged, another owner's, another deployment's, or no sealed id at all.
    #[error("the session id is not valid for this caller")]
    Rejected,
    /// It was valid, and its lifetime is over.
    #[error("the session has expired")]
    Expired,
}

impl SessionOwner {
    /// The owner for a user and the issuer that authenticated the user.
    pub fn new(session_keys: &Arc<SessionKeys>, issuer: &str, user: &str) -> Self {
        let parts = [&session_keys.deployment, issuer, user];
        let length = parts.iter().map(|part| size_of::<u64>() + part.len()).sum();
        let mut bound = Vec::with_capacity(length);
        for part in parts {
            bound.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bound.extend_from_slice(part.as_bytes());
        }
        Self {
            session_keys: Arc::clone(session_keys),
            keyring: session_keys.current.load_full(),
            bound,
        }
    }

    /// Seals an id of Qiniu's that was requested at `sent`. `None` if the id is empty or too long,
    /// or the system provides no randomness.
    pub fn seal(&self, id: &str, sent: SystemTime) -> Option<String> {
        if id.is_empty() || id.len() > MAX_ID {
            return None;
        }
        let ends = sent.checked_add(LIFETIME)?.duration_since(UNIX_EPOCH);
        let ends = u64::try_from(ends.ok()?.as_millis()).ok()?;
        let plain = [&[VERSION][..], &ends.to_be_bytes(), id.as_bytes()];
        // The newest key, however long ago this request began: older keys may stop opening before
        // the session ends.
        let keyring = self.session_keys.current.load();
        let sealed = Zeroizing::new(keyring.current.seal_id(&self.bound, &plain).ok()?);
        let length = BASE64URL_NOPAD.encode_len(sealed.len());
        let mut text = String::with_capacity(PREFIX.len().saturating_add(length));
        text.push_str(PREFIX);
        BASE64URL_NOPAD.encode_append(&sealed, &mut text);
        Some(text)
    }

    /// Opens the session id that a frontend sent.
    ///
    /// # Errors
    /// The id is not valid for this owner, or has expired.
    pub fn open(&self, text: &str, now: SystemTime) -> Result<Ticket, TicketError> {
        let (keys, id, ends) = self.read(text).ok_or(TicketError::Rejected)?;
        let left = ends.duration_since(now).unwrap_or_default();
        if left.is_zero() {
            return Err(TicketError::Expired);
        }
        Ok(Ticket {
            digest: self.digest(&keys, &id),
            id,
            // A clock that was set back does not prolong a session beyond its lifetime.
            ends: Instant::now() + left.min(LIFETIME),
            keys,
        })
    }

    /// Starts the fingerprint of an upload, before its session is known.
    pub fn start_fingerprint(&self) -> UploadFingerprint {
        self.keyring.start_fingerprint()
    }

    fn read(&self, text: &str) -> Option<(Arc<DerivedKeys>, SessionId, SystemTime)> {
        if text.len() > MAX_TEXT {
            return None;
        }
        let sealed = wipe::base64url(text.strip_prefix(PREFIX)?.as_bytes())?;
        let (keys, plain) = self.keyring.open_id(&self.bound, &sealed, Instant::now())?;
        let (&VERSION, rest) = plain.split_first()? else {
            return None;
        };
        let (ends, id) = rest.split_first_chunk()?;
        let ends = UNIX_EPOCH.checked_add(Duration::from_millis(u64::from_be_bytes(*ends)))?;
        let id = Zeroizing::new(str::from_utf8(id).ok()?.to_owned());
        Some((keys, SessionId(id), ends))
    }

    fn digest(&self, keys: &DerivedKeys, id: &SessionId) -> SessionDigest {
        let mut hash = hmac::Context::with_key(&keys.digests);
        // The encoding of `bound` is unambiguous, so the id needs no length.
        hash.update(&self.bound);
        hash.update(id.reveal().as_bytes());
        let tag = hash.sign();
        SessionDigest(tag.as_ref().first_chunk().copied().unwrap_or_default())
    }
}

impl Ticket {
    /// The keys that opened the session id. All replicas use the same keys for one session, also
    /// while keys are changed.
    pub fn keys(&self) -> &Arc<DerivedKeys> {
        &self.keys
    }

    /// Finishes the fingerprint of an upload of this session, with the request's other parameters.
    pub fn fingerprint(&self, upload: &UploadFingerprint, parameters: &[u8]) -> Fingerprint {
        upload.finish(&self.keys, parameters)
    }
}

impl SessionId {
    /// The id itself, for the request to Qiniu. Never pass it to anything that logs.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl SessionDigest {
    /// The bytes, for the store.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}
