//! Asks a server whether it is there: opens a connection as every call does, sends one harmless
//! request, and reads the head of the response.
//!
//! For `check --connect`. Sends no credentials, and reads no body. Whether a status is a good sign
//! is for the caller to judge.

use std::{
    io,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use tokio::time::timeout;

use super::{
    MalformedResponse,
    advice::{OpeningFault, SettingAtFault},
    connection::{ClientTls, TlsDetails},
    dial::Dialer,
    exchange::{ExchangeError, exchange},
    origin::Url,
    request::{OutboundBody, OutboundRequest},
    server_date::ServerDate,
};

/// A request that is harmless at the server that it is for.
pub struct ServerProbe<'a> {
    /// The URL that is requested.
    pub url: &'a Url,
    /// The method.
    pub method: &'static str,
    /// A JSON text, or nothing.
    pub body: &'static str,
    /// Opens the connection.
    pub dialer: &'a Dialer,
    /// TLS to the server; `None` exactly if the URL is `http://`.
    pub tls: Option<&'a ClientTls>,
    /// Timeout for opening the connection.
    pub connect_timeout: Duration,
    /// Timeout of all together.
    pub timeout: Duration,
}

/// A server has answered.
#[derive(Clone, Copy, Debug)]
pub struct ServerAnswer {
    /// What TLS has agreed on; `None` over plain HTTP.
    pub tls: Option<TlsDetails>,
    /// The status of the response.
    pub status: u16,
    /// The server's clock less ours, in seconds, if the response tells.
    pub skew: Option<f64>,
}

/// A server has not answered.
#[derive(Debug, thiserror::Error)]
pub enum ServerProbeError {
    /// No connection could be opened.
    #[error("it can't be reached: {0}")]
    Unreachable(#[source] io::Error),
    /// The connection ended before a response.
    #[error("it closes the connection without a response: {0}")]
    NoResponse(#[source] io::Error),
    /// The response is not HTTP.
    #[error(transparent)]
    Malformed(#[from] MalformedResponse),
    /// No response in time.
    #[error("it does not respond within {0:?}")]
    Timeout(Duration),
}

impl ServerProbe<'_> {
    /// Sends the request.
    ///
    /// # Errors
    /// See [`ServerProbeError`].
    pub async fn ask(&self) -> Result<ServerAnswer, ServerProbeError> {
        let asked = timeout(self.timeout, self.ask_without_limit()).await;
        asked.unwrap_or(Err(ServerProbeError::Timeout(self.timeout)))
    }

    async fn ask_without_limit(&self) -> Result<ServerAnswer, ServerProbeError> {
        let origin = &self.url.origin;
        let tls = self.tls.map(ClientTls::current);
        let opening = self.dialer.open(origin, tls, self.connect_timeout);
        let mut connection = opening.await.map_err(ServerProbeError::Unreachable)?;
        let tls = connection.tls_details();
        let head = self.head();
        let body = [Bytes::from_static(self.body.as_bytes())];
        let request = OutboundRequest {
            head: head.as_bytes(),
            body: OutboundBody::Kept(if self.body.is_empty() { &[] } else { &body }),
        };
        let asked = SystemTime::now();
        let response = exchange(&mut connection, request).await?;
        let date = ServerDate::of(&response, asked);
        Ok(ServerAnswer {
            tls,
            status: response.status(),
            skew: date.map(|date| date.skew()),
        })
    }

    fn head(&self) -> String {
        let content = match self.body.len() {
            0 => String::new(),
            length => format!("Content-Type: application/json\r\nContent-Length: {length}\r\n"),
        };
        format!(
            "{} {} HTTP/1.1\r\nHost: {}\r\n{content}\
             User-Agent: liveness-gateway/{}\r\nConnection: close\r\n\r\n",
            self.method,
            self.url.target,
            self.url.origin.authority,
            env!("CARGO_PKG_VERSION")
        )
    }
}

impl ServerProbeError {
    /// What an operator can do about it, as the second half of a sentence.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Unreachable(error) => OpeningFault::of(error).advice(),
            Self::NoResponse(_) => "look into the log of that server, and at what is in between",
            Self::Malformed(_) => "check that the address is one of an HTTP server",
            Self::Timeout(_) => "check the network, and whether that server is slow",
        }
    }

    /// Which setting of the server's section to look at.
    pub fn setting(&self) -> SettingAtFault {
        match self {
            Self::Unreachable(error) => SettingAtFault::of(error),
            Self::NoResponse(_) | Self::Malformed(_) | Self::Timeout(_) => SettingAtFault::Address,
        }
    }
}

impl From<ExchangeError> for ServerProbeError {
    fn from(error: ExchangeError) -> Self {
        match error {
            ExchangeError::NoResponse(error) => Self::NoResponse(error),
            ExchangeError::Malformed(error) => Self::Malformed(error),
        }
    }
}
