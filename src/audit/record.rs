//! What a record of a request says.
//!
//! It names the user: an audit log answers what was done with whose face. Never contains a picture,
//! a token or a session id, since none of them gets here.

use std::time::SystemTime;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::telemetry::timestamp::rfc3339_millis;

/// A `verify` that is recorded: who asked for what.
#[derive(Clone, Copy)]
pub struct AuditedRequest<'a> {
    /// The request's id.
    pub request_id: &'a str,
    /// Path of the route.
    pub route: &'a str,
    /// The issuer of the user's token.
    pub issuer: &'a str,
    /// The user.
    pub user: &'a str,
    /// The value of `audit.consent_claim`, in one line.
    pub consent: Option<&'a RawValue>,
    /// SHA-256 of the video.
    pub video_sha256: Option<[u8; 32]>,
}

/// How a `verify` ended.
#[derive(Clone, Copy, Default)]
pub struct AuditedResult<'a> {
    /// `ok`, or the error code of the response.
    pub code: &'a str,
    /// Whether the verdict is a pass; `None` without a verdict.
    pub passed: Option<bool>,
    /// The id of the verdict.
    pub verdict_id: Option<&'a str>,
    /// Whether the app's backend has the evidence; `None` if there was none to deliver.
    pub delivered: Option<bool>,
    /// Qiniu's `error_code`.
    pub qiniu_error_code: Option<i64>,
    /// Qiniu's `serverlogid`.
    pub serverlogid: Option<&'a str>,
    /// Qiniu's `X-Reqid`.
    pub reqid: Option<&'a str>,
    /// The body of the response, of which only the hash is recorded.
    pub response: Option<&'a [u8]>,
}

/// What a record of a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VerifyEvent {
    /// A call to Qiniu is about to be made.
    Begin,
    /// A call to Qiniu has ended.
    Verify,
    /// A retry gets the response of an earlier call.
    Replay,
}

#[derive(Serialize)]
struct RecordMembers<'a> {
    time: String,
    event: &'static str,
    request_id: &'a str,
    route: &'a str,
    issuer: &'a str,
    user: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    consent: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    passed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    qiniu_error_code: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    qiniu_serverlogid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    qiniu_reqid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    video_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_sha256: Option<String>,
}

/// The members of a record, without braces.
pub(super) fn content(
    event: VerifyEvent,
    request: &AuditedRequest<'_>,
    result: &AuditedResult<'_>,
) -> String {
    let sha256 = |bytes| HEXLOWER.encode(digest(&SHA256, bytes).as_ref());
    let members = RecordMembers {
        time: rfc3339_millis(SystemTime::now()),
        event: event.name(),
        request_id: request.request_id,
        route: request.route,
        issuer: request.issuer,
        user: request.user,
        consent: request.consent,
        code: (event != VerifyEvent::Begin).then_some(result.code),
        passed: result.passed,
        jti: result.verdict_id,
        evidence: result.delivered.map(|delivered| match delivered {
            true => "delivered",
            false => "undelivered",
        }),
        qiniu_error_code: result.qiniu_error_code,
        qiniu_serverlogid: result.serverlogid,
        qiniu_reqid: result.reqid,
        video_sha256: request.video_sha256.map(|hash| HEXLOWER.encode(&hash)),
        response_sha256: result.response.map(sha256),
    };
    // Texts, numbers and valid JSON: serializing them never fails.
    let json = serde_json::to_string(&members).unwrap_or_default();
    let inner = json
        .strip_prefix('{')
        .and_then(|json| json.strip_suffix('}'));
    inner.unwrap_or_default().to_owned()
}

impl VerifyEvent {
    fn name(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::Verify => "verify",
            Self::Replay => "replay",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn record(event: VerifyEvent, result: &AuditedResult<'_>) -> Value {
        let consent = RawValue::from_string("{\"at\":1.50}".into()).unwrap();
        let request = AuditedRequest {
            request_id: "r1",
            route: "/v",
            issuer: "https://login.example.com/",
            user: "a \"user\"\n",
            consent: Some(&consent),
            video_sha256: Some([0xab; 32]),
        };
        let text = content(event, &request, result);
        assert!(!text.contains('\n') && text.contains("\"consent\":{\"at\":1.50}"));
        serde_json::from_str(&format!("{{{text}}}")).unwrap()
    }

    #[test]
    fn a_record_says_who_what_and_how_it_ended() {
        let mut ended = record(
            VerifyEvent::Verify,
            &AuditedResult {
                code: "ok",
                passed: Some(true),
                verdict_id: Some("j1"),
                delivered: Some(false),
                qiniu_error_code: Some(0),
                serverlogid: Some("17"),
                reqid: Some("q"),
                response: Some(b"{}"),
            },
        );
        let time = ended["time"].take();
        assert_eq!(time.as_str().unwrap().len(), 24);
        assert_eq!(
            ended,
            json!({
                "time": null, "event": "verify", "request_id": "r1", "route": "/v",
                "issuer": "https://login.example.com/", "user": "a \"user\"\n",
                "consent": {"at": 1.5}, "code": "ok", "passed": true, "jti": "j1",
                "evidence": "undelivered", "qiniu_error_code": 0, "qiniu_serverlogid": "17",
                "qiniu_reqid": "q", "video_sha256": "ab".repeat(32),
                "response_sha256":
                    "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
            })
        );
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let begun = record(VerifyEvent::Begin, &AuditedResult::default());
        let names: Vec<_> = begun.as_object().unwrap().keys().collect();
        assert_eq!(
            names,
            [
                "consent",
                "event",
                "issuer",
                "request_id",
                "route",
                "time",
                "user",
                "video_sha256"
            ]
        );
    }
}
