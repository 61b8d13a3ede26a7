//! One delivery: Qiniu's whole answer posted to the app's backend, and once more when that may help.
//!
//! The answer's bytes are sent as they came, in the pieces in which they are held. Only a 2xx says that they arrived;
//! the rest of the backend's answer is not read.

use std::{
    fmt, io,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use serde::Serialize;
use tokio::time::{sleep, timeout};

use super::{DeliveryCondition, EvidenceSettings, signature::WebhookSecret};
use crate::{
    outbound::{
        MalformedResponse,
        connection::{ClientTls, OutboundConnection},
        exchange::{ExchangeError, OutboundRequest, exchange},
    },
    qiniu::retained::{RetainedResponse, RetentionError},
    telemetry::timestamp,
};

/// Between the two tries: long enough for a backend that is being replaced to answer again.
const PAUSE: Duration = Duration::from_millis(250);

/// Takes evidence to the app's backend.
pub struct EvidenceSender {
    settings: EvidenceSettings,
    /// What signs now.
    secret: ArcSwap<WebhookSecret>,
}

/// What is delivered.
pub struct EvidenceDelivery<'a> {
    /// The verdict's name.
    pub id: &'a str,
    /// Whom it is about,
    pub user: &'a str,
    /// and who vouched for the user.
    pub issuer: &'a str,
    /// Whether Qiniu's answer is a pass by the verdict's rule.
    pub passed: bool,
    /// Qiniu's answer.
    pub answer: &'a Result<RetainedResponse, RetentionError>,
}

/// Why a delivery was not acknowledged.
#[derive(Debug)]
pub enum DeliveryError {
    /// The answer could not be held.
    NotRetained(RetentionError),
    /// No connection could be made, or TLS failed.
    Unreachable(io::Error),
    /// The connection broke before there was an answer.
    NoAnswer(io::Error),
    /// What came back is no HTTP.
    Broken(MalformedResponse),
    /// A response came before the delivery was sent.
    Early,
    /// Another status than 2xx.
    Status(u16),
    /// Not in time.
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
    /// Opens nothing yet.
    pub fn new(settings: EvidenceSettings) -> Self {
        Self {
            secret: ArcSwap::from_pointee(settings.secret.clone()),
            settings,
        }
    }

    /// Signs with this for deliveries that begin from now on.
    pub fn set_secret(&self, secret: WebhookSecret) {
        self.secret.store(Arc::new(secret));
    }

    /// Whether an answer is to be delivered.
    pub fn should_deliver(&self, passed: bool) -> bool {
        passed || self.settings.on == DeliveryCondition::Always
    }

    /// Whether what was not acknowledged is no pass.
    pub fn is_required(&self) -> bool {
        self.settings.required
    }

    /// What a delivery takes at the most: both tries and the pause between them.
    pub fn timeout(&self) -> Duration {
        self.settings.timeout
    }

    /// Delivers, and returns when the backend has acknowledged it or the time is over.
    ///
    /// # Errors
    /// Why it was not acknowledged. The backend may have got it all the same.
    pub async fn deliver(&self, delivery: &EvidenceDelivery<'_>) -> Result<(), DeliveryError> {
        let whole = match delivery.answer {
            Ok(whole) => whole,
            Err(why) => return Err(DeliveryError::NotRetained(*why)),
        };
        let body = body(delivery, whole, SystemTime::now());
        let secret = self.secret.load_full();
        match timeout(
            self.timeout(),
            self.deliver_with_retry(delivery.id, &body, &secret),
        )
        .await
        {
            Ok(outcome) => outcome,
            Err(_) => Err(DeliveryError::Timeout),
        }
    }

    async fn deliver_with_retry(
        &self,
        id: &str,
        body: &[Bytes],
        secret: &WebhookSecret,
    ) -> Result<(), DeliveryError> {
        match self.attempt(id, body, secret).await {
            Err(why) if why.may_pass() => {
                sleep(PAUSE).await;
                self.attempt(id, body, secret).await
            }
            outcome => outcome,
        }
    }

    async fn attempt(
        &self,
        id: &str,
        body: &[Bytes],
        secret: &WebhookSecret,
    ) -> Result<(), DeliveryError> {
        let settings = &self.settings;
        let mut connection = OutboundConnection::open(
            &settings.url.origin,
            settings.tls.as_ref().map(ClientTls::current),
        )
        .await
        .map_err(DeliveryError::Unreachable)?;
        let head = self.head(id, body, secret, SystemTime::now());
        let request = OutboundRequest { head: &head, body };
        match exchange(&mut connection, &request).await {
            Ok(reading) if !(200..300).contains(&reading.status()) => {
                Err(DeliveryError::Status(reading.status()))
            }
            Ok(reading) if reading.is_early() => Err(DeliveryError::Early),
            Ok(_) => Ok(()),
            Err(ExchangeError::NoResponse(error)) => Err(DeliveryError::NoAnswer(error)),
            Err(ExchangeError::Malformed(what)) => Err(DeliveryError::Broken(what)),
        }
    }

    fn head(&self, id: &str, body: &[Bytes], secret: &WebhookSecret, now: SystemTime) -> Bytes {
        let timestamp = now
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let signature = secret.sign(id, timestamp, body);
        let length: usize = body.iter().map(Bytes::len).sum();
        let url = &self.settings.url;
        format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
             webhook-id: {id}\r\nwebhook-timestamp: {timestamp}\r\nwebhook-signature: {signature}\r\n\
             User-Agent: liveness-gateway/{}\r\nConnection: close\r\n\r\n",
            url.target,
            url.origin.authority,
            env!("CARGO_PKG_VERSION"),
        )
        .into()
    }
}

impl DeliveryError {
    /// Whether it may go better a moment later: not where the backend has said no.
    fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::NoAnswer(_) | Self::Broken(_) | Self::Early => true,
            Self::Status(status) => matches!(status, 408 | 425 | 429 | 500..),
            Self::NotRetained(_) | Self::Timeout => false,
        }
    }
}

impl fmt::Display for DeliveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRetained(RetentionError::TooLarge) => {
                f.write_str("Qiniu's answer is too large")
            }
            Self::NotRetained(RetentionError::NoRoom) => {
                f.write_str("no body memory left for Qiniu's answer; raise server.body_memory")
            }
            Self::Unreachable(error) => write!(f, "the backend can't be reached: {error}"),
            Self::NoAnswer(error) => write!(f, "the backend gave no answer: {error}"),
            Self::Broken(what) => write!(f, "the backend's answer is broken: {what}"),
            Self::Early => {
                f.write_str("the backend's answer is broken: it came before the delivery was there")
            }
            Self::Status(status) => write!(f, "the backend answered HTTP {status}"),
            Self::Timeout => f.write_str("the backend did not answer within evidence.timeout"),
        }
    }
}

/// The JSON around the answer, and the answer as it came.
fn body(delivery: &EvidenceDelivery<'_>, whole: &RetainedResponse, now: SystemTime) -> Vec<Bytes> {
    let about = DeliveryPreamble {
        id: delivery.id,
        user: delivery.user,
        issuer: delivery.issuer,
        time: timestamp::rfc3339_millis(now),
        passed: delivery.passed,
    };
    let mut front = serde_json::to_vec(&about).unwrap_or_default();
    // The object goes on.
    front.pop();
    front.extend_from_slice(b",\"answer\":");
    let mut body = vec![Bytes::from(front)];
    body.extend_from_slice(whole.pieces());
    body.push(Bytes::from_static(b"}"));
    body
}

#[cfg(test)]
mod tests;
