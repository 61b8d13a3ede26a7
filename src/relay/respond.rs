//! The last step: the response as it leaves the gateway.
//!
//! The only writer of response header fields: those that every response carries, those of an
//! error (RFC 9457, RFC 6750), CORS (Fetch standard, section 3.2) and the state of the limits
//! (draft-ietf-httpapi-ratelimit-headers-10). Never decides whether a request is refused.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Method, Response, StatusCode, Version,
    body::{Body, Incoming},
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, CONNECTION,
        CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, ORIGIN, RETRY_AFTER, VARY,
        WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
    },
    http::request::Parts,
};

use super::{
    access_record::AccessRecord,
    admit::RequestLimits,
    cors::Cors,
    gateway::{Gateway, Page},
    headers,
    problem::{ProblemDetails, ProblemField},
    refusal::Refusal,
};
use crate::limit::rate::RateLimitStatus;

/// After an error, up to this much of the upload is read, for at most this long, so that the
/// sender gets to read the response.
const DRAIN_BYTES: usize = 256 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// A larger header map of a request is not reused for the response: hyper would keep it as
/// long as the connection.
const MAX_REUSED_FIELDS: usize = 32;
/// Size of a `RateLimit` field with the largest possible numbers, in bytes.
const MAX_LIST_BYTES: usize = 160;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const CLOSE: HeaderValue = HeaderValue::from_static("close");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "X-Request-Id, Retry-After, RateLimit, RateLimit-Policy, WWW-Authenticate, Liveness-Replayed",
);
const REPLAYED: HeaderName = HeaderName::from_static("liveness-replayed");
const TRUE: HeaderValue = HeaderValue::from_static("true");

/// A successful response.
pub(super) enum Reply {
    /// The response to a CORS preflight for a resource with this method.
    Preflight(&'static str),
    /// The finalized body of Qiniu's response.
    Json(Bytes),
    /// The same once more, for a retry: nothing was sent to Qiniu.
    Replayed(Bytes),
    /// A document.
    Page(Page),
    /// The site's response.
    Site(Box<Response<Bytes>>),
}

/// Turns the result of a journey into the response, and completes the access record.
pub(super) fn respond(
    gateway: &Gateway,
    result: Result<Reply, Refusal>,
    limits: &RequestLimits,
    mut parts: Parts,
    body: Incoming,
    mut record: AccessRecord,
) -> Response<Full<Bytes>> {
    let origin = gateway.cors.allowed(parts.headers.get(ORIGIN));
    let without_content = parts.method == Method::HEAD;
    let mut response = match result {
        Ok(reply) => {
            let headers = std::mem::take(&mut parts.headers);
            accepted(reply, headers, &gateway.cors, origin.is_some(), &mut record)
        }
        Err(refusal) => {
            let details = refusal.problem();
            record.refused(&refusal, details.code);
            let mut response = problem(&details, &mut record);
            let ends = refusal.ends_connection();
            release(body, ends, &parts, &mut response);
            response
        }
    };
    if without_content {
        withhold_content(&mut response);
        record.bytes_out = 0;
    }
    let headers = response.headers_mut();
    common_fields(headers, &record);
    limit_fields(headers, limits.statuses());
    cors_fields(headers, &gateway.cors, origin);
    response
}

/// The response to a request whose head never became a request, without the connection's
/// framing: there is no body to read, and there are no limits.
pub(crate) fn respond_to_head(
    details: &ProblemDetails,
    cors: &Cors,
    origin: Option<&HeaderValue>,
    mut record: AccessRecord,
) -> Response<Full<Bytes>> {
    let mut response = problem(details, &mut record);
    let headers = response.headers_mut();
    common_fields(headers, &record);
    cors_fields(headers, cors, cors.allowed(origin));
    headers.insert(CONNECTION, CLOSE);
    response
}

/// A successful response. It reuses the request's header map, emptied, to avoid an
/// allocation.
fn accepted(
    reply: Reply,
    mut headers: HeaderMap,
    cors: &Cors,
    allowed: bool,
    record: &mut AccessRecord,
) -> Response<Full<Bytes>> {
    headers.clear();
    if headers.capacity() > MAX_REUSED_FIELDS {
        headers = HeaderMap::new();
    }
    let (status, body) = match reply {
        Reply::Preflight(method) => {
            if allowed {
                let method = HeaderValue::from_static(method);
                headers.insert(ACCESS_CONTROL_ALLOW_METHODS, method);
                headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, cors.allowed_headers());
                headers.insert(ACCESS_CONTROL_MAX_AGE, cors.max_age());
            }
            (StatusCode::NO_CONTENT, Bytes::new())
        }
        Reply::Json(body) => {
            headers.insert(CONTENT_TYPE, JSON);
            (StatusCode::OK, body)
        }
        Reply::Replayed(body) => {
            headers.insert(CONTENT_TYPE, JSON);
            headers.insert(REPLAYED, TRUE);
            (StatusCode::OK, body)
        }
        Reply::Page(Page { content_type, body }) => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            (StatusCode::OK, Bytes::clone(&body.load()))
        }
        Reply::Site(response) => {
            let (parts, body) = response.into_parts();
            headers.extend(parts.headers);
            (parts.status, body)
        }
    };
    record.code = "ok";
    record.status = status.as_u16();
    record.bytes_out = body.len() as u64;
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// An error response.
fn problem(details: &ProblemDetails, record: &mut AccessRecord) -> Response<Full<Bytes>> {
    record.status = details.status;
    record.code = details.code;
    let body = details.to_json(record.request_id.as_str());
    record.bytes_out = body.len() as u64;
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = details.status_and_title().0;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, PROBLEM_JSON);
    if let Some(wait) = details.retry_after {
        // Rounded up, and at least a second: a caller that obeys must not be refused again.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    match &details.field {
        Some(ProblemField::Allow(methods)) => {
            headers.insert(ALLOW, HeaderValue::from_static(methods));
        }
        Some(ProblemField::Challenge(challenge)) => {
            if let Ok(value) = HeaderValue::from_str(challenge) {
                headers.insert(WWW_AUTHENTICATE, value);
            }
        }
        None => {}
    }
    response
}

/// Leaves of a response to HEAD its fields. Over HTTP/1.1 hyper would send no content either; over
/// HTTP/2 it would, and clients take that for a broken stream.
fn withhold_content(response: &mut Response<Full<Bytes>>) {
    let length = response.body().size_hint().lower();
    *response.body_mut() = Full::default();
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
}

/// The fields of every response.
fn common_fields(headers: &mut HeaderMap, record: &AccessRecord) {
    if let Ok(id) = HeaderValue::from_str(record.request_id.as_str()) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
}

/// Lets the page of an allowed origin read the response, errors included: it shall see a
/// 401, not a "CORS error".
fn cors_fields(headers: &mut HeaderMap, cors: &Cors, allowed: Option<HeaderValue>) {
    if cors.is_off() {
        return;
    }
    headers.append(VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = allowed {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
}

/// The state of each limit that the request was checked against, by policy name.
fn limit_fields(
    headers: &mut HeaderMap,
    statuses: impl Iterator<Item = (&'static str, RateLimitStatus)>,
) {
    let (mut policies, mut limits) = (List::default(), List::default());
    for (name, status) in statuses {
        let (quota, window) = (status.quota.into(), status.window);
        policies.push(name, [(";q=", quota), (";w=", window)]);
        let (remaining, reset) = (status.remaining.into(), status.reset);
        limits.push(name, [(";r=", remaining), (";t=", reset)]);
    }
    if let (Some(policies), Some(limits)) = (policies.value(), limits.value()) {
        headers.insert(RATE_LIMIT_POLICY, policies);
        headers.insert(RATE_LIMIT, limits);
    }
}

/// A list of names with parameters (RFC 9651 section 3.1), built without an allocation:
/// nearly every response has two.
struct List {
    bytes: [u8; MAX_LIST_BYTES],
    length: usize,
}

impl Default for List {
    fn default() -> Self {
        Self {
            bytes: [0; MAX_LIST_BYTES],
            length: 0,
        }
    }
}

impl List {
    fn push(&mut self, name: &str, parameters: [(&str, u64); 2]) {
        self.add(if self.length == 0 { "\"" } else { ", \"" });
        self.add(name);
        self.add("\"");
        for (parameter, value) in parameters {
            self.add(parameter);
            self.add(itoa::Buffer::new().format(value));
        }
    }

    fn add(&mut self, text: &str) {
        let end = self.length + text.len();
        if let Some(room) = self.bytes.get_mut(self.length..end) {
            room.copy_from_slice(text.as_bytes());
        }
        // A list that is too long has no value.
        self.length = end;
    }

    /// `None` if the list is empty or too long.
    fn value(&self) -> Option<HeaderValue> {
        let list = self.bytes.get(..self.length)?;
        HeaderValue::from_bytes(list)
            .ok()
            .filter(|_| !list.is_empty())
    }
}

/// Reads a little of a refused body in the background: a connection closed with unread bytes
/// is reset, and the sender never sees the response. A sender that waits for `100 Continue`
/// has sent nothing and must not be invited to.
///
/// Over HTTP/2, dropping the body resets the stream. A reset that arrives with the response
/// makes curl and others forget the response, so the reset waits. Until then all is read and
/// discarded: what stays unread would use up the window that other requests of the connection
/// share.
fn release(mut body: Incoming, ends: bool, parts: &Parts, response: &mut Response<Full<Bytes>>) {
    let http2 = parts.version >= Version::HTTP_2;
    let empty = body.is_end_stream();
    if !http2 && (ends || !empty) {
        response.headers_mut().insert(CONNECTION, CLOSE);
    }
    if empty || headers::expects_continue(&parts.headers) {
        return;
    }
    tokio::spawn(tokio::time::timeout(DRAIN_TIME, async move {
        let mut left = DRAIN_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 && !http2 {
                break;
            }
        }
    }));
}
