//! A response that is cached for its caller's retries: the body the caller received, and what the
//! access record says of the call.
//!
//! It can be serialized to leave the process. Its body holds a person's liveness scores, so it
//! leaves only sealed. Never holds a picture: pictures are cut from the body before.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::session::{seal::DerivedKeys, ticket::SessionDigest};

/// Estimated memory of a response besides its body, in bytes.
const OVERHEAD: usize = 256;

/// A response that was sent once and can be sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedResponse {
    /// The body, byte for byte as the first caller received it.
    pub body: Bytes,
    /// Qiniu's `error_code`; 0 is success.
    pub error_code: Option<i64>,
    /// Qiniu's `serverlogid`.
    pub serverlogid: Option<String>,
    /// Qiniu's `X-Reqid`.
    pub reqid: Option<String>,
}

/// The serialized form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Serialized<'a> {
    body: Cow<'a, str>,
    error_code: Option<i64>,
    serverlogid: Option<String>,
    reqid: Option<String>,
}

impl CachedResponse {
    /// Copies `body`: the buffer it was made in may be many times larger, and the ledger counts a
    /// response by its length.
    pub fn new(
        body: &[u8],
        error_code: Option<i64>,
        serverlogid: Option<String>,
        reqid: Option<String>,
    ) -> Self {
        Self {
            body: Bytes::copy_from_slice(body),
            error_code,
            serverlogid,
            reqid,
        }
    }

    /// Estimated memory, in bytes.
    pub(super) fn size(&self) -> usize {
        self.body.len().saturating_add(OVERHEAD)
    }

    /// Serializes the response and seals it for its session, so that it may leave the process.
    /// `None` if that is impossible; the response then stays on this replica.
    pub(super) fn seal(&self, keys: &DerivedKeys, digest: SessionDigest) -> Option<Vec<u8>> {
        keys.seal_response(&digest.to_bytes(), &self.serialize()?)
            .ok()
    }

    /// Opens a sealed response; `None` if it belongs to another session or is forged.
    pub(super) fn open(keys: &DerivedKeys, digest: SessionDigest, sealed: &[u8]) -> Option<Self> {
        Self::deserialize(&keys.open_response(&digest.to_bytes(), sealed)?)
    }

    /// `None` for a body that is not UTF-8, which no response of Qiniu's is.
    fn serialize(&self) -> Option<Vec<u8>> {
        let serialized = Serialized {
            body: str::from_utf8(&self.body).ok()?.into(),
            error_code: self.error_code,
            serverlogid: self.serverlogid.clone(),
            reqid: self.reqid.clone(),
        };
        serde_json::to_vec(&serialized).ok()
    }

    fn deserialize(serialized: &[u8]) -> Option<Self> {
        let serialized: Serialized<'_> = serde_json::from_slice(serialized).ok()?;
        Some(Self {
            body: serialized.body.into_owned().into(),
            error_code: serialized.error_code,
            serverlogid: serialized.serverlogid,
            reqid: serialized.reqid,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::session::{
        SessionKeys, SessionSettings,
        ticket::{SessionOwner, Ticket},
    };

    #[test]
    fn a_serialized_response_is_read_back_byte_for_byte() {
        let response = CachedResponse {
            body: Bytes::from_static("{\"a\" :\t1.50, \"ü\":\"\\u00e9\\\"\"}\n".as_bytes()),
            error_code: Some(-3),
            serverlogid: Some("0587756642".into()),
            reqid: None,
        };
        let serialized = response.serialize().unwrap();
        assert_eq!(CachedResponse::deserialize(&serialized).unwrap(), response);
        assert_eq!(CachedResponse::deserialize(b"{}"), None);
    }

    #[test]
    fn a_cached_body_takes_no_more_memory_than_its_length() {
        let mut body = Vec::with_capacity(1 << 20);
        body.extend_from_slice(b"{\"error_code\":0}");
        let response = CachedResponse::new(&body, Some(0), None, None);
        assert_eq!(response.body, body);
        let length = response.body.len();
        let buffer = response.body.try_into_mut().unwrap();
        assert_eq!(buffer.capacity(), length);
    }

    #[test]
    fn a_response_leaves_the_process_sealed_and_opens_for_its_session_alone() {
        let settings = SessionSettings {
            seal_key: None,
            previous_seal_key: None,
        };
        let keys = SessionKeys::new(&settings, "https://qiniu.example").unwrap();
        let ticket = |user: &str, id: &str| {
            let owner = SessionOwner::new(&keys, "issuer", user);
            let sealed = owner.seal(id, SystemTime::now()).unwrap();
            owner.open(&sealed, SystemTime::now()).ok().unwrap()
        };
        let response = CachedResponse::new(
            b"{\"score\":0.9713}",
            Some(0),
            Some("1".into()),
            Some("r".into()),
        );
        let open = |ticket: Ticket, sealed: &[u8]| {
            CachedResponse::open(ticket.keys(), ticket.digest, sealed)
        };
        let mine = ticket("me", "S1");
        let sealed = response.seal(mine.keys(), mine.digest).unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"0.9713"));
        assert_eq!(open(ticket("me", "S1"), &sealed).unwrap(), response);
        assert!(open(ticket("you", "S1"), &sealed).is_none());
        assert!(open(ticket("me", "S2"), &sealed).is_none());
    }
}
