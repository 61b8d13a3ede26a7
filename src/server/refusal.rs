//! The answers given where there is no request to hand to the relay: a head that came too late or can't be read.
//!
//! HTTP/1.1 only, written past hyper, and always the last thing on a connection. Never repeats anything the peer sent.

use std::fmt::Write;

/// A refusal of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeadRefusal {
    pub(super) status: u16,
    pub(super) title: &'static str,
    pub(super) code: &'static str,
    detail: &'static str,
}

/// The head did not arrive within `head_timeout`.
pub(super) const HEAD_LATE: HeadRefusal = HeadRefusal {
    status: 408,
    title: "Request Timeout",
    code: "request_timeout",
    detail: "The request's head did not arrive in time.",
};

const HEAD_TOO_LARGE: HeadRefusal = HeadRefusal {
    status: 431,
    title: "Request Header Fields Too Large",
    code: "headers_too_large",
    detail: "The request's head is too large.",
};

const HEAD_MALFORMED: HeadRefusal = HeadRefusal {
    status: 400,
    title: "Bad Request",
    code: "malformed_request",
    detail: "The request's head is not valid HTTP/1.1.",
};

impl HeadRefusal {
    /// In place of the bare answer that hyper would have given.
    pub(super) fn instead_of(status: u16) -> Self {
        match status {
            // A target that is too long is a head that is too large.
            414 | 431 => HEAD_TOO_LARGE,
            _ => HEAD_MALFORMED,
        }
    }

    /// The whole answer as bytes.
    pub(super) fn render(self) -> Vec<u8> {
        let Self {
            status,
            title,
            code,
            detail,
        } = self;
        let id = request_id();
        let body = serde_json::json!({
            "type": "about:blank",
            "title": title,
            "status": status,
            "code": code,
            "detail": detail,
            "request_id": id,
        })
        .to_string();
        format!(
            "HTTP/1.1 {status} {title}\r\nContent-Type: application/problem+json\r\nContent-Length: {}\r\n\
             X-Request-Id: {id}\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }
}

/// 128 random bits in hexadecimal.
fn request_id() -> String {
    let mut bytes = [0; 16];
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        tracing::error!("the system gives no random bytes");
    }
    bytes
        .iter()
        .fold(String::with_capacity(32), |mut id, byte| {
            // Writing to a string does not fail.
            let _ = write!(id, "{byte:02x}");
            id
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_whole_problem_with_its_headers() {
        let text = String::from_utf8(HEAD_LATE.render()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        let id = problem["request_id"].as_str().unwrap();
        assert_eq!(
            (id.len(), problem["code"].as_str()),
            (32, Some("request_timeout"))
        );
        let length = format!("Content-Length: {}", body.len());
        let id = format!("X-Request-Id: {id}");
        let mut lines = head.lines();
        assert_eq!(lines.next(), Some("HTTP/1.1 408 Request Timeout"));
        let rest: Vec<_> = lines.collect();
        for line in [
            "Content-Type: application/problem+json",
            &length,
            &id,
            "Cache-Control: no-store",
            "X-Content-Type-Options: nosniff",
            "Connection: close",
        ] {
            assert!(rest.contains(&line), "{line}");
        }
        assert_ne!(HEAD_LATE.render(), HEAD_LATE.render(), "ids differ");
    }
}
