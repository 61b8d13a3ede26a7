//! The access record of a request, under the request's id: one log line, and its metrics.
//!
//! The record is a guard: it is written when it is dropped, so a request whose caller disconnects
//! has one too. If that happens during a call, the call has the record, and its facts are in it.
//! Never contains a token, a key, a session id, a face token or any part of a body;
//! the user appears only as a keyed hash.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use data_encoding::HEXLOWER;

use crate::{
    telemetry::{
        Telemetry,
        log_line::{FieldName, FieldValue, field_name, format_line},
    },
    verdict::sign::IssuedVerdict,
    verify_once::CachedResponse,
};

/// The code of a request whose caller disconnected before the response.
const CALLER_LEFT: &str = "caller_left";
/// The code of a call that ended after a stop had already ended its request.
const SHUTTING_DOWN: &str = "shutting_down";

/// The facts of one request, gathered on its journey.
pub struct AccessRecord {
    telemetry: Arc<Telemetry>,
    started: Instant,
    time: SystemTime,
    /// Remote address of the connection.
    pub peer: SocketAddr,
    /// The request's id.
    pub request_id: RequestId,
    /// HTTP method; `other` for an unregistered one.
    pub method: &'static str,
    /// Path of the route, once found.
    pub route: Option<Arc<str>>,
    /// HTTP status of the response; 0 until there is one.
    pub status: u16,
    /// The error code, or `ok`.
    pub code: &'static str,
    /// Pseudonym of the caller, once authenticated.
    pub user: Option<Arc<str>>,
    /// `X-Forwarded-For`, from a trusted proxy.
    pub forwarded_for: Option<String>,
    /// Bytes of the request's body received.
    pub bytes_in: u64,
    /// Bytes of the response's body.
    pub bytes_out: u64,
    /// The call to Qiniu, if there was one.
    pub upstream: Option<UpstreamFacts>,
    /// Whether a call that goes on has the record. This one is then written only if the request
    /// has a response all the same.
    handed_on: bool,
}

/// The facts of a call to Qiniu.
#[derive(Default)]
pub struct UpstreamFacts {
    /// Duration of the call; `None` for a cached response.
    pub duration: Option<Duration>,
    /// HTTP status of Qiniu's response.
    pub status: Option<u16>,
    /// Qiniu's `error_code`.
    pub error_code: Option<i64>,
    /// Qiniu's `serverlogid`.
    pub serverlogid: Option<String>,
    /// Qiniu's `X-Reqid`.
    pub reqid: Option<String>,
    /// Bytes removed from Qiniu's response.
    pub removed: Option<u64>,
    /// The verdict that the response got, if it got one.
    pub verdict: Option<IssuedVerdict>,
}

impl AccessRecord {
    /// Starts a record, and the request's clock.
    pub fn begin(
        telemetry: Arc<Telemetry>,
        peer: SocketAddr,
        method: &hyper::Method,
        request_id: RequestId,
    ) -> Self {
        Self {
            telemetry,
            started: Instant::now(),
            time: SystemTime::now(),
            peer,
            request_id,
            method: registered(method),
            route: None,
            status: 0,
            code: CALLER_LEFT,
            user: None,
            forwarded_for: None,
            bytes_in: 0,
            bytes_out: 0,
            upstream: None,
            handed_on: false,
        }
    }

    /// When the request arrived.
    pub(super) fn time(&self) -> SystemTime {
        self.time
    }

    /// Notes that the response is a cached one: Qiniu's ids are those of the first call, and
    /// no call was made.
    pub(super) fn replayed(&mut self, cached: &CachedResponse) {
        self.upstream = Some(UpstreamFacts {
            error_code: cached.error_code,
            serverlogid: cached.serverlogid.clone(),
            reqid: cached.reqid.clone(),
            ..UpstreamFacts::default()
        });
    }

    /// Hands the record on to a call that outlives its request, to be written when the call ends.
    /// If the gateway is `stopping`, the request still gets a response, which has a record by
    /// itself.
    pub(super) fn hand_on(&mut self, stopping: bool) -> Self {
        self.handed_on = true;
        Self {
            telemetry: Arc::clone(&self.telemetry),
            started: self.started,
            time: self.time,
            peer: self.peer,
            request_id: self.request_id,
            method: self.method,
            route: self.route.clone(),
            status: 0,
            code: if stopping { SHUTTING_DOWN } else { CALLER_LEFT },
            user: self.user.clone(),
            forwarded_for: self.forwarded_for.clone(),
            // Counted once.
            bytes_in: if stopping { 0 } else { self.bytes_in },
            bytes_out: 0,
            upstream: None,
            handed_on: false,
        }
    }

    /// The fields in their order. Their names are a contract.
    fn fields(&self, duration: Duration) -> [(FieldName, FieldValue<'_>); 18] {
        let upstream = self.upstream.as_ref();
        [
            (field_name!("time"), self.time.into()),
            (field_name!("request_id"), self.request_id.as_str().into()),
            (field_name!("route"), self.route.as_deref().into()),
            (field_name!("method"), self.method.into()),
            (field_name!("status"), u64::from(self.status).into()),
            (field_name!("code"), self.code.into()),
            (field_name!("user"), self.user.as_deref().into()),
            (field_name!("peer"), self.peer.into()),
            (
                field_name!("forwarded_for"),
                self.forwarded_for.as_deref().into(),
            ),
            (field_name!("bytes_in"), self.bytes_in.into()),
            (field_name!("bytes_out"), self.bytes_out.into()),
            (field_name!("duration_ms"), duration.into()),
            (
                field_name!("upstream_ms"),
                upstream.and_then(|facts| facts.duration).into(),
            ),
            (
                field_name!("upstream_status"),
                upstream
                    .and_then(|facts| facts.status)
                    .map(u64::from)
                    .into(),
            ),
            (
                field_name!("qiniu_error_code"),
                upstream.and_then(|facts| facts.error_code).into(),
            ),
            (
                field_name!("qiniu_serverlogid"),
                upstream
                    .and_then(|facts| facts.serverlogid.as_deref())
                    .into(),
            ),
            (
                field_name!("qiniu_reqid"),
                upstream.and_then(|facts| facts.reqid.as_deref()).into(),
            ),
            (
                field_name!("removed_bytes"),
                upstream.and_then(|facts| facts.removed).into(),
            ),
        ]
    }
}

impl Drop for AccessRecord {
    fn drop(&mut self) {
        if self.handed_on && self.status == 0 {
            return;
        }
        let metrics = &self.telemetry.metrics;
        let route = self.route.as_ref().unwrap_or(metrics.no_route());
        let duration = self.started.elapsed();
        metrics.record_request(route, self.status, self.code, duration, None);
        metrics.add_body_bytes(self.bytes_in);
        let line = format_line(self.telemetry.format, &self.fields(duration));
        self.telemetry.log.write(line.as_bytes());
    }
}

/// A registered method, or `other`: the label set stays closed.
fn registered(method: &hyper::Method) -> &'static str {
    [
        "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT",
    ]
    .into_iter()
    .find(|known| *known == method.as_str())
    .unwrap_or("other")
}

/// Maximum length of an id, in bytes; a trusted proxy may set one of this length.
const MAX_ID_BYTES: usize = 64;

/// A request id: letters, digits, `.`, `_` and `-`. Stored inline, because each request
/// copies it several times.
#[derive(Clone, Copy)]
pub struct RequestId {
    bytes: [u8; MAX_ID_BYTES],
    length: usize,
}

impl RequestId {
    /// Parses an id; `None` if it is empty, too long, or has other characters.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if text.is_empty() || !text.bytes().all(plain) {
            return None;
        }
        let mut bytes = [0; MAX_ID_BYTES];
        bytes
            .get_mut(..text.len())?
            .copy_from_slice(text.as_bytes());
        Some(Self {
            bytes,
            length: text.len(),
        })
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..self.length).unwrap_or_default();
        // Always ASCII.
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Generates request ids as keyed hashes of a counter, which cost a fraction of the system's
/// random bytes.
#[derive(Default)]
pub struct RequestIds {
    keys: [RandomState; 2],
    counter: AtomicU64,
}

impl RequestIds {
    /// The next id: 32 hexadecimal digits.
    pub fn next(&self) -> RequestId {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        let mut bytes = [0; MAX_ID_BYTES];
        let mut length = 0;
        for (half, keys) in bytes.chunks_exact_mut(16).zip(&self.keys) {
            HEXLOWER.encode_mut(&keys.hash_one(number).to_be_bytes(), half);
            length += half.len();
        }
        RequestId { bytes, length }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_differ_within_a_process_and_between_two() {
        let (one, other) = (RequestIds::default(), RequestIds::default());
        let ids: HashSet<String> = (0..1000)
            .flat_map(|_| [one.next(), other.next()])
            .map(|id| id.to_string())
            .collect();
        assert_eq!(ids.len(), 2000);
        let hex = |id: &String| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(ids.iter().all(hex));
    }

    #[test]
    fn a_given_id_is_taken_as_it_is_or_not_at_all() {
        for good in ["a", "A-1._z", &"x".repeat(MAX_ID_BYTES)] {
            assert_eq!(RequestId::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "a b", "a\"", "\u{e9}", &"x".repeat(MAX_ID_BYTES + 1)] {
            assert!(RequestId::parse(bad).is_none(), "{bad}");
        }
    }
}
