//! The sandbox's own backend: receives evidence as the backend of an app does.
//!
//! Checks the signature of each delivery by the Standard Webhooks convention, with no code of the
//! gateway's. Listens on the loopback address alone, and never logs.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::hmac;
use data_encoding::BASE64;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
};
use tokio::{net::TcpListener, time::timeout};

use super::deliveries::Deliveries;
use crate::emulator::listener;

/// Path of the deliveries.
const PATH: &str = "/evidence";
/// Maximum size of a delivery, in bytes: several times that of the emulator's responses.
const MAX_DELIVERY: usize = 4 * 1024 * 1024;
/// Time limit for a whole delivery.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);
/// How far the time of a delivery may be off.
const TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// A bound backend. [`SandboxBackend::run`] serves it.
pub(super) struct SandboxBackend {
    listener: TcpListener,
    receiver: Arc<DeliveryReceiver>,
}

/// Why a delivery is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum DeliveryRejection {
    #[error("another path or method")]
    NotHere,
    #[error("too large, too slow or cut short")]
    Unreadable,
    #[error("no valid signature")]
    Signature,
    #[error("too old, or from the future")]
    Stale,
    #[error("not a delivery")]
    Malformed,
}

/// Checks and keeps deliveries.
struct DeliveryReceiver {
    key: hmac::Key,
    deliveries: Arc<Deliveries>,
}

impl SandboxBackend {
    /// Binds a free port of the loopback address. Deliveries are signed with `key`.
    ///
    /// # Errors
    /// No port can be bound.
    pub(super) async fn bind(key: &[u8]) -> io::Result<Self> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let receiver = DeliveryReceiver {
            key: hmac::Key::new(hmac::HMAC_SHA256, key),
            deliveries: Arc::default(),
        };
        Ok(Self {
            listener,
            receiver: Arc::new(receiver),
        })
    }

    /// The bound address.
    ///
    /// # Errors
    /// The system does not return it.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What it has received.
    pub(super) fn deliveries(&self) -> Arc<Deliveries> {
        Arc::clone(&self.receiver.deliveries)
    }

    /// Serves until `stop` resolves.
    pub(super) async fn run(self, stop: impl Future<Output = ()>) {
        let receiver = self.receiver;
        let respond = move |request| {
            let receiver = Arc::clone(&receiver);
            async move { receiver.respond(request).await }
        };
        listener::serve(self.listener, respond, stop).await;
    }
}

impl DeliveryReceiver {
    async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let result = self.receive(request).await;
        let status = match result {
            Ok(()) => StatusCode::NO_CONTENT,
            Err(DeliveryRejection::NotHere) => StatusCode::NOT_FOUND,
            Err(DeliveryRejection::Signature | DeliveryRejection::Stale) => {
                StatusCode::UNAUTHORIZED
            }
            Err(DeliveryRejection::Unreadable | DeliveryRejection::Malformed) => {
                StatusCode::BAD_REQUEST
            }
        };
        if result.is_err() {
            self.deliveries.count_rejected();
        }
        let mut response = Response::new(Full::default());
        *response.status_mut() = status;
        response
    }

    async fn receive(&self, request: Request<Incoming>) -> Result<(), DeliveryRejection> {
        let (parts, body) = request.into_parts();
        if parts.method != Method::POST || parts.uri.path() != PATH {
            return Err(DeliveryRejection::NotHere);
        }
        let whole = Limited::new(body, MAX_DELIVERY).collect();
        let body = match timeout(DELIVERY_TIMEOUT, whole).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(_)) | Err(_) => return Err(DeliveryRejection::Unreadable),
        };
        self.accept(&parts.headers, &body, SystemTime::now())
    }

    /// Keeps a delivery if its signature is valid and of now.
    fn accept(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: SystemTime,
    ) -> Result<(), DeliveryRejection> {
        let field = |name| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.ok_or(DeliveryRejection::Signature)
        };
        let (id, timestamp) = (field("webhook-id")?, field("webhook-timestamp")?);
        let mut signed = format!("{id}.{timestamp}.").into_bytes();
        signed.extend_from_slice(body);
        // A list, so that a secret can be replaced.
        let is_valid = |signature: &str| {
            let tag = signature.strip_prefix("v1,").unwrap_or_default();
            let tag = BASE64.decode(tag.as_bytes()).unwrap_or_default();
            hmac::verify(&self.key, &signed, &tag).is_ok()
        };
        if !field("webhook-signature")?.split(' ').any(is_valid) {
            return Err(DeliveryRejection::Signature);
        }
        let seconds = timestamp.parse().map_err(|_| DeliveryRejection::Stale)?;
        let sent = UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        let sent = sent.ok_or(DeliveryRejection::Stale)?;
        let off = now
            .duration_since(sent)
            .unwrap_or_else(|error| error.duration());
        if off > TOLERANCE {
            return Err(DeliveryRejection::Stale);
        }
        let added = self.deliveries.add(body);
        added.map_err(|_| DeliveryRejection::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the convention: its secret, without `whsec_`, and its values.
    const SECRET: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const TIME: u64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn receiver() -> DeliveryReceiver {
        let key = BASE64.decode(SECRET.as_bytes()).unwrap();
        DeliveryReceiver {
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            deliveries: Arc::default(),
        }
    }

    fn headers(id: &str, time: &str, signature: &str) -> HeaderMap {
        let fields = [
            ("webhook-id", id),
            ("webhook-timestamp", time),
            ("webhook-signature", signature),
        ];
        let fields = fields.iter().filter(|(_, value)| !value.is_empty());
        fields
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn a_delivery_counts_only_with_a_valid_signature_of_now() {
        let receiver = receiver();
        let sent = UNIX_EPOCH + Duration::from_secs(TIME);
        let late = sent + TOLERANCE + Duration::from_secs(1);
        let early = sent - TOLERANCE - Duration::from_secs(1);
        let time = TIME.to_string();
        let rotated = format!("v1,AAAA v1a,x {SIGNATURE}");
        use DeliveryRejection::{Malformed, Signature, Stale};
        for (fields, body, now, expected) in [
            // The signature is that of the example, which is no delivery of ours.
            ((ID, time.as_str(), SIGNATURE), BODY, sent, Malformed),
            ((ID, &time, &rotated), BODY, sent, Malformed),
            ((ID, &time, SIGNATURE), BODY, late, Stale),
            ((ID, &time, SIGNATURE), BODY, early, Stale),
            ((ID, &time, SIGNATURE), b"{}".as_slice(), sent, Signature),
            (("msg_other", &time, SIGNATURE), BODY, sent, Signature),
            ((ID, "1614265331", SIGNATURE), BODY, sent, Signature),
            ((ID, &time, "v1,AAAA"), BODY, sent, Signature),
            ((ID, &time, &SIGNATURE[3..]), BODY, sent, Signature),
            (("", &time, SIGNATURE), BODY, sent, Signature),
            ((ID, "", SIGNATURE), BODY, sent, Signature),
            ((ID, &time, ""), BODY, sent, Signature),
        ] {
            let (id, time, signature) = fields;
            let result = receiver.accept(&headers(id, time, signature), body, now);
            assert_eq!(result, Err(expected), "{fields:?}");
        }
    }
}
