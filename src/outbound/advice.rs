//! What an operator can do about a connection that could not be opened.
//!
//! Relies on the types behind an error, never on its text. Names no key of one section: whoever
//! writes the line says which part of the configuration the connection belongs to.

use std::io;

use rustls::CertificateError;

use super::{dial::OpeningTimeout, names::NameError, tunnel::ProxyError};

const NAME: &str = "check the host in the configured address, and this machine's DNS";
const CONNECT: &str = "check the address, the network and its firewalls, and whether connections \
                       need outbound.proxy";
const TLS: &str = "check that the address is one of a TLS server, and what is in between";
const UNTRUSTED: &str = "if its authority is a private one, give that authority's certificate as \
                         ca_file";
const EXPIRED: &str = "renew that certificate at the server, unless this machine's clock is ahead";
const NOT_YET_VALID: &str = "set this machine's clock right, which is probably behind";
const WRONG_NAME: &str = "use the host name that the server's certificate is for";
const PROXY: &str = "ask the proxy's operator";
const PROXY_AWAY: &str = "check the proxy's address, the network and its firewalls";

/// What keeps a connection from being opened. The texts name neither a host nor an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpeningFault {
    /// The name has no address.
    #[error("its name is not resolved")]
    Name,
    /// TCP fails.
    #[error("it accepts no connection")]
    Connect,
    /// TLS fails otherwise than by the certificate.
    #[error("the TLS handshake fails")]
    Tls,
    /// A certificate of an authority that is not trusted.
    #[error("its certificate is of an authority that is not trusted")]
    Untrusted,
    /// An old certificate.
    #[error("its certificate has expired")]
    Expired,
    /// A certificate from the future.
    #[error("its certificate is not valid yet")]
    NotYetValid,
    /// A certificate of another server.
    #[error("its certificate is for another name")]
    WrongName,
    /// The proxy opens no tunnel.
    #[error("the proxy opens no tunnel")]
    Proxy,
    /// TCP to the proxy fails, or it does not answer.
    #[error("the proxy is not there")]
    ProxyAway,
}

/// The part of a section that leads to a way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingAtFault {
    /// The address of the server.
    Address,
    /// The authorities that are trusted.
    Authorities,
    /// The proxy.
    Proxy,
    /// Nothing in the configuration.
    Nothing,
}

/// The way out, as the second half of a sentence.
pub fn advice(error: &io::Error) -> &'static str {
    OpeningFault::of(error).advice()
}

impl OpeningFault {
    /// The fault behind an error of [`super::dial`].
    pub fn of(error: &io::Error) -> Self {
        let Some(inner) = error.get_ref() else {
            return Self::Connect;
        };
        if inner.is::<NameError>() {
            Self::Name
        } else if let Some(late) = inner.downcast_ref::<OpeningTimeout>() {
            late.choose(Self::Name, Self::Connect, Self::Tls)
        } else if let Some(error) = inner.downcast_ref::<rustls::Error>() {
            Self::of_tls(error)
        } else if let Some(error) = inner.downcast_ref::<ProxyError>() {
            match error {
                ProxyError::Tunnel(error) => Self::of(error),
                ProxyError::Unreachable(error) => match Self::of(error) {
                    Self::Connect | Self::Tls => Self::ProxyAway,
                    fault => fault,
                },
                ProxyError::Malformed(_)
                | ProxyError::Unauthorized
                | ProxyError::Forbidden(_)
                | ProxyError::Status(..) => Self::Proxy,
            }
        } else {
            Self::Connect
        }
    }

    /// The way out, as the second half of a sentence.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Name => NAME,
            Self::Connect => CONNECT,
            Self::Tls => TLS,
            Self::Untrusted => UNTRUSTED,
            Self::Expired => EXPIRED,
            Self::NotYetValid => NOT_YET_VALID,
            Self::WrongName => WRONG_NAME,
            Self::Proxy => PROXY,
            Self::ProxyAway => PROXY_AWAY,
        }
    }

    /// Which setting of the server's section to look at.
    pub fn setting(self) -> SettingAtFault {
        match self {
            Self::Name | Self::Connect | Self::Tls | Self::WrongName => SettingAtFault::Address,
            Self::Untrusted => SettingAtFault::Authorities,
            Self::Expired | Self::NotYetValid => SettingAtFault::Nothing,
            Self::Proxy | Self::ProxyAway => SettingAtFault::Proxy,
        }
    }

    fn of_tls(error: &rustls::Error) -> Self {
        let rustls::Error::InvalidCertificate(error) = error else {
            return Self::Tls;
        };
        match error {
            // Another authority of the same name.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::Untrusted,
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Self::NotYetValid
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::WrongName
            }
            // The enum may grow.
            _ => Self::Tls,
        }
    }
}

impl SettingAtFault {
    /// The setting behind an error of [`super::dial`].
    pub fn of(error: &io::Error) -> Self {
        let inner = error.get_ref();
        match inner.and_then(|inner| inner.downcast_ref::<ProxyError>()) {
            Some(ProxyError::Tunnel(error)) => Self::of(error),
            Some(_) => Self::Proxy,
            None => OpeningFault::of(error).setting(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_own_way_out() {
        use SettingAtFault::{Address, Authorities, Nothing, Proxy};
        let tls = |error| io::Error::new(io::ErrorKind::InvalidData, rustls::Error::from(error));
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let by_proxy = ProxyError::Tunnel(tls(CertificateError::UnknownIssuer));
        for (error, wanted, setting) in [
            (refused(), CONNECT, Address),
            (io::Error::other(NameError::NoAddress), NAME, Address),
            (tls(CertificateError::UnknownIssuer), UNTRUSTED, Authorities),
            (tls(CertificateError::Expired), EXPIRED, Nothing),
            (tls(CertificateError::NotValidYet), NOT_YET_VALID, Nothing),
            (tls(CertificateError::NotValidForName), WRONG_NAME, Address),
            (tls(CertificateError::BadSignature), UNTRUSTED, Authorities),
            (tls(CertificateError::Revoked), TLS, Address),
            (io::Error::other(ProxyError::Unauthorized), PROXY, Proxy),
            (
                io::Error::other(ProxyError::Unreachable(refused())),
                PROXY_AWAY,
                Proxy,
            ),
            (io::Error::other(by_proxy), UNTRUSTED, Authorities),
        ] {
            assert_eq!(advice(&error), wanted, "{error}");
            assert_eq!(SettingAtFault::of(&error), setting, "{error}");
        }
    }
}
