//! The one line that stays of a request, and its metrics. A guard: it is written when it is dropped, so also when the
//! caller went away in the middle.
//!
//! Never in it: a token, a key, a session id, a face token, any part of a body; the user only as a keyed hash.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use super::request_id::RequestId;
use crate::telemetry::{
    Telemetry,
    log_line::{FieldName, FieldValue, field_name, format_line},
};

/// The code of a request whose caller did not wait for its answer.
const CALLER_LEFT: &str = "caller_left";

/// What is gathered on the way.
pub struct Record {
    telemetry: Arc<Telemetry>,
    started: Instant,
    time: SystemTime,
    /// The peer's address.
    pub peer: std::net::SocketAddr,
    /// The name of the request.
    pub request_id: RequestId,
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
    /// From its start to its end; none where the answer was kept from an earlier call.
    pub duration: Option<Duration>,
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
        telemetry: Arc<Telemetry>,
        peer: std::net::SocketAddr,
        method: &hyper::Method,
        request_id: RequestId,
    ) -> Self {
        Self {
            telemetry,
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

    /// When the request came.
    pub(super) fn time(&self) -> SystemTime {
        self.time
    }

    /// What is written, in this order (the names are a contract).
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

impl Drop for Record {
    fn drop(&mut self) {
        let metrics = &self.telemetry.metrics;
        let route = self.route.as_ref().unwrap_or(metrics.no_route());
        let duration = self.started.elapsed();
        metrics.record_request(route, self.status, self.code, duration);
        metrics.add_body_bytes(self.bytes_in);
        let line = format_line(self.telemetry.format, &self.fields(duration));
        self.telemetry.log.write(line.as_bytes());
    }
}

fn known_method(method: &hyper::Method) -> &'static str {
    [
        "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT",
    ]
    .into_iter()
    .find(|known| *known == method.as_str())
    .unwrap_or("other")
}
