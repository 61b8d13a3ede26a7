//! The only builder of a signed request. Nothing is added to it afterwards, and no header of a caller's is in it.

use std::time::SystemTime;

use bytes::Bytes;

use super::{
    UpstreamSettings,
    signature::{Parts, Signature},
};
use crate::{outbound::exchange::Request, telemetry::timestamp};

const CONTENT_TYPE: &str = "application/json";

/// A request whose body is still arriving.
pub struct Draft {
    head: String,
    signature: Signature,
}

/// A request that is ready to be sent.
pub struct Outgoing {
    head: Bytes,
    body: Vec<Bytes>,
}

impl Outgoing {
    /// As it is written to a connection.
    pub(super) fn request(&self) -> Request<'_> {
        Request {
            head: &self.head,
            body: &self.body,
        }
    }
}

impl Draft {
    /// Starts a `POST` to `path`, dated `now`.
    pub fn new(settings: &UpstreamSettings, path: &str, now: SystemTime) -> Self {
        let host = settings.endpoint.authority.as_str();
        let mut head =
            format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {CONTENT_TYPE}\r\n");
        let date = settings.sign_date.then(|| timestamp::basic_utc(now));
        let mut headers = vec![("Content-Type", CONTENT_TYPE)];
        if let Some(date) = &date {
            headers.push(("X-Qiniu-Date", date));
            head.push_str(&format!("X-Qiniu-Date: {date}\r\n"));
        }
        let parts = Parts {
            method: "POST",
            path,
            query: "",
            host,
            headers: &headers,
        };
        Self {
            head,
            signature: Signature::new(&settings.credentials, &parts),
        }
    }

    /// Takes the next bytes of the body.
    pub fn sign(&mut self, bytes: &[u8]) {
        self.signature.body(bytes);
    }

    /// The whole request. `body` must be the bytes that were signed.
    pub fn finish(self, body: Vec<Bytes>) -> Outgoing {
        let length: usize = body.iter().map(Bytes::len).sum();
        let authorization = self.signature.authorization();
        let head = format!(
            "{}Authorization: {authorization}\r\nUser-Agent: liveness-gateway/{}\r\nAccept: application/json\r\nContent-Length: {length}\r\n\r\n",
            self.head,
            env!("CARGO_PKG_VERSION"),
        );
        Outgoing {
            head: head.into(),
            body,
        }
    }
}
