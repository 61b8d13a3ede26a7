//! One HTTP exchange: the checks below the API, and the headers of every response.
//!
//! The order of checks: path and method, length, access key, the body itself, signature,
//! `Content-Type`. Every response carries `X-Reqid` and `X-Log`. A body whose token names another
//! account is read and dropped, so that its sender receives the rejection instead of a reset. It
//! never logs.

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
    api::{CallFailure, EmulatedEndpoint, EmulatorApi},
    authorization::{AuthorizationError, EmulatorAccount, SignedHead},
    handle::{EmulatorHandle, LastRequest},
};

/// Maximum body size, in bytes.
pub(super) const MAX_BODY_BYTES: u64 = 28 * 1024 * 1024;
/// Time limit for a whole body.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// The state shared by all exchanges.
pub(super) struct EmulatorServer {
    pub(super) account: EmulatorAccount,
    pub(super) api: EmulatorApi,
    pub(super) handle: Arc<EmulatorHandle>,
    /// Delay of each response of the API.
    pub(super) latency: Duration,
}

/// A rejection below the API: its status is not 200, and its JSON has `error` in place of the
/// envelope.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {body}")]
struct HttpRejection {
    status: StatusCode,
    body: &'static str,
}

impl HttpRejection {
    const fn new(status: StatusCode, body: &'static str) -> Self {
        Self { status, body }
    }
}

const BAD_TOKEN: &str = r#"{"error":"bad token","error_code":"BadToken"}"#;

impl From<AuthorizationError> for HttpRejection {
    fn from(error: AuthorizationError) -> Self {
        match error {
            AuthorizationError::BadToken => Self::new(StatusCode::UNAUTHORIZED, BAD_TOKEN),
            AuthorizationError::StaleDate => Self::new(
                StatusCode::FORBIDDEN,
                r#"{"error":"request time is too skewed"}"#,
            ),
        }
    }
}

impl From<CallFailure> for HttpRejection {
    fn from(failure: CallFailure) -> Self {
        match failure {
            CallFailure::Busy => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                r#"{"error":"service unavailable"}"#,
            ),
            CallFailure::NoRandomBytes(_) => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                r#"{"error":"no randomness"}"#,
            ),
        }
    }
}

impl EmulatorServer {
    /// Responds to one request.
    pub(super) async fn serve(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (status, body) = match self.exchange(request).await {
            Ok(body) => (StatusCode::OK, Bytes::from(body)),
            Err(HttpRejection { status, body }) => (status, Bytes::from_static(body.as_bytes())),
        };
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            self.handle.count_authorization_failure();
        }
        response(status, body)
    }

    async fn exchange(&self, request: Request<Incoming>) -> Result<Vec<u8>, HttpRejection> {
        let (parts, body) = request.into_parts();
        let endpoint = EmulatedEndpoint::at(parts.uri.path()).ok_or(HttpRejection::new(
            StatusCode::NOT_FOUND,
            r#"{"error":"document not found"}"#,
        ))?;
        if parts.method != Method::POST {
            return Err(HttpRejection::new(
                StatusCode::METHOD_NOT_ALLOWED,
                r#"{"error":"method not allowed"}"#,
            ));
        }
        check_length(&parts.headers)?;
        let named = self.account.check_access_key(&parts.headers);
        let body = timeout(BODY_TIMEOUT, receive(body, named.is_ok()))
            .await
            .map_err(|_| {
                HttpRejection::new(StatusCode::REQUEST_TIMEOUT, r#"{"error":"body too slow"}"#)
            })??;
        named?;
        self.handle.remember(last_request(&parts.headers, &body));

        let now = self.handle.now();
        let head = SignedHead {
            method: &parts.method,
            uri: &parts.uri,
            headers: &parts.headers,
        };
        self.account.check(&head, &body, now.unix)?;
        match endpoint {
            EmulatedEndpoint::SessionCode => self.handle.count_session_call(),
            EmulatedEndpoint::Verify => self.handle.count_verify_call(),
        }
        if parts
            .headers
            .get(CONTENT_TYPE)
            .is_none_or(|kind| kind != "application/json")
        {
            return Err(HttpRejection::new(
                StatusCode::BAD_REQUEST,
                r#"{"error":"content type must be application/json"}"#,
            ));
        }
        let result = self.api.call(endpoint, &body, now, &self.handle);
        let response = result?;
        drop(body);
        if !self.latency.is_zero() {
            sleep(self.latency).await;
        }
        Ok(response)
    }
}

/// Requires a declared length, without which the signature covers no body, and limits it.
fn check_length(headers: &HeaderMap) -> Result<(), HttpRejection> {
    const REQUIRED: HttpRejection = HttpRejection::new(
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
    let length: u64 = length.parse().map_err(|_| {
        HttpRejection::new(StatusCode::BAD_REQUEST, r#"{"error":"bad content length"}"#)
    })?;
    if length > MAX_BODY_BYTES {
        return Err(HttpRejection::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            r#"{"error":"request entity too large"}"#,
        ));
    }
    Ok(())
}

/// Reads the body to its end and returns it if `keep` is set. Its declared length has been checked.
async fn receive(mut body: Incoming, keep: bool) -> Result<Vec<u8>, HttpRejection> {
    let mut kept = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            HttpRejection::new(StatusCode::BAD_REQUEST, r#"{"error":"body was cut short"}"#)
        })?;
        if let (true, Some(data)) = (keep, frame.data_ref()) {
            kept.extend_from_slice(data);
        }
    }
    Ok(kept)
}

fn last_request(headers: &HeaderMap, body: &[u8]) -> LastRequest {
    let text = |name: HeaderName| {
        headers
            .get(name)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    LastRequest {
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

fn response(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut id = [0; 12];
    // If this fails, the id is all zeros; the request itself then fails with status 500.
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
