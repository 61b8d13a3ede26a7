//! An answer that is kept for its caller's retries: what the caller was given, and what the record says of the call.
//!
//! It can be written down to be kept outside the process. That form holds a person's liveness scores, so it leaves only sealed. Never holds a picture, since those were cut before.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{seal::Keys, ticket::SessionDigest};

/// What is reckoned for an answer beside its text.
const BESIDE: usize = 256;

/// An answer that was given once and may be given again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedResponse {
    /// The body, byte for byte as the first caller got it.
    pub body: Bytes,
    /// Qiniu's verdict on the request; 0 is success.
    pub error_code: Option<i64>,
    /// Qiniu's number for the request.
    pub serverlogid: Option<String>,
    /// Qiniu's name for the request.
    pub reqid: Option<String>,
}

/// The written form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<'k> {
    body: std::borrow::Cow<'k, str>,
    error_code: Option<i64>,
    serverlogid: Option<String>,
    reqid: Option<String>,
}

impl CachedResponse {
    /// The memory that it takes, about.
    pub(super) fn size(&self) -> usize {
        self.body.len().saturating_add(BESIDE)
    }

    /// Written down and sealed for its session, so that it may leave the process; `None`: it can't be, and stays here.
    pub(super) fn seal(&self, keys: &Keys, name: &SessionDigest) -> Option<Vec<u8>> {
        keys.seal_answer(&name.0, &self.write()?).ok()
    }

    /// What was sealed so; `None`: it is another session's, or forged.
    pub(super) fn open(keys: &Keys, name: &SessionDigest, sealed: &[u8]) -> Option<Self> {
        Self::read(&keys.open_answer(&name.0, sealed)?)
    }

    /// Written down; `None` for a body that is not text, which no answer of Qiniu's is.
    fn write(&self) -> Option<Vec<u8>> {
        let written = Written {
            body: str::from_utf8(&self.body).ok()?.into(),
            error_code: self.error_code,
            serverlogid: self.serverlogid.clone(),
            reqid: self.reqid.clone(),
        };
        serde_json::to_vec(&written).ok()
    }

    /// Read again; `None`: this was never written here.
    fn read(written: &[u8]) -> Option<Self> {
        let written: Written<'_> = serde_json::from_slice(written).ok()?;
        Some(Self {
            body: written.body.into_owned().into(),
            error_code: written.error_code,
            serverlogid: written.serverlogid,
            reqid: written.reqid,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read_to_the_byte() {
        let kept = CachedResponse {
            body: Bytes::from_static("{\"a\" :\t1.50, \"ü\":\"\\u00e9\\\"\"}\n".as_bytes()),
            error_code: Some(-3),
            serverlogid: Some("0587756642".into()),
            reqid: None,
        };
        assert_eq!(CachedResponse::read(&kept.write().unwrap()).unwrap(), kept);
        assert_eq!(CachedResponse::read(b"{}"), None);
    }
}
