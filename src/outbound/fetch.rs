//! Fetches one small document by `GET`, on a connection of its own, and says how long it may be
//! cached (RFC 9111 section 4.2).
//!
//! Accepts only status 200 and a bounded size. Has no timeout of its own except for the connection,
//! never follows a redirect, and sends nothing but the request itself.

use std::{
    io,
    time::{Duration, SystemTime},
};

use super::{
    MalformedResponse,
    advice::advice,
    connection::ClientTls,
    dial::Dialer,
    exchange::{ExchangeError, exchange},
    origin::Url,
    request::{OutboundBody, OutboundRequest},
    server_date::ServerDate,
};

/// A document that arrived completely.
pub struct FetchedDocument {
    /// Its bytes.
    pub body: Vec<u8>,
    /// How long it may be cached from now on, if its server says so; zero if it must not be cached.
    pub fresh: Option<Duration>,
    /// What its server's clock says.
    pub date: Option<ServerDate>,
}

/// Why a document could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No connection could be opened, or it ended without a response.
    #[error("it can't be reached: {0}")]
    Unreachable(#[source] io::Error),
    /// The response is not HTTP, or is truncated.
    #[error(transparent)]
    Malformed(#[from] MalformedResponse),
    /// The response is compressed, though the request does not accept that.
    #[error("the response is compressed")]
    Encoded,
    /// The status is not 200; redirects included.
    #[error("it answered {0}{hint}", hint = redirect_hint(*.0))]
    Status(u16),
    /// The body exceeds the limit.
    #[error("the response is too large")]
    TooLarge,
}

/// Fetches the document at `url`, of at most `most` bytes, over a connection that is opened within
/// `connect_timeout`.
///
/// # Errors
/// See [`FetchError`].
pub async fn fetch(
    dialer: &Dialer,
    url: &Url,
    tls: &ClientTls,
    connect_timeout: Duration,
    most: usize,
) -> Result<FetchedDocument, FetchError> {
    let head = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nAccept: application/json\r\n\
         User-Agent: liveness-gateway/{}\r\nConnection: close\r\n\r\n",
        url.target,
        url.origin.authority,
        env!("CARGO_PKG_VERSION")
    );
    let request = OutboundRequest {
        head: head.as_bytes(),
        body: OutboundBody::Kept(&[]),
    };
    let tls = url.origin.tls.then(|| tls.current());
    let mut connection = dialer
        .open(&url.origin, tls, connect_timeout)
        .await
        .map_err(FetchError::Unreachable)?;
    let asked = SystemTime::now();
    let mut reading = exchange(&mut connection, request).await?;
    if reading.status() != 200 {
        return Err(FetchError::Status(reading.status()));
    }
    if reading.is_encoded() {
        return Err(FetchError::Encoded);
    }
    let fresh = freshness(|name| reading.field(name), SystemTime::now());
    let date = ServerDate::of(&reading, asked);
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
    Ok(FetchedDocument { body, fresh, date })
}

impl FetchError {
    /// What an operator can do about it, as the second half of a sentence.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Unreachable(error) => advice(error),
            Self::Malformed(_) => "check that the address is one of an HTTP server",
            Self::Encoded => "switch compression off for this document",
            Self::Status(_) => "check the path of the configured address",
            Self::TooLarge => "check that the address is that of the document",
        }
    }
}

impl From<ExchangeError> for FetchError {
    fn from(error: ExchangeError) -> Self {
        match error {
            ExchangeError::NoResponse(error) => Self::Unreachable(error),
            ExchangeError::Malformed(error) => Self::Malformed(error),
        }
    }
}

fn redirect_hint(status: u16) -> &'static str {
    match status {
        300..=399 => ": redirects are not followed, name the final address",
        _ => "",
    }
}

/// How long a response may be cached, from the header fields `Cache-Control`, `Age`, `Expires` and
/// `Date`, which `field` looks up; `None` if they do not say. A value that can't be parsed counts
/// as expired, as the RFC requires.
fn freshness(field: impl Fn(&str) -> Option<String>, now: SystemTime) -> Option<Duration> {
    if let Some(control) = field("cache-control") {
        let control = control.to_ascii_lowercase();
        let directives = || control.split(',').map(str::trim);
        if directives().any(|it| matches!(it.split('=').next(), Some("no-store" | "no-cache"))) {
            return Some(Duration::ZERO);
        }
        if let Some(age) = directives().find_map(|it| it.strip_prefix("max-age=")) {
            let most = age.trim_matches('"').parse().unwrap_or_default();
            let spent = field("age").and_then(|age| age.trim().parse().ok());
            return Some(
                Duration::from_secs(most)
                    .saturating_sub(Duration::from_secs(spent.unwrap_or_default())),
            );
        }
    }
    let expires = field("expires")?;
    let sent = field("date").and_then(|date| http_date(&date));
    let left = http_date(&expires).and_then(|end| end.duration_since(sent.unwrap_or(now)).ok());
    Some(left.unwrap_or_default())
}

fn http_date(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text.trim()).ok()
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn fresh(fields: &[(&str, &str)]) -> Option<u64> {
        let field = |name: &str| {
            let found = fields.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        freshness(field, UNIX_EPOCH + Duration::from_secs(784_111_777)).map(|it| it.as_secs())
    }

    #[test]
    fn http_dates_are_parsed_and_anything_else_is_not() {
        let seconds =
            |text| http_date(text).map(|time| time.duration_since(UNIX_EPOCH).unwrap().as_secs());
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        // An obsolete form, which RFC 9110 still requires recipients to accept.
        assert_eq!(seconds("Sunday, 06-Nov-94 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(seconds("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(
            seconds("Tue, 29 Feb 2028 23:59:59 GMT"),
            Some(1_835_481_599)
        );
        for text in [
            "0",
            "-1",
            "",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1994 24:49 GMT",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn the_strictest_directive_decides_how_long_a_response_is_cached() {
        let control = |text| fresh(&[("cache-control", text), ("age", "10"), ("expires", "0")]);
        assert_eq!(control("public, max-age=3600"), Some(3590));
        assert_eq!(control("Max-Age=\"3600\", must-revalidate"), Some(3590));
        assert_eq!(control("max-age=3600, no-store"), Some(0));
        assert_eq!(control("no-cache"), Some(0));
        assert_eq!(control("max-age=soon"), Some(0));
        assert_eq!(control("max-age=5"), Some(0));
        assert_eq!(control("public"), Some(0));
        assert_eq!(fresh(&[]), None);
        assert_eq!(fresh(&[("cache-control", "public")]), None);
        let expires = ("expires", "Sun, 06 Nov 1994 09:49:37 GMT");
        assert_eq!(fresh(&[expires]), Some(3600));
        assert_eq!(
            fresh(&[expires, ("date", "Sun, 06 Nov 1994 09:48:37 GMT")]),
            Some(60)
        );
        assert_eq!(
            fresh(&[("expires", "Sun, 06 Nov 1994 07:49:37 GMT")]),
            Some(0)
        );
    }

    proptest::proptest! {
        #[test]
        fn no_header_value_causes_a_panic(text in "\\PC{0,40}") {
            let _ = (http_date(&text), fresh(&[("cache-control", &text)]));
        }
    }
}
