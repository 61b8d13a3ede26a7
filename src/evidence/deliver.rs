//! One delivery: posts Qiniu's whole response to the app's backend, with one retry where it may
//! help.
//!
//! The response is sent byte for byte, in the pieces in which it is held. Only a 2xx acknowledges
//! the delivery; the rest of the backend's response is not read.

use std::{
    io,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use serde::Serialize;
use tokio::time::{sleep, timeout};

use super::signature::WebhookSecret;
use crate::{
    outbound::{
        MalformedResponse,
        advice::advice,
        connection::ClientTls,
        dial::Dialer,
        exchange::{ExchangeError, exchange},
        origin::Url,
        request::{OutboundBody, OutboundRequest},
        server_date::ServerDate,
    },
    telemetry::{peer_clock::PeerClock, timestamp, trace_context::OutgoingTrace},
};

/// Delay before the retry: long enough for a backend that is being replaced to respond again.
const RETRY_DELAY: Duration = Duration::from_millis(250);

/// `[evidence]`, checked.
pub struct EvidenceSettings {
    /// The URL of the backend.
    pub url: Url,
    /// Opens connections to the backend.
    pub dialer: Dialer,
    /// TLS to the backend; `None` exactly if the URL is `http://`.
    pub tls: Option<ClientTls>,
    /// Signs the deliveries.
    pub secret: WebhookSecret,
    /// Which responses are delivered.
    pub on: DeliveryCondition,
    /// Whether a verdict passes only if its evidence was acknowledged.
    pub required: bool,
    /// Timeout of a delivery, with its retry.
    pub timeout: Duration,
}

/// Which responses are delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryCondition {
    /// Those that pass.
    Pass,
    /// All.
    Always,
}

/// Delivers evidence to the app's backend.
pub struct EvidenceSender {
    settings: EvidenceSettings,
    /// The current secret.
    secret: ArcSwap<WebhookSecret>,
    /// Watches the backend's clock, if that is wanted.
    clock: Option<PeerClock>,
}

/// The content of a delivery.
pub struct EvidenceDelivery<'a> {
    /// The id of the verdict.
    pub id: &'a str,
    /// The user.
    pub user: &'a str,
    /// The issuer of the user's token.
    pub issuer: &'a str,
    /// Whether Qiniu's response passes by the rule of verdicts.
    pub passed: bool,
    /// Qiniu's response body, a JSON object, in pieces.
    pub response: &'a [Bytes],
    /// The trace that the backend may continue.
    pub trace: Option<&'a OutgoingTrace>,
}

/// Why a delivery was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// No connection could be opened, or TLS failed.
    #[error("the backend cannot be reached: {0}")]
    Unreachable(#[source] io::Error),
    /// The connection broke before a response.
    #[error("the backend sent no response: {0}")]
    NoResponse(#[source] io::Error),
    /// The response is not HTTP.
    #[error("the backend's response is malformed: {0}")]
    MalformedResponse(#[source] MalformedResponse),
    /// The response is a 2xx that came before the delivery was sent completely.
    #[error("the backend responded before it had the whole delivery")]
    EarlyResponse,
    /// A status other than 2xx.
    #[error("the backend responded with status {0}")]
    Status(u16),
    /// No response within the timeout.
    #[error("the backend did not respond within evidence.timeout")]
    Timeout,
}

/// The members before `answer`.
#[derive(Serialize)]
struct DeliveryPreamble<'a> {
    id: &'a str,
    user: &'a str,
    issuer: &'a str,
    time: String,
    passed: bool,
}

impl EvidenceSender {
    /// Creates a sender. It opens no connection yet.
    pub fn new(settings: EvidenceSettings) -> Self {
        Self {
            secret: ArcSwap::from_pointee(settings.secret.clone()),
            settings,
            clock: None,
        }
    }

    /// Also watches the clock of the backend.
    pub fn watching(self, clock: PeerClock) -> Self {
        Self {
            clock: Some(clock),
            ..self
        }
    }

    /// Replaces the secret for deliveries that start from now on.
    pub fn set_secret(&self, secret: WebhookSecret) {
        self.secret.store(Arc::new(secret));
    }

    /// Whether a response is to be delivered.
    pub fn should_deliver(&self, passed: bool) -> bool {
        passed || self.settings.on == DeliveryCondition::Always
    }

    /// Whether a verdict passes only if its evidence was acknowledged.
    pub fn is_required(&self) -> bool {
        self.settings.required
    }

    /// Maximum time of a delivery: both attempts and the delay between them.
    pub fn timeout(&self) -> Duration {
        self.settings.timeout
    }

    /// Delivers, and returns when the backend has acknowledged the delivery or the timeout is over.
    ///
    /// # Errors
    /// The delivery was not acknowledged. The backend may have received it all the same.
    pub async fn deliver(&self, delivery: &EvidenceDelivery<'_>) -> Result<(), DeliveryError> {
        let body = body(delivery, SystemTime::now());
        let secret = self.secret.load_full();
        let attempts = self.deliver_with_retry(delivery, &body, &secret);
        match timeout(self.timeout(), attempts).await {
            Ok(outcome) => outcome,
            Err(_) => Err(DeliveryError::Timeout),
        }
    }

    async fn deliver_with_retry(
        &self,
        delivery: &EvidenceDelivery<'_>,
        body: &[Bytes],
        secret: &WebhookSecret,
    ) -> Result<(), DeliveryError> {
        match self.attempt(delivery, body, secret).await {
            Err(error) if error.is_transient() => {
                sleep(RETRY_DELAY).await;
                self.attempt(delivery, body, secret).await
            }
            outcome => outcome,
        }
    }

    async fn attempt(
        &self,
        delivery: &EvidenceDelivery<'_>,
        body: &[Bytes],
        secret: &WebhookSecret,
    ) -> Result<(), DeliveryError> {
        let settings = &self.settings;
        let tls = settings.tls.as_ref().map(ClientTls::current);
        // With time left, so that the log says what can't be reached.
        let connect_timeout = settings.timeout / 2;
        let mut connection = settings
            .dialer
            .open(&settings.url.origin, tls, connect_timeout)
            .await
            .map_err(DeliveryError::Unreachable)?;
        let head = self.head(delivery, body, secret, SystemTime::now());
        let request = OutboundRequest {
            head: &head,
            body: OutboundBody::Kept(body),
        };
        let asked = SystemTime::now();
        let response = exchange(&mut connection, request).await;
        if let (Some(clock), Ok(response)) = (&self.clock, &response)
            && clock.is_due()
            && let Some(date) = ServerDate::of(response, asked)
        {
            clock.note(date.skew());
        }
        match response {
            Ok(response) if !(200..300).contains(&response.status()) => {
                Err(DeliveryError::Status(response.status()))
            }
            Ok(response) if response.is_early() => Err(DeliveryError::EarlyResponse),
            Ok(_) => Ok(()),
            Err(ExchangeError::NoResponse(error)) => Err(DeliveryError::NoResponse(error)),
            Err(ExchangeError::Malformed(error)) => Err(DeliveryError::MalformedResponse(error)),
        }
    }

    fn head(
        &self,
        delivery: &EvidenceDelivery<'_>,
        body: &[Bytes],
        secret: &WebhookSecret,
        now: SystemTime,
    ) -> Bytes {
        let id = delivery.id;
        let trace = delivery.trace.map(OutgoingTrace::to_string);
        let trace = trace.unwrap_or_default();
        let timestamp = now
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let signature = secret.sign(id, timestamp, body);
        let length: usize = body.iter().map(Bytes::len).sum();
        let url = &self.settings.url;
        format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\
             webhook-id: {id}\r\nwebhook-timestamp: {timestamp}\r\n\
             webhook-signature: {signature}\r\n{trace}\
             User-Agent: liveness-gateway/{}\r\nConnection: close\r\n\r\n",
            url.target,
            url.origin.authority,
            env!("CARGO_PKG_VERSION"),
        )
        .into()
    }
}

impl DeliveryError {
    /// The word of the cause, from a closed set.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::NoResponse(_) => "no_answer",
            Self::MalformedResponse(_) => "malformed_response",
            Self::EarlyResponse => "early_response",
            Self::Status(_) => "status",
            Self::Timeout => "timeout",
        }
    }

    /// What an operator can do about it, as the second half of a sentence.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Unreachable(error) => advice(error),
            Self::NoResponse(_) => "look into the log of the backend, and what is in between",
            Self::MalformedResponse(_) => "check that evidence.url is that of the backend",
            Self::EarlyResponse => "let the backend read the whole request before it responds",
            Self::Status(401 | 403) => "check that the backend has the same evidence.secret",
            Self::Status(404 | 405) => "check the path of evidence.url",
            Self::Status(413) => "let the backend take larger bodies",
            Self::Status(_) => "look into the log of the backend",
            Self::Timeout => "make the backend respond sooner, or raise evidence.timeout",
        }
    }

    /// Whether a retry may succeed. A rejection by the backend is final, and one that could not be
    /// reached in half of the time will hardly be in the rest of it.
    fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(error) => error.kind() != io::ErrorKind::TimedOut,
            Self::NoResponse(_) | Self::MalformedResponse(_) | Self::EarlyResponse => true,
            Self::Status(status) => matches!(status, 408 | 425 | 429 | 500..),
            Self::Timeout => false,
        }
    }
}

/// The JSON object around the response, with the response unchanged.
fn body(delivery: &EvidenceDelivery<'_>, now: SystemTime) -> Vec<Bytes> {
    let preamble = DeliveryPreamble {
        id: delivery.id,
        user: delivery.user,
        issuer: delivery.issuer,
        time: timestamp::rfc3339_millis(now),
        passed: delivery.passed,
    };
    let mut front = serde_json::to_vec(&preamble).unwrap_or_default();
    // The closing brace follows the response.
    front.pop();
    front.extend_from_slice(b",\"answer\":");
    let mut body = vec![Bytes::from(front)];
    body.extend_from_slice(delivery.response);
    body.push(Bytes::from_static(b"}"));
    body
}

#[cfg(test)]
mod tests;
