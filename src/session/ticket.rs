//! Sealed session ids: what a frontend gets in the place of Qiniu's, and what is inside.
//!
//! The text is `lg1.` and base64url without padding of: a nonce, the sealed text, its tag. Sealed are a version, the time at which
//! the session ends, and Qiniu's id; bound to them are the deployment and the caller (issuer and user), each with its
//! length in front, so that no two callers look the same. Whatever does not open is one and the same refusal, and only
//! who holds a real one learns that it is too old. Relies on [`super::seal`]. Never fingerprints a session id.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::hmac;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use zeroize::Zeroizing;

use super::{
    Sessions, UploadFingerprint,
    keyring::Keyring,
    seal::{Keys, OVERHEAD},
};

/// How long a session lives, from the moment at which it was asked for.
pub const LIFETIME: Duration = Duration::from_secs(5 * 60);

const PREFIX: &str = "lg1.";
const VERSION: u8 = 1;
/// Bytes of an id of Qiniu's at the most; it has 23.
const MOST_ID: usize = 512;
/// The version and the end of the session.
const FRONT: usize = 1 + 8;
/// Characters of a sealed id at the most.
const MOST_TEXT: usize = PREFIX.len() + (OVERHEAD + FRONT + MOST_ID).div_ceil(3) * 4;

/// A caller, as sessions are bound to them, for one request: it opens with the keys of the moment at which it was made.
#[derive(Clone)]
pub struct SessionOwner {
    sessions: Arc<Sessions>,
    keys: Arc<Keyring>,
    bound: Vec<u8>,
}

/// An opened session: the right to one verify.
pub struct Ticket {
    /// Qiniu's id.
    pub id: SessionId,
    /// What the ledger knows the session by.
    pub name: SessionDigest,
    /// When it ends.
    pub ends: Instant,
    /// Those that opened its id.
    pub(super) keys: Arc<Keys>,
}

/// Qiniu's id of a session. It can't be printed by accident.
pub struct SessionId(Zeroizing<String>);

impl SessionId {
    /// The id itself, for the request to Qiniu. Never pass it to anything that logs.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// A keyed hash of a session and its caller: tells nothing about them, and nobody can choose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionDigest(pub(super) [u8; 16]);

impl SessionDigest {
    /// For the store.
    pub fn to_hex(&self) -> String {
        HEXLOWER.encode(&self.0)
    }
}

/// Why an id is no good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketError {
    /// Forged, of another caller, of another deployment, or no sealed id at all.
    Rejected,
    /// It was good, and its five minutes are over.
    Expired,
}

impl SessionOwner {
    pub(super) fn new(sessions: &Arc<Sessions>, issuer: &str, user: &str) -> Self {
        let parts = [&sessions.deployment, issuer, user];
        let length = parts.iter().map(|part| size_of::<u64>() + part.len()).sum();
        let mut bound = Vec::with_capacity(length);
        for part in parts {
            bound.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bound.extend_from_slice(part.as_bytes());
        }
        Self {
            sessions: Arc::clone(sessions),
            keys: sessions.keys.load_full(),
            bound,
        }
    }

    /// Seals an id of Qiniu's that was asked for at `sent`. `None`: it is too long to be one, or there is no randomness.
    pub fn seal(&self, id: &str, sent: SystemTime) -> Option<String> {
        if id.is_empty() || id.len() > MOST_ID {
            return None;
        }
        let ends = sent.checked_add(LIFETIME)?.duration_since(UNIX_EPOCH);
        let ends = u64::try_from(ends.ok()?.as_millis()).ok()?;
        let plain = [&[VERSION][..], &ends.to_be_bytes(), id.as_bytes()];
        // With the newest key, however long ago this request began: the others won't open as long as this is to live.
        let keys = self.sessions.keys.load();
        let sealed = keys.current.seal_id(&self.bound, &plain).ok()?;
        let length = BASE64URL_NOPAD.encode_len(sealed.len());
        let mut text = String::with_capacity(PREFIX.len().saturating_add(length));
        text.push_str(PREFIX);
        BASE64URL_NOPAD.encode_append(&sealed, &mut text);
        Some(text)
    }

    /// Opens what a frontend sent as its session id.
    ///
    /// # Errors
    /// It is not this caller's, or too old.
    pub fn open(&self, text: &str, now: SystemTime) -> Result<Ticket, TicketError> {
        let (keys, id, ends) = self.read(text).ok_or(TicketError::Rejected)?;
        let left = ends.duration_since(now).unwrap_or_default();
        if left.is_zero() {
            return Err(TicketError::Expired);
        }
        Ok(Ticket {
            name: self.name(&keys, &id),
            id,
            // A clock that was set back makes no session live longer than it may.
            ends: Instant::now() + left.min(LIFETIME),
            keys,
        })
    }

    /// Starts a fingerprint, before it is known which session the upload is for.
    pub fn fingerprint(&self) -> UploadFingerprint {
        self.keys.fingerprint()
    }

    fn read(&self, text: &str) -> Option<(Arc<Keys>, SessionId, SystemTime)> {
        if text.len() > MOST_TEXT {
            return None;
        }
        let sealed = BASE64URL_NOPAD
            .decode(text.strip_prefix(PREFIX)?.as_bytes())
            .ok()?;
        let (keys, plain) = self.keys.open_id(&self.bound, &sealed, Instant::now())?;
        let plain = Zeroizing::new(plain);
        let (&VERSION, rest) = plain.split_first()? else {
            return None;
        };
        let (ends, id) = rest.split_first_chunk()?;
        let ends = UNIX_EPOCH.checked_add(Duration::from_millis(u64::from_be_bytes(*ends)))?;
        let id = str::from_utf8(id).ok()?.to_owned();
        Some((keys, SessionId(Zeroizing::new(id)), ends))
    }

    fn name(&self, keys: &Keys, id: &SessionId) -> SessionDigest {
        let mut hash = hmac::Context::with_key(&keys.names);
        // `bound` is unambiguous, so the id needs no length.
        hash.update(&self.bound);
        hash.update(id.reveal().as_bytes());
        let tag = hash.sign();
        SessionDigest(tag.as_ref().first_chunk().copied().unwrap_or_default())
    }
}
