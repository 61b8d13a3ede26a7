//! Asks a proxy for a tunnel by `CONNECT` (RFC 9110 section 9.3.6).
//!
//! Relies on `httparse` for the syntax of the answer. Reads at most a few KiB, and takes nothing
//! for a tunnel but a whole head with a 2xx status and not one byte behind it. Has no timeout of
//! its own. Nothing that a proxy sends is repeated in an error.

use std::{io, mem::MaybeUninit};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{connection::OutboundConnection, origin::Origin};
use crate::{secret::Secret, wipe::WipedVec};

/// Maximum size of an answer, interim ones included, in bytes.
const MAX_ANSWER: usize = 8 * 1024;
/// Maximum number of header fields in an answer.
const MAX_FIELDS: usize = 64;

/// What is wrong with a proxy.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// No connection to the proxy, or it ended before its answer.
    #[error(
        "the proxy of `outbound.proxy` can't be used: {0}; check that secret, or list the host in \
         `outbound.no_proxy`"
    )]
    Unreachable(#[source] io::Error),
    /// The answer is not HTTP, or too large, or has bytes behind it.
    #[error(
        "the proxy of `outbound.proxy` can't be used: its answer to CONNECT {0}; check that the \
         secret names an HTTP proxy and its scheme"
    )]
    Malformed(&'static str),
    /// 407.
    #[error(
        "the proxy of `outbound.proxy` wants other credentials (407): check the user and password \
         in that secret"
    )]
    Unauthorized,
    /// 403.
    #[error(
        "the proxy of `outbound.proxy` forbids a tunnel to {0} (403): allow it there, or list the \
         host in `outbound.no_proxy`"
    )]
    Forbidden(String),
    /// Any other status that is not 2xx.
    #[error("the proxy of `outbound.proxy` opens no tunnel to {0}: it answered CONNECT with {1}")]
    Status(String, u16),
    /// The tunnel was opened, but TLS to the server failed in it.
    #[error("there is no TLS connection through the proxy of `outbound.proxy`: {0}")]
    Tunnel(#[source] io::Error),
}

/// Why there is no tunnel.
#[derive(Debug, thiserror::Error)]
pub(super) enum TunnelError {
    /// The connection to the proxy broke.
    #[error(transparent)]
    Broken(io::Error),
    /// The proxy has answered otherwise than by opening a tunnel.
    #[error(transparent)]
    Refused(ProxyError),
}

/// A `CONNECT` for one server.
pub(super) struct ConnectRequest {
    /// Host and port of the server.
    target: String,
    /// The whole request. It may hold a password.
    head: WipedVec,
}

impl ConnectRequest {
    /// Requests a tunnel to `origin`. `authorization` is the value of `Proxy-Authorization`.
    pub(super) fn new(origin: &Origin, authorization: Option<&Secret>) -> Self {
        let target = match origin.host.contains(':') {
            true => format!("[{}]:{}", origin.host, origin.port),
            false => format!("{}:{}", origin.host, origin.port),
        };
        let start = format!(
            "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nUser-Agent: liveness-gateway/{}\r\n",
            env!("CARGO_PKG_VERSION")
        );
        let authorization = authorization.map(Secret::reveal);
        let parts: [&[u8]; 5] = match authorization {
            Some(value) => [
                start.as_bytes(),
                b"Proxy-Authorization: ",
                value,
                b"\r\n",
                b"\r\n",
            ],
            None => [start.as_bytes(), b"\r\n", b"", b"", b""],
        };
        // Written into its final size: growing would leave unwiped copies behind.
        Self {
            target,
            head: WipedVec::new(parts.concat()),
        }
    }

    /// Sends the request and reads the answer. Then the connection is one to the server.
    pub(super) async fn send(
        &self,
        connection: &mut OutboundConnection,
    ) -> Result<(), TunnelError> {
        let broken = TunnelError::Broken;
        connection.write_all(&self.head).await.map_err(broken)?;
        connection.flush().await.map_err(broken)?;
        let status = status(connection).await?;
        let refused = match status {
            200..=299 => return Ok(()),
            403 => ProxyError::Forbidden(self.target.clone()),
            407 => ProxyError::Unauthorized,
            _ => ProxyError::Status(self.target.clone(), status),
        };
        Err(TunnelError::Refused(refused))
    }
}

/// The status of the final answer, which must be all that has arrived if it opens a tunnel: in a
/// tunnel, the server never speaks first.
async fn status(connection: &mut OutboundConnection) -> Result<u16, TunnelError> {
    let mut answer = Vec::with_capacity(1024);
    let mut start = 0;
    loop {
        let unread = answer.get(start..).unwrap_or_default();
        if let Some((status, length)) = parse(unread)? {
            start = start.saturating_add(length);
            match status {
                // Interim responses come before the final one.
                100 | 102..=199 => continue,
                200..=299 if start < answer.len() => return Err(malformed("has bytes behind it")),
                _ => return Ok(status),
            }
        }
        let left = MAX_ANSWER.saturating_sub(answer.len());
        if left == 0 {
            return Err(malformed("is too large"));
        }
        let mut limited = (&mut *connection).take(u64::try_from(left).unwrap_or_default());
        let read = limited.read_buf(&mut answer).await;
        match read.map_err(TunnelError::Broken)? {
            0 if answer.is_empty() => {
                let closed = "it closed the connection without an answer to CONNECT";
                let closed = io::Error::new(io::ErrorKind::UnexpectedEof, closed);
                return Err(TunnelError::Broken(closed));
            }
            0 => return Err(malformed("is incomplete")),
            _ => {}
        }
    }
}

/// The status and the length of the head at the start of `bytes`; `None` while it is incomplete.
fn parse(bytes: &[u8]) -> Result<Option<(u16, usize)>, TunnelError> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let parser = httparse::ParserConfig::default();
    match parser.parse_response_with_uninit_headers(&mut response, bytes, &mut fields) {
        Ok(httparse::Status::Complete(length)) => {
            Ok(Some((response.code.unwrap_or_default(), length)))
        }
        Ok(httparse::Status::Partial) => Ok(None),
        Err(_) => Err(malformed("is not HTTP")),
    }
}

fn malformed(what: &'static str) -> TunnelError {
    TunnelError::Refused(ProxyError::Malformed(what))
}
