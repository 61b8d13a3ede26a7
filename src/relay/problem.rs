//! An error as the caller sees it: RFC 9457 problem details.
//!
//! Relies on [`super::refusal`], which decides what each refusal says. Never contains a
//! secret, a token or text of Qiniu's.

use std::{borrow::Cow, time::Duration};

use hyper::StatusCode;
use serde::Serialize;

/// The problem details of one refusal.
#[derive(Debug)]
pub struct ProblemDetails {
    /// HTTP status.
    pub status: u16,
    /// The stable error code.
    pub code: &'static str,
    /// Explains the error to a person.
    pub detail: Cow<'static, str>,
    /// What is wrong with a video.
    pub reason: Option<&'static str>,
    /// When to retry (`Retry-After`).
    pub retry_after: Option<Duration>,
    /// The header field that this error requires.
    pub field: Option<ProblemField>,
}

/// A header field that an error requires.
#[derive(Debug, PartialEq, Eq)]
pub enum ProblemField {
    /// `Allow` of a 405: the methods of the path.
    Allow(&'static str),
    /// `WWW-Authenticate` of a 401 or 403 (RFC 6750 section 3).
    Challenge(String),
}

/// The members of the JSON document, in their order.
#[derive(Serialize)]
struct ProblemJson<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    code: &'a str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    request_id: &'a str,
}

impl ProblemDetails {
    /// Problem details without a `reason` and without further header fields.
    pub fn new(status: u16, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            reason: None,
            retry_after: None,
            field: None,
        }
    }

    /// With `Retry-After`, in seconds.
    pub fn retry_after(self, seconds: u64) -> Self {
        Self {
            retry_after: Some(Duration::from_secs(seconds)),
            ..self
        }
    }

    /// With a header field.
    pub fn field(self, field: ProblemField) -> Self {
        Self {
            field: Some(field),
            ..self
        }
    }

    /// The status, with its reason phrase as the title.
    pub fn status_and_title(&self) -> (StatusCode, &'static str) {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, status.canonical_reason().unwrap_or("Error"))
    }

    /// The JSON document.
    pub fn to_json(&self, request_id: &str) -> Vec<u8> {
        let problem = ProblemJson {
            r#type: "about:blank",
            title: self.status_and_title().1,
            status: self.status,
            code: self.code,
            detail: &self.detail,
            reason: self.reason,
            request_id,
        };
        serde_json::to_vec(&problem).unwrap_or_default()
    }
}
