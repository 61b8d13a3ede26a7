//! The only builder of a signed request.
//!
//! Nothing is added to a request after it is signed, and it has no header field of the caller's.

use std::{sync::Arc, time::SystemTime};

use arc_swap::ArcSwap;
use bytes::Bytes;

use super::{
    Credentials, UpstreamSettings,
    pool::Upstream,
    signature::{PreparedSignature, QiniuSignature, SignedParts},
    upcoming::UpcomingCall,
};
use crate::{
    outbound::request::{OutboundBody, OutboundRequest},
    telemetry::timestamp,
    wipe::{self, WipedPieces, WipedVec},
};

const CONTENT_TYPE: &str = "application/json";
/// Room for a head beyond its path and host, and for the usual small body, in bytes.
const HEAD_ROOM: usize = 384;
/// Maximum size of a body that is stored behind its head, in bytes: a plain `send` costs the kernel
/// less than a vectored write, and one allocation less than two.
const MAX_JOINED: usize = 4 * 1024;

/// The common part of all requests to one path.
pub struct RequestTemplate {
    host: String,
    path: String,
    head: String,
    /// Prepared with one pair of keys, which may be replaced; a request keeps the pair it began
    /// with.
    signature: ArcSwap<PreparedSignature>,
    sign_date: bool,
}

/// A request whose body is still arriving.
pub struct RequestDraft {
    head: String,
    signature: QiniuSignature,
    /// Where the connection is opened before the call.
    upcoming: Option<UpcomingCall>,
}

/// A request that is ready to be sent. All of it is wiped when it is dropped.
pub struct SignedRequest {
    /// Includes a small body.
    head: WipedVec,
    body: WipedPieces,
    upcoming: Option<UpcomingCall>,
}

impl RequestTemplate {
    /// A template for `POST` requests to `path`.
    pub fn new(settings: &UpstreamSettings, path: &str) -> Self {
        let host = settings.endpoint.authority.as_str();
        Self {
            head: format!(
                "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {CONTENT_TYPE}\r\n\
                 Accept: {CONTENT_TYPE}\r\nUser-Agent: liveness-gateway/{}\r\n",
                env!("CARGO_PKG_VERSION"),
            ),
            signature: ArcSwap::from_pointee(prepared(host, path, &settings.credentials)),
            sign_date: settings.sign_date,
            host: host.to_owned(),
            path: path.to_owned(),
        }
    }

    /// Uses `credentials` for requests that start from now on.
    pub fn sign_with(&self, credentials: &Credentials) {
        let prepared = prepared(&self.host, &self.path, credentials);
        self.signature.store(Arc::new(prepared));
    }

    /// Starts a request, dated `now`.
    pub fn draft(&self, now: SystemTime) -> RequestDraft {
        let mut head = String::with_capacity(self.head.len() + HEAD_ROOM);
        head.push_str(&self.head);
        let prepared = self.signature.load();
        let signature = if self.sign_date {
            head.push_str("X-Qiniu-Date: ");
            let date = head.len();
            timestamp::push_basic_utc(&mut head, now);
            let signature = prepared.dated(head.get(date..));
            head.push_str("\r\n");
            signature
        } else {
            prepared.dated(None)
        };
        RequestDraft {
            head,
            signature,
            upcoming: None,
        }
    }
}

fn prepared(host: &str, path: &str, credentials: &Credentials) -> PreparedSignature {
    let parts = SignedParts {
        method: "POST",
        path,
        query: "",
        host,
        headers: &[("Content-Type", CONTENT_TYPE)],
    };
    PreparedSignature::new(credentials, &parts)
}

impl RequestDraft {
    /// Opens a connection to `upstream` when the end of the body comes near.
    pub fn opens_early(self, upstream: &Arc<Upstream>) -> Self {
        Self {
            upcoming: Some(UpcomingCall::new(upstream)),
            ..self
        }
    }

    /// Notes that `received` of the caller's `length` bytes have arrived.
    pub fn arrived(&mut self, received: u64, length: u64) {
        if let Some(upcoming) = &mut self.upcoming {
            upcoming.arrived(received, length);
        }
    }

    /// Signs the next bytes of the body.
    pub fn sign(&mut self, bytes: &[u8]) {
        self.signature.body(bytes);
    }

    /// Completes the request. The signed bytes must be those of `body`, then `last`.
    pub fn finish(
        mut self,
        body: impl Into<WipedPieces>,
        last: impl Into<WipedVec>,
    ) -> SignedRequest {
        self.complete(body.into(), last.into())
    }

    /// The same without moving the signature, which holds bytes of the body until it is dropped.
    pub(crate) fn complete(&mut self, mut body: WipedPieces, mut last: WipedVec) -> SignedRequest {
        let length = body.iter().map(Bytes::len).sum::<usize>() + last.len();
        let mut head = std::mem::take(&mut self.head);
        head.push_str("Authorization: ");
        self.signature.push_authorization(&mut head);
        head.push_str("\r\nContent-Length: ");
        head.push_str(itoa::Buffer::new().format(length));
        head.push_str("\r\n\r\n");
        let mut head = WipedVec::new(head.into_bytes());
        if body.is_empty() && last.len() <= MAX_JOINED {
            wipe::append(&mut head, &last);
        } else if !last.is_empty() {
            // A boxed slice has no spare capacity.
            body.push(std::mem::take(&mut *last).into_boxed_slice().into());
        }
        SignedRequest {
            head,
            body,
            upcoming: self.upcoming.take(),
        }
    }
}

impl SignedRequest {
    /// The pieces of the body; none if it is small and stored behind the head.
    pub fn body(&self) -> &[Bytes] {
        &self.body
    }

    /// The head, signature included, and a small body.
    #[cfg(test)]
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    /// Takes what knows of a connection that was opened before the call.
    pub(super) fn take_upcoming(&mut self) -> Option<UpcomingCall> {
        self.upcoming.take()
    }

    /// The request as it is written to a connection. With `again`, it can be sent a second time;
    /// without, its body is wiped while it is sent.
    pub(super) fn request(&mut self, again: bool) -> OutboundRequest<'_> {
        OutboundRequest {
            head: &self.head,
            body: match again {
                true => OutboundBody::Kept(&self.body),
                false => OutboundBody::Wiped(&mut self.body),
            },
        }
    }
}
