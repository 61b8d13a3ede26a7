//! Responses to HTTP/1.1 heads that never become a request: too late, too large or malformed.
//!
//! Written to the stream without hyper, as the last response of a connection. Relies on the relay
//! for the form of a problem, for CORS and for the access record, so a frontend can read these
//! responses and an operator finds them in the log as any other. Never repeats anything the peer
//! sent, except an allowed origin.

use std::{net::SocketAddr, sync::Arc};

use hyper::{Method, header::HeaderValue};

use super::framing::FramingError;
use crate::{
    relay::{
        access_record::AccessRecord, cors::Cors, problem::ProblemDetails, reason::RefusalReason,
        request_id::RequestIds, respond::respond_to_head,
    },
    telemetry::Telemetry,
};

/// Why a head is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeadRefusal {
    status: u16,
    code: &'static str,
    detail: &'static str,
    reason: Option<RefusalReason>,
}

/// The head did not arrive within `head_timeout`.
pub(super) const HEAD_TIMEOUT: HeadRefusal = HeadRefusal {
    status: 408,
    code: "request_timeout",
    detail: "the request head did not arrive in time",
    reason: None,
};

const HEAD_TOO_LARGE: HeadRefusal = HeadRefusal {
    status: 431,
    code: "headers_too_large",
    detail: "the request head is too large",
    reason: None,
};

const HEAD_MALFORMED: HeadRefusal = HeadRefusal {
    status: 400,
    code: "malformed_request",
    detail: "the request head is not valid HTTP/1.1",
    reason: Some(RefusalReason::SYNTAX),
};

pub(super) const PROXY_HEADER_INVALID: HeadRefusal = HeadRefusal {
    status: 400,
    code: "malformed_request",
    detail: "the connection does not begin with a valid PROXY header",
    reason: Some(RefusalReason::PROXY_HEADER),
};

/// RFC 9112 section 6.1.
const CODING_UNSUPPORTED: HeadRefusal = HeadRefusal {
    status: 501,
    code: "malformed_request",
    detail: "no Transfer-Encoding but chunked is supported",
    reason: None,
};

/// RFC 9110 section 15.6.6.
const VERSION_UNSUPPORTED: HeadRefusal = HeadRefusal {
    status: 505,
    code: "malformed_request",
    detail: "the HTTP version is not supported",
    reason: None,
};

impl HeadRefusal {
    /// The refusal that replaces hyper's bare response with this status.
    pub(super) fn instead_of(status: u16) -> Self {
        match status {
            // A target that is too long is part of a head that is too large.
            414 | 431 => HEAD_TOO_LARGE,
            _ => HEAD_MALFORMED,
        }
    }

    /// The refusal of a head that breaks the grammar.
    pub(super) fn of(error: FramingError) -> Self {
        let refusal = match error {
            FramingError::UnknownCoding => CODING_UNSUPPORTED,
            FramingError::Version => VERSION_UNSUPPORTED,
            FramingError::RequestLineTooLong => HEAD_TOO_LARGE,
            FramingError::BareLineFeed
            | FramingError::Folding
            | FramingError::Length
            | FramingError::TransferCoding
            | FramingError::LengthAndCoding
            | FramingError::CodingInHttp10
            | FramingError::Chunk
            | FramingError::Trailer
            | FramingError::RequestLine => HEAD_MALFORMED,
        };
        Self {
            reason: Some(RefusalReason::new(error.reason())),
            ..refusal
        }
    }

    fn problem(self) -> ProblemDetails {
        let problem = ProblemDetails::new(self.status, self.code, self.detail);
        match self.status {
            408 => problem.retry_after(1),
            _ => problem,
        }
    }
}

/// Makes the responses to heads that never become a request.
pub struct HeadResponder {
    /// Where the responses are counted and recorded.
    pub(super) telemetry: Arc<Telemetry>,
    cors: Cors,
    ids: RequestIds,
}

impl HeadResponder {
    /// `cors` decides which origins may read the responses.
    pub fn new(telemetry: Arc<Telemetry>, cors: Cors) -> Self {
        Self {
            telemetry,
            cors,
            ids: RequestIds::default(),
        }
    }

    /// Makes the bytes of the whole response, and writes its access record. `head` is the received
    /// part of the head.
    pub(super) fn response(&self, refusal: HeadRefusal, head: &[u8], peer: SocketAddr) -> Vec<u8> {
        let id = self.ids.next();
        let telemetry = Arc::clone(&self.telemetry);
        let mut record = AccessRecord::begin(telemetry, peer, &method(head), id);
        record.reason = refusal.reason;
        let details = refusal.problem();
        let origin = origin(head);
        let response = respond_to_head(&details, &self.cors, origin.as_ref(), record);
        let (parts, body) = response.into_parts();
        let body = body.into_inner().unwrap_or_default();
        let (status, title) = details.status_and_title();
        let mut bytes = format!("HTTP/1.1 {} {title}\r\n", status.as_u16()).into_bytes();
        for (name, value) in &parts.headers {
            bytes.extend(title_case(name.as_str()));
            bytes.extend([b": ", value.as_bytes(), b"\r\n"].concat());
        }
        bytes.extend(format!("Content-Length: {}\r\n\r\n", body.len()).into_bytes());
        bytes.extend_from_slice(&body);
        bytes
    }
}

/// The method of a head, as far as it is readable.
fn method(head: &[u8]) -> Method {
    let first = head.split(|&byte| byte == b' ').next().unwrap_or_default();
    // An unreadable method becomes `-`, which is recorded as `other` like any unknown one.
    Method::from_bytes(first)
        .or_else(|_| Method::from_bytes(b"-"))
        .unwrap_or_default()
}

/// The `Origin` of a head that may be malformed or cut off. Ignores a line without its end, since
/// its value may be incomplete.
fn origin(head: &[u8]) -> Option<HeaderValue> {
    let mut lines = head.split_inclusive(|&byte| byte == b'\n').skip(1);
    lines.find_map(|line| {
        let (name, value) = line.split_at_checked(b"origin:".len())?;
        let whole = name.eq_ignore_ascii_case(b"origin:") && value.ends_with(b"\n");
        // Copies no other line: it may hold a token.
        let value = whole.then(|| HeaderValue::from_bytes(value.trim_ascii()))?;
        value.ok()
    })
}

/// A field name as HTTP/1.1 peers usually write it: `x-request-id` as `X-Request-Id`.
fn title_case(name: &str) -> impl Iterator<Item = u8> {
    let before = std::iter::once(b'-').chain(name.bytes());
    name.bytes().zip(before).map(|(byte, before)| match before {
        b'-' => byte.to_ascii_uppercase(),
        _ => byte,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::{
        relay::cors::CorsSettings,
        telemetry::{LogFormat, log::LogWriter, metrics::Metrics},
    };

    const PEER: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7);

    fn responder() -> (HeadResponder, Arc<std::sync::Mutex<Vec<u8>>>) {
        let (lines, log) = LogWriter::capture();
        let cors = CorsSettings {
            allowed_origins: vec!["https://app.example.com".into()],
            allowed_headers: Vec::new(),
            max_age: std::time::Duration::from_secs(600),
        };
        let telemetry = Telemetry {
            metrics: Metrics::new(lines.clone()),
            log: lines,
            format: LogFormat::Json,
            lines: Arc::default(),
        };
        let responder = HeadResponder::new(Arc::new(telemetry), Cors::new(&cors));
        (responder, log)
    }

    #[test]
    fn a_response_is_a_whole_problem_with_its_headers_and_a_record() {
        let (responder, log) = responder();
        let head = b"POST /x HTTP/1.1\r\nORIGIN:https://app.example.com\r\nX";
        let text = String::from_utf8(responder.response(HEAD_TIMEOUT, head, PEER)).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        let id = problem["request_id"].as_str().unwrap();
        assert_eq!(
            (id.len(), problem["code"].as_str()),
            (32, Some("request_timeout"))
        );
        let length = format!("Content-Length: {}", body.len());
        let id_line = format!("X-Request-Id: {id}");
        let mut lines = head.lines();
        assert_eq!(lines.next(), Some("HTTP/1.1 408 Request Timeout"));
        let rest: Vec<_> = lines.collect();
        for line in [
            "Content-Type: application/problem+json",
            &length,
            &id_line,
            "Cache-Control: no-store",
            "X-Content-Type-Options: nosniff",
            "Connection: close",
            "Vary: Origin",
            "Access-Control-Allow-Origin: https://app.example.com",
        ] {
            assert!(rest.contains(&line), "{line}");
        }
        let line = String::from_utf8(log.lock().unwrap().clone()).unwrap();
        let record: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (
                &record["request_id"],
                &record["status"],
                &record["code"],
                &record["method"]
            ),
            (
                &id.into(),
                &408.into(),
                &"request_timeout".into(),
                &"POST".into()
            )
        );
        assert_ne!(
            responder.response(HEAD_TIMEOUT, b"", PEER),
            responder.response(HEAD_TIMEOUT, b"", PEER),
            "ids differ"
        );
    }

    #[test]
    fn an_unreadable_method_is_recorded_as_other() {
        let (responder, log) = responder();
        drop(responder.response(HEAD_MALFORMED, b"\x16\x03\x01 /", PEER));
        let line = String::from_utf8(log.lock().unwrap().clone()).unwrap();
        assert!(line.contains(r#""method":"other""#), "{line}");
    }

    #[test]
    fn only_a_complete_line_with_an_allowed_origin_is_repeated() {
        let (responder, _) = responder();
        for head in [
            &b""[..],
            b"Origin: https://app.example.com\r\n",
            b"GET / HTTP/1.1\r\nOrigin: https://app.example.com",
            b"GET / HTTP/1.1\r\nOrigin: https://evil.example\r\n",
            b"GET / HTTP/1.1\r\nX-Origin: https://app.example.com\r\n",
        ] {
            let text = String::from_utf8(responder.response(HEAD_TIMEOUT, head, PEER)).unwrap();
            assert!(!text.contains("Allow-Origin"), "{text}");
        }
    }
}
