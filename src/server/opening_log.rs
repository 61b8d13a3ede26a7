//! Connections that never came to a request: counted, and logged with the peer, what is wrong and
//! what to do.
//!
//! Anybody can provoke these lines, so each cause is limited by itself. Relies on rustls for the
//! cause of a failed handshake. Never logs anything that a peer sent; the first byte of what is no
//! TLS only tells that it looks like HTTP.

use std::{error::Error, io, net::SocketAddr, sync::Arc};

use rustls::{AlertDescription, InvalidMessage, PeerIncompatible};

use super::proxy_protocol::ProxyReadError;
use crate::{
    closed_set::ClosedSet,
    telemetry::{
        metrics::{Metrics, labels::TlsHandshakeOutcome},
        repeated::{RepeatedLine, RepeatedLines},
    },
};

/// First byte of a TLS handshake.
const HANDSHAKE_RECORD: u8 = 0x16;

/// Counts and logs how connections open.
pub(super) struct OpeningLog {
    metrics: Arc<Metrics>,
    handshakes: RepeatedLines,
    proxy_headers: RepeatedLine,
    floods: RepeatedLine,
}

/// Why there is no TLS connection.
pub(super) enum HandshakeFailure {
    /// It was not done in time.
    Timeout,
    /// It failed.
    Error {
        /// Of rustls, or of the socket.
        error: io::Error,
        /// The first byte that the peer sent.
        first: Option<u8>,
    },
}

impl OpeningLog {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            handshakes: RepeatedLines::default(),
            proxy_headers: RepeatedLine::default(),
            floods: RepeatedLine::default(),
        }
    }

    /// A TLS handshake has succeeded.
    pub(super) fn handshake_done(&self) {
        self.metrics
            .count_tls_handshake(TlsHandshakeOutcome::Success);
    }

    /// A TLS handshake with `peer` has failed.
    pub(super) fn handshake_failed(&self, peer: SocketAddr, failure: &HandshakeFailure) {
        let outcome = failure.outcome();
        self.metrics.count_tls_handshake(outcome);
        let (reason, error) = (outcome.as_str(), failure.error());
        let advice = failure.advice(outcome);
        self.handshakes.log(advice, |left_out| match outcome {
            // What an operator can mend here. Strangers may be the cause of all others.
            TlsHandshakeOutcome::CertificateRejected
            | TlsHandshakeOutcome::ClientCertificateMissing
            | TlsHandshakeOutcome::ClientCertificateRejected => tracing::warn!(
                %peer, reason, error, left_out,
                "a TLS handshake failed: {advice}"
            ),
            // Load balancers test a port like this, every few seconds.
            TlsHandshakeOutcome::Closed => tracing::debug!(
                %peer, reason, error, left_out,
                "a TLS handshake failed: {advice}"
            ),
            TlsHandshakeOutcome::Success
            | TlsHandshakeOutcome::Timeout
            | TlsHandshakeOutcome::CutOff
            | TlsHandshakeOutcome::NotTls
            | TlsHandshakeOutcome::NoSharedParameters
            | TlsHandshakeOutcome::Other => tracing::info!(
                %peer, reason, error, left_out,
                "a TLS handshake failed: {advice}"
            ),
        });
    }

    /// A trusted proxy has sent no valid PROXY header.
    pub(super) fn no_proxy_header(&self, peer: SocketAddr, error: &ProxyReadError) {
        // Load balancers test a port like this, every few seconds.
        let ProxyReadError::Invalid(_) = error else {
            tracing::debug!(%peer, %error, "a trusted proxy sent no PROXY header");
            return;
        };
        self.proxy_headers.log(|left_out| {
            tracing::warn!(
                %peer, %error, left_out,
                "a trusted proxy sent no valid PROXY header, and its connection ends: switch the \
                 PROXY protocol on at that proxy, or server.proxy_protocol off, or take what is no \
                 such proxy out of server.trusted_proxies"
            );
        });
    }

    /// A peer has flooded its HTTP/2 connection with frames that are no requests.
    pub(super) fn flood(&self, peer: SocketAddr, error: &dyn Error) {
        self.floods.log(|left_out| {
            tracing::info!(
                %peer, %error, left_out,
                "a peer flooded its HTTP/2 connection, which has been closed; if it goes on, block \
                 its address in front of the gateway"
            );
        });
    }
}

impl HandshakeFailure {
    fn outcome(&self) -> TlsHandshakeOutcome {
        let (error, first) = match self {
            Self::Timeout => return TlsHandshakeOutcome::Timeout,
            Self::Error { error, first } => (error, *first),
        };
        let tls = error.get_ref().and_then(|error| error.downcast_ref());
        match (tls, first) {
            (Some(error), Some(HANDSHAKE_RECORD)) => of_tls(error),
            (Some(_), _) => TlsHandshakeOutcome::NotTls,
            (None, Some(_)) => TlsHandshakeOutcome::CutOff,
            (None, None) => TlsHandshakeOutcome::Closed,
        }
    }

    fn error(&self) -> Option<String> {
        match self {
            Self::Timeout => None,
            Self::Error { error, .. } => Some(error.to_string()),
        }
    }

    /// What is wrong, and what to do.
    fn advice(&self, outcome: TlsHandshakeOutcome) -> &'static str {
        match outcome {
            TlsHandshakeOutcome::NotTls => match self {
                Self::Error {
                    first: Some(b'A'..=b'Z'),
                    ..
                } => {
                    "the peer speaks plain HTTP, or sent a PROXY header: let it use https://, or \
                     set server.proxy_protocol"
                }
                Self::Error { .. } | Self::Timeout => {
                    "the peer does not speak TLS; if it is yours, let it use https://"
                }
            },
            TlsHandshakeOutcome::CertificateRejected => self.certificate_advice(),
            TlsHandshakeOutcome::ClientCertificateMissing => {
                "the peer showed no client certificate, which server.tls.client_ca demands: give \
                 it one, or remove client_ca"
            }
            TlsHandshakeOutcome::ClientCertificateRejected => {
                "the peer's client certificate is not accepted: let an authority of \
                 server.tls.client_ca issue it, and renew it before its end"
            }
            TlsHandshakeOutcome::NoSharedParameters => {
                "the peer and the gateway have no TLS version, cipher suite or protocol in common: \
                 the gateway takes TLS 1.2 and 1.3, and the protocols h2 and http/1.1, so update \
                 the peer's library if it is yours"
            }
            TlsHandshakeOutcome::Timeout => {
                "it was not done within server.head_timeout; if the peer is yours, check the \
                 network"
            }
            TlsHandshakeOutcome::CutOff => {
                "the peer left in the middle of it; if it is yours, look into its log: it may not \
                 accept the gateway's certificate"
            }
            TlsHandshakeOutcome::Closed => "the peer left before it sent anything",
            TlsHandshakeOutcome::Success | TlsHandshakeOutcome::Other => {
                "the peer broke the protocol; if it is yours, look into its log"
            }
        }
    }

    /// What a peer's alert about the gateway's certificate means.
    fn certificate_advice(&self) -> &'static str {
        let alert = match self {
            Self::Timeout => None,
            Self::Error { error, .. } => error.get_ref().and_then(|error| error.downcast_ref()),
        };
        match alert {
            Some(rustls::Error::AlertReceived(AlertDescription::CertificateExpired)) => {
                "the peer says that the gateway's certificate has expired: renew \
                 server.tls.certificate and private_key, which are read again at once; or the \
                 peer's clock is wrong"
            }
            Some(rustls::Error::AlertReceived(AlertDescription::UnknownCA)) => {
                "the peer does not know the authority of the gateway's certificate: put the \
                 intermediate certificates behind it into server.tls.certificate, or install a \
                 private authority at the peer"
            }
            _ => {
                "the peer does not accept the gateway's certificate: check that \
                 server.tls.certificate is for the host name that peers use, has its intermediate \
                 certificates behind it, and has not expired"
            }
        }
    }
}

fn of_tls(error: &rustls::Error) -> TlsHandshakeOutcome {
    match error {
        rustls::Error::NoCertificatesPresented => TlsHandshakeOutcome::ClientCertificateMissing,
        rustls::Error::InvalidCertificate(_) => TlsHandshakeOutcome::ClientCertificateRejected,
        rustls::Error::NoApplicationProtocol
        | rustls::Error::InvalidMessage(InvalidMessage::UnknownProtocolVersion) => {
            TlsHandshakeOutcome::NoSharedParameters
        }
        rustls::Error::PeerIncompatible(incompatible) => match incompatible {
            PeerIncompatible::NullCompressionRequired => TlsHandshakeOutcome::Other,
            _ => TlsHandshakeOutcome::NoSharedParameters,
        },
        rustls::Error::AlertReceived(alert) => of_alert(*alert),
        // The enum may grow.
        _ => TlsHandshakeOutcome::Other,
    }
}

fn of_alert(alert: AlertDescription) -> TlsHandshakeOutcome {
    match alert {
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::UnrecognisedName => TlsHandshakeOutcome::CertificateRejected,
        AlertDescription::HandshakeFailure
        | AlertDescription::ProtocolVersion
        | AlertDescription::InsufficientSecurity
        | AlertDescription::NoApplicationProtocol => TlsHandshakeOutcome::NoSharedParameters,
        AlertDescription::CloseNotify | AlertDescription::UserCanceled => {
            TlsHandshakeOutcome::CutOff
        }
        // The enum may grow.
        _ => TlsHandshakeOutcome::Other,
    }
}

#[cfg(test)]
mod tests {
    use rustls::{CertificateError, Error as TlsError};

    use super::*;

    #[test]
    fn each_failure_has_its_outcome() {
        let tls = |error: TlsError| io::Error::new(io::ErrorKind::InvalidData, error);
        let eof = || io::ErrorKind::UnexpectedEof.into();
        let hello = Some(HANDSHAKE_RECORD);
        let not_tls = || TlsError::InvalidMessage(InvalidMessage::InvalidContentType);
        for (error, first, outcome) in [
            (eof(), None, TlsHandshakeOutcome::Closed),
            (eof(), hello, TlsHandshakeOutcome::CutOff),
            (tls(not_tls()), Some(b'G'), TlsHandshakeOutcome::NotTls),
            (tls(not_tls()), Some(0), TlsHandshakeOutcome::NotTls),
            (tls(not_tls()), hello, TlsHandshakeOutcome::Other),
            (
                tls(TlsError::AlertReceived(AlertDescription::UnknownCA)),
                hello,
                TlsHandshakeOutcome::CertificateRejected,
            ),
            (
                tls(TlsError::AlertReceived(AlertDescription::ProtocolVersion)),
                hello,
                TlsHandshakeOutcome::NoSharedParameters,
            ),
            (
                tls(PeerIncompatible::NoCipherSuitesInCommon.into()),
                hello,
                TlsHandshakeOutcome::NoSharedParameters,
            ),
            (
                tls(TlsError::NoCertificatesPresented),
                hello,
                TlsHandshakeOutcome::ClientCertificateMissing,
            ),
            (
                tls(CertificateError::Expired.into()),
                hello,
                TlsHandshakeOutcome::ClientCertificateRejected,
            ),
        ] {
            let shown = format!("{error} {first:?}");
            let failure = HandshakeFailure::Error { error, first };
            assert_eq!(failure.outcome(), outcome, "{shown}");
        }
    }
}
