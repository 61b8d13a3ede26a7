//! One small document by `GET`: status 200 or nothing, not larger than allowed, on a connection of its own.
//!
//! Has no time limit of its own. Never follows a redirect, and sends nothing but the request itself.

use std::{fmt, io, time::SystemTime};

use super::{
    connection::OutboundConnection,
    exchange::{ExchangeError, OutboundRequest, exchange},
    freshness::{self, Freshness},
    origin::Url,
    tls::ClientTls,
};

/// A document that arrived whole.
pub struct FetchedDocument {
    /// Its bytes.
    pub body: Vec<u8>,
    /// How long it may be kept, as its sender says.
    pub fresh: Option<Freshness>,
}

/// Why there is no document.
#[derive(Debug)]
pub enum FetchError {
    /// No connection, or it broke before an answer.
    Unreachable(io::Error),
    /// The answer is no HTTP, broke off, or is compressed though nobody asked for that.
    Broken(&'static str),
    /// Another status than 200; redirects too.
    Status(u16),
    /// More bytes than allowed.
    TooLarge,
}

/// Fetches what is at `url`; `most` bytes of body at the most.
///
/// # Errors
/// As [`FetchError`] lists them.
pub async fn fetch(url: &Url, tls: &ClientTls, most: usize) -> Result<FetchedDocument, FetchError> {
    let head = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nAccept: application/json\r\nUser-Agent: liveness-gateway/{}\r\nConnection: close\r\n\r\n",
        url.target,
        url.origin.authority,
        env!("CARGO_PKG_VERSION")
    );
    let request = OutboundRequest {
        head: head.as_bytes(),
        body: &[],
    };
    let mut connection =
        OutboundConnection::open(&url.origin, url.origin.tls.then(|| tls.current()))
            .await
            .map_err(FetchError::Unreachable)?;
    let mut reading = exchange(&mut connection, &request).await?;
    if reading.status() != 200 {
        return Err(FetchError::Status(reading.status()));
    }
    if reading.is_encoded() {
        return Err(FetchError::Broken("the answer is compressed"));
    }
    let fresh = freshness::of(|name| reading.field(name), SystemTime::now());
    let mut body = Vec::new();
    reading
        .body(&mut connection, |bytes| {
            if body.len() + bytes.len() > most {
                return Err(FetchError::TooLarge);
            }
            body.extend_from_slice(bytes);
            Ok(())
        })
        .await?;
    Ok(FetchedDocument { body, fresh })
}

impl From<&'static str> for FetchError {
    fn from(why: &'static str) -> Self {
        Self::Broken(why)
    }
}

impl From<ExchangeError> for FetchError {
    fn from(broken: ExchangeError) -> Self {
        match broken {
            ExchangeError::NoResponse(error) => Self::Unreachable(error),
            ExchangeError::Response(why) => Self::Broken(why),
        }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(error) => write!(f, "it can't be reached: {error}"),
            Self::Broken(why) => f.write_str(why),
            Self::Status(status @ 300..=399) => write!(
                f,
                "it answered {status}: redirects are not followed, name the final address"
            ),
            Self::Status(status) => write!(f, "it answered {status}"),
            Self::TooLarge => f.write_str("the answer is too large"),
        }
    }
}
