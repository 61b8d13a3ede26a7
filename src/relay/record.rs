//! The one line that stays of a request, and its metrics. A guard: it is written when it is dropped, so also when the
//! caller went away in the middle.
//!
//! Never in it: a token, a key, a session id, a face token, any part of a body; the user only as a keyed hash.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use serde::Serialize;

use crate::telemetry::{LogFormat, Observer, timestamp};

/// The code of a request whose caller did not wait for its answer.
const CALLER_LEFT: &str = "caller_left";

/// What is written, in this order (the names are a contract).
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    request_id: &'a str,
    route: Option<&'a str>,
    method: &'a str,
    status: u16,
    code: &'a str,
    user: Option<&'a str>,
    peer: String,
    forwarded_for: Option<&'a str>,
    bytes_in: u64,
    bytes_out: u64,
    duration_ms: f64,
    upstream_ms: Option<f64>,
    upstream_status: Option<u16>,
    qiniu_error_code: Option<i64>,
    qiniu_serverlogid: Option<&'a str>,
    qiniu_reqid: Option<&'a str>,
    removed_bytes: Option<u64>,
}

/// What is gathered on the way.
pub struct Record {
    observer: Arc<Observer>,
    started: Instant,
    time: SystemTime,
    /// The peer's address.
    pub peer: std::net::SocketAddr,
    /// The name of the request.
    pub request_id: String,
    /// HTTP method; only known ones are recorded.
    pub method: &'static str,
    /// The route, once it is found.
    pub route: Option<Arc<str>>,
    /// HTTP status of the answer; 0 until there is one.
    pub status: u16,
    /// The refusal's code, or `ok`.
    pub code: &'static str,
    /// The caller's pseudonym.
    pub user: Option<Arc<str>>,
    /// What a trusted proxy said of the way.
    pub forwarded_for: Option<String>,
    /// Bytes of the body that arrived.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
    /// The call to Qiniu, where there was one.
    pub upstream: Option<UpstreamFacts>,
}

/// What is known of a call to Qiniu.
#[derive(Default)]
pub struct UpstreamFacts {
    /// From its start to its end.
    pub duration: std::time::Duration,
    /// HTTP status.
    pub status: Option<u16>,
    /// Qiniu's verdict on the request.
    pub error_code: Option<i64>,
    /// Qiniu's number for it.
    pub serverlogid: Option<String>,
    /// Qiniu's name for it.
    pub reqid: Option<String>,
    /// Bytes taken out of its answer.
    pub removed: Option<u64>,
}

impl Record {
    /// Starts the clock.
    pub fn begin(
        observer: Arc<Observer>,
        peer: std::net::SocketAddr,
        method: &hyper::Method,
        request_id: String,
    ) -> Self {
        Self {
            observer,
            started: Instant::now(),
            time: SystemTime::now(),
            peer,
            request_id,
            method: known_method(method),
            route: None,
            status: 0,
            code: CALLER_LEFT,
            user: None,
            forwarded_for: None,
            bytes_in: 0,
            bytes_out: 0,
            upstream: None,
        }
    }

    fn line(&self) -> Line<'_> {
        let upstream = self.upstream.as_ref();
        Line {
            time: timestamp::rfc3339_millis(self.time),
            request_id: &self.request_id,
            route: self.route.as_deref(),
            method: self.method,
            status: self.status,
            code: self.code,
            user: self.user.as_deref(),
            peer: self.peer.to_string(),
            forwarded_for: self.forwarded_for.as_deref(),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            duration_ms: milliseconds(self.started.elapsed()),
            upstream_ms: upstream.map(|facts| milliseconds(facts.duration)),
            upstream_status: upstream.and_then(|facts| facts.status),
            qiniu_error_code: upstream.and_then(|facts| facts.error_code),
            qiniu_serverlogid: upstream.and_then(|facts| facts.serverlogid.as_deref()),
            qiniu_reqid: upstream.and_then(|facts| facts.reqid.as_deref()),
            removed_bytes: upstream.and_then(|facts| facts.removed),
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let metrics = &self.observer.metrics;
        let route = self.route.as_ref().unwrap_or(metrics.no_route());
        metrics.request_done(route, self.status, self.code, self.started.elapsed());
        metrics.body_bytes(self.bytes_in);
        let line = self.line();
        let mut text = match self.observer.format {
            LogFormat::Json => serde_json::to_vec(&line).unwrap_or_default(),
            LogFormat::Text => in_text(&line),
        };
        text.push(b'\n');
        self.observer.lines.write(text);
    }
}

/// `name=value` pairs for a person; what is absent is left out.
fn in_text(line: &Line<'_>) -> Vec<u8> {
    let mut text = String::new();
    if let Ok(serde_json::Value::Object(members)) = serde_json::to_value(line) {
        for (name, value) in members.iter().filter(|(_, value)| !value.is_null()) {
            let separator = if text.is_empty() { "" } else { " " };
            text.push_str(&format!("{separator}{name}={value}"));
        }
    }
    text.into_bytes()
}

fn milliseconds(duration: std::time::Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

fn known_method(method: &hyper::Method) -> &'static str {
    [
        "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT",
    ]
    .into_iter()
    .find(|known| *known == method.as_str())
    .unwrap_or("other")
}
