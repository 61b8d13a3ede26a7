//! One call to Qiniu: lease a connection, send the request, judge the status, read the response.
//!
//! Relies on [`super::pool`] for connections and on [`super::response`] for the body. Sends a
//! request at most once, unless the caller allows a second time on a connection that turns out to
//! be dead.

use std::{
    io,
    pin::pin,
    time::{Duration, SystemTime},
};

use tokio::time::timeout;

use super::{
    pool::{LeaseError, Upstream},
    request::SignedRequest,
    response::{InvalidResponse, ResponseRules, UpstreamResponse},
    upcoming::UpcomingCall,
};
use crate::{
    outbound::exchange::{ExchangeError, exchange},
    session::ticket::SessionOwner,
    telemetry::metrics::labels::UpstreamOutcome,
};

/// Why a call has no response to pass on.
#[derive(Debug, thiserror::Error)]
#[error("{kind}")]
pub struct UpstreamFailure {
    /// What went wrong.
    #[source]
    pub kind: UpstreamFailureKind,
    /// HTTP status, if there was a response.
    pub status: Option<u16>,
    /// Qiniu's `X-Reqid`, if there was one.
    pub reqid: Option<String>,
    /// Whether writing the request had begun.
    pub begun: bool,
}

/// What went wrong with a call.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamFailureKind {
    /// All connections were in use.
    #[error("no free connection to Qiniu")]
    PoolExhausted,
    /// The memory for responses that are delivered as evidence is used up.
    #[error("no memory for the response, which is to be delivered as evidence")]
    NoEvidenceRoom,
    /// No file descriptor was free for a connection.
    #[error("no file descriptor is free")]
    NoDescriptor,
    /// No connection could be opened.
    #[error("Qiniu can't be reached: {0}")]
    Unreachable(#[source] io::Error),
    /// The call was not complete within the route's timeout.
    #[error("Qiniu did not respond within the route's timeout")]
    Timeout,
    /// 401, 403 or 419: the operator's credentials.
    #[error("Qiniu rejected the credentials")]
    RejectedCredentials,
    /// Another 4xx.
    #[error("Qiniu rejected the request")]
    RejectedRequest,
    /// 413.
    #[error("the body is too large for Qiniu")]
    TooLarge,
    /// 429, 503 or 573.
    #[error("Qiniu is busy")]
    Busy,
    /// Another 5xx, or a redirect.
    #[error("Qiniu failed")]
    Error,
    /// The connection ended before a response.
    #[error("Qiniu closed the connection without a response: {0}")]
    NoResponse(#[source] io::Error),
    /// A response that can't be trusted.
    #[error("Qiniu's response is invalid: {0}")]
    Invalid(#[source] InvalidResponse),
}

impl Upstream {
    /// Makes one call, within `limit`. With `resend`, a request is sent once more if a kept
    /// connection turns out to have been closed before it was answered; a billed request must never
    /// be, and goes over a fresh connection instead. A session id in the response is sealed for
    /// `owner`.
    ///
    /// # Errors
    /// See [`UpstreamFailureKind`].
    pub async fn call(
        &self,
        request: SignedRequest,
        rules: &ResponseRules,
        limit: Duration,
        resend: bool,
        owner: Option<&SessionOwner>,
    ) -> Result<UpstreamResponse, UpstreamFailure> {
        let mut begun = None;
        let result = {
            // Pinned where it is created: passing it to `timeout` would move it several times.
            let call = pin!(self.call_without_limit(request, rules, resend, owner, &mut begun));
            timeout(limit, call).await
        };
        let result = result.unwrap_or_else(|_| Err(UpstreamFailureKind::Timeout.into()));
        result.map_err(|failure| UpstreamFailure {
            begun: begun.is_some(),
            ..failure
        })
    }

    async fn call_without_limit(
        &self,
        mut request: SignedRequest,
        rules: &ResponseRules,
        resend: bool,
        owner: Option<&SessionOwner>,
        begun: &mut Option<SystemTime>,
    ) -> Result<UpstreamResponse, UpstreamFailure> {
        let mut lease = match resend {
            true => self.lease().await?,
            false => {
                let mut upcoming = request.take_upcoming();
                let opening = upcoming.as_mut().and_then(UpcomingCall::take_opening);
                self.lease_fresh(opening).await?
            }
        };
        // Behind the lease, so that calls that wait for a connection reserve nothing.
        let Ok(reserved) = rules.reserve() else {
            self.return_unused(lease);
            return Err(UpstreamFailureKind::NoEvidenceRoom.into());
        };
        let mut sent = *begun.insert(SystemTime::now());
        let first = exchange(&mut lease.connection, request.request(resend)).await;
        let mut reader = match first {
            Err(ExchangeError::NoResponse(_)) if resend && lease.reused => {
                lease = self.reconnect(lease).await?;
                sent = *begun.insert(SystemTime::now());
                exchange(&mut lease.connection, request.request(false)).await?
            }
            other => other?,
        };
        self.measure_clock(&reader, sent);
        let status = reader.status();
        let failure = |kind, reqid| UpstreamFailure {
            kind,
            status: Some(status),
            reqid,
            begun: true,
        };
        if let Some(kind) = judge(status) {
            return Err(failure(kind, reader.take_reqid()));
        }
        let seal = owner.map(|owner| (owner, sent));
        let read = rules.read(&mut reader, &mut lease.connection, seal, reserved);
        match read.await {
            Ok(response) => {
                if reader.finish(&mut lease.connection) {
                    self.keep(lease);
                }
                Ok(response)
            }
            Err(invalid) => {
                let kind = UpstreamFailureKind::Invalid(invalid);
                Err(failure(kind, reader.take_reqid()))
            }
        }
    }
}

impl UpstreamFailureKind {
    /// The outcome of the call, in metrics and access records.
    pub fn outcome(&self) -> UpstreamOutcome {
        match self {
            Self::PoolExhausted => UpstreamOutcome::NoConnectionFree,
            Self::NoEvidenceRoom => UpstreamOutcome::NoEvidenceMemory,
            Self::NoDescriptor => UpstreamOutcome::NoDescriptor,
            Self::Unreachable(_) => UpstreamOutcome::Unreachable,
            Self::Timeout => UpstreamOutcome::Timeout,
            Self::RejectedCredentials => UpstreamOutcome::RejectedCredentials,
            Self::RejectedRequest => UpstreamOutcome::RejectedRequest,
            Self::TooLarge => UpstreamOutcome::TooLarge,
            Self::Busy => UpstreamOutcome::Busy,
            Self::Error => UpstreamOutcome::Error,
            Self::NoResponse(_) => UpstreamOutcome::NoAnswer,
            Self::Invalid(_) => UpstreamOutcome::InvalidResponse,
        }
    }
}

impl UpstreamFailure {
    /// Whether Qiniu surely did not take the request, so that the session is still unused and
    /// nothing is billed.
    ///
    /// That is so before the first byte is written, and if the status says so: 4xx, 429, 503 or
    /// 573. Another 5xx may come from a machine that failed while processing the request, or from
    /// one that lost its connection to such a machine; a redirect may come from anywhere. Both
    /// leave the outcome unknown, as a missing response does.
    pub fn nothing_was_taken(&self) -> bool {
        match self.kind {
            UpstreamFailureKind::PoolExhausted
            | UpstreamFailureKind::NoEvidenceRoom
            | UpstreamFailureKind::NoDescriptor
            | UpstreamFailureKind::Unreachable(_)
            | UpstreamFailureKind::Timeout => !self.begun,
            UpstreamFailureKind::RejectedCredentials
            | UpstreamFailureKind::RejectedRequest
            | UpstreamFailureKind::TooLarge
            | UpstreamFailureKind::Busy => true,
            UpstreamFailureKind::Error
            | UpstreamFailureKind::NoResponse(_)
            | UpstreamFailureKind::Invalid(_) => false,
        }
    }
}

/// The failure that a status means by itself; `None` if the body must be read.
fn judge(status: u16) -> Option<UpstreamFailureKind> {
    match status {
        200 => None,
        401 | 403 | 419 => Some(UpstreamFailureKind::RejectedCredentials),
        413 => Some(UpstreamFailureKind::TooLarge),
        429 | 503 | 573 => Some(UpstreamFailureKind::Busy),
        400..=499 => Some(UpstreamFailureKind::RejectedRequest),
        300..=399 | 500.. => Some(UpstreamFailureKind::Error),
        _ => Some(UpstreamFailureKind::Invalid(InvalidResponse::Status)),
    }
}

impl From<UpstreamFailureKind> for UpstreamFailure {
    fn from(kind: UpstreamFailureKind) -> Self {
        Self {
            kind,
            status: None,
            reqid: None,
            begun: false,
        }
    }
}

impl From<LeaseError> for UpstreamFailure {
    fn from(error: LeaseError) -> Self {
        match error {
            LeaseError::PoolExhausted => UpstreamFailureKind::PoolExhausted.into(),
            LeaseError::NoDescriptor => UpstreamFailureKind::NoDescriptor.into(),
            LeaseError::Unreachable(error) => UpstreamFailureKind::Unreachable(error).into(),
        }
    }
}

impl From<ExchangeError> for UpstreamFailure {
    fn from(error: ExchangeError) -> Self {
        match error {
            ExchangeError::NoResponse(error) => UpstreamFailureKind::NoResponse(error).into(),
            ExchangeError::Malformed(error) => UpstreamFailureKind::Invalid(error.into()).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;
    use crate::{
        outbound::{dial::Dialer, origin::Origin},
        qiniu::{
            Credentials, UpstreamSettings, request::RequestTemplate, response::ExpectedResponse,
        },
        secret::Secret,
    };

    const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

    /// Serves on `listener`: the first connection answers one request and is closed at the second;
    /// all others answer every request. Counts the connections.
    async fn serve(listener: TcpListener, accepted: Arc<AtomicUsize>) {
        while let Ok((mut stream, _)) = listener.accept().await {
            let first = accepted.fetch_add(1, Ordering::Relaxed) == 0;
            tokio::spawn(async move {
                let mut requests = 0;
                while let Ok(1..) = stream.read(&mut [0; 4096]).await {
                    requests += 1;
                    if first && requests == 2 {
                        return;
                    }
                    stream.write_all(RESPONSE).await.unwrap();
                }
            });
        }
    }

    #[tokio::test]
    async fn a_dead_kept_connection_never_leads_to_more_connections_than_the_cap() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        tokio::spawn(serve(listener, Arc::clone(&accepted)));
        let settings = UpstreamSettings {
            endpoint: Origin::parse(&format!("http://{address}")).unwrap(),
            credentials: Credentials {
                access_key: Secret::new("ak"),
                secret_key: Secret::new("sk"),
            },
            sign_date: false,
            dialer: Dialer::default(),
            tls: None,
            connect_timeout: Duration::from_secs(5),
            max_connections: 1,
            idle_timeout: Duration::from_secs(30),
        };
        let template = RequestTemplate::new(&settings, "/a");
        let upstream = Upstream::new(settings);
        let rules = ResponseRules::new(&[], None, ExpectedResponse::Object);
        let call = async || {
            let draft = template.draft(SystemTime::UNIX_EPOCH);
            let request = draft.finish(Vec::new(), b"{}".to_vec());
            let limit = Duration::from_secs(10);
            upstream.call(request, &rules, limit, true, None).await
        };
        assert!(call().await.is_ok());
        // The second call finds the kept connection dead while the third waits for a permit.
        let (second, third) = tokio::join!(call(), call());
        assert!(second.is_ok() && third.is_ok());
        assert_eq!(upstream.idle_connections(), 1);
        assert_eq!(accepted.load(Ordering::Relaxed), 2);
    }
}
