//! One HTTP exchange: what must hold before the API is asked, and the answer's frame.
//!
//! Path and method, length, account, the body itself, signature, `Content-Type`: in this order.
//! Every answer, good or bad, carries `X-Reqid` and `X-Log`. A body from a stranger to the account is
//! read and dropped, so that the refusal arrives instead of a reset. Never logs.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::rand;
use data_encoding::BASE64URL_NOPAD;
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING},
};
use sha2::{Digest, Sha256};
use tokio::time::{sleep, timeout};

use super::{
    api::{Call, Desk},
    authorization::{Account, Denied, Head},
    ledger::{Ledger, Seen},
};

/// Bytes of a body at the most.
pub(super) const MOST_BODY_BYTES: u64 = 28 * 1024 * 1024;
/// Time for a whole body.
const BODY_TIME: Duration = Duration::from_secs(60);

/// What every exchange shares.
pub(super) struct Shop {
    pub(super) account: Account,
    pub(super) desk: Desk,
    pub(super) ledger: Arc<Ledger>,
    pub(super) latency: Duration,
}

/// An answer below the API: not HTTP 200, and `error` in place of the envelope.
#[derive(Debug, PartialEq, Eq)]
struct Refused(StatusCode, &'static str);

const BAD_TOKEN: &str = r#"{"error":"bad token","error_code":"BadToken"}"#;

impl From<Denied> for Refused {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::BadToken => Self(StatusCode::UNAUTHORIZED, BAD_TOKEN),
            Denied::StaleDate => Self(
                StatusCode::FORBIDDEN,
                r#"{"error":"request time is too skewed"}"#,
            ),
        }
    }
}

impl Shop {
    /// Answers one request, whatever it is.
    pub(super) async fn serve(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let answered = self.exchange(request).await;
        let (status, body) = match answered {
            Ok(body) => (StatusCode::OK, Bytes::from(body)),
            Err(Refused(status, body)) => (status, Bytes::from_static(body.as_bytes())),
        };
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            self.ledger.count_authorization_failure();
        }
        framed(status, body)
    }

    async fn exchange(&self, request: Request<Incoming>) -> Result<Vec<u8>, Refused> {
        let (parts, body) = request.into_parts();
        let call = Call::at(parts.uri.path()).ok_or(Refused(
            StatusCode::NOT_FOUND,
            r#"{"error":"document not found"}"#,
        ))?;
        if parts.method != Method::POST {
            return Err(Refused(
                StatusCode::METHOD_NOT_ALLOWED,
                r#"{"error":"method not allowed"}"#,
            ));
        }
        check_length(&parts.headers)?;
        let claim = self.account.check_claim(&parts.headers);
        let body = timeout(BODY_TIME, receive(body, claim.is_ok()))
            .await
            .map_err(|_| Refused(StatusCode::REQUEST_TIMEOUT, r#"{"error":"body too slow"}"#))??;
        claim?;
        self.ledger.remember(seen(&parts.headers, &body));

        let now = self.ledger.now();
        let head = Head {
            method: &parts.method,
            uri: &parts.uri,
            headers: &parts.headers,
        };
        self.account.check(&head, &body, now.unix)?;
        match call {
            Call::SessionCode => self.ledger.count_session_call(),
            Call::Verify => self.ledger.count_verify_call(),
        }
        if parts
            .headers
            .get(CONTENT_TYPE)
            .is_none_or(|kind| kind != "application/json")
        {
            return Err(Refused(
                StatusCode::BAD_REQUEST,
                r#"{"error":"content type must be application/json"}"#,
            ));
        }
        let answer = self
            .desk
            .answer(call, &body, now, &self.ledger)
            .map_err(|_| {
                Refused(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    r#"{"error":"no randomness"}"#,
                )
            })?;
        drop(body);
        if !self.latency.is_zero() {
            sleep(self.latency).await;
        }
        Ok(answer)
    }
}

/// The length must be declared (the signature covers a body only then), and bearable.
fn check_length(headers: &HeaderMap) -> Result<(), Refused> {
    const REQUIRED: Refused = Refused(
        StatusCode::LENGTH_REQUIRED,
        r#"{"error":"content length required"}"#,
    );
    if headers.contains_key(TRANSFER_ENCODING) {
        return Err(REQUIRED);
    }
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .ok_or(REQUIRED)?;
    let length: u64 = length
        .parse()
        .map_err(|_| Refused(StatusCode::BAD_REQUEST, r#"{"error":"bad content length"}"#))?;
    if length > MOST_BODY_BYTES {
        return Err(Refused(
            StatusCode::PAYLOAD_TOO_LARGE,
            r#"{"error":"request entity too large"}"#,
        ));
    }
    Ok(())
}

/// Reads the body to its end; its declared length has been checked. Keeps it only if `keep`.
async fn receive(mut body: Incoming, keep: bool) -> Result<Vec<u8>, Refused> {
    let mut kept = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|_| Refused(StatusCode::BAD_REQUEST, r#"{"error":"body was cut short"}"#))?;
        if let (true, Some(data)) = (keep, frame.data_ref()) {
            kept.extend_from_slice(data);
        }
    }
    Ok(kept)
}

fn seen(headers: &HeaderMap, body: &[u8]) -> Seen {
    let text = |name: HeaderName| {
        headers
            .get(name)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    Seen {
        body_sha256: Sha256::digest(body).into(),
        body_length: u64::try_from(body.len()).unwrap_or(u64::MAX),
        header_names: headers
            .iter()
            .map(|(name, _)| name.as_str().to_owned())
            .collect(),
        host: text(HOST),
        content_type: text(CONTENT_TYPE),
    }
}

fn framed(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut id = [0; 12];
    // Without randomness the id is all zeros; the request itself then fails with 500.
    let _ = rand::fill(&mut id);
    if let Ok(id) = HeaderValue::try_from(BASE64URL_NOPAD.encode(&id)) {
        headers.insert(HeaderName::from_static("x-reqid"), id);
    }
    headers.insert(
        HeaderName::from_static("x-log"),
        HeaderValue::from_static("ACTLIVE:3"),
    );
    response
}
