//! Answers, as they leave: what the journey yields or a refusal, with the headers that every answer carries.
//!
//! Relies on [`super::problem`] for the form of refusals. Never decides anything.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Response, StatusCode, Version,
    body::{Body, Incoming},
    header::{
        CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS,
    },
    http::request::Parts,
};

use super::{headers, problem, record::Record, refusal::Refusal};
use crate::limit::rate::RateLimitStatus;

/// After a refusal so much of an upload is still read, for so long, so that its sender gets to see the answer.
const DRAIN_BYTES: usize = 256 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// Fields that a request's map has room for at the most to become its answer's: hyper keeps that one with the connection.
const MOST_FIELDS: usize = 32;
/// Bytes of a field that says where the caller stands, with every number in it as large as can be.
const LIST: usize = 160;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const CLOSE: HeaderValue = HeaderValue::from_static("close");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Something to look at that needs no token: the keys of verdicts, and what the sandbox has to show.
#[derive(Clone)]
pub struct Page {
    /// `Content-Type`.
    pub content_type: &'static str,
    /// The whole of it, which may change.
    pub body: Arc<ArcSwap<Bytes>>,
}

impl Page {
    /// One that stays as it is.
    pub fn fixed(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self {
            content_type,
            body: Arc::new(ArcSwap::from_pointee(body.into())),
        }
    }
}

/// What an answer is made of.
pub(super) enum Reply {
    /// What the page that asks may do.
    Preflight(HeaderMap),
    /// What is left of Qiniu's answer.
    Json(Bytes),
    /// For a person to look at.
    Page(Page),
}

/// The answer to a request that came through. The request's fields are not needed any more: their map, emptied, is the answer's,
/// so that none has to be made.
pub(super) fn accepted(
    reply: Reply,
    mut headers: HeaderMap,
    record: &mut Record,
) -> Response<Full<Bytes>> {
    headers.clear();
    if headers.capacity() > MOST_FIELDS {
        headers = HeaderMap::new();
    }
    let (status, body) = match reply {
        Reply::Preflight(allowed) => {
            headers = allowed;
            (StatusCode::NO_CONTENT, Bytes::new())
        }
        Reply::Json(body) => {
            headers.insert(CONTENT_TYPE, JSON);
            (StatusCode::OK, body)
        }
        Reply::Page(Page { content_type, body }) => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            (StatusCode::OK, Bytes::clone(&body.load()))
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

/// The answer to one that did not.
pub(super) fn refused(refusal: &Refusal, record: &mut Record) -> Response<Full<Bytes>> {
    let told = refusal.told();
    record.status = told.status;
    record.code = told.code;
    let body = problem::body(&told, record.request_id.as_str());
    record.bytes_out = body.len() as u64;
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() =
        StatusCode::from_u16(told.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    problem::headers(refusal, &told, response.headers_mut());
    match refusal.logged() {
        Some((tracing::Level::ERROR, what)) => {
            tracing::error!(request_id = %record.request_id, code = told.code, "{what}")
        }
        Some((_, what)) => {
            tracing::warn!(request_id = %record.request_id, code = told.code, "{what}")
        }
        None => {}
    }
    response
}

/// What every answer carries. `limits` are those that the request was held against, by their policies' names.
pub(super) fn finish(
    headers: &mut HeaderMap,
    record: &Record,
    limits: impl Iterator<Item = (&'static str, RateLimitStatus)>,
) {
    if let Ok(id) = HeaderValue::from_str(record.request_id.as_str()) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    let (mut policies, mut standings) = (List::default(), List::default());
    for (name, limit) in limits {
        let (quota, window) = (limit.quota.into(), limit.window);
        policies.push(name, [(";q=", quota), (";w=", window)]);
        let (remaining, reset) = (limit.remaining.into(), limit.reset);
        standings.push(name, [(";r=", remaining), (";t=", reset)]);
    }
    if let (Some(policies), Some(standings)) = (policies.value(), standings.value()) {
        headers.insert(RATE_LIMIT_POLICY, policies);
        headers.insert(RATE_LIMIT, standings);
    }
}

/// A list of names with parameters (RFC 9651 section 3.1), made in place: every answer has two.
struct List {
    bytes: [u8; LIST],
    length: usize,
}

impl Default for List {
    fn default() -> Self {
        Self {
            bytes: [0; LIST],
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
        // One that is too long is none.
        self.length = end;
    }

    /// Nothing of an empty list.
    fn value(&self) -> Option<HeaderValue> {
        let list = self.bytes.get(..self.length)?;
        HeaderValue::from_bytes(list)
            .ok()
            .filter(|_| !list.is_empty())
    }
}

/// Reads a little of a refused body, in the background: a connection that is closed with unread bytes is reset, and the
/// sender never sees the answer. One that waits for `100 Continue` has sent nothing and must not be invited to.
pub(super) fn release(mut body: Incoming, parts: &Parts, response: &mut Response<Full<Bytes>>) {
    if body.is_end_stream() {
        return;
    }
    if parts.version < Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, CLOSE);
    }
    if headers::expects_continue(&parts.headers) {
        return;
    }
    let http2 = parts.version == Version::HTTP_2;
    tokio::spawn(tokio::time::timeout(DRAIN_TIME, async move {
        let mut left = DRAIN_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 && http2 {
                // To drop the body is to reset the stream, and a reset that comes together with the answer makes curl
                // and others forget the answer. Unread, the sender's window closes, and it looks.
                return std::future::pending().await;
            }
            if left == 0 {
                break;
            }
        }
    }));
}
