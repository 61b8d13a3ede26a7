//! A refusal on the wire: RFC 9457 `application/problem+json`, with the headers that belong to it.

use hyper::{
    HeaderMap, StatusCode,
    header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Serialize;

use super::refusal::{Refusal, Told};

#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    code: &'a str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    request_id: &'a str,
}

/// What a status is called.
pub fn title(status: u16) -> &'static str {
    StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Error")
}

/// The body of a refusal.
pub fn body(told: &Told, request_id: &str) -> Vec<u8> {
    let problem = Problem {
        r#type: "about:blank",
        title: title(told.status),
        status: told.status,
        code: told.code,
        detail: &told.detail,
        reason: told.reason,
        request_id,
    };
    serde_json::to_vec(&problem).unwrap_or_default()
}

/// The headers of a refusal.
pub fn headers(refusal: &Refusal, told: &Told, headers: &mut HeaderMap) {
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    if let Some(wait) = told.retry_after {
        // A whole second at least, rounded up: a caller that obeys must not be refused again.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    match (refusal, told.status) {
        (Refusal::Method(allowed), _) => {
            headers.insert(ALLOW, HeaderValue::from_static(allowed));
        }
        (Refusal::Scope(scope), _) => {
            insert_text(
                headers,
                &format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\""),
            );
        }
        // RFC 6750 section 3.1: a request without a token is told the scheme and nothing else.
        (Refusal::Auth(_), 401) if told.code == "missing_token" => insert_text(headers, "Bearer"),
        (Refusal::Auth(_), 401) => {
            insert_text(
                headers,
                &format!(
                    "Bearer error=\"invalid_token\", error_description=\"{}\"",
                    told.detail.replace(['"', '\\'], "'")
                ),
            );
        }
        _ => {}
    }
}

fn insert_text(headers: &mut HeaderMap, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(WWW_AUTHENTICATE, value);
    }
}
